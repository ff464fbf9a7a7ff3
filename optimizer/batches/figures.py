"""The figures of the batch processor that are kept each minute."""

from optimizer.batches import metrics
from optimizer.batches.selectors import progress_of_all
from optimizer.batches.services import reporter
from optimizer.control.redis import RedisAway
from optimizer.control.registry import Figure, Figures

_SECONDS = 60


def read() -> dict[str, float]:
    """Return what waits and what could not be applied now, and the items of the last minute."""
    every = progress_of_all()
    found = {
        "waiting_items": float(sum(one.left for one in every)),
        "oldest_item_seconds": max((one.oldest_seconds for one in every), default=0.0),
        "dead_letters": float(sum(one.dead_letters for one in every)),
    }
    metrics.WAITING.set(found["waiting_items"])
    metrics.OLDEST_SECONDS.set(found["oldest_item_seconds"])
    metrics.DEAD_LETTERS.set(found["dead_letters"])
    try:
        counts = reporter.series.totals(_SECONDS)
    except RedisAway:
        return found
    done = sum(count for name, count in counts.items() if name.endswith(":done"))
    return found | {"items_per_second": done / _SECONDS}


FIGURES = Figures(
    (
        Figure(
            "items_per_second",
            "Items applied",
            "a second",
            'sum(rate(tuneup_batches_items_total{outcome="done"}[1m])) or vector(0)',
        ),
        Figure(
            "waiting_items",
            "Items waiting",
            "items",
            "max(tuneup_batches_waiting_items)",
            better="less",
        ),
        Figure(
            "oldest_item_seconds",
            "Age of the oldest item",
            "seconds",
            "max(tuneup_batches_oldest_item_seconds)",
            better="less",
        ),
        Figure(
            "dead_letters",
            "Dead letters",
            "items",
            "max(tuneup_batches_dead_letters)",
            better="less",
        ),
    ),
    read,
)
