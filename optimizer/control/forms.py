"""Forms of settings: amounts with units, hints beside each field, and how long a change holds."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from optimizer.control import selectors
from optimizer.control.fields import RESTART, FloatSetting, IntegerSetting, SettingField
from optimizer.control.models import Recorded
from optimizer.control.unfold import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget
from optimizer.control.units import format_amount, parse_amount

KEEP = {
    "": "for good",
    "300": "for 5 minutes",
    "1800": "for 30 minutes",
    "3600": "for an hour",
    "confirm": "only if I confirm within 5 minutes",
}
CONFIRM_WITHIN_SECONDS = 300


class AmountField(forms.CharField):
    """Read and show a number of a unit as people write it: "200 MB", "5 min"."""

    def __init__(self, *, setting: IntegerSetting | FloatSetting, **kwargs: Any) -> None:
        self.setting = setting
        kwargs["widget"] = UnfoldAdminTextInputWidget()
        super().__init__(**kwargs)

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) else format_amount(value, self.setting.unit)

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        if not text:
            return None
        try:
            number = parse_amount(text, self.setting.unit)
        except ValueError as error:
            raise ValidationError(f"{error} Allowed: {self.setting.range_text}.") from error
        if isinstance(self.setting, FloatSetting):
            return float(number)
        if number != int(number):
            raise ValidationError(f"Must be a whole number, {self.setting.range_text}.")
        return int(number)

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.to_python(data) != initial)
        except ValidationError:
            return True


class SettingsForm(forms.ModelForm):
    """A settings row, with why and for how long it is changed."""

    change_reason = forms.CharField(
        label="Reason",
        required=False,
        max_length=300,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Kept with the revision, for whoever reads the history.",
    )
    change_keep = forms.ChoiceField(
        label="Keep",
        required=False,
        choices=list(KEEP.items()),
        widget=UnfoldAdminSelectWidget(),
        help_text="A change can end by itself, even when nothing else works any more.",
    )
    change_base = forms.IntegerField(required=False, widget=forms.HiddenInput())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            setting = next((one for one in self._meta.model._meta.fields if one.name == name), None)
            if isinstance(setting, SettingField):
                field.help_text = hints(setting, self.instance)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        refuse_stale(self.instance, cleaned.get("change_base"))
        return cleaned


class SettingsFormSet(forms.BaseInlineFormSet):
    """The inlines of a settings form, guarded like the form itself."""

    def clean(self) -> None:
        super().clean()
        base = self.data.get("change_base", "")
        for form in self.initial_forms:
            if form.has_changed() and base.isdecimal() and len(base) < 19:
                refuse_stale(form.instance, int(base))


def refuse_stale(row: Any, base: int | None) -> None:
    """Raise ValidationError when somebody changed `row` after revision `base`."""
    if not isinstance(row, Recorded) or not row.pk or base is None:
        return
    since = selectors.revisions_of(row).filter(number__gt=base).order_by("number").last()
    if since is not None:
        # The page that comes back carries the newer number, so a second Save goes through.
        raise ValidationError(
            f"{since.actor or since.channel} changed this since you opened it"
            f" (revision {since.number}): {selectors.in_words(since)}."
            " Save again to overwrite it."
        )


def keep_options(value: str) -> dict[str, Any]:
    """Return what `change` takes for a choice of `KEEP`."""
    if value == "confirm":
        return {"revert_after_seconds": CONFIRM_WITHIN_SECONDS, "unless_confirmed": True}
    return {"revert_after_seconds": int(value)} if value and value in KEEP else {}


def hints(setting: SettingField, row: Any) -> SafeString:
    """Return the help text with default, range, and whether the value is live and modified."""
    chips: list[tuple[str, str]] = []
    if setting.has_default():
        default = setting.get_default()
        chips.append(("", f"default {selectors.shown(setting, default)}"))
        stored = getattr(row, setting.attname, None)
        if row.pk and stored is not None and stored != default:
            chips.append(("modified", "modified"))
    if setting.range_text and not setting.choices:  # the input lists the choices
        chips.append(("", setting.range_text))
    if setting.applies == RESTART:
        chips.append(("restart", "at restart"))
    else:
        chips.append(("live", "live"))
    spans = format_html_join("", '<span class="tu-chip {}">{}</span>', chips)
    return format_html('{} <span class="tu-chips">{}</span>', setting.help_text, spans)
