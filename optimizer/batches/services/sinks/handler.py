"""Items for a registered Python function."""

from collections.abc import Sequence

from optimizer.batches.engine.settings import Job
from optimizer.batches.services.errors import TRANSIENT_ERRORS, Misconfigured, Poison
from optimizer.batches.services.functions import handlers
from optimizer.batches.services.sinks.base import Outcome, Row, Sink


class HandlerSink(Sink):
    """Calls the function with a list of items."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        found = handlers().get(job.handler)
        if found is None:
            known = ", ".join(sorted(handlers())) or "none is"
            raise Misconfigured(f"handler: {job.handler!r} is not registered ({known})")
        self._function, self.transactional = found.function, found.transactional

    def write(self, rows: Sequence[Row]) -> Outcome:
        try:
            self._function([row.value for row in rows])
        except TRANSIENT_ERRORS:
            raise
        except Exception as error:  # whatever the project's code raises about an item
            raise Poison from error
        return Outcome(changed=len(rows))
