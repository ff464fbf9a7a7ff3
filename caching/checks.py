"""System checks of CACHES: a tiered cache over something that cannot be its second tier."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

BACKEND = "caching.backends.TieredCache"


@register("caches")
def second_tiers(**_: Any) -> list[CheckMessage]:
    """Check that each tiered cache names a django-redis cache, with one secret for all."""
    given: Any = settings.CACHES
    found: list[CheckMessage] = []
    for alias, one in given.items():
        if one.get("BACKEND") != BACKEND:
            continue
        place = one.get("LOCATION")
        second = given.get(place)
        if second is None or not str(second.get("BACKEND", "")).startswith("django_redis."):
            found.append(
                Error(
                    f"CACHES[{alias!r}]: LOCATION must be the alias of a django-redis cache, "
                    f"not {place!r}.",
                    hint='CACHES["redis"] = {"BACKEND": "django_redis.cache.RedisCache", …}',
                    id="caching.E001",
                )
            )
            continue
        options = second.get("OPTIONS", {})
        for name in ("SOCKET_TIMEOUT", "SOCKET_CONNECT_TIMEOUT"):
            if not options.get(name):
                found.append(
                    Warning(
                        f"CACHES[{place!r}]: OPTIONS has no {name}, so a Redis that hangs holds up "
                        "whoever listens to it.",
                        hint="Give it in seconds, such as 0.25.",
                        id="caching.W001",
                    )
                )
    return found
