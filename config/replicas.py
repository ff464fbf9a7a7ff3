"""The streaming replicas of the default database, as further aliases of DATABASES."""

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ImproperlyConfigured


def replicas_of(primary: dict[str, Any], given: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the settings of `replica_1` and so on. Raises ImproperlyConfigured."""
    if given and not primary["ENGINE"].endswith(".postgresql"):
        raise ImproperlyConfigured(
            "The environment variable DATABASE_REPLICA_URLS must stand beside a DATABASE_URL of"
            " PostgreSQL: replicas follow its log."
        )
    return {
        f"replica_{number}": {
            **one,
            "CONN_MAX_AGE": primary["CONN_MAX_AGE"] or 60,  # seconds; a primary's pool has 0
            "CONN_HEALTH_CHECKS": False,  # what a replica does not answer, the primary does
            # A host that is gone without a word must not hold a read for minutes.
            "OPTIONS": {"connect_timeout": 2, "tcp_user_timeout": 5_000, **one.get("OPTIONS", {})},
            "TEST": {"MIRROR": "default"},
        }
        for number, one in enumerate(given, start=1)
    }
