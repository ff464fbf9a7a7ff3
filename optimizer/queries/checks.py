"""System checks: the middleware's place, and patterns that ignore nothing."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Info, Tags, Warning, register
from django.db import DatabaseError

from optimizer.queries import selectors

MIDDLEWARE = "optimizer.queries.middleware.watch_queries"


@register()
def middleware(**_: Any) -> list[CheckMessage]:
    """Check that requests are watched, and from early on."""
    given = list(settings.MIDDLEWARE)
    if MIDDLEWARE not in given:
        return [
            Warning(
                "No request is watched for repeated queries.",
                hint=f"Add {MIDDLEWARE!r} to MIDDLEWARE, early.",
                id="queries.W001",
            )
        ]
    session = "django.contrib.sessions.middleware.SessionMiddleware"
    if session in given and given.index(MIDDLEWARE) > given.index(session):
        return [
            Warning(
                "The queries of sessions are not watched.",
                hint=f"Put {MIDDLEWARE!r} before {session!r}.",
                id="queries.W002",
            )
        ]
    return []


@register(Tags.database)
def ignores(databases: Any = None, **_: Any) -> list[CheckMessage]:
    """Check that each pattern of the ignore list has matched something."""
    if not databases or "default" not in databases:
        return []
    try:
        unused = selectors.unused_patterns()
    except DatabaseError:  # not migrated yet
        return []
    return [
        Info(
            f"The ignored pattern {pattern!r} has matched nothing so far.",
            hint="Delete it in the admin when what it was for is gone.",
            id="queries.I001",
        )
        for pattern in unused
    ]
