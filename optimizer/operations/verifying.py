"""Runs each component's self-checks against the running system."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from django.db import close_old_connections

from optimizer.control import registry

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one check came to: `said` is its finding, or what was wrong; then `advice` helps."""

    component: str
    check: str
    passed: bool
    said: str
    took_seconds: float
    advice: str = ""


def checks(only: Sequence[str] = ()) -> list[tuple[registry.Component, registry.Check]]:
    """Return the checks of all components, or of the named ones. Raises ValueError for others."""
    known = {one.name: one for one in registry.components() if one.verify}
    if unknown := sorted(set(only) - set(known)):
        raise ValueError(f"{', '.join(unknown)}: has no checks; there are {', '.join(known)}.")
    return [
        (component, check)
        for name, component in known.items()
        if not only or name in only
        for check in component.verify
    ]


def run(
    chosen: Sequence[tuple[registry.Component, registry.Check]],
    begins: Callable[[int, str, str], None] = lambda number, component, check: None,
) -> Iterator[Outcome]:
    """Run checks one after the other, each outcome as it comes; `begins` is told before each."""
    for number, (component, check) in enumerate(chosen):
        begins(number, component.name, check.name)
        yield _run(component, check)
        close_old_connections()


def _run(component: registry.Component, check: registry.Check) -> Outcome:
    started = time.perf_counter()
    try:
        said, passed = check.run() or "", True
    except AssertionError as error:
        said, passed = str(error), False
    except Exception as error:  # a part that is away is what the checks are for
        logger.warning("%s: %s failed", component.name, check.name, exc_info=True)
        said, passed = f"{type(error).__name__}: {error}", False
    took = time.perf_counter() - started
    advice = "" if passed else check.advice or f"See docs/components/{component.name}.md."
    return Outcome(component.name, check.name, passed, said, took, advice)
