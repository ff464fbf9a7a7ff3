"""Gather what a review tells: figures before and now, baselines, settings, alerts."""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from django.db import DatabaseError
from django.db.models import Q

from optimizer.control import registry
from optimizer.control.models import Revision
from optimizer.control.recommendations import Measure, Place, Recommendation
from optimizer.control.redis import RedisAway
from optimizer.operations.baselines import comparing, files
from optimizer.operations.engine.effect import Verdict, change_percent, judge, verdict
from optimizer.operations.models import AlertEvent, Sample
from optimizer.operations.services.review_content import Change, Edit, Fired

logger = logging.getLogger(__name__)

_MOST_EDITS = 30
Told = dict[str, list[Recommendation]]
T = TypeVar("T")


def figures(begin: datetime, end: datetime, least_percent: float) -> list[Change]:
    """Compare every figure's hours with those of as long a time before."""
    begin, span = begin.replace(minute=0, second=0, microsecond=0), end - begin
    rows = Sample.objects.filter(
        span_seconds=Sample.Span.HOUR, at__gte=begin - span, at__lt=begin + span
    )
    hours: defaultdict[tuple[str, bool], list[float]] = defaultdict(list)
    for full_name, at, value in rows.values_list("figure", "at", "value"):
        hours[full_name, at >= begin].append(value)
    changes = []
    for name, (component, figure) in registry.figures().items():
        before, after = hours[name, False], hours[name, True]
        if not after:
            continue
        was, is_now = _mean(before), _mean(after)
        changes.append(
            Change(
                name,
                component.title,
                figure.title,
                figure.unit,
                was,
                is_now,
                change_percent(was, is_now) if was is not None and is_now is not None else None,
                verdict(before, after, better=figure.better, least_percent=least_percent),
                f"{len(after)} hours, {len(before)} before",
                Place("admin:operations_history", query=f"range=months&of={component.name}"),
            )
        )
    return changes


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def measures(
    begin: datetime,
    end: datetime,
    earlier: Mapping[str, tuple[float, int]],
    least_percent: float,
    missing: set[str],
) -> tuple[list[Change], dict[str, tuple[float, int]]]:
    """Compare what components measure with the review before; return it for the next one, too."""
    changes, measured = [], {}
    for component in registry.components():
        if component.measure is None:
            continue
        for one in _asked(component, partial(component.measure, begin, end), missing) or ():
            name = f"{component.name}.{one.name}"
            measured[name] = (one.value, one.count)
            changes.append(_compared(component.title, name, one, earlier.get(name), least_percent))
    return changes, measured


def _compared(
    component: str,
    name: str,
    one: Measure,
    earlier: tuple[float, int] | None,
    least_percent: float,
) -> Change:
    was, count = earlier or (None, 0)
    judged: Verdict = (
        judge(was, one.value, better=one.better, least_percent=least_percent)
        if was is not None
        else "unknown"
    )
    return Change(
        name,
        component,
        one.title,
        one.unit,
        was,
        one.value,
        change_percent(was, one.value) if was is not None else None,
        judged,
        f"{one.count:,} calls" + (f", {count:,} before" if earlier else ""),
        one.place,
    )


def recommendations(missing: set[str]) -> Told:
    """Return what every component recommends, by its name; without those that cannot tell."""
    told: Told = {}
    for component in registry.components():
        if component.recommend is None:
            continue
        found = _asked(component, component.recommend, missing)
        if found is not None:
            told[component.name] = found
    return told


def _asked(
    component: registry.Component, ask: Callable[[], Sequence[T]], missing: set[str]
) -> list[T] | None:
    try:
        return list(ask())
    except (DatabaseError, RedisAway) as error:
        logger.warning("The review does without %s: %s", component.name, error)
    except Exception:  # a component's bug must not take the others' part away
        logger.exception("The review does without %s", component.name)
    missing.add(component.title)
    return None


def endpoints(begin: datetime, end: datetime, least_percent: float) -> list[Change]:
    """Compare the newest baseline of the time with the one before of the same optimizations."""
    kept = []
    for name in files.names():
        try:
            kept.append((name, files.read(name)))
        except files.NoBaseline as error:
            logger.warning("The review does without a baseline: %s", error)
    newest = next(((name, one) for name, one in kept if begin <= one.made_at < end), None)
    if newest is None:
        return []
    after_name, after = newest
    alike = (
        (name, one)
        for name, one in kept
        if one.made_at < after.made_at
        and (one.optimizations, one.concurrency, one.url)
        == (after.optimizations, after.concurrency, after.url)
    )
    before_name, before = next(alike, ("", None))
    if before is None:
        return []
    lines = comparing.compare(before, after, regression_percent=least_percent)
    names = before_name, after_name
    return [_of_line(line, names, after.endpoints, least_percent) for line in lines]


def _of_line(
    line: comparing.Line,
    names: tuple[str, str],
    paths: Mapping[str, object],
    least_percent: float,
) -> Change:
    percent = None if line.improvement_percent is None else -line.improvement_percent
    judged: Verdict = "worse" if line.worse else "same"
    if not line.worse and line.name in paths and percent is not None and percent < -least_percent:
        judged = "better"
    return Change(
        line.name,
        "Baselines",
        f"{line.name}, half of the answers within" if line.unit == "ms" else line.name,
        line.unit,
        line.before,
        line.after,
        percent,
        judged,
        " and ".join(names),
        Place("admin:operations_baselines", query=f"before={names[0]}&after={names[1]}"),
    )


def edits(begin: datetime, end: datetime) -> tuple[list[Edit], int]:
    """Return the last changes of settings, the newest first, and how many there were."""
    rows = Revision.objects.filter(created_at__gte=begin, created_at__lt=end).order_by("-number")
    shown = [
        Edit(one.number, one.created_at, one.component, one.actor, one.reason)
        for one in rows.defer("before", "after")[:_MOST_EDITS]
    ]
    return shown, rows.count()


def alerts(begin: datetime, end: datetime) -> list[Fired]:
    """Return the rules that fired, the longest first."""
    rows = AlertEvent.objects.filter(
        Q(resolved_at=None) | Q(resolved_at__gte=begin), started_at__lt=end
    )
    found: dict[str, Fired] = {}
    for one in rows.order_by("started_at"):
        lasted = min(one.resolved_at or end, end) - max(one.started_at, begin)
        last = found.get(one.name)
        found[one.name] = Fired(
            one.name,
            one.severity,
            one.condition,
            (last.times if last else 0) + 1,
            (last.seconds if last else 0.0) + max(timedelta(), lasted).total_seconds(),
            one.resolved_at is None,
        )
    return sorted(found.values(), key=lambda one: -one.seconds)
