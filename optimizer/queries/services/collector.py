"""What this process gathers of finished units, until it is told."""

import os
import threading
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b

from django.apps import apps

from optimizer.queries import metrics
from optimizer.queries.engine.fingerprint import Shape
from optimizer.queries.engine.news import (
    MOST_SQL_LENGTH,
    FindingNews,
    News,
    StatementNews,
    digest_of,
)
from optimizer.queries.engine.settings import Ignore, Ignores, Settings
from optimizer.queries.engine.statistics import Asked, Gathered, Place, Statistics
from optimizer.queries.services.findings import Finding, findings_of, unused_load
from optimizer.queries.services.frames import Stack, location_of
from optimizer.queries.services.units import Group, Unit

MOST_FINDINGS = 1000
MOST_STATEMENTS = 10_000
MOST_LOADS = 2000
LOOKS = 3  # units that must have loaded something in vain before that is a finding


@dataclass(slots=True)
class _Look:
    """What is known of a relation that is loaded along."""

    units: int = 0
    used: bool = False


@dataclass(slots=True)
class Told:
    """What is taken to be told."""

    gathered: Gathered
    news: News
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to tell."""
        return not (
            self.gathered.tallies
            or self.gathered.units
            or self.news.findings
            or self.news.ignored
            or self.news.used
        )


class Collector:
    """Gathers findings, statistics and statements; any thread may add at any time."""

    def __init__(self) -> None:
        self.statistics = Statistics()
        self._lock = threading.Lock()
        self._findings: dict[str, FindingNews] = {}
        self._statements: dict[str, StatementNews] = {}
        self._told: set[str] = set()  # fingerprints
        self._ignored: Counter[str] = Counter()
        self._loads: dict[str, _Look] = {}
        self._used: list[str] = []
        self._counts: Counter[str] = Counter()
        self._ignores: tuple[tuple[Ignore, ...], Ignores] = ((), Ignores(()))

    def add(self, unit: Unit, weight: int, settings: Settings) -> list[Finding]:
        """Count a unit that has finished; with a weight of 0 its slow queries alone count.

        Return its findings but those of the ignore list, and of loads in vain.
        """
        found = findings_of(
            unit,
            threshold=settings.n_plus_one_threshold if weight else 1 << 30,
            slow_seconds=settings.slow_query_seconds,
            loads=False,
        )
        hits: dict[Place, int] = {}
        kept: list[Finding] = []
        with self._lock:
            for group, finding in found:
                if finding.kind in ("n_plus_one", "write_n_plus_one"):
                    hits[finding.fingerprint, finding.location] = finding.count
                lost = finding.seconds
                if finding.kind != "slow":  # one of them was needed
                    lost -= finding.seconds / max(1, finding.count)
                if self._found(unit.name, finding, group.stack, lost, max(1, weight), settings):
                    kept.append(finding)
            if weight:
                self._look(unit, weight, settings)
                self._counts.update(queries=unit.queries * weight, units=weight)
                for group in unit.groups.values():
                    self._state(group)
        if weight:
            self.statistics.add_all(unit.name, _asked(unit), hits, weight)
        return kept

    def _found(
        self,
        unit: str,
        finding: Finding,
        stack: Stack,
        lost_seconds: float,
        weight: int,
        settings: Settings,
    ) -> bool:
        """Take a finding; say whether it is told, False where the ignore list has it."""
        if self._ignores[0] is not settings.ignores:
            self._ignores = (settings.ignores, Ignores(settings.ignores))
        pattern = self._ignores[1].match(finding.location, finding.fingerprint, unit)
        if pattern is not None:
            self._ignored[pattern] += weight
            return False
        metrics.FINDINGS.labels(finding.kind).inc(weight)
        self._counts[finding.kind] += weight
        key = digest_of(finding.kind, finding.fingerprint, finding.location)
        news = self._findings.get(key)
        if news is None:
            if len(self._findings) >= MOST_FINDINGS:
                return True
            news = self._findings[key] = FindingNews(
                finding.kind,
                finding.fingerprint,
                finding.location[:300],
                finding.suggestion,
                finding.queryset_location[:300],
                finding.sql[:MOST_SQL_LENGTH],
                [f"{location_of(site)} {site[0].co_name}" for site in stack],
                state_of(stack),
            )
        news.add(unit, finding.count, lost_seconds, weight)
        return True

    def _look(self, unit: Unit, weight: int, settings: Settings) -> None:
        """Learn of loads along with others: only what no unit has read is useless."""
        for loaded in unit.loaded:
            if not loaded.count:
                continue
            finding = unused_load(loaded)
            key = digest_of(finding.kind, finding.fingerprint, finding.location)
            look = self._loads.get(key)
            if look is None:
                if len(self._loads) >= MOST_LOADS:
                    continue
                look = self._loads[key] = _Look()
            look.units += 1
            if loaded.reads and not look.used:
                look.used = True
                self._used.append(key)
            if look.units >= LOOKS and not look.used:
                self._found(unit.name, finding, loaded.group.stack, 0.0, weight, settings)

    def _state(self, group: Group) -> None:
        shape = group.analysis.shape
        if shape.fingerprint in self._told and not group.after_own_write:
            return
        if len(self._told) >= MOST_STATEMENTS:
            self._told.clear()
        self._told.add(shape.fingerprint)
        self._statements[shape.fingerprint] = statement_of(
            shape, group.analysis.sample or group.sql, group.alias, group.after_own_write
        )

    def take(self) -> Told:
        """Return all that was gathered, and begin anew."""
        with self._lock:
            news = News(
                findings=list(self._findings.values()),
                statements=list(self._statements.values()),
                ignored=dict(self._ignored),
                used=self._used,
            )
            self._findings, self._statements = {}, {}
            self._ignored, self._used = Counter(), []
            counts, self._counts = self._counts, Counter()
        return Told(self.statistics.take(), news, counts)

    def give_back(self, told: Told) -> None:
        """Add again what could not be told; it counts against the same bounds."""
        self.statistics.merge(told.gathered)
        with self._lock:
            for one in told.news.findings:
                newer = self._findings.get(one.digest)
                if newer is not None:
                    newer.merge(one)
                elif len(self._findings) < MOST_FINDINGS:
                    self._findings[one.digest] = one
            for statement in told.news.statements:
                if len(self._statements) < MOST_STATEMENTS:
                    self._statements.setdefault(statement.fingerprint, statement)
            self._ignored.update(told.news.ignored)
            self._used = [*told.news.used, *self._used][:MOST_LOADS]

    def count(self, **counts: int) -> None:
        """Add to the counts that the charts show."""
        with self._lock:
            self._counts.update(counts)

    def tell_statements_again(self) -> None:
        """Forget which statements were told, so that those still in use are told again."""
        with self._lock:
            self._told.clear()


def statement_of(shape: Shape, sql: str, alias: str, after_own_write: bool) -> StatementNews:
    """Return what a statement's fingerprint stands for."""
    return StatementNews(
        shape.fingerprint,
        shape.text[:MOST_SQL_LENGTH],
        sql[:MOST_SQL_LENGTH],
        alias,
        shape.verb.value,
        list(shape.tables)[:20],
        shape.is_locking,
        shape.is_volatile,
        after_own_write,
    )


