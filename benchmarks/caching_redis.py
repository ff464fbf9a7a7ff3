"""What goes to Redis, against django-redis on the same server.

Reads of the second tier ask for each key once, so that no copy of it is held yet; those of "off:"
are of a namespace without copies.
"""

from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

from django.core.cache import caches

from benchmarks.caching_speed import dictionary, text
from benchmarks.table import Row, nanoseconds_per_call, verdict

MANY = 100
SECONDS, ROUNDS = 0.9, 15
ONCE, ONCE_MANY = 25_000, 1000 * MANY  # keys that are each read once

Call = Callable[[], Any]


def second_tier() -> list[Row]:
    """Compare each operation."""
    ours, peer = caches["default"], caches["redis"]
    rows = _compare("miss", lambda: ours.get("absent"), lambda: peer.get("absent"))
    for title, make in (("100 B string", text), ("1 KB dict", dictionary)):
        rows += [*_reads(title, make), *_writes(title, make)]
    mine, theirs = _once("gone", text, ONCE)
    rows += _compare("delete", lambda: ours.delete(next(mine)), lambda: peer.delete(next(theirs)))
    return [*rows, *_get_or_load()]


def _compare(
    title: str,
    call: Call,
    peer: Call,
    most: float = 0.0,
    seconds: float = SECONDS,
    off: Call | None = None,
) -> list[Row]:
    calls = {"Tuneup": call, "Tuneup, L1 off": off, "django-redis": peer}
    given = {name: one for name, one in calls.items() if one is not None}
    took = nanoseconds_per_call(given, seconds=seconds, rounds=ROUNDS)
    reference = took["django-redis"]
    rows = []
    for name, ns in took.items():
        judged = most and name != "django-redis"
        target = verdict(ns / reference, "<=", most) if judged else ""
        rows.append(Row(f"{title}: {name}", ns / 1000, "us", ns / reference, target))
    return rows


def _reads(title: str, make: Callable[[], Any]) -> list[Row]:
    ours, peer, kind = caches["default"], caches["redis"], make.__name__
    fresh, same = _once(f"once:{kind}", make, ONCE)
    far, _ = _once(f"off:{kind}", make, ONCE)
    rows = _compare(
        f"L2 hit, {title}",
        lambda: ours.get(next(fresh)),
        lambda: peer.get(next(same)),
        1.1,
        off=lambda: ours.get(next(far)),
    )
    fresh, same = _once(f"many:{kind}", make, ONCE_MANY)
    far = cycle([f"off:{kind}:{number}" for number in range(ONCE)])
    return rows + _compare(
        f"get_many {MANY}, {title}",
        lambda: ours.get_many([next(fresh) for _ in range(MANY)]),
        lambda: peer.get_many([next(same) for _ in range(MANY)]),
        1.2,
        SECONDS / 2,
        off=lambda: ours.get_many([next(far) for _ in range(MANY)]),
    )


def _writes(title: str, make: Callable[[], Any]) -> list[Row]:
    ours, peer = caches["default"], caches["redis"]
    value, many = make(), {f"many:{number}": make() for number in range(MANY)}
    turn, same = (cycle([f"set:{number}" for number in range(1000)]) for _ in range(2))
    return [
        *_compare(
            f"set, {title}",
            lambda: ours.set(next(turn), value),
            lambda: peer.set(next(same), value),
            1.3,
        ),
        *_compare(
            f"set_many {MANY}, {title}", lambda: ours.set_many(many), lambda: peer.set_many(many)
        ),
    ]


def _once(prefix: str, make: Callable[[], Any], count: int) -> tuple[Iterator[str], Iterator[str]]:
    """Fill both caches; return the keys for each, to be asked for once: no copy is held."""
    values = [make() for _ in range(MANY)]
    keys = [f"{prefix}:{number}" for number in range(count)]
    for at in range(0, count, 500):
        part = {key: values[number % MANY] for number, key in enumerate(keys[at : at + 500])}
        caches["default"].set_many(part, 3600)
        caches["redis"].set_many(part, 3600)
    ours: Any = caches["default"]
    ours.tiers.store.clear()
    return iter(keys), iter(keys)


def _get_or_load() -> list[Row]:
    ours: Any = caches["default"]
    ours.set("loaded", value := text())
    calls = {
        "get": lambda: ours.get("loaded"),
        "get_or_load": lambda: ours.get_or_load("loaded", text),
        "get_or_set": lambda: ours.get_or_set("loaded", value),
    }
    took = nanoseconds_per_call(calls)
    return [
        Row(f"L1 hit, 100 B string: Tuneup {name}", ns, "ns", ns / took["get"])
        for name, ns in took.items()
    ]
