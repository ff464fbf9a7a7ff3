"""Which index a statement lacks: proposed by rules, tried by the database, said as code to paste.

It asks the database dozens of times and may take seconds: it is for a worker, never for a request.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import TransactionManagementError

from optimizer.queries.engine.asked import Dialect
from optimizer.queries.engine.candidates import Candidate, candidates
from optimizer.queries.engine.conditions import read_statement
from optimizer.queries.engine.placeholders import numbered, question_marks
from optimizer.queries.engine.plans import Plan
from optimizer.queries.engine.trials import MANY_WRITES, Trial, choose
from optimizer.queries.services.index_meta import meta_of
from optimizer.queries.services.index_planner import (
    NotPlanned,
    Planner,
    Tried,
    create_index,
    index_name,
)
from optimizer.queries.services.index_planner_sqlite import MAX_ROWS, sqlite_planner


@dataclass(frozen=True, slots=True)
class IndexAdvice:
    """An index worth having, as code to paste.

    `verified` says how it was tried, "" where it could not be. The costs are the planner's own
    unit, None where it has none or the index was not tried. `drops` are the indexes that it makes
    superfluous. `meta_line` belongs into the Meta of `model_label`; both are "" without a model.
    """

    table: str
    columns: tuple[str, ...]  # "-" before one that descends
    statement: str
    meta_line: str
    model_label: str
    verified: str
    cost_before: float | None
    cost_after: float | None
    plan_before: str
    plan_after: str
    reason: str
    drops: tuple[str, ...]


def advise_index(
    alias: str,
    sql: str,
    *,
    write_share: float = 0.0,
    max_rows: int = MAX_ROWS,
) -> IndexAdvice | None:
    """Return the index that a statement lacks, None where none is worth having.

    `sql` is the statement as Django sends it, with `%s` for its parameters. It is explained, never
    run. `write_share` (0 to 1) is the share of writes among the statements on its table. On SQLite
    an index is tried only on a table of at most `max_rows` rows, as other writers wait meanwhile.
    Raises TransactionManagementError within the program's own atomic block.
    """
    used = connections[alias]
    if used.in_atomic_block:
        raise TransactionManagementError("index advice waits for no transaction: ask outside of it")
    dialect = {"sqlite": Dialect.SQLITE, "postgresql": Dialect.POSTGRESQL}.get(used.vendor)
    if dialect is None:
        return None
    text, _ = question_marks(sql) if dialect is Dialect.SQLITE else numbered(sql)
    statement = read_statement(text, dialect)
    if statement is None or not statement.asked:
        return None
    with _planner(alias, dialect, sql, max_rows) as planner:
        try:
            plan = planner.plan()
            tables = planner.tables(statement.asked)
        except NotPlanned:
            return None
        proposed = candidates(plan, statement.asked, tables)
        if not proposed:
            return None
        tried = planner.try_out(proposed, plan, statement.asked)
    if not tried.how:
        return _untried(alias, plan, tried, write_share, dialect)
    best = choose(tried.trials, write_share, planner.least_before)
    return _tried(alias, best, plan, tried, write_share, dialect) if best is not None else None


@contextmanager
def _planner(alias: str, dialect: Dialect, sql: str, max_rows: int) -> Iterator[Planner]:
    """Give a planner on a connection of its own, which is closed at the end."""
    connection: BaseDatabaseWrapper = connections.create_connection(alias)
    try:
        connection.ensure_connection()
        if dialect is Dialect.SQLITE:
            with sqlite_planner(connection, sql, max_rows) as planner:
                yield planner
        else:
            # psycopg is not there where only SQLite is used.
            from optimizer.queries.services.index_planner_postgresql import postgresql_planner

            with postgresql_planner(connection, sql) as planner:
                yield planner
    finally:
        connection.close()


def _tried(
    alias: str, best: Trial, plan: Plan, tried: Tried, write_share: float, dialect: Dialect
) -> IndexAdvice:
    if plan.cost is None:
        gain = f"about {_amount(best.before)} rows of work become {_amount(best.after)}"
    else:
        gain = f"the cost falls from {_amount(best.before)} to {_amount(best.after)}"
    gain += f" ({best.fall:.0%} less)"
    return _advice(
        alias,
        best.candidate,
        plan,
        dialect,
        gain,
        write_share,
        verified=tried.how,
        cost_after=best.plan.cost,
        plan_after=best.plan.text,
    )


def _untried(
    alias: str, plan: Plan, tried: Tried, write_share: float, dialect: Dialect
) -> IndexAdvice | None:
    """Return what the rules alone are sure of, where nothing could be tried."""
    if not tried.sure or write_share > MANY_WRITES:
        return None
    best = max(tried.sure, key=lambda one: len(one.keys))
    return _advice(alias, best, plan, dialect, f"not verified: {tried.why_not}", write_share)


def _advice(
    alias: str,
    candidate: Candidate,
    plan: Plan,
    dialect: Dialect,
    gain: str,
    write_share: float,
    *,
    verified: str = "",
    cost_after: float | None = None,
    plan_after: str = "",
) -> IndexAdvice:
    table = candidate.table
    name = index_name(table.name, candidate.keys)
    meta = meta_of(alias, table.name, candidate.keys, name)
    concurrently = dialect is Dialect.POSTGRESQL
    reason = f"{table.name} has {table.rows:,} rows; an index {candidate.reason}; {gain}."
    if write_share > MANY_WRITES:
        reason += f" {write_share:.0%} of the statements on it are writes, which it slows down."
    if candidate.redundant:
        reason += f" It makes {', '.join(candidate.redundant)} superfluous."
    return IndexAdvice(
        table.name,
        tuple(f"{'-' * key.is_descending}{key.column}" for key in candidate.keys),
        f"{create_index(candidate, name, concurrently=concurrently)};",
        meta.line,
        meta.model_label,
        verified,
        plan.cost,
        cost_after,
        plan.text,
        plan_after,
        reason,
        candidate.redundant,
    )


def _amount(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
