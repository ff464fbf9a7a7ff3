"""The cache against its peers: speed, invalidation, memory, coherence, hit ratios.

Run `python -m benchmarks.caching [--json FILE]`; it makes its own database and Redis. Where there
are two cores or more, Redis has the first and everybody else the others.
"""

import sys
import time
from collections.abc import Callable

from benchmarks.place import leave_redis_its_core, own_place
from benchmarks.table import Row, arguments, show


def main() -> None:
    """Measure everything and print the table."""
    options = arguments(__doc__ or "")
    started, rows = time.monotonic(), list[Row]()
    with own_place() as place:
        leave_redis_its_core()
        from benchmarks import (
            caching_hits,
            caching_invalidation,
            caching_memory,
            caching_processes,
            caching_redis,
            caching_speed,
        )

        _begin()
        measures: list[Callable[[], list[Row]]] = [
            caching_speed.hits,
            caching_redis.second_tier,
            caching_processes.propagation,
            lambda: caching_processes.stampedes(place),
            lambda: caching_processes.races(place),
            lambda: caching_invalidation.invalidations(place),
            caching_memory.memory,
            caching_hits.hit_ratios,
            caching_hits.curve_errors,
            caching_hits.costs,
        ]
        for number, measure in enumerate(measures, 1):
            rows += measure()
            took = time.monotonic() - started
            print(f"{number} of {len(measures)} done after {took:.0f} s", file=sys.stderr)
    show("Cache", rows, options.json)


def _begin() -> None:
    """Make the namespaces that the rows need, and wait until the news is heard."""
    from caching.models import Namespace
    from caching.services.engines import main_engine

    Namespace(name="off", prefix="off:", l1=False).save()
    Namespace(name="here", prefix="here:", l2=False, l1_seconds=3600).save()
    engine = main_engine()
    engine.ready()
    while not engine.cache.line.connected:
        time.sleep(0.01)


if __name__ == "__main__":
    main()
