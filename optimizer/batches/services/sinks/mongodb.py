"""Items for a MongoDB collection."""

from collections.abc import Callable, Sequence
from typing import Any

import pymongo
from django.core.exceptions import ValidationError
from django.db import connections
from pymongo.errors import PyMongoError

from optimizer.batches.engine.settings import Job
from optimizer.batches.services import bulk_mongo
from optimizer.batches.services.errors import Again, Misconfigured, Poison
from optimizer.batches.services.sinks.base import Outcome, Row, Sink


class MongoSink(Sink):
    """Writes documents with `bulk_write`: upserts, updates and deletes may be done twice."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        if "mongo" not in connections.settings:
            raise Misconfigured("sink: MONGODB_URI is not set")
        self._collection = connections["mongo"].database[job.collection]  # type: ignore[attr-defined]

    def convert(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValidationError("An item must be an object.")
        names = self.job.fields
        renamed = ((names.get(name, name), one) for name, one in value.items())
        document = {name: one for name, one in renamed if name is not None}
        missing = [
            name for name in self.job.keys if name not in document and self.job.action != "insert"
        ]
        if missing:
            raise ValidationError(dict.fromkeys(missing, ["Is missing."]))
        return document

    def write(self, rows: Sequence[Row]) -> Outcome:
        job, documents = self.job, [row.value for row in rows]
        try:
            # The time is up for the whole portion, whatever each command may take.
            with pymongo.timeout(job.timeout_seconds):
                written = self._write(documents)
        except bulk_mongo.MongoRejected as refused:
            written = refused.written
            outcome = Outcome(changed=written.changed, folded=written.folded, trips=written.trips)
            for at, says in refused.refused.items():
                outcome.rejected[at] = ValueError(says)
            if job.ordered:  # the first one ended it
                first = min(refused.refused)
                outcome.again = {
                    at: Again("after one that was refused") for at in range(first + 1, len(rows))
                }
            return outcome
        except PyMongoError as error:
            raise Again(f"{type(error).__name__}: {error}") from error
        except (TypeError, ValueError, OverflowError) as error:  # what BSON cannot hold
            raise Poison from error
        return Outcome(changed=written.changed, folded=written.folded, trips=written.trips)

    def _write(self, documents: list[dict[str, Any]]) -> Any:
        job = self.job
        if job.action == "insert":
            return bulk_mongo.mongo_insert(self._collection, documents, ordered=job.ordered)
        if job.action == "delete":
            return bulk_mongo.mongo_delete(self._collection, documents, job.keys)
        write: Callable[..., Any] = (
            bulk_mongo.mongo_upsert if job.action == "upsert" else bulk_mongo.mongo_update
        )
        return write(
            self._collection,
            documents,
            job.keys,
            sequence_field=job.sequence_field or None,
            ordered=job.ordered,
        )
