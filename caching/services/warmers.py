"""Functions that fill the cache before anybody asks: run by a command, by beat, or by hand."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.utils.module_loading import autodiscover_modules

_warmers: dict[str, Callable[[], Any]] = {}


class UnknownWarmer(KeyError):
    """A name that no warmer has; says which there are."""

    def __str__(self) -> str:
        return f"There is no warmer {self.args[0]!r}; there are: {', '.join(names()) or 'none yet'}"


@dataclass(frozen=True, slots=True)
class Warmed:
    """How a warmer went."""

    name: str
    took_seconds: float
    error: str = ""


def warms(name: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Register a function without arguments that fills the cache, under a name.

    Put it into a module `warmers.py` of an app. Raises ValueError when the name is taken.
    """

    def wrap(function: Callable[[], Any]) -> Callable[[], Any]:
        if _warmers.get(name, function) is not function:
            raise ValueError(f"There is a warmer {name!r} already.")
        _warmers[name] = function
        return function

    return wrap


def names() -> list[str]:
    """Return the names of all warmers."""
    autodiscover_modules("warmers")
    return sorted(_warmers)


def warm(name: str) -> Warmed:
    """Run a warmer; an error that it raises is told, not raised. Raises UnknownWarmer."""
    if name not in names():
        raise UnknownWarmer(name)
    started = time.perf_counter()
    try:
        _warmers[name]()
    except Exception as error:  # one that fails must not keep the others from running
        return Warmed(name, time.perf_counter() - started, f"{type(error).__name__}: {error}")
    return Warmed(name, time.perf_counter() - started)
