"""The components: health, metrics, API, verification and dashboard walk this list.

A further component registers itself in its `AppConfig.ready` and needs no change elsewhere.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from optimizer.control.live import LiveSettings
from optimizer.control.recommendations import Better, Measure, Recommendation


@dataclass(frozen=True, slots=True)
class Check:
    """One self-check against the running system: `run` raises AssertionError when it fails.

    `advice` says what to do then.
    """

    name: str
    run: Callable[[], str | None]
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of its own in the admin; `url_name` is reversed."""

    title: str
    icon: str
    url_name: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that is kept each minute and can be alerted on.

    `promql` says the same to Prometheus: in the same unit, as one series without labels. `better`
    is which way a review calls an improvement.
    """

    name: str
    title: str
    unit: str
    promql: str
    better: Better = ""


@dataclass(frozen=True, slots=True)
class Figures:
    """A component's figures. `read` returns those that can be told now, and never raises
    RedisAway: a figure that it leaves out is a gap.
    """

    declared: tuple[Figure, ...]
    read: Callable[[], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class IndexProposal:
    """An index of a MongoDB collection that a component found worth making.

    `keys` are fields with 1 (ascending) or -1; `id` is the component's own name for it.
    """

    id: str
    database: str
    collection: str
    keys: tuple[tuple[str, int], ...]
    reason: str


class IndexProposals(Protocol):
    """Where a component keeps what it proposes."""

    def open(self) -> Sequence[IndexProposal]:
        """Return what nobody has decided on yet."""

    def accept(self, id: str) -> IndexProposal | None:
        """Settle a proposal; return it, None where it is settled already."""


@dataclass(frozen=True, slots=True)
class Component:
    """What the platform needs to know of a component.

    `status` returns JSON-able facts, quickly and without raising; `router` is the dotted path of
    its API router, mounted at /internal/v1/<name>, and `fast_routes` that of handlers that answer
    some of its calls before Django; `seed` writes first rows where there are none. `recommend`
    and `measure` (from, to) are asked for a review, by nobody who waits: they may raise RedisAway
    and DatabaseError.
    """

    name: str
    title: str
    description: str
    live: LiveSettings[Any]
    status: Callable[[], dict[str, Any]]
    router: str = ""
    fast_routes: str = ""
    seed: Callable[[], None] | None = None
    verify: tuple[Check, ...] = ()
    icon: str = "tune"
    pages: tuple[Page, ...] = ()
    figures: Figures | None = None
    recommend: Callable[[], Sequence[Recommendation]] | None = None
    measure: Callable[[datetime, datetime], Sequence[Measure]] | None = None
    index_proposals: IndexProposals | None = None
    # The platform's own parts (control, operations) have settings but are none of the six.
    platform: bool = field(default=False)


_components: dict[str, Component] = {}


def register(component: Component) -> None:
    """Add a component. Raises ValueError when the name is taken."""
    if component.name in _components:
        raise ValueError(f"component {component.name!r} is registered already")
    _components[component.name] = component


def components(*, platform: bool = True) -> tuple[Component, ...]:
    """Return the registered components, the platform's own parts last."""
    ordered = sorted(_components.values(), key=lambda one: one.platform)
    return tuple(one for one in ordered if platform or not one.platform)


def figures() -> dict[str, tuple[Component, Figure]]:
    """Return every figure by its full name, "component.figure"."""
    return {
        f"{component.name}.{figure.name}": (component, figure)
        for component in components()
        if component.figures is not None
        for figure in component.figures.declared
    }


def get(name: str) -> Component:
    """Return a component by name. Raises KeyError."""
    return _components[name]