def _asked(unit: Unit) -> list[Asked]:
    """Return a unit's queries as statistics take them."""
    found: list[Asked] = []
    for group in list(unit.groups.values()):
        if not group.durations:
            continue
        analysis = group.analysis
        shape = analysis.shape
        table = shape.tables[0] if shape.is_write and shape.tables else ""
        place = (shape.fingerprint, analysis.location)
        found.append((place, group.durations, group.rows, group.values, table))
    return found


@lru_cache(maxsize=1)
def models_state() -> str:
    """Return a digest of all models: their fields, and where their relations lead."""
    told = [
        f"{model._meta.label}.{one.name}:{type(one).__name__}:"
        f"{getattr(getattr(one, 'related_model', None), '__name__', '')}"
        for model in apps.get_models(include_auto_created=True)
        for one in model._meta.get_fields(include_hidden=True)
    ]
    return blake2b("\n".join(sorted(told)).encode(), digest_size=8).hexdigest()


@lru_cache(maxsize=10_000)
def state_of(stack: Stack) -> str:
    """Return a digest of what an analysis depends on: the models, and the code that asks."""
    code = b"".join(site[0].co_code for site in stack[:1])
    return blake2b(code + models_state().encode(), digest_size=8).hexdigest()


collector = Collector()


def _after_fork() -> None:
    global collector
    collector = Collector()  # or it would tell what its parent counted a second time


os.register_at_fork(after_in_child=_after_fork)
