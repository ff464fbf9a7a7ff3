"""What it costs to keep the statistics of queries, and how true they are.

Run `python -m benchmarks.queries_statistics [--json FILE]`; it needs no service.
"""

import gc
import math
import random
import statistics
import tracemalloc
from collections.abc import Callable, Sequence

from benchmarks.table import Row, arguments, nanoseconds_per_call, show, verdict
from optimizer.measures.histogram import Histogram, bucket_of
from optimizer.queries.engine.hyperloglog import HyperLogLog, hash_of
from optimizer.queries.engine.intervals import pack, unpack
from optimizer.queries.engine.statistics import Gathered, Query, Statistics

FINGERPRINTS = 5000
MEGABYTE = 1024**2


def speed() -> list[Row]:
    """Time the hash of parameters, and what a finished unit's queries cost."""
    rng = _rng()
    parameters: dict[str, object] = {
        "one id": (4711,),
        "two strings, an id, a flag": ("alice@example.org", "open", 17, True),
    }
    hashed = nanoseconds_per_call(
        {name: _hash(one) for name, one in parameters.items()}, seconds=0.5, rounds=200
    )
    units = {
        "50 queries of 50 places": [_query(number, rng) for number in range(50)],
        "50 queries of 10 places": [_query(number % 10, rng) for number in range(50)],
        "500 queries of one place (N+1)": [_query(1, rng) for _ in range(500)],
    }
    added = nanoseconds_per_call(
        {name: _add(unit) for name, unit in units.items()}, seconds=1, rounds=300
    )
    costs = {name: nanoseconds / len(units[name]) for name, nanoseconds in added.items()}
    return [
        *(
            Row(f"hash of parameters: {name}", cost, "ns", None, verdict(cost, "<=", 500, "ns"))
            for name, cost in hashed.items()
        ),
        *(
            Row(f"a query added: {name}", cost, "ns", None, verdict(cost, "<=", 1500, "ns"))
            for name, cost in costs.items()
        ),
    ]


def memory() -> list[Row]:
    """Measure what 5,000 fingerprints take, with their keys and sites."""
    rng = _rng()
    popular = rng.choices(
        range(FINGERPRINTS), weights=[1 / (1 + rank) for rank in range(FINGERPRINTS)], k=50_000
    )
    loads = {
        "one call each": [(number, 1) for number in range(FINGERPRINTS)],
        "ten calls, all unlike": [(number, 10) for number in range(FINGERPRINTS)],
        "50,000 calls, Zipf, all unlike": [
            *((number, 1) for number in range(FINGERPRINTS)),
            *((number, 1) for number in popular),
        ],
        "at worst: 500 calls, all unlike": [(number, 500) for number in range(FINGERPRINTS)],
    }
    rows = []
    for name, load in loads.items():
        used, gathered = _filled(load, rng)
        assert len(gathered.tallies) == FINGERPRINTS, len(gathered.tallies)
        target = verdict(used, "<=", 5, "MiB") if "worst" not in name else ""
        rows.append(Row(f"{FINGERPRINTS:,} fingerprints: {name}", used, "MiB", None, target))
        if "Zipf" in name:
            rows += _packed(gathered)
    return rows


def _packed(gathered: Gathered) -> list[Row]:
    data = pack(gathered)
    took = nanoseconds_per_call(
        {"pack": lambda: pack(gathered), "unpack": lambda: unpack(data)}, rounds=3
    )
    steps = [Row(f"  {step}", spent / 1e6, "ms") for step, spent in took.items()]
    return [Row("  packed for Redis", len(data) / 1024, "KiB"), *steps]


def truth() -> list[Row]:
    """Compare distinct parameters and percentiles with the exact ones."""
    rng = _rng()
    rows = []
    for count in (100, 1000, 10_000, 100_000):
        errors = []
        for trial in range(200 if count <= 10_000 else 20):
            sketch = HyperLogLog()
            first = rng.getrandbits(40)
            sketch.add_all(hash_of((first + number, trial)) for number in range(count))
            errors.append(100 * abs(sketch.count() / count - 1))
        spread = math.sqrt(statistics.mean(error * error for error in errors))
        within = sum(error <= 5 for error in errors) / len(errors)
        title = f"{count:,} distinct parameters: standard error"
        target = f"{within:.1%} within 5 %, worst {max(errors):.1f} %"
        rows.append(Row(title, spread, "%", None, f"{target}; {verdict(within, '>=', 0.99)}"))
    for name, fraction in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        off, errors = 0, []
        for _ in range(300):
            durations = sorted(rng.lognormvariate(-6, 1.5) for _ in range(1000))
            histogram = Histogram()
            histogram.add_all(durations)
            found, true = histogram.percentile(fraction), durations[round(fraction * 1000) - 1]
            off = max(off, abs(bucket_of(found) - bucket_of(true)))
            errors.append(100 * abs(found / true - 1))
        target = f"worst {max(errors):.1f} %; {verdict(off, '<=', 1, 'buckets off')} ({off})"
        rows.append(Row(f"{name}: mean error", statistics.mean(errors), "%", None, target))
    return rows


def _filled(load: Sequence[tuple[int, int]], rng: random.Random) -> tuple[float, Gathered]:
    """Add so many calls of each; return the growth in MiB, and what was gathered."""
    gc.collect()
    tracemalloc.start()
    counted = Statistics(FINGERPRINTS)
    for number, calls in load:
        counted.add("GET /books", [_query(number, rng) for _ in range(calls)])
    gathered = counted.take()
    gc.collect()
    used = tracemalloc.get_traced_memory()[0] / MEGABYTE
    tracemalloc.stop()
    return used, gathered


def _query(number: int, rng: random.Random) -> Query:
    seconds = rng.lognormvariate(-7, 0.5)
    return (f"{number:016x}", f"app/views.py:{number}", seconds, 3, rng.getrandbits(64), "")


def _hash(parameters: object) -> Callable[[], object]:
    return lambda: hash_of(parameters)


def _add(unit: list[Query]) -> Callable[[], object]:
    counted = Statistics()
    return lambda: counted.add("GET /books", unit)


def _rng() -> random.Random:
    return random.Random(1)  # noqa: S311  # loads


def rows() -> list[Row]:
    """Measure everything."""
    return [*speed(), *memory(), *truth()]


def main() -> None:
    """Print the table."""
    options = arguments("Statistics of queries: cost, memory, truth.")
    show("Statistics of queries", rows(), options.json)


if __name__ == "__main__":
    main()
