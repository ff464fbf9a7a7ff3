"""Whether a unit is watched, from its beginning to its end."""

import os
import random
import threading
from contextvars import Token
from dataclasses import dataclass
from time import perf_counter

from django.conf import settings as django_settings

from optimizer.control import ticker, watcher
from optimizer.queries import metrics
from optimizer.queries.engine.sampling import Sampler
from optimizer.queries.engine.settings import Settings
from optimizer.queries.live import queries
from optimizer.queries.services import capture, collector, current
from optimizer.queries.services.units import Unit

sampler = Sampler(random.random)
_long: set["Watched"] = set()  # units that may never end
_lock = threading.Lock()


@dataclass(slots=True, eq=False)
class Watched:
    """A unit under way. `weight` is for how many units it stands, 0 where it is skipped."""

    unit: Unit
    weight: int
    token: Token[Unit | None]
    settings: Settings
    started: float


def begin(name: str, kind: str, *, is_long: bool = False) -> Watched | None:
    """Begin to watch a unit; None where nothing is watched, or the work is part of another unit."""
    try:
        # A program's own test may count its queries: to load the settings is left to the watcher.
        settings = queries.peek()
        if not settings.watches or current.unit.get() is not None:
            return None
        if not queries.is_loaded and kind != "command":
            watcher.ensure()
        budget = settings.overhead_percent / 100 if settings.mode == "sampled" else None
        share = settings.sample_percent / 100 if settings.mode == "sampled" else 1.0
        weight = sampler.weight(share, budget)
        least_seconds = 0.0 if weight else settings.slow_query_seconds
        unit = Unit(name, kind, least_seconds=least_seconds)
        watched = Watched(unit, weight, capture.begin(unit), settings, perf_counter())
        if is_long:
            with _lock:
                _long.add(watched)
        return watched
    except Exception:
        capture.count_error()
        return None


def end(watched: Watched, *, keep: bool = True) -> None:
    """End a unit; one that is not kept counts for nothing."""
    unit = watched.unit
    try:
        capture.end(unit, watched.token)
        with _lock:
            _long.discard(watched)
        if keep:
            _count(watched, unit, perf_counter() - watched.started)
    except Exception:
        capture.count_error()


def part_of_long_units(older_than_seconds: float) -> None:
    """Count what the units that may never end have done so far."""
    now = perf_counter()
    with _lock:
        under_way = list(_long)
    for watched in under_way:
        if (took := now - watched.started) >= older_than_seconds:
            watched.started = now
            _count(watched, watched.unit.part(), took)


def _count(watched: Watched, unit: Unit, took_seconds: float) -> None:
    started = perf_counter()
    unit.fold()
    if unit.kind == "command":
        if not unit.groups:
            return
        if not queries.is_loaded and django_settings.WATCH_LIVE_SETTINGS:
            watched.settings = queries.current()  # a command is too short for the watcher
            if not watched.settings.watches:
                return
    ticker.ensure()
    metrics.UNITS.labels(unit.kind, "yes" if watched.weight else "no").inc()
    if unit.groups:
        collector.collector.add(unit, watched.weight, watched.settings)
    own_seconds = unit.own_seconds + perf_counter() - started
    metrics.OWN_SECONDS.inc(own_seconds)
    collector.collector.count(
        watched=1 if watched.weight else 0,
        skipped=0 if watched.weight else 1,
        own_us=round(own_seconds * 1e6),
        units_us=round(took_seconds * 1e6),
    )
    if watched.weight:
        metrics.QUERIES.inc(unit.queries)
        metrics.SECONDS.inc(unit.seconds)
        sampler.spent(own_seconds, took_seconds)


def _after_fork() -> None:
    global _lock, sampler
    _lock, sampler = threading.Lock(), Sampler(random.random)
    _long.clear()


os.register_at_fork(after_in_child=_after_fork)
