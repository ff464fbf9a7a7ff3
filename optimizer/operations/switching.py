"""Switches the optimizations on and off, through their live settings, and waits for it."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from django.core.exceptions import FieldDoesNotExist

from optimizer.control import processes, registry, selectors
from optimizer.control.models import SettingsModel
from optimizer.control.redis import RedisAway
from optimizer.control.revisions import change, settings_models

# The switch of each settings model; that of the polled endpoints has a name of its own.
_SWITCHES = ("enabled", "fast_answers")
_LOOK_SECONDS = 0.05


class NotObeyed(Exception):
    """Some process has not followed in time."""


@dataclass(frozen=True, slots=True)
class Switch:
    """One component's switch, and how it stands."""

    component: str
    title: str
    model: type[SettingsModel]
    field: str
    is_on: bool


def switches(only: Iterable[str] = ()) -> list[Switch]:
    """Return the switches of all components that have one, or of the named ones.

    Raises ValueError for a name without one.
    """
    wanted = set(only)
    found = [one for one in map(_switch_of, registry.components()) if one is not None]
    names = {one.component for one in found}
    if unknown := sorted(wanted - names):
        raise ValueError(
            f"{', '.join(unknown)}: no such optimization; there are {', '.join(sorted(names))}."
        )
    return [one for one in found if not wanted or one.component in wanted]


def turn(chosen: Sequence[Switch], *, on: bool, reason: str) -> list[Switch]:
    """Turn switches, a revision each; return those that stood otherwise."""
    turned = [one for one in chosen if one.is_on != on]
    for one in turned:
        with change(one.component, reason=reason):
            row = one.model.load()
            setattr(row, one.field, on)
            row.full_clean()
            row.save()
    return turned


def wait(seconds: float) -> None:
    """Wait until every process that reports itself obeys the newest revision.

    Raises NotObeyed, which names those that do not; at once while Redis is away.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            seen = processes.seen(selectors.head_revision())
        except RedisAway as error:
            raise NotObeyed("Redis is away, so it cannot be told who obeys.") from error
        late = [one.name for one in seen if one.state == "STALE"]
        if not late:
            return
        if time.monotonic() > until:
            raise NotObeyed(f"after {seconds:g} s these still obey older settings: {late}")
        time.sleep(_LOOK_SECONDS)


@contextmanager
def kept(chosen: Sequence[Switch], *, reason: str) -> Iterator[None]:
    """Put the switches back as they stood, whatever happens meanwhile."""
    try:
        yield
    finally:
        names = {one.component: one.is_on for one in chosen}
        for is_on in (True, False):
            back = [one for one in switches() if names.get(one.component) is is_on]
            turn(back, on=is_on, reason=reason)


def _switch_of(component: registry.Component) -> Switch | None:
    for model in settings_models(component.name):
        if not issubclass(model, SettingsModel):
            continue
        for field in _SWITCHES:
            try:
                model._meta.get_field(field)
            except FieldDoesNotExist:
                continue
            is_on = bool(getattr(model.load(), field))
            return Switch(component.name, component.title, model, field, is_on)
    return None
