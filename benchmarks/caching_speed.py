"""What a hit of the first tier costs against its peers, in one thread and in four.

Each contender's `get` is called by the same bare loop over a list of
keys: 20,000 in turn, of which Tuneup holds dictionaries packed, or one hot key, of which it holds
the dictionary ready to be copied.
"""

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from typing import Any

import cachebox
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache

from benchmarks.table import Row, verdict
from caching.engine.entry import Packed, Thawed
from caching.engine.store import weigh

NAMES = tuple(f"k{number}" for number in range(30))
KEYS, HOT_ROUNDS = 20_000, 200
THREADS, SECONDS, ROUNDS = 4, 0.06, 5
LOCMEM_TARGETS = {"100 B string": 5, "1 KB dict": 3, "1 KB dict, hot": 3}

Get = Callable[[str], Any]


def text() -> str:
    """Return a string of 100 bytes."""
    return secrets.token_hex(50)


def dictionary() -> dict[str, str]:
    """Return 30 keys, the same objects each time, with distinct values of 20 characters."""
    digits = secrets.token_hex(300)
    return {name: digits[at * 20 : at * 20 + 20] for at, name in enumerate(NAMES)}


class Plain:
    """The least that a cache of prefixed keys does."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._held = {f":1:{key}": value for key, value in values.items()}.get

    def get(self, key: str, default: Any = None) -> Any:
        return self._held(f":1:{key}", default)


def hits() -> list[Row]:
    """Compare hits through the object that `caches["default"]` gives."""
    many = {f"many:{number}": dictionary() for number in range(KEYS)}
    return [
        *_hits("100 B string", {"text": text()}),
        *_hits("1 KB dict", many, Packed),
        *_hits("1 KB dict, hot", {"hot": dictionary()}, Thawed),
    ]


def _hits(title: str, values: dict[str, Any], held_as: type | None = None) -> list[Row]:
    ours = caches["default"]
    gets = _contenders(values)
    keys = list(values)
    if held_as is Thawed:
        for key in keys * HOT_ROUNDS:
            ours.get(key)
    took: dict[tuple[str, int], float] = {}
    steps = {name: _steps(get, keys) for name, get in gets.items()}
    for _ in range(ROUNDS):
        for name, get in gets.items():
            for threads in (1, THREADS):
                found = _nanoseconds(get, steps[name], threads)
                took[name, threads] = min(found, took.get((name, threads), found))
    if held_as is not None:
        tiers: Any = ours.tiers  # type: ignore[attr-defined]
        kinds = {type(tiers.peek(ours.name_of(key))) for key in keys}  # type: ignore[attr-defined]
        assert kinds == {held_as}, kinds
    reference = took["Tuneup", 1]
    rows = []
    for (name, threads), ns in took.items():
        ratio, target = ns / reference, ""
        if threads == 1 and name == "LocMemCache":
            target = verdict(ratio, ">=", LOCMEM_TARGETS[title])
        elif threads == 1 and title == "100 B string" and name == "django-redis":
            target = verdict(ratio, ">=", 120)
        elif threads == 1 and title == "100 B string" and name == "bare dict.get":
            target = f"Tuneup is {1 / ratio:.1f} x; {verdict(1 / ratio, '<=', 12)}"
        elif threads > 1 and name == "Tuneup":
            target = verdict(ratio, "<=", 1.3)
        suffix = f"{threads} thread{'s' if threads > 1 else ''}"
        rows.append(Row(f"L1 hit, {title}: {name}, {suffix}", ns, "ns", ratio, target))
    return rows


def _contenders(values: dict[str, Any]) -> dict[str, Get]:
    local = LocMemCache(f"bench {len(values)}", {"OPTIONS": {"MAX_ENTRIES": 10 * KEYS}})
    bare = dict(values)
    boxed = cachebox.LRUCache[str, Any](10**9, getsizeof=lambda key, value: weigh(key, value))
    for key, value in values.items():
        boxed[key] = value
        local.set(key, value)
    for cache in (caches["default"], caches["redis"]):
        cache.set_many(values)
    return {
        "Tuneup": caches["default"].get,
        "LocMemCache": local.get,
        "django-redis": caches["redis"].get,
        "cachebox": boxed.get,
        "bare dict.get": bare.get,
        "dict.get in a method": Plain(values).get,
    }


def _steps(get: Get, keys: list[str]) -> list[str]:
    """Return as many keys, in turn, as are asked for in about a round's time."""
    sample = list(islice(cycle(keys), 200))
    _loop(get, sample)
    once = time.perf_counter()
    _loop(get, sample)
    count = int(SECONDS / (time.perf_counter() - once) * len(sample))
    return list(islice(cycle(keys), max(THREADS, count // THREADS * THREADS)))


def _loop(get: Get, keys: Sequence[str]) -> None:
    for key in keys:
        get(key)


def _nanoseconds(get: Get, keys: list[str], threads: int) -> float:
    """Return the time from the first call's start to the last one's end, by calls."""
    together = threading.Barrier(threads)
    times: list[int] = []

    def run(part: list[str]) -> None:
        together.wait()
        began = time.perf_counter_ns()
        _loop(get, part)
        times.extend((began, time.perf_counter_ns()))

    length = len(keys) // threads
    parts = [keys[at * length : (at + 1) * length] for at in range(threads)]
    workers = [threading.Thread(target=run, args=(part,)) for part in parts]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return (max(times) - min(times)) / (length * threads)
