"""Every pool over all processes, beside its limits and what its server takes."""

from dataclasses import dataclass, field
from typing import Any

from optimizer.control.redis import RedisAway
from optimizer.pools.engine.limits import Limits
from optimizer.pools.engine.statistics import Gauges, Totals
from optimizer.pools.live import limits_of, pools
from optimizer.pools.models import PooledConnection
from optimizer.pools.services import reporter
from optimizer.pools.services.reporter import PoolReport, ProcessReport
from optimizer.pools.services.seeds import known_pools
from optimizer.pools.services.servers import Server, server_of


@dataclass(frozen=True, slots=True)
class Process:
    """One process's part of a pool."""

    name: str
    role: str
    pool: PoolReport


@dataclass(slots=True)
class Pool:
    """A pool over all processes that are seen; `row_id` is None where no admin has made a row."""

    alias: str
    kind: str
    limits: Limits
    row_id: int | None = None
    processes: list[Process] = field(default_factory=list)
    server: Server | None = None

    @property
    def gauges(self) -> Gauges:
        """The sum over all processes."""
        all_of = [one.pool.gauges for one in self.processes]
        return Gauges(
            size=sum(one.size for one in all_of),
            idle=sum(one.idle for one in all_of),
            in_use=sum(one.in_use for one in all_of),
            waiting=sum(one.waiting for one in all_of),
            held_at_once=max((one.held_at_once for one in all_of), default=0),
        )

    @property
    def totals(self) -> Totals:
        """The sum over all processes, each since it began."""
        found = Totals()
        for one in self.processes:
            found = found.plus(one.pool.totals)
        return found

    @property
    def recent(self) -> Totals:
        """The sum over all processes of about the last minute."""
        found = Totals()
        for one in self.processes:
            found = found.plus(one.pool.recent)
        return found

    @property
    def most(self) -> int:
        """How many connections all processes together may open."""
        return sum(one.pool.max_size for one in self.processes)

    @property
    def server_percent(self) -> int | None:
        """Which part of its server's room that is, None where it is not known."""
        if self.server is None or not self.server.room:
            return None
        return round(100 * self.most / self.server.room)


def every(*, ask_servers: bool = False) -> tuple[list[Pool], bool]:
    """Return the pools by alias, and whether Redis is away, so that only this process is seen."""
    try:
        reports, away = reporter.reports(), False
    except RedisAway:
        reports, away = [], True
    mine = reporter.reporter.report()
    if all(one.name != mine.name for one in reports):
        reports.append(mine)
    found = _rows()
    for report in reports:
        _add(found, report)
    if ask_servers:
        for pool in found.values():
            pool.server = server_of(pool.alias, pool.kind)
    return [found[alias] for alias in sorted(found)], away


def _rows() -> dict[str, Pool]:
    found = {
        alias: Pool(alias, kind, limits_of(alias, kind)) for alias, kind in known_pools().items()
    }
    for row in PooledConnection.objects.all():
        found[row.alias] = Pool(row.alias, row.kind, limits_of(row.alias, row.kind), row.pk)
    return found


def _add(found: dict[str, Pool], report: ProcessReport) -> None:
    for one in report.pools:
        pool = found.get(one.alias)
        if pool is None:
            limits = limits_of(one.alias, one.kind)
            pool = found[one.alias] = Pool(one.alias, one.kind, limits)
        pool.processes.append(Process(report.name, report.role, one))


def find(alias: str) -> Pool | None:
    """Return one pool with its server, None where there is none of that name."""
    found, _ = every()
    pool = next((one for one in found if one.alias == alias), None)
    if pool is not None:
        pool.server = server_of(pool.alias, pool.kind)
    return pool


def status() -> dict[str, Any]:
    """Return how this process's pools stand, from memory alone."""
    pools.current()
    mine = reporter.reporter.report()
    sums = {
        name: sum(getattr(one.gauges, name) for one in mine.pools)
        for name in ("size", "in_use", "waiting")
    }
    told: dict[str, Any] = {"pools": len(mine.pools), **sums}
    for one in mine.pools:
        told[f"reuse_of_{one.alias}"] = f"{one.totals.reuse_ratio:.1%}"
    return told
