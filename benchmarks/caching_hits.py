"""Hit ratios of the first tier at equal bytes, against an exact LRU; errors of its curve.

50,000 objects of lognormal size, asked for by Zipf's law; a scan asks for objects that nobody asks
for again; in one trace others are popular after each sixth. What is not held is put in at once.
Run `python -m benchmarks.caching_hits [--json FILE]`.
"""

import os
import random
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import fmean

import cachebox

from benchmarks.table import Row, arguments, nanoseconds_per_call, show
from caching.engine.curve import Curve
from caching.engine.entry import Entry
from caching.engine.hot_keys import HotKeys
from caching.engine.namespace import Namespace, Space
from caching.engine.store import Store, weigh
from caching.engine.usage import ONE_IN

OBJECTS, REQUESTS = 50_000, 300_000
BUDGETS = (0.05, 0.2)  # parts of the bytes of all objects
CURVE_BUDGETS = (0.01, 0.05, 0.1, 0.2, 0.5)
SAMPLINGS = 5  # each with other keys, and so with other hashes
SCAN_REQUESTS = 400
HIT_TARGETS = {
    "Tuneup lru": "target: within 0.2 points",
    "Tuneup s3-fifo": "target: >= 1 point",
    "Tuneup gdsf": "target: >= 1 point",
}


@dataclass(frozen=True, slots=True)
class Trace:
    """Which objects are asked for, by number, with what each weighs in the store."""

    name: str
    picks: list[int]
    keys: list[str]
    values: list[int]  # their sizes in bytes
    weights: list[int]
    moves: bool = False  # a trace that targets are not set for

    @property
    def total_bytes(self) -> int:
        return sum(self.weights[:OBJECTS])


