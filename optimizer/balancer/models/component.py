"""The load balancer's settings row."""

from django.apps import apps
from django.core.exceptions import ValidationError

from optimizer.balancer.engine.addresses import AllowList, BadAddress
from optimizer.balancer.engine.settings import DEFAULT_NETWORKS, DEFAULT_PRIMARY_APPS
from optimizer.control.fields import BooleanSetting, IntegerSetting, TextSetting
from optimizer.control.models import SettingsModel


class BalancerSettings(SettingsModel):
    """What holds for all groups."""

    component = "balancer"

    ejects = BooleanSetting(
        default=True,
        help_text="Off puts every ejected backend back and ejects none: the kill switch.",
    )
    forwards = BooleanSetting(
        default=True, help_text="Off answers 503 to every call that is to be forwarded."
    )
    allowed_addresses = TextSetting(
        max_length=1000,
        default=DEFAULT_NETWORKS,
        blank=True,
        help_text="Networks and host names where backends may be, separated by commas; *.internal "
        "is every name that ends so. A name that is not listed must lead into the networks, when "
        "it is saved and when it is called.",
    )
    max_body_bytes = IntegerSetting(
        default=8 * 1024**2,
        minimum=1024,
        maximum=64 * 1024**2,
        unit="bytes",
        help_text="How large the body of a call that is forwarded may be. It is held in memory, so "
        "that it can be sent again.",
    )
    primary_apps = TextSetting(
        max_length=1000,
        default=DEFAULT_PRIMARY_APPS,
        blank=True,
        help_text="Labels of apps whose reads stay on the primary database, separated by commas. "
        "Tuneup's own always do. It matters with database replicas alone.",
    )

    class Meta:
        verbose_name = verbose_name_plural = "load balancer settings"

    def clean(self) -> None:
        errors: dict[str, str] = {}
        try:
            AllowList(self.allowed_addresses)
        except BadAddress as error:
            errors["allowed_addresses"] = f"{error}."
        known = {one.label for one in apps.get_app_configs()}
        named = {name.strip() for name in self.primary_apps.split(",") if name.strip()}
        if unknown := sorted(named - known):
            errors["primary_apps"] = f"There is no app labelled {', '.join(unknown)}."
        if errors:
            raise ValidationError(errors)
