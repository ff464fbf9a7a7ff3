"""What Celery's workers do for the query optimizer; beat asks for it."""

from celery import shared_task

from optimizer.control.redis import RedisAway
from optimizer.queries.live import queries
from optimizer.queries.services import ingest


@shared_task(name="queries.collect")
def collect() -> int:
    """Store what the processes told since the last time; return how many intervals that were."""
    try:
        read = ingest.read_all()
    except RedisAway:  # the processes keep what they have, and the stream what it has
        return 0
    ingest.apply_ignores(queries.current().ignores)
    return read


@shared_task(name="queries.forget")
def forget() -> None:
    """Delete what is older than an admin wants it kept."""
    ingest.forget_old(queries.current().keep_days)


@shared_task(name="queries.look_for_indexes")
def look_for_indexes() -> int:
    """Ask the database how it answers costly statements; return how many were looked at."""
    from optimizer.queries.services import indexing  # with a parser of SQL, which takes its time

    return indexing.look(queries.current())