def zipf(exponent: float, scans: float = 0.0, periods: int = 1) -> Trace:
    """Return a trace of which a part, `scans`, are scans; others are popular in each period."""
    rng = random.Random(f"{exponent} {scans}")  # noqa: S311  # a trace
    objects = list(range(OBJECTS))
    rng.shuffle(objects)
    ranks = list(accumulate((1 + rank) ** -exponent for rank in range(OBJECTS)))
    picks = rng.choices(objects, cum_weights=ranks, k=REQUESTS)
    if periods > 1:
        length = REQUESTS // periods
        picks = [(one + at // length * 7919) % OBJECTS for at, one in enumerate(picks)]
    if scans:
        picks = _with_scans(picks, round(SCAN_REQUESTS / scans * (1 - scans)))
    count = max(OBJECTS, max(picks) + 1)
    keys = [f"{os.urandom(4).hex()}:{number:06}" for number in range(count)]
    values = [int(rng.lognormvariate(7, 1)) for _ in range(count)]
    weights = [weigh(key, bytes(size)) for key, size in zip(keys, values, strict=True)]
    title = f"Zipf {exponent}" + (f" + {scans:.0%} scans" if scans else "")
    title += " that moves" if periods > 1 else ""
    return Trace(title, picks, keys, values, weights, moves=periods > 1)


def _with_scans(picks: list[int], between: int) -> list[int]:
    mixed: list[int] = []
    once = OBJECTS
    for start in range(0, len(picks), between):
        mixed += picks[start : start + between]
        mixed += range(once, once + SCAN_REQUESTS)
        once += SCAN_REQUESTS
    return mixed[:REQUESTS]


def exact(trace: Trace, budget_bytes: float) -> float:
    """Return the hit ratio of an LRU that does nothing but keep the order of use."""
    held: OrderedDict[int, int] = OrderedDict()
    used = hits = 0
    for number in trace.picks:
        if number in held:
            held.move_to_end(number)
            hits += 1
        else:
            held[number] = trace.weights[number]
            used += trace.weights[number]
            while used > budget_bytes:
                used -= held.popitem(last=False)[1]
    return hits / len(trace.picks)


def ours(trace: Trace, budget_bytes: float, policy: str) -> float:
    """Return the hit ratio of the first tier's store."""
    store, space = Store(int(budget_bytes), policy), Space(Namespace())
    held, hits = store.entries, 0
    for now, number in enumerate(trace.picks):
        entry = held.get(trace.keys[number])
        if entry is not None:
            entry.used = now
            entry.hits += 1
            hits += 1
        else:
            value = bytes(trace.values[number])
            store.put(Entry(trace.keys[number], value, space, now, float("inf")))
    return hits / len(trace.picks)


def peer(trace: Trace, budget_bytes: float) -> float:
    """Return the hit ratio of cachebox, told the same weights."""
    held = cachebox.LRUCache[int, int](int(budget_bytes), getsizeof=lambda key, weight: weight)
    hits = 0
    for number in trace.picks:
        if held.get(number) is not None:
            hits += 1
        else:
            held[number] = trace.weights[number]
    return hits / len(trace.picks)


CONTENDERS: dict[str, Callable[[Trace, float], float]] = {
    "cachebox LRU": peer,
    "Tuneup lru": lambda trace, budget: ours(trace, budget, "lru"),
    "Tuneup s3-fifo": lambda trace, budget: ours(trace, budget, "s3-fifo"),
    "Tuneup gdsf": lambda trace, budget: ours(trace, budget, "gdsf"),
}


def hit_ratios() -> list[Row]:
    """Compare the policies on each trace, with each budget."""
    rows = []
    for trace in (zipf(0.8), zipf(1.0), zipf(1.1), zipf(1.0, scans=0.2), zipf(1.0, periods=6)):
        for share in BUDGETS:
            budget = trace.total_bytes * share
            title = f"{trace.name}, budget {share:.0%}"
            reference = exact(trace, budget)
            rows.append(Row(f"{title}: exact LRU", reference * 100, "%", 1.0))
            for name, measure in CONTENDERS.items():
                found = measure(trace, budget)
                gain = f"{(found - reference) * 100:+.2f} points"
                if name in HIT_TARGETS and not trace.moves:
                    gain += f"; {HIT_TARGETS[name]}"
                rows.append(Row(f"{title}: {name}", found * 100, "%", found / reference, gain))
    return rows


def curve_errors() -> list[Row]:
    """Compare the curve's points with exact simulations; in points, the mean of some samplings."""
    rows = []
    for exponent, scans in ((0.9, 0.0), (1.0, 0.2)):
        trace = zipf(exponent, scans)
        budgets = [trace.total_bytes * share for share in CURVE_BUDGETS]
        true = [exact(trace, budget) for budget in budgets]
        errors = [
            [abs(found - wanted) * 100 for found, wanted in zip(points, true, strict=True)]
            for points in (sampled_points(trace, budgets) for _ in range(SAMPLINGS))
        ]
        for share, at_budget in zip(CURVE_BUDGETS, zip(*errors, strict=True), strict=True):
            title = f"curve's error, {trace.name}, budget {share:.0%}"
            target = f"at most {max(at_budget):.2f} of {SAMPLINGS}; target: <= 3 points"
            rows.append(Row(title, fmean(at_budget), "pt", target=target))
    return rows


def sampled_points(trace: Trace, budgets_bytes: Sequence[float]) -> list[float]:
    """Return the hit ratios that a curve tells of the trace."""
    curve, salt = Curve(one_in=ONE_IN), os.urandom(4).hex()
    keys = [salt + key for key in trace.keys]
    for number in trace.picks:
        key = keys[number]
        if hash(key) < curve.threshold:
            curve.note(key, trace.weights[number])
    curve.count_requests(len(trace.picks))
    return curve.snapshot().points(budgets_bytes)


def costs() -> list[Row]:
    """Time what a request pays for the curve, and for the hot keys where it feeds them."""
    narrow, wide, hot = Curve(1000), Curve(), HotKeys()
    keys = [f"object:{number:06}" for number in range(8000)]
    for _ in range(2):
        for key in keys:
            wide.note(key, 2000)
            hot.add(key)
            if hash(key) < narrow.threshold:
                narrow.note(key, 2000)
    out = next(key for key in keys if not narrow.sampled(key))
    turns = [iter(keys * 1000) for _ in range(2)]

    def nothing() -> None:
        pass

    def sampled_out() -> None:
        if hash(out) < narrow.threshold:
            narrow.note(out, 2000)

    def used_just_now() -> None:
        if hash(out) < wide.threshold:
            wide.note(out, 2000)

    took = nanoseconds_per_call(
        {
            "nothing": nothing,
            "curve, key not sampled": sampled_out,
            "curve, key used just now": used_just_now,
            "curve, key of 8,000, each in its turn": lambda: wide.note(next(turns[0]), 2000),
            "hot keys, key of 8,000, each in its turn": lambda: hot.add(next(turns[1])),
        }
    )
    nothing_ns = took.pop("nothing")
    targets = {"curve, key not sampled": "target: <= 100 ns"}
    return [
        Row(name, ns - nothing_ns, "ns", target=targets.get(name, "")) for name, ns in took.items()
    ]


def main() -> None:
    options = arguments(__doc__ or "")
    show("First tier", hit_ratios() + curve_errors() + costs(), options.json)


if __name__ == "__main__":
    main()
