"""Make the document indexes in a worker, and let everybody see how far it is."""

import json
import time
from dataclasses import dataclass, field
from typing import Any

from celery import current_app
from kombu.exceptions import OperationalError

from optimizer.control.redis import RedisAway, call
from optimizer.operations.engine.index_drift import BuildProgress
from optimizer.operations.services import document_indexes
from optimizer.operations.services.document_indexes import Found, MongoAway, NoMongo

TASK = "operations.make_indexes"
_KEY = "tuneup:{operations}:index-run"
_EXPIRY_SECONDS = 3600


class BrokerAway(Exception):
    """No worker can be asked."""


@dataclass(slots=True)
class Run:
    """How far a run is: of `total` indexes `number` are done, and one is under way.

    `state` is waiting, running, done or failed; `build` tells of the one under way, in documents.
    """

    state: str = "waiting"
    number: int = 0
    total: int = 0
    name: str = ""
    build_done: int = 0
    build_total: int = 0
    errors: list[str] = field(default_factory=list)
    told_at: float = 0.0  # seconds since the epoch

    @property
    def percent(self) -> int:
        """The share of the work that is done; a build under way counts as far as it is."""
        if self.state in ("done", "failed"):
            return 100
        part = self.build_done / self.build_total if self.build_total else 0.0
        return round(100 * (self.number + part) / self.total) if self.total else 0


def ask() -> None:
    """Let a worker do it. Raises BrokerAway."""
    try:
        # Redis is asked first: it says within its time budget what the broker's client would take
        # seconds to find out where the queue lives there, too.
        _write(Run())
        current_app.send_task(TASK, retry=False)
    except RedisAway as error:
        raise BrokerAway(str(error)) from error
    except (OperationalError, OSError) as error:
        _tell(Run(state="failed", errors=["no worker could be asked"]))
        raise BrokerAway(str(error)) from error


def work() -> Run:
    """Make what is missing and different; extra indexes stay. Says what went wrong in the run."""
    run = Run(state="running")
    _tell(run)
    try:
        todo = document_indexes.to_do(document_indexes.survey(), drop_extra=False)
        run.total = len(todo)
        for one in todo:
            run.name, run.build_done, run.build_total = one.drift.name, 0, 0
            _tell(run)
            outcome = document_indexes.make(one, _watch(run))
            if outcome.error:
                run.errors.append(f"{one.namespace} {one.drift.name}: {outcome.error}")
            run.number += 1
    except (NoMongo, MongoAway) as error:
        run.errors.append(str(error))
    run.state, run.name = "failed" if run.errors else "done", ""
    _tell(run)
    return run


def last() -> Run | None:
    """Return the run of the last hour, None where there was none. Raises RedisAway."""
    found: Any = call(lambda r: r.get(_KEY))
    return Run(**json.loads(found)) if found else None


def _watch(run: Run) -> document_indexes.Watch:
    def watch(_found: Found, progress: BuildProgress) -> None:
        run.build_done, run.build_total = progress.done, progress.total
        _tell(run)

    return watch


def _tell(run: Run) -> None:
    try:
        _write(run)
    except RedisAway:
        return  # the work goes on unseen


def _write(run: Run) -> None:
    run.told_at = time.time()
    told = {name: getattr(run, name) for name in Run.__dataclass_fields__}
    call(lambda r: r.set(_KEY, json.dumps(told), ex=_EXPIRY_SECONDS))
