"""Write many rows of a model in few round trips.

`rows` are mappings (field name to value) or instances of the model. A foreign key goes by either of
its names, with a key or an instance. What the rows lack gets Django's defaults. Values are checked
and prepared by their fields before the first statement is sent, signals and `save` are not called,
and one call is one transaction: inside another one, an error leaves that to its owner, who can put
a savepoint around the call.

`auto_now`: where another column changes, it is set to now, unless the rows are mappings that give
it. Instances get it as from `save`; so do `auto_now_add` fields when inserted, and an update leaves
those alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connections, router
from django.db.models import Model

from optimizer.batches.services import bulk_ways
from optimizer.batches.services.bulk_fields import Verb, check_model, layout_of
from optimizer.batches.services.bulk_references import missing_references
from optimizer.batches.services.bulk_rows import Row, columns_of, names_of
from optimizer.batches.services.bulk_work import Options, Way

__all__ = [
    "Written",
    "bulk_delete",
    "bulk_insert",
    "bulk_update",
    "bulk_upsert",
    "missing_references",
]


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did.

    `rows` were sent, after `folded` others had lost to a row of the same key; `changed` were
    inserted, updated or deleted, as the database reports; `trips` statements were sent, without
    BEGIN and COMMIT.
    """

    rows: int = 0
    folded: int = 0
    changed: int = 0
    trips: int = 0


def bulk_upsert(
    model: type[Model],
    rows: Iterable[Row],
    unique_fields: Sequence[str],
    update_fields: Sequence[str] | None = None,
    *,
    sequence_field: str | None = None,
    skip_unchanged: bool = True,
    chunk_size: int = 5000,
    using: str | None = None,
    way: Way | None = None,
) -> Written:
    """Insert rows, and update those whose `unique_fields` are stored already.

    `update_fields` are the given ones but the key, unless told; with none, stored rows stay as they
    are. With `sequence_field` only a row whose stored sequence is lower, or NULL, is updated. A
    NULL in the key equals nothing. `chunk_size` is in rows a statement; COPY sends all at once.
    `way` is chosen by the database and the number of rows, unless told.

    Raises ValueError for rows and fields that do not fit together, and Django's IntegrityError and
    DataError for what the database refuses.
    """
    options = Options(skip_unchanged=skip_unchanged, chunk_size=chunk_size)
    fields = {"update_fields": update_fields, "sequence_field": sequence_field}
    return _write(model, "upsert", rows, options, using, way, unique_fields=unique_fields, **fields)


def bulk_insert(
    model: type[Model],
    rows: Iterable[Row],
    *,
    ignore_conflicts: bool = False,
    unique_fields: Sequence[str] | None = None,
    chunk_size: int = 5000,
    using: str | None = None,
    way: Way | None = None,
) -> Written:
    """Insert rows; with `ignore_conflicts`, leave out those that are stored already.

    Nothing is folded: of two rows with one key the first is stored, and without `ignore_conflicts`
    the second is an IntegrityError. Rows are sorted by `unique_fields` where these are given, which
    also narrows down what conflict is ignored. Raises as `bulk_upsert` does.
    """
    options = Options(ignore_conflicts=ignore_conflicts, chunk_size=chunk_size)
    return _write(model, "insert", rows, options, using, way, unique_fields=unique_fields)


def bulk_update(
    model: type[Model],
    rows: Iterable[Row],
    unique_fields: Sequence[str],
    update_fields: Sequence[str] | None = None,
    *,
    sequence_field: str | None = None,
    skip_unchanged: bool = True,
    chunk_size: int = 5000,
    using: str | None = None,
    way: Way | None = None,
) -> Written:
    """Update the rows found by `unique_fields`, which need no constraint: all that match change.

    A row that matches nothing does nothing. The rest is as with `bulk_upsert`.
    """
    options = Options(skip_unchanged=skip_unchanged, chunk_size=chunk_size)
    fields = {"update_fields": update_fields, "sequence_field": sequence_field}
    return _write(model, "update", rows, options, using, way, unique_fields=unique_fields, **fields)


def bulk_delete(
    model: type[Model],
    rows: Iterable[Row],
    unique_fields: Sequence[str],
    *,
    chunk_size: int = 5000,
    using: str | None = None,
    way: Way | None = None,
) -> Written:
    """Delete the rows found by `unique_fields`, which need no constraint: all that match go.

    Only the database's own rules apply to what points at them: `on_delete` is not run, so that is
    an IntegrityError. Raises as `bulk_upsert` does.
    """
    options = Options(chunk_size=chunk_size)
    return _write(model, "delete", rows, options, using, way, unique_fields=unique_fields)


def _write(
    model: type[Model],
    verb: Verb,
    rows: Iterable[Row],
    options: Options,
    using: str | None,
    way: Way | None,
    **fields: Any,
) -> Written:
    if options.chunk_size < 1:
        raise ValueError("chunk_size: give 1 or more.")
    given = list(rows)
    if not given:
        check_model(model)
        return Written()
    connection = connections[using or router.db_for_write(model)]
    names, are_instances = names_of(model, given)
    layout = layout_of(model, verb, names, are_instances=are_instances, **fields)
    if verb == "update" and not layout.updates:
        raise ValueError("update_fields: the rows give nothing to update.")
    return Written(*bulk_ways.write(connection, layout, columns_of(layout, given), options, way))
