"""One pool, as an admin tunes it."""

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q

from optimizer.control.fields import ChoiceSetting, FloatSetting, IntegerSetting, TextSetting
from optimizer.control.models import SettingsRow


class Kind(models.TextChoices):
    """What is pooled."""

    POSTGRESQL = "postgresql", "PostgreSQL"
    SQLITE = "sqlite", "SQLite"
    REDIS = "redis", "Redis"
    MONGODB = "mongodb", "MongoDB"
    HTTP = "http", "HTTP"


MOST_CONNECTIONS = 1000
MOST_SUSPENDED_SECONDS = 300
MOST_SUSPENDED_DEFAULT_SECONDS = 60  # nothing of Tuneup goes on without its own database
DATABASE_KINDS = (Kind.POSTGRESQL, Kind.SQLITE, Kind.MONGODB)
REDIS_ALIASES = ("redis", "cache")


class PooledConnection(SettingsRow):
    """The limits of one pool, which hold in each process by itself."""

    component = "pools"
    key_field = "alias"

    alias = TextSetting(
        max_length=48,
        unique=True,
        pattern=r"[a-z][a-z0-9_.-]*",
        pattern_hint="lower-case letters, digits, dot, dash and underscore, a letter first",
        help_text="What is pooled: an alias of DATABASES, redis (Tuneup's own), cache "
        "(django-redis), or the target of pools.http().",
    )
    kind = ChoiceSetting(choices=Kind, default=Kind.POSTGRESQL, help_text="What it connects to.")
    min_size = IntegerSetting(
        default=1,
        minimum=0,
        maximum=MOST_CONNECTIONS,
        unit="connections",
        help_text="Kept open in each process, idle or not.",
    )
    max_size = IntegerSetting(
        default=8,
        minimum=1,
        maximum=MOST_CONNECTIONS,
        unit="connections",
        help_text="At most so many in each process; whoever comes then waits in turn.",
    )
    acquire_timeout_seconds = FloatSetting(
        default=5.0,
        minimum=0.01,
        maximum=300,
        unit="seconds",
        help_text="How long a caller waits for a connection before it is told that none came free.",
    )
    idle_timeout_seconds = FloatSetting(
        default=300.0,
        minimum=1,
        maximum=86_400,
        unit="seconds",
        help_text="A connection above the smallest number is closed when nobody used it for so "
        "long.",
    )
    max_lifetime_seconds = FloatSetting(
        default=1800.0,
        minimum=5,
        maximum=604_800,
        unit="seconds",
        help_text="How long a connection lives; keep it below what a proxy or firewall allows.",
    )
    lifetime_jitter_percent = IntegerSetting(
        default=10,
        minimum=0,
        maximum=50,
        unit="percent",
        help_text="Each connection lives shorter by a random part of this, so that not all end "
        "at once.",
    )
    check_after_idle_seconds = FloatSetting(
        default=0.5,
        minimum=0,
        maximum=3600,
        unit="seconds",
        help_text="A connection idle for longer is tried with a round trip before it is handed "
        "out; what has ended visibly is found in any case. PostgreSQL alone.",
    )
    leak_threshold_seconds = FloatSetting(
        default=60.0,
        minimum=2,
        maximum=86_400,
        unit="seconds",
        help_text="Who holds a connection for longer is warned of, with the stack.",
    )
    generation = IntegerSetting(
        default=0,
        minimum=0,
        maximum=2**31,
        editable=False,
        help_text="Grows each time that all connections are replaced.",
    )
    suspended_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Until then no connection is handed out."
    )

    class Meta:
        verbose_name = "pool"
        ordering = ("alias",)
        constraints = [
            models.CheckConstraint(
                condition=Q(min_size__lte=F("max_size")),
                name="pools_pooledconnection_min_not_above_max",
                violation_error_message="min_size: must not be above max_size.",
            )
        ]

    def clean(self) -> None:
        super().clean()
        wrong: dict[str, Any] = {}
        if None not in (self.min_size, self.max_size) and self.min_size > self.max_size:
            wrong["min_size"] = f"Must be between 0 and max_size, {self.max_size}."
        if self.kind in DATABASE_KINDS and self.alias not in settings.DATABASES:
            known = ", ".join(settings.DATABASES)
            wrong["alias"] = f"Must be an alias of DATABASES: {known}."
        elif self.kind in DATABASE_KINDS and self.kind != kind_of_database(self.alias):
            wrong["kind"] = f"Must be {kind_of_database(self.alias)}: the database is one."
        if self.kind == Kind.REDIS and self.alias not in REDIS_ALIASES:
            wrong["alias"] = f"Must be one of {', '.join(REDIS_ALIASES)}."
        if self.kind == Kind.HTTP and (
            self.alias in settings.DATABASES or self.alias in REDIS_ALIASES
        ):
            wrong["alias"] = "Must not be the name of a database or of a Redis pool."
        if wrong:
            raise ValidationError(wrong)


def is_pooled(alias: str, kind: str) -> bool:
    """Say whether there is a pool at all: not for SQLite, nor behind pgbouncer."""
    if kind == Kind.POSTGRESQL:
        return bool(settings.DATABASES.get(alias, {}).get("OPTIONS", {}).get("pool"))
    return kind != Kind.SQLITE


def kind_of_database(alias: str) -> str:
    """Return the kind of a database by its engine, "" for one that is not managed."""
    engine = settings.DATABASES[alias]["ENGINE"]
    return next((kind.value for kind in DATABASE_KINDS if kind.value in engine), "")
