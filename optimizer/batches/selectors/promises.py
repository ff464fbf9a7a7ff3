"""What a job promises of each item: exactly once or at least once, and why."""

from dataclasses import dataclass

from optimizer.batches.engine.settings import Job
from optimizer.batches.services.errors import Misconfigured
from optimizer.batches.services.sinks import sink_of

_OUTSIDE = {
    "mongodb": "MongoDB takes no part in the transaction that takes items from the inbox. Upserts, "
    "updates and deletes may be done twice without harm; inserts may leave a document twice.",
    "http": "An HTTP address takes part in no transaction. The idempotency key goes along, so that "
    "the other side can tell what it has had.",
    "handler": "The function was registered as not transactional: it runs outside of the "
    "transaction that takes items from the inbox.",
    "model": "The model lives in another database than the inbox.",
}
_WITHIN = (
    "The items leave the inbox in the same transaction that writes them: whatever is killed when, "
    "both have happened or neither."
)


@dataclass(frozen=True, slots=True)
class Promise:
    """`kind` is "exactly once", "at least once", or "" where this process cannot tell."""

    kind: str
    why: str


def promise_of(job: Job) -> Promise:
    """Return what holds for the items of a job."""
    try:
        transactional = sink_of(job).transactional
    except Misconfigured as error:
        return Promise("", f"This process cannot tell: {error}.")
    if transactional:
        return Promise("exactly once", _WITHIN)
    return Promise("at least once", _OUTSIDE[job.sink])
