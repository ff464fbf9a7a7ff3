"""How much the process grows when the first tier is full, and what fits into the same memory.

Each measurement is a process of its own, in a namespace without a second tier, so that filling
takes seconds. The growth is that of the resident set from before the first value to after the last
one; nothing is given back by hand (no malloc_trim) before it is read.
"""

import datetime
import gc
import pickle
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.caching_speed import dictionary, text
from benchmarks.table import Row, verdict

BUDGET_BYTES = 200 * 1024**2
POLICIES = ("lru", "s3-fifo", "gdsf")
FILL_TIMES = 1.5  # the bytes put in, by the budget
MEGABYTE = 1024**2


def memory() -> list[Row]:
    """Fill the first tier of new processes."""
    from caching.models import CachingSettings
    from tests.caching.support import agents

    rows = []
    for policy in POLICIES:
        CachingSettings(l1_policy=policy, l1_budget_bytes=BUDGET_BYTES).save()
        with agents(1) as (one,):
            grown, held, count = _ask(one, "grown()")
        title = f"L1 full of mixed values, {policy}: growth of the process"
        target = f"{count:,} entries; {verdict(grown / BUDGET_BYTES, '<=', 1.15)}"
        rows.append(Row(title, grown / MEGABYTE, "MiB", grown / BUDGET_BYTES, target))
        assert held > 0.98 * BUDGET_BYTES, held
    CachingSettings(l1_policy="lru").save()
    with agents(3) as (one, other, third):
        grown, _, ours = _ask(one, "dictionaries()")
        loaded = _ask(other, f"live({grown}, unpickled)")
        shared = _ask(third, f"live({grown}, dictionary)")
    title = f"1 KB dictionaries in {grown / MEGABYTE:.0f} MiB"
    return [
        *rows,
        Row(f"{title}: Tuneup", ours, "", 1.0),
        Row(
            f"{title}: live objects, as unpickled",
            loaded,
            "",
            loaded / ours,
            f"Tuneup holds {ours / loaded:.2f} x; {verdict(ours / loaded, '>=', 5)}",
        ),
        Row(f"{title}: live objects, keys of all shared", shared, "", shared / ours),
    ]


def _ask(agent: Any, code: str) -> Any:
    agent.ask("from benchmarks.caching_memory import *")
    return agent.ask(code, within_seconds=120)


# --- In the processes -----------------------------------------------------------------------------


def grown() -> tuple[int, int, int]:
    """Fill the first tier with mixed values, well beyond its budget."""
    return _filled(mixed(random.Random(1)))  # noqa: S311  # a mixture


def dictionaries() -> tuple[int, int, int]:
    """Fill the first tier with dictionaries."""
    return _filled(iter(dictionary, None))


def live(most_bytes: int, make: Callable[[], Any]) -> int:
    """Return how many values fit into a store of live objects."""
    held: OrderedDict[str, tuple[Any, float]] = OrderedDict()
    before, now = _resident(), time.monotonic()
    while _resident() - before < most_bytes:
        for _ in range(500):
            held[f":1:here:{len(held)}"] = (make(), now + len(held))
    return len(held)


def unpickled() -> Any:
    """Return a dictionary as it comes from a second tier."""
    return pickle.loads(pickle.dumps(dictionary(), pickle.HIGHEST_PROTOCOL))  # noqa: S301


def _filled(values: Iterator[Any]) -> tuple[int, int, int]:
    """Put values in; return growth, bytes held by the store's measure, entries."""
    from django.core.cache import caches

    cache: Any = caches["default"]
    cache.set("here:first", "value")
    store = cache.tiers.store
    gc.collect()
    before, put, number, weight = _resident(), 0, 0, 0
    while put < FILL_TIMES * BUDGET_BYTES:
        key = f"here:{number}"
        cache.set(key, next(values))
        entry = store.entries.get(cache.name_of(key))
        weight = entry.size_bytes if entry is not None else weight
        put, number = put + weight, number + 1
    gc.collect()
    return _resident() - before, store.used_bytes, len(store.entries)


def mixed(rng: random.Random) -> Iterator[Any]:
    """Yield values of all kinds and sizes, as many of each kind."""
    kinds: list[Callable[[], Any]] = [
        text,
        lambda: "é" * rng.randrange(10, 2000),
        lambda: rng.randbytes(min(100_000, int(rng.lognormvariate(7, 1.2)))),
        lambda: {
            "id": rng.randrange(10**9),
            "name": text(),
            "tags": ["a", "b"],
            "rate": rng.random(),
        },
        dictionary,
        lambda: [rng.randrange(10**9) for _ in range(rng.randrange(1, 300))],
        lambda: [{"number": number, "name": text()} for number in range(rng.randrange(1, 30))],
        lambda: rng.randrange(10**12),
        lambda: tuple(text() for _ in range(rng.randrange(1, 20))),
        lambda: {rng.randrange(10**9) for _ in range(rng.randrange(1, 3000))},  # pickled
        lambda: {"at": datetime.datetime.now(datetime.UTC), "rows": [(1, text())] * 50},  # pickled
    ]
    while True:
        for make in kinds:
            yield make()


def _resident() -> int:
    """Return the resident bytes of this process, exactly: those of statm lag behind."""
    for line in Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024
    raise LookupError("Rss")
