"""What all processes share through Redis: ejections, health by checks, lag, and the last events.

In-flight counts and averages are not among it: they stay in the process. While Redis is away each
process ejects by itself; what it has to tell waits.

A backend's lag is told by `report_lag(group, backend, seconds)`, by whatever measures it, at least
every `LAG_SECONDS`; an older one counts as no lag known.
"""

import logging
from importlib.resources import files
from typing import Any

import msgspec
import redis

from optimizer.balancer import metrics
from optimizer.balancer.engine import breaker
from optimizer.balancer.engine.group import Group
from optimizer.balancer.services.balancing import balancer
from optimizer.control import ticker
from optimizer.control.redis import RedisAway, call, server_time
from optimizer.control.scripts import Script

_PREFIX = "tuneup:{balancer}"
EJECTIONS, HEALTH, LAG = f"{_PREFIX}:ejections", f"{_PREFIX}:health", f"{_PREFIX}:lag"
EVENTS = f"{_PREFIX}:events"
EVENTS_KEPT = 200
HEALTH_SECONDS = 60.0  # or five intervals: an older check says nothing
LAG_SECONDS = 60.0
_SYNC_TICKS = 10
_SAME_SECONDS = 5

logger = logging.getLogger(__name__)
_lua = files("optimizer.balancer.engine")
EJECT = Script((_lua / "eject.lua").read_text())
NOTE = Script((_lua / "note.lua").read_text())


class Ejection(msgspec.Struct):
    """An ejection as all processes see it; `until` is in seconds of Redis's clock."""

    until: float
    times: int
    reason: str
    detail: str = ""


class Health(msgspec.Struct):
    """What the active checks of one backend found; `rose` and `fell` count them in a row."""

    healthy: bool
    at: float
    rose: int = 0
    fell: int = 0
    seconds: float = 0.0
    says: str = ""


class Lag(msgspec.Struct):
    """How far a replica lags, and when that was measured."""

    seconds: float
    at: float


class Told(msgspec.Struct):
    """An event as it is kept."""

    at: float
    backend: str
    kind: str
    reason: str = ""
    detail: str = ""
    seconds: float = 0.0
    times: int = 0


class Shared(msgspec.Struct):
    """All of it, by "group/backend"; `now` is Redis's clock."""

    now: float
    ejections: dict[str, Ejection]
    health: dict[str, Health]
    lag: dict[str, Lag]

    def ejection(self, field: str) -> Ejection | None:
        """Return the ejection that is in force."""
        found = self.ejections.get(field)
        return found if found is not None and found.until > self.now else None


def field_of(group: str, backend: str) -> str:
    """Return the name under which a backend is shared."""
    return f"{group}/{backend}"


def read() -> Shared:
    """Return what is shared. Raises RedisAway."""

    def fetch(r: redis.Redis) -> list[Any]:
        pipe = r.pipeline(transaction=False)
        for key in (EJECTIONS, HEALTH, LAG):
            pipe.hgetall(key)
        return [server_time(r), *pipe.execute()]

    now, ejections, health, lag = call(fetch)
    return Shared(
        now,
        _decoded(ejections, Ejection),
        _decoded(health, Health),
        _decoded(lag, Lag),
    )


def _decoded(rows: dict[bytes, bytes], kind: Any) -> dict[str, Any]:
    decode = msgspec.json.Decoder(kind).decode
    return {name.decode(): decode(row) for name, row in rows.items()}


def events(count: int = 50) -> list[Told]:
    """Return the last events, the newest first. Raises RedisAway."""
    rows: Any = call(lambda r: r.lrange(EVENTS, 0, count - 1))
    return [msgspec.json.decode(row, type=Told) for row in rows]


def report_lag(group: str, backend: str, seconds: float) -> None:
    """Tell all processes how far a replica lags behind its primary. Raises RedisAway."""

    def write(r: redis.Redis) -> None:
        row = msgspec.json.encode(Lag(seconds, server_time(r)))
        r.hset(LAG, field_of(group, backend), row)

    call(write)


def put_back(group: str, backend: str) -> None:
    """End an ejection for all processes, within a second. Raises RedisAway."""
    call(lambda r: r.hdel(EJECTIONS, field_of(group, backend)))
    _note(group, backend, "put back")


class Sync:
    """Tells what this process decided, and takes over what the others did."""

    def __init__(self) -> None:
        self._ticks = 0

    def tick(self) -> None:
        """Tell news at once; take over what is shared every second."""
        groups = balancer.groups()
        if not groups or ticker.is_last():
            return
        self._ticks += 1
        news = any(group.news for group in groups.values())
        if not news and self._ticks % _SYNC_TICKS:
            return
        balancer.obey()
        try:
            for group in groups.values():
                group.lap()
                _tell(group)
            _take_over(groups, read())
        except RedisAway:
            return  # each process decides by itself until it is back
        except redis.ResponseError as error:  # as when it is full
            for group in groups.values():
                group.news.clear()
            logger.warning("Ejections cannot be shared: %s", error)


def _tell(group: Group) -> None:
    while group.news:
        event = group.news[0]
        if event.kind == "ejected":
            tell_ejection(
                group, event.backend, event.reason, event.detail, event.seconds, event.times
            )
        else:
            _note(group.settings.name, event.backend, event.kind)
        group.news.popleft()  # now, so that it is told again if Redis is away


def tell_ejection(
    group: Group, backend: str, reason: str, detail: str, seconds: float, times: int
) -> None:
    """Share an ejection, and take over what all processes agree on. Raises RedisAway."""
    settings = group.settings
    offered = sum(one.is_offered for one in group.endpoints.values())
    milliseconds, agreed_times = EJECT.run(
        (EJECTIONS, EVENTS),
        field_of(settings.name, backend),
        f"{settings.name}/",
        breaker.most_ejected(offered, settings),
        settings.ejection_seconds,
        settings.max_ejection_seconds,
        seconds / breaker.seconds_of(times, settings, 0.0),
        reason,
        detail,
        EVENTS_KEPT,
    )
    if milliseconds < 0:  # others are ejected elsewhere, and no more may be
        group.not_agreed(backend)
        return
    metrics.EJECTIONS.labels(settings.name, backend, reason).inc()
    group.ejected_elsewhere(backend, milliseconds / 1000, agreed_times, reason)


def _note(group: str, backend: str, kind: str) -> None:
    field = field_of(group, backend)
    mark = f"{_PREFIX}:seen:{kind}:{field}"
    NOTE.run((mark, EVENTS), field, kind, EVENTS_KEPT, _SAME_SECONDS)


def _take_over(groups: dict[str, Group], shared: Shared) -> None:
    for name, group in groups.items():
        stale = max(HEALTH_SECONDS, 5 * group.settings.check_interval_seconds)
        for backend in list(group.endpoints):
            field = field_of(name, backend)
            ejection = shared.ejection(field)
            if ejection is None:
                group.put_back(backend)
            else:
                left = ejection.until - shared.now
                group.ejected_elsewhere(backend, left, ejection.times, ejection.reason)
            found = shared.health.get(field)
            counts = found is not None and group.settings.check_kind != "none"
            counts = counts and found is not None and shared.now - found.at < stale
            group.checked(backend, found.healthy if found is not None and counts else None)
            lag = shared.lag.get(field)
            if lag is not None:
                fresh = shared.now - lag.at < LAG_SECONDS
                group.lagging(backend, lag.seconds if fresh else 0.0)


sync = Sync()


def tick() -> None:
    """Keep this process and the others in step."""
    sync.tick()
