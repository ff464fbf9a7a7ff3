"""A dead letter: its error and its item, which can be edited, replayed and discarded."""

from hashlib import blake2b
from typing import Any

import msgspec
from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from optimizer.batches.live import batches
from optimizer.batches.models import DeadLetter
from optimizer.batches.services.errors import DATA_ERRORS, BadItem, Misconfigured, describe
from optimizer.batches.services.inbox import Taken
from optimizer.batches.services.sinks import sink_of
from optimizer.batches.services.submitting import encode

_MOST_FORMATTED = 1_000_000  # characters
_INDENT = 2
Base = dict[str, Any]


class LetterForm(forms.Form):
    """The item as JSON; checked against the job's sink, unless it is to be saved all the same."""

    payload = forms.CharField(
        label="Item, as JSON",
        strip=False,
        max_length=2 * _MOST_FORMATTED,
        widget=forms.Textarea(attrs={"class": "tu-input tu-code", "rows": 18, "spellcheck": False}),
    )
    all_the_same = forms.BooleanField(
        label="Save all the same, although the job would not take it now", required=False
    )
    base = forms.CharField(required=False, widget=forms.HiddenInput())

    def __init__(self, letter: DeadLetter, data: Any = None) -> None:
        self.letter, self.stored = letter, pretty(letter.payload)
        initial = {"payload": self.stored, "base": digest(letter.payload)}
        super().__init__(data, initial=initial, auto_id="tu-%s")

    def clean_payload(self) -> str:
        """Return the item as the inbox keeps it."""
        text: str = self.cleaned_data["payload"]
        if text.replace("\r\n", "\n") == self.stored:
            return self.letter.payload
        try:
            return encode(0, msgspec.json.decode(text)).payload
        except BadItem as error:
            raise ValidationError(f"{error.message[:1].upper()}{error.message[1:]}.") from error
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise ValidationError(f"Must be JSON: {error}.") from error

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("base") and cleaned["base"] != digest(self.letter.payload):
            raise ValidationError(
                "Somebody has changed the item since you opened it. Open it again to see."
            )
        checked = "payload" in cleaned and not cleaned["all_the_same"]
        if checked and (says := complaint(self.letter, cleaned["payload"])):
            self.add_error("payload", says)
        return cleaned


def complaint(letter: DeadLetter, payload: str) -> str:
    """Return what a job would say of an item before writing it, "" where it would take it."""
    job = batches.current().jobs.get(letter.job.name)
    if job is None:
        return ""
    try:
        sink_of(job).read(
            Taken(letter.item_id, letter.lane, letter.key, payload, 1, letter.created_at)
        )
    except Misconfigured as error:
        return f"The job does not fit the project, so the item cannot be checked: {error}."
    except DATA_ERRORS as error:
        return "The job would not take it: " + ": ".join(describe(error))
    return ""


def pretty(payload: str) -> str:
    """Return JSON with a line for each value, as it is where that would be too long."""
    depth = deepest = 0
    for character in payload:
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    lines = payload.count(",") + 2 * (payload.count("[") + payload.count("{")) + 1
    if len(payload) + lines * (deepest * _INDENT + 1) > _MOST_FORMATTED:
        return payload
    try:
        # Its tokens stay as they are; a detour over Python's numbers would round some.
        return msgspec.json.format(payload, indent=_INDENT)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return payload


def digest(payload: str) -> str:
    """Return what tells a payload from a later one."""
    return blake2b(payload.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def letter(
    request: HttpRequest, base: Base, row: DeadLetter, form: LetterForm, **may: bool
) -> HttpResponse:
    """Show one dead letter whole."""
    context = {
        **base,
        "title": f"Dead letter {row.pk}",
        "letter": row,
        "form": form,
        "size_bytes": len(row.payload.encode("utf-8", "surrogatepass")),
        **may,
    }
    return TemplateResponse(request, "tuneup/batches_letter.html", context)
