"""What a dashboard polls: every component's state, the processes, the last changes."""

import json
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone

from optimizer.control import processes, registry, selectors
from optimizer.control.models import Revision
from optimizer.control.redis import RedisAway

LAST_EVENTS = 10


def document() -> dict[str, Any]:
    """Return the overview, from the database and Redis. Raises DatabaseError."""
    revision = selectors.head_revision()
    try:
        seen = processes.seen(revision)
    except RedisAway:
        seen = None
    return {
        "generated_at": timezone.now(),
        "revision": revision,
        "redis": "away" if seen is None else "up",
        "components": {one.name: _component(one) for one in registry.components()},
        "processes": [
            {
                "role": one.role,
                "host": one.host,
                "pid": one.pid,
                "revision": one.revision,
                "state": one.state,
                "seen_seconds_ago": round(one.age_seconds, 1),
            }
            for one in seen or ()
        ],
        "events": [
            {
                "revision": one.number,
                "at": one.created_at,
                "component": one.component,
                "actor": one.actor,
                "channel": one.channel,
                "reason": one.reason,
                "changed": selectors.in_words(one, most=3),
            }
            for one in Revision.objects.all()[:LAST_EVENTS]
        ],
    }


def body() -> bytes:
    """Return the overview as JSON."""
    return json.dumps(document(), cls=DjangoJSONEncoder, separators=(",", ":")).encode()


def _component(component: registry.Component) -> dict[str, Any]:
    return {
        "title": component.title,
        "settings": "stale" if component.live.error else "live",
        "status": component.status(),
    }
