"""Indexes of MongoDB collections, as admins want them."""

import re
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from optimizer.control.fields import BooleanSetting, IntegerSetting, TextSetting
from optimizer.control.models import SettingsRow

_KINDS = ("text", "hashed", "2d", "2dsphere")
_MOST_FIELDS = 32  # MongoDB's own limit
_COLLATION_OPTIONS = frozenset(
    (
        "locale", "strength", "caseLevel", "caseFirst", "numericOrdering", "alternate",
        "maxVariable", "backwards", "normalization",
    )
)  # fmt: skip


class DocumentIndex(SettingsRow):
    """An index that a collection is to have; `manage.py create_db_indexes` makes it so."""

    class Source(models.TextChoices):
        ADMIN = "admin", "an admin"
        ADVICE = "advice", "the query optimizer"

    component = "operations"

    name = TextSetting(
        max_length=120,
        unique=True,
        pattern=r"[^\s$*][^\s$*]*",
        pattern_hint="without spaces, $ and *",
        help_text="The index's name on the server.",
    )
    database = TextSetting(
        max_length=63,
        blank=True,
        default="",
        pattern=r'[^/\\. "$*<>:|?]*',
        pattern_hint="the name of a MongoDB database",
        help_text="Empty is the one of MONGODB_DATABASE.",
    )
    collection = TextSetting(
        max_length=120,
        pattern=r"(?!system\.)[^$\s]+",
        pattern_hint="the name of a collection",
        help_text="The collection that is to have it.",
    )
    keys = TextSetting(
        max_length=1000,
        help_text="Fields in their order, separated by commas, - before those that descend: "
        "guild, -sent_at. Other kinds: body:text, user:hashed, place:2dsphere.",
    )
    unique = BooleanSetting(default=False, help_text="No two documents have the same values.")
    sparse = BooleanSetting(default=False, help_text="Leave out documents without the fields.")
    expire_after_seconds = IntegerSetting(
        default=None,
        minimum=0,
        maximum=2_147_483_647,
        unit="seconds",
        null=True,
        blank=True,
        help_text="Documents are deleted so long after the date in the field; empty is never.",
    )
    partial_filter = models.JSONField(
        null=True,
        blank=True,
        help_text='Only documents that match are indexed, as JSON: {"state": "open"}.',
    )
    collation = models.JSONField(
        null=True,
        blank=True,
        help_text='How text is compared, as JSON: {"locale": "en", "strength": 2}.',
    )
    enabled = BooleanSetting(
        default=True, help_text="Off, the index is neither made nor counted as missing."
    )
    source = models.CharField(max_length=8, choices=Source, default=Source.ADMIN, editable=False)
    reason = models.CharField(max_length=500, blank=True, help_text="What it is for.")

    class Meta:
        ordering = ("database", "collection", "name")
        verbose_name = "document index"
        verbose_name_plural = "document indexes"

    def clean(self) -> None:
        errors: dict[str, Any] = {}
        try:
            keys = parse_keys(self.keys)
        except ValueError as error:
            raise ValidationError({"keys": f"{error}."}) from error
        self.keys = key_text(keys)  # as it is compared
        if self.expire_after_seconds is not None and (
            len(keys) > 1 or keys[0][1] not in (1, -1) or keys[0][0] == "_id"
        ):
            errors["expire_after_seconds"] = "Needs exactly one field, not _id, up or down."
        if self.partial_filter is not None and not (
            isinstance(self.partial_filter, dict) and self.partial_filter
        ):
            errors["partial_filter"] = "Must be a JSON object with at least one condition."
        if self.partial_filter and self.sparse:
            errors["sparse"] = "MongoDB takes no index that is both sparse and partial."
        if self.unique and any(kind in ("text", "hashed") for _, kind in keys):
            errors["unique"] = "No text or hashed index can be unique."
        if self.collation is not None and (problem := _collation_problem(self.collation)):
            errors["collation"] = problem
        if self.enabled and (twin := self._twin()) is not None:
            errors["keys"] = f"{twin} wants the same, and the server makes no second one."
        if errors:
            raise ValidationError(errors)

    def _twin(self) -> "DocumentIndex | None":
        """Return another row that differs from this one by its name alone."""
        same = DocumentIndex.objects.filter(
            enabled=True, database=self.database, collection=self.collection, keys=self.keys,
            unique=self.unique, sparse=self.sparse,
        ).exclude(pk=self.pk)  # fmt: skip
        names = ("partial_filter", "collation")
        mine = [getattr(self, name) or None for name in names]
        every = (one for one in same if [getattr(one, name) or None for name in names] == mine)
        return next(every, None)


def parse_keys(text: str) -> tuple[tuple[str, int | str], ...]:
    """Read "guild, -sent_at, body:text". Raises ValueError naming what is wrong."""
    keys: list[tuple[str, int | str]] = []
    for part in text.split(","):
        part = part.strip()
        name, _, kind = part.partition(":")
        way: int | str = kind or (-1 if name.startswith("-") else 1)
        name = name if kind else name.removeprefix("-")
        if not re.fullmatch(r"[^\s$.,:-][^\s,:]*", name) or name.endswith("."):
            raise ValueError(f"{part!r} is no field")
        if kind and kind not in _KINDS:
            raise ValueError(f"{kind!r} is none of {', '.join(_KINDS)}")
        keys.append((name, way))
    if len({name for name, _ in keys}) != len(keys):
        raise ValueError("A field is named twice")
    if len(keys) > _MOST_FIELDS:
        raise ValueError(f"At most {_MOST_FIELDS} fields")
    if keys == [("_id", 1)]:
        raise ValueError("Every collection has an index by _id")
    return tuple(keys)


def key_text(keys: tuple[tuple[str, int | str], ...]) -> str:
    """Return keys as `parse_keys` reads them."""
    return ", ".join(
        f"{name}:{way}" if isinstance(way, str) else f"-{name}" if way < 0 else name
        for name, way in keys
    )


def _collation_problem(collation: Any) -> str:
    if not isinstance(collation, dict) or not isinstance(collation.get("locale"), str):
        return 'Must be a JSON object with a locale: {"locale": "en"}.'
    unknown = set(collation) - _COLLATION_OPTIONS
    return f"Has no option {', '.join(sorted(unknown))}." if unknown else ""
