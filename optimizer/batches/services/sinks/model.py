"""Items for a Django model."""

from collections.abc import Callable, Sequence
from typing import Any

from django.db import connections, router
from django.db.transaction import atomic

from optimizer.batches.engine.settings import Job
from optimizer.batches.models import Item
from optimizer.batches.services import bulk
from optimizer.batches.services.errors import Misconfigured, Poison
from optimizer.batches.services.mapping import Mapping, mapping_of
from optimizer.batches.services.sinks.base import Outcome, Row, Sink

Group = tuple[str, ...]


class ModelSink(Sink):
    """Writes rows with the bulk writer; in the inbox's database exactly once."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._mapping: Mapping = mapping_of(job)
        self._model = self._mapping.model
        self._alias = router.db_for_write(self._model)
        self.transactional = self._alias == router.db_for_write(Item)
        # PostgreSQL says so at once where constraints are immediate; SQLite cannot be told to.
        self._checks_references = connections[self._alias].vendor == "sqlite" and any(
            field.remote_field is not None and field.db_constraint  # type: ignore[attr-defined]
            for field in self._mapping.fields.values()
        )

    def convert(self, value: Any) -> dict[str, Any]:
        return self._mapping.convert(value)

    def write(self, rows: Sequence[Row]) -> Outcome:
        outcome = Outcome(trips=0)
        with atomic(using=self._alias, savepoint=False):
            for group in self._groups([row.value for row in rows]):
                if self._checks_references:
                    missing = bulk.missing_references(self._model, group, using=self._alias)
                    outcome.trips += 1
                    if missing:
                        raise Poison from ValueError("a foreign key points at nothing")
                try:
                    written = self._write(group)
                except ValueError as error:
                    raise Misconfigured(str(error)) from error
                outcome.changed += written.changed
                outcome.folded += written.folded
                outcome.trips += written.trips
        return outcome

    def _write(self, rows: list[dict[str, Any]]) -> bulk.Written:
        job, using = self.job, self._alias
        if job.action == "insert":
            return bulk.bulk_insert(self._model, rows, using=using)
        if job.action == "delete":
            return bulk.bulk_delete(self._model, rows, job.keys, using=using)
        write: Callable[..., bulk.Written] = (
            bulk.bulk_upsert if job.action == "upsert" else bulk.bulk_update
        )
        return write(
            self._model,
            rows,
            job.keys,
            sequence_field=job.sequence_field or None,
            skip_unchanged=job.skip_unchanged,
            using=using,
        )

    def write_one(self, row: Row) -> None:
        """Write a row as Django code without the bulk writer would."""
        manager = self._model._default_manager.using(self._alias)
        values = dict(row.value)
        keys = {name: values[name] for name in self._mapping.keys}
        others = {name: value for name, value in values.items() if name not in keys}
        if self.job.action == "insert":
            manager.create(**values)
        elif self.job.action == "delete":
            manager.filter(**keys).delete()
        elif self.job.action == "update":
            manager.filter(**keys).update(**others)
        else:
            manager.update_or_create(**keys, defaults=others)

    def _groups(self, rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
        """Return the rows by the fields they carry, in an order in which the last one wins.

        Where the same row of the table is in two groups, only neighbours are grouped.
        """
        groups: dict[Group, list[dict[str, Any]]] = {}
        for row in rows:
            groups.setdefault(tuple(row), []).append(row)
        if len(groups) <= 1:
            return list(groups.values())
        if self.job.action == "insert" or not self._share_a_key(groups):
            return list(groups.values())
        runs: list[list[dict[str, Any]]] = []
        last: Group | None = None
        for row in rows:
            if tuple(row) != last:
                runs.append([])
                last = tuple(row)
            runs[-1].append(row)
        return runs

    def _share_a_key(self, groups: dict[Group, list[dict[str, Any]]]) -> bool:
        seen: dict[tuple[Any, ...], Group] = {}
        for names, rows in groups.items():
            for row in rows:
                key = tuple(row[name] for name in self._mapping.keys)
                if seen.setdefault(key, names) != names:
                    return True
        return False
