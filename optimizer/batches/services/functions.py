"""The Python functions that jobs use: handlers take a list of items, sources give a run its items.

They are registered in a module `batch_handlers` of any installed app, which is imported when they
are first asked for.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.utils.module_loading import autodiscover_modules

Function = Callable[[list[Any]], object]
Source = Callable[[], Iterable[Any]]


@dataclass(frozen=True, slots=True)
class Handler:
    """A function that applies items, and whether its writes belong to the chunk's transaction."""

    name: str
    function: Function
    transactional: bool


_handlers: dict[str, Handler] = {}
_sources: dict[str, Source] = {}


def batch_handler(name: str, *, transactional: bool = True) -> Callable[[Function], Function]:
    """Register a function that takes a list of items, for jobs with the sink *handler*.

    Transactional ones run inside the transaction that takes the items from the inbox: what they
    write to the default database is applied exactly once. Others run outside of any, at least
    once. Raise `Again` to be tried later; any other error is put down to an item, which is found
    by calling the function with fewer of them. Raises ValueError for a name that is taken.
    """

    def register(function: Function) -> Function:
        _add(_handlers, name, Handler(name, function, transactional), function)
        return function

    return register


def batch_source(name: str) -> Callable[[Source], Source]:
    """Register a function that returns or yields the items of a run, for jobs with this source.

    A run that was interrupted calls it again: what it gives then is taken as the continuation, so
    it should give the same items in the same order. Raises ValueError for a name that is taken.
    """

    def register(function: Source) -> Source:
        _add(_sources, name, function, function)
        return function

    return register


def _add(known: dict[str, Any], name: str, entry: Any, function: Callable[..., object]) -> None:
    before = known.get(name)
    before = before.function if isinstance(before, Handler) else before
    if before is not None and before.__qualname__ != function.__qualname__:
        raise ValueError(f"the name {name!r} is taken by {before.__module__}.{before.__qualname__}")
    known[name] = entry  # the same function once more: its module was imported anew


def handlers() -> dict[str, Handler]:
    """Return all handlers by name."""
    autodiscover_modules("batch_handlers")
    return _handlers


def sources() -> dict[str, Source]:
    """Return all sources by name."""
    autodiscover_modules("batch_handlers")
    return _sources
