"""Bulk writes through Django's own bulk methods: for databases and fields without a faster way.

Reads the stored rows first, locked where the database can, and compares in Python. Django sets
`auto_now` and `auto_now_add` fields of what it inserts itself, even where the rows give a value.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from operator import or_
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, Model, Q, QuerySet

from optimizer.batches.services.bulk_fields import Layout
from optimizer.batches.services.bulk_rows import Columns, instances_of
from optimizer.batches.services.bulk_work import Options

LOOKUP_ROWS = 200  # a condition of several fields a row: SQLite bounds its depth and variables

Key = tuple[Any, ...]


def by_orm(
    connection: BaseDatabaseWrapper, layout: Layout, columns: Columns, options: Options
) -> tuple[int, int]:
    """Write rows of raw values; return the rows that changed and the statements sent."""
    counted = _Counter()
    with connection.execute_wrapper(counted):
        changed = _Writer(connection, layout, columns, options).write()
    return changed, counted.statements


class _Counter:
    def __init__(self) -> None:
        self.statements = 0

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        self.statements += 1
        return execute(sql, params, many, context)


class _Writer:
    def __init__(
        self, connection: BaseDatabaseWrapper, layout: Layout, columns: Columns, options: Options
    ) -> None:
        self.connection, self.layout, self.options = connection, layout, options
        self.columns, self.keys = columns, _keys(layout, columns)
        self.rows: QuerySet[Any] = layout.model._base_manager.using(connection.alias)

    def write(self) -> int:
        if self.layout.verb == "insert":
            return self._insert(instances_of(self.layout, self.columns))
        if self.layout.verb == "delete":
            return self._delete()
        return self._write_stored()

    def _insert(self, instances: Sequence[Model]) -> int:
        size = self.options.chunk_size
        if not self.options.ignore_conflicts:
            return len(self.rows.bulk_create(instances, batch_size=size))
        before = self.rows.count()
        self.rows.bulk_create(instances, batch_size=size, ignore_conflicts=True)
        return self.rows.count() - before

    def _delete(self) -> int:
        deleted = 0
        for numbers in self._lookups():
            found = self.rows.filter(self._condition(numbers))
            deleted += found._raw_delete(self.connection.alias)
        return deleted

    def _write_stored(self) -> int:
        layout, fresh, stale = self.layout, list[Model](), list[Model]()
        instances = instances_of(layout, self.columns)
        keys = self.keys
        stored: dict[Key, list[Key]] = {}
        for numbers in self._lookups():
            for primary, key, values in self._read(numbers):
                stored.setdefault(key, []).append((primary, *values))
        for number, instance in enumerate(instances):
            found = stored.get(keys[number], []) if None not in keys[number] else []
            if not found and layout.verb == "upsert":
                fresh.append(instance)
            for primary, *old in found:
                if self._changes(number, old):
                    again = instances_of(layout, [[column[number]] for column in self.columns])[0]
                    again.pk = primary
                    stale.append(again)
        self._create(fresh)
        names = [layout.fields[one].name for one in (*layout.updates, *layout.touched)]
        if stale and names:
            self.rows.bulk_update(stale, names, batch_size=self.options.chunk_size)
        return len(fresh) + (len(stale) if names else 0)

    def _create(self, fresh: Sequence[Model]) -> None:
        """Insert what was not there; another writer may have come first meanwhile."""
        layout, features = self.layout, self.connection.features
        more: dict[str, Any] = {}
        if layout.updates and layout.sequence is None and features.supports_update_conflicts:
            names = [layout.fields[one].name for one in (*layout.updates, *layout.touched)]
            more = {"update_conflicts": True, "update_fields": names}
            if features.supports_update_conflicts_with_target:
                more["unique_fields"] = [layout.fields[one].name for one in layout.keys]
        elif not layout.updates and features.supports_ignore_conflicts:
            more = {"ignore_conflicts": True}
        self.rows.bulk_create(fresh, batch_size=self.options.chunk_size, **more)

    def _lookups(self) -> Iterator[list[int]]:
        known = [number for number, key in enumerate(self.keys) if None not in key]
        size = min(LOOKUP_ROWS, self.options.chunk_size)
        for start in range(0, len(known), size):
            yield known[start : start + size]

    def _condition(self, numbers: Sequence[int]) -> Q:
        names = [self.layout.fields[key].attname for key in self.layout.keys]
        keys = self.keys
        if len(names) == 1:
            return Q(**{f"{names[0]}__in": [keys[number][0] for number in numbers]})
        each = (Q(**dict(zip(names, keys[number], strict=True))) for number in numbers)
        return reduce(or_, each)

    def _read(self, numbers: Sequence[int]) -> Iterator[tuple[Any, Key, Key]]:
        layout, fields = self.layout, self.layout.fields
        compared = (*layout.updates, *(() if layout.sequence is None else (layout.sequence,)))
        keys = [fields[number].attname for number in layout.keys]
        rows = self.rows.filter(self._condition(numbers)).order_by(*keys)
        if self.connection.features.has_select_for_update:
            rows = rows.select_for_update()
        names = ["pk", *keys, *(fields[number].attname for number in compared)]
        for primary, *values in rows.values_list(*names):
            yield primary, tuple(values[: len(keys)]), tuple(values[len(keys) :])

    def _changes(self, number: int, stored: Sequence[Any]) -> bool:
        layout = self.layout
        if layout.sequence is not None:
            field, new = layout.fields[layout.sequence], self.columns[layout.sequence][number]
            new, old = _python(field, new), stored[-1]
            return new is not None and (old is None or old < new)
        if not self.options.skip_unchanged:
            return True
        return any(
            _python(layout.fields[one], self.columns[one][number]) != old
            for one, old in zip(layout.updates, stored, strict=True)
        )


def _keys(layout: Layout, columns: Columns) -> list[Key]:
    numbers, fields = layout.keys, layout.fields
    parts = ([_python(fields[number], value) for value in columns[number]] for number in numbers)
    return list(zip(*parts, strict=True))


def _python(field: Field, value: Any) -> Any:
    return value if value is None else _target(field).to_python(value)


def _target(field: Any) -> Field:
    while field.is_relation:
        field = field.target_field
    return field  # type: ignore[no-any-return]
