"""What bulk writes are compared with: SQL written by hand, and Django's own methods.

The hand-written ones get tuples that are ready to send, and neither fold nor sort nor check;
Django's get instances that are built before the clock starts.
"""

import datetime as dt
import random
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from django.db import connections, models, transaction

Tuples = Sequence[tuple[Any, ...]]
START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


class Player(models.Model):
    """A bot's user: a key, and four plain values."""

    user = models.BigIntegerField(unique=True)
    name = models.CharField(max_length=60)
    score = models.IntegerField()
    balance = models.FloatField()
    active = models.BooleanField()

    class Meta:
        app_label = "batches_bulk"

    def __str__(self) -> str:
        return self.name


class SeenPlayer(models.Model):
    """The same, and when the user was last seen."""

    user = models.BigIntegerField(unique=True)
    name = models.CharField(max_length=60)
    score = models.IntegerField()
    balance = models.FloatField()
    active = models.BooleanField()
    seen = models.DateTimeField()

    class Meta:
        app_label = "batches_bulk"

    def __str__(self) -> str:
        return self.name


TYPES = {"user": "int8", "name": "varchar", "score": "int4", "balance": "float8"}
TYPES |= {"active": "bool", "seen": "timestamptz"}


def rows_of(model: type[models.Model], count: int, seed: int) -> list[dict[str, Any]]:
    """Return rows in no order; every second user is one that `fill` stores."""
    rng = random.Random(seed)  # noqa: S311  # data
    users = [number if number % 2 else -number for number in range(count)]
    rng.shuffle(users)
    rows: list[dict[str, Any]] = [
        {
            "user": user,
            "name": f"user number {user}",
            "score": rng.randrange(10**6),
            "balance": rng.random() * 100,
            "active": rng.random() < 0.5,
        }
        for user in users
    ]
    if model is SeenPlayer:
        for row in rows:
            row["seen"] = START + dt.timedelta(seconds=rng.randrange(10**7))
    return rows


def fill(alias: str, model: type[models.Model], rows: Sequence[dict[str, Any]]) -> None:
    """Empty the table and store those of the rows that are to be there, with other values."""
    table = model._meta.db_table
    stored = [row | {"name": "old", "score": -1} for row in rows if row["user"] % 2]
    with connections[alias].cursor() as cursor:
        if connections[alias].vendor == "postgresql":
            cursor.execute(f"TRUNCATE {table} RESTART IDENTITY")
        else:
            cursor.execute(f"DELETE FROM {table}")  # noqa: S608  # a constant
    model._base_manager.using(alias).bulk_create([model(**row) for row in stored])
    with connections[alias].cursor() as cursor:
        if connections[alias].vendor == "postgresql":
            cursor.execute(f"VACUUM ANALYZE {table}")
            cursor.execute("CHECKPOINT")
        else:
            cursor.execute("ANALYZE")


def copy_by_hand(
    url: str, model: type[models.Model], names: Sequence[str], *, binary: bool
) -> Callable[[Tuples], None]:
    """Return a writer: COPY into a temporary table, then INSERT ON CONFLICT."""
    listed, table = ", ".join(f'"{name}"' for name in names), model._meta.db_table
    described = ", ".join(f'"{name}" {TYPES[name]}' for name in names)
    changed = ", ".join(f'"{name}" = EXCLUDED."{name}"' for name in names[1:])
    upsert = (
        f"INSERT INTO {table} ({listed}) SELECT {listed} FROM stage "  # noqa: S608  # constants
        f'ON CONFLICT ("user") DO UPDATE SET {changed}'
    )
    connection = psycopg.connect(url, autocommit=True)

    def write(tuples: Tuples) -> None:
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute(f"CREATE TEMPORARY TABLE stage ({described}) ON COMMIT DROP")
            with cursor.copy(
                f"COPY stage FROM STDIN{' (FORMAT BINARY)' if binary else ''}"
            ) as copy:
                if binary:
                    copy.set_types([TYPES[name] for name in names])
                for row in tuples:
                    copy.write_row(row)
            cursor.execute(upsert)

    return write


def executemany_by_hand(
    alias: str, model: type[models.Model], names: Sequence[str]
) -> Callable[[Tuples], None]:
    """Return a writer: the driver's own executemany of an upsert, in one transaction."""
    listed = ", ".join(f'"{name}"' for name in names)
    changed = ", ".join(f'"{name}" = excluded."{name}"' for name in names[1:])
    upsert = (
        f"INSERT INTO {model._meta.db_table} ({listed}) "  # noqa: S608  # constants
        f"VALUES ({', '.join('?' * len(names))}) "
        f'ON CONFLICT ("user") DO UPDATE SET {changed}'
    )
    connections[alias].ensure_connection()
    connection = connections[alias].connection

    def write(tuples: Tuples) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(upsert, tuples)
        connection.execute("COMMIT")

    return write


def bulk_create(
    alias: str, names: Sequence[str], size: int
) -> Callable[[Sequence[models.Model]], None]:
    """Return a writer: Django's upsert."""

    def write(instances: Sequence[models.Model]) -> None:
        type(instances[0])._base_manager.using(alias).bulk_create(
            instances,
            batch_size=size,
            update_conflicts=True,
            unique_fields=["user"],
            update_fields=names[1:],
        )

    return write


def update_or_create(
    alias: str, model: type[models.Model]
) -> Callable[[Sequence[dict[str, Any]]], None]:
    """Return a writer: one row at a time, each in its own transaction."""

    def write(rows: Sequence[dict[str, Any]]) -> None:
        manager = model._base_manager.using(alias)
        for row in rows:
            manager.update_or_create(user=row["user"], defaults=row)

    return write


def bulk_update_of_django(
    alias: str, names: Sequence[str], size: int
) -> Callable[[Sequence[models.Model]], None]:
    """Return a writer: reads the ids of the keys, then Django's bulk_update."""

    def write(instances: Sequence[Any]) -> None:
        manager = type(instances[0])._base_manager.using(alias)
        with transaction.atomic(using=alias):
            ids = dict(manager.values_list("user", "pk"))
            for instance in instances:
                instance.pk = ids[instance.user]
            manager.bulk_update(instances, names[1:], batch_size=size)

    return write
