"""Prometheus metrics of the batch processor. Jobs are few: their names are labels.

The label is not called job: with that one Prometheus says who was scraped.
"""

from prometheus_client import Counter, Gauge, Histogram

ITEMS = Counter(
    "tuneup_batches_items_total", "Items, by what became of them.", ["batch_job", "outcome"]
)
CHUNKS = Counter(
    "tuneup_batches_chunks_total", "Chunks, by why they were due.", ["batch_job", "reason"]
)
CHUNK_SECONDS = Histogram(
    "tuneup_batches_chunk_seconds",
    "How long a chunk took, from claiming its items to the commit.",
    ["batch_job"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
REFUSED = Counter(
    "tuneup_batches_refused_items_total", "Items that came past the high-water mark.", ["batch_job"]
)
WAKEUPS = Counter(
    "tuneup_batches_wakeups_total", "Messages that woke a worker, by whether they went.", ["sent"]
)
TROUBLE = Counter(
    "tuneup_batches_trouble_total",
    "Chunks that were rolled back or put off by no fault of their items.",
    ["batch_job"],
)
# Counted once a minute by whichever worker keeps the figures.
WAITING = Gauge(
    "tuneup_batches_waiting_items",
    "Items that wait, at the last count.",
    multiprocess_mode="mostrecent",
)
OLDEST_SECONDS = Gauge(
    "tuneup_batches_oldest_item_seconds",
    "The age of the oldest item that waits, at the last count.",
    multiprocess_mode="mostrecent",
)
DEAD_LETTERS = Gauge(
    "tuneup_batches_dead_letters",
    "Items that could not be applied and are kept, at the last count.",
    multiprocess_mode="mostrecent",
)
