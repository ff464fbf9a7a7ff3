"""The kernel's tables, and the two abstract models from which every component's settings derive."""

from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models
from django.utils import timezone

from optimizer.control.fields import BooleanSetting, FloatSetting, IntegerSetting, TextSetting
from optimizer.control.rows import RecordedQuerySet, recorded


class Recorded(models.Model):
    """A row whose every change is a revision, whichever way it is written."""

    component: ClassVar[str]
    # Columns that are facts about the row, not settings; they change without a revision.
    unrecorded: ClassVar[frozenset[str]] = frozenset()
    # Whether `settings export` and the API carry these rows.
    exported: ClassVar[bool] = True

    objects = RecordedQuerySet.as_manager()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        with recorded(type(self), kwargs.get("using")):
            super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        with recorded(type(self), kwargs.get("using")):
            return super().delete(*args, **kwargs)


class SettingsModel(Recorded):
    """The one row of a component's settings (primary key 1)."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return str(self._meta.verbose_name)

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.pk = 1
        # With a default for its key Django would insert only, and fail on the second save.
        stored = type(self)._base_manager.using(kwargs.get("using")).filter(pk=1)
        self._state.adding = not stored.exists()
        super().save(*args, **kwargs)

    @classmethod
    def load(cls) -> Self:
        """Return the stored row, or an unsaved one with the defaults."""
        stored = cls._default_manager.filter(pk=1).first()
        return stored if isinstance(stored, cls) else cls()


class SettingsRow(Recorded):
    """One of several rows that an admin edits, known to people by its `key_field`."""

    key_field: ClassVar[str] = "name"

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return str(getattr(self, self.key_field))


class Head(models.Model):
    """The number of the newest revision.

    Its row is locked for the length of a change, so numbers are handed out in commit order: who
    has seen revision n has seen everything before it.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    revision = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"revision {self.revision}"


class RevisionQuerySet(models.QuerySet["Revision"]):
    """Revisions are written once."""

    def update(self, **kwargs: Any) -> int:
        raise TypeError("A revision is never changed; revert it with a new one.")

    def delete(self) -> tuple[int, dict[str, int]]:
        raise TypeError("A revision is never deleted.")


class Revision(models.Model):
    """One change of settings, whole: rows before, rows after, who, how and why."""

    number = models.BigIntegerField(primary_key=True)
    component = models.CharField(max_length=32, db_index=True)
    before = models.JSONField()
    after = models.JSONField()
    actor = models.CharField(max_length=150, blank=True)
    channel = models.CharField(max_length=16)
    reason = models.CharField(max_length=300, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    reverts = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="reverted_by"
    )

    objects = RevisionQuerySet.as_manager()

    class Meta:
        ordering = ("-number",)

    def __str__(self) -> str:
        return f"#{self.number} {self.component}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("A revision is never changed; revert it with a new one.")
        super().save(*args, **{**kwargs, "force_insert": True})

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise TypeError("A revision is never deleted.")


class PendingRevert(models.Model):
    """A change that ends by itself: when its time is over, or when nobody confirms it."""

    revision = models.OneToOneField(Revision, on_delete=models.PROTECT, primary_key=True)
    due_at = models.DateTimeField(db_index=True)
    unless_confirmed = models.BooleanField(default=False)
    failure = models.CharField(max_length=300, blank=True)

    def __str__(self) -> str:
        return f"{self.revision} until {self.due_at:%H:%M:%S}"


class ControlSettings(SettingsModel):
    """How processes follow the settings."""

    component = "control"

    poll_interval_seconds = FloatSetting(
        default=5.0,
        minimum=0.5,
        maximum=60,
        unit="seconds",
        help_text="How often a process asks the database for changes it was not told of.",
    )
    process_expiry_seconds = IntegerSetting(
        default=30,
        minimum=5,
        maximum=600,
        unit="seconds",
        help_text="How long a silent process is still listed as not seen.",
    )

    class Meta:
        verbose_name = verbose_name_plural = "control settings"


class ApiKey(SettingsRow):
    """A bot's key to the internal API; only its prefix and a digest are kept."""

    component = "control"
    unrecorded = frozenset({"last_used_at"})
    exported = False

    name = TextSetting(max_length=64, unique=True, help_text="Who uses this key.")
    prefix = models.CharField(max_length=8, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    scopes = models.JSONField(
        default=list, help_text='Components the key may call, or ["*"] for all of them.'
    )
    active = BooleanSetting(default=True, help_text="A key that is switched off stops at once.")
    expires_at = models.DateTimeField(
        null=True, blank=True, help_text="When the key stops by itself; empty means never."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, editable=False
    )
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "API key"
        verbose_name_plural = "API keys"
        ordering = ("name",)
