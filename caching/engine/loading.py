"""Get a value or load it: once among all threads and processes, early, late, or not at all.

Sources: leases (Nishtala et al., Scaling Memcache at Facebook, NSDI 2013); early refresh (Vattani,
Chierichetti, Lowenstein, Optimal Probabilistic Cache Stampede Prevention, VLDB 2015).
"""

import asyncio
import math
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from typing import Any

from caching.engine.copies import Found
from caching.engine.entry import Entry
from caching.engine.filling import Filling, Load
from caching.engine.namespace import Namespace
from caching.engine.reading import MISSING, Reads
from caching.engine.values import freeze
from caching.engine.watches import Watch, mark_of

_EARLIEST = 40.0  # loads' times before its end no refresh ever begins: -ln of the smallest chance


class Interrupted(Exception):
    """The load that this caller waited for was ended from outside."""


@dataclass(slots=True, eq=False)
class _Flight:
    """A load that goes on; its result is frozen, so that each caller thaws a value of its own.

    Who comes after news has voided it may not be given what it began with.
    """

    watch: Watch
    future: "Future[tuple[Any, Any]]" = field(default_factory=Future)

    def value(self) -> Any:
        """Return the value of a load that has ended. Raises what the load raised."""
        stored, thaw = self.future.result()
        return stored if thaw is None else thaw(stored)


# The flights that what runs now is a part of.
_led: ContextVar[frozenset[_Flight]] = ContextVar("led", default=frozenset())


def led_in(context: Context) -> Context:
    """Let a context know of the loads that what runs now is a part of; return it."""
    context.run(_led.set, _led.get())
    return context


@dataclass(slots=True)
class _Begun:
    """What a look came to: a value, or a flight to lead (`mine`) or to wait for."""

    value: Any
    flight: _Flight | None = None
    mine: bool = False
    stale: Found | None = None  # what may be served instead
    seen: Found | None = None  # what is there now


class Loading:
    """Loads for one cache. `background` runs a function in another thread."""

    def __init__(
        self,
        cache: Reads,
        background: Callable[[Callable[[], None]], None],
        *,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._cache, self._background, self._chance = cache, background, chance
        self.filling = Filling(cache, sleep)
        self.forget()

    def forget(self) -> None:
        """Begin anew, as after a fork."""
        self._lock = threading.Lock()
        self._flights: dict[str, _Flight] = {}

    # --- The two doors -----------------------------------------------------------------------

    def get_or_load(self, load: Load) -> Any:
        """Return the value; make it where it is not there. Raises what `make` raises."""
        begun = self._begin(load)
        flight, stale = begun.flight, begun.stale
        if flight is None:
            return begun.value
        if flight in _led.get():
            return load.make()  # the load asks for its own key: it would wait for itself
        if begun.mine:
            if not _soft(load, stale):
                return self._lead(load, begun.seen, flight)
            self._lead_apart(load, begun.seen, flight)
        wait((flight.future,), _soft(load, stale) or load.settings.load_seconds)
        if flight.future.done():
            return flight.value()
        if stale is not None:
            load.space.count("stale")
            return stale.value
        return load.make()  # the other's load takes longer than any may; keep nothing

    async def aget_or_load(
        self,
        load: Load,
        in_thread: Callable[..., Any],
        make: Callable[[], Any],
    ) -> Any:
        """Do the same from asyncio: `make` makes the value on the loop, `in_thread` runs the rest.

        `load.make` is what a thread calls; it is expected to bring `make` back to the loop.
        """
        begun = await in_thread(self._launch, load)
        flight, stale = begun.flight, begun.stale
        if flight is None:
            return begun.value
        if flight in _led.get():
            return await make()
        future = asyncio.wrap_future(flight.future)
        future.add_done_callback(lambda done: done.cancelled() or done.exception())  # raised below
        longest = None if begun.mine else load.settings.load_seconds
        await asyncio.wait((future,), timeout=_soft(load, stale) or longest)
        if flight.future.done():
            return flight.value()
        if stale is not None:
            load.space.count("stale")
            return stale.value
        return await make()

    def glance(self, name: str) -> Any:
        """Return the value of a copy in the process that surely needs no refresh, else MISSING."""
        entry = self._cache.peek(name)
        if entry is None:
            return MISSING
        now = self._cache.clock()
        beta = entry.namespace.settings.early_refresh
        if now + entry.load_seconds * beta * _EARLIEST >= entry.expires:
            return MISSING
        return self._cache.hit(entry, now)

    # --- Before a load -----------------------------------------------------------------------

    def _begin(self, load: Load) -> _Begun:
        if load.anew:
            seen = self._cache.fetch(load.space, load.name)
            return _Begun(MISSING, *self._join(load), seen=seen)
        found, early = self._look(load)
        now = self._cache.wall()
        if found is not None and now < found.expires:
            if early:
                load.space.count("early")
                self._refresh(load, found)
            return _Begun(found.value)
        stale = found if found is not None and now < found.stale_until else None
        if stale is not None:
            throttled = self.filling.is_throttled(load.name)
            if throttled or now < stale.expires + load.settings.stale_seconds:
                if not throttled:
                    self._refresh(load, stale)
                load.space.count("stale")
                return _Begun(stale.value)
        load.space.count("misses")
        flight, mine = self._join(load)
        return _Begun(MISSING, flight, mine, stale, stale)

    def _launch(self, load: Load) -> _Begun:
        """Begin, and load in the background at once: who asked may be cancelled meanwhile."""
        begun = self._begin(load)
        if begun.mine and begun.flight is not None:
            self._lead_apart(load, begun.seen, begun.flight)
        return begun

    def _look(self, load: Load) -> tuple[Found | None, bool]:
        """Return what is there, past its TTL or not, and whether it is to be refreshed early."""
        cache, space = self._cache, load.space
        entry, early, found = cache.peek(load.name), False, None
        if entry is not None:
            now = cache.clock()
            found = self._times(entry)
            early = self._is_early(space.settings, found)
            if now < entry.expires and not early:
                found.value = cache.hit(entry, now)
                return found, False
        cache.usage.missed(load.name)
        newer = cache.fetch(space, load.name)
        if newer is not None:
            if cache.wall() < newer.expires:
                space.count("l2_hits")
            # Another process may have refreshed it: then this one need not.
            return newer, self._is_early(space.settings, newer) if found is None else (
                early and newer.expires <= found.expires + cache.settings.max_staleness_seconds
            )
        if found is not None and entry is not None and cache.is_here_alone(space):
            found.value = entry.get()
            if cache.wall() < found.expires:
                entry.hit()
            return found, early
        return None, False

    def _times(self, entry: Entry) -> Found:
        """Return a copy's times as times of day; its value is taken when it is needed."""
        offset = self._cache.wall() - self._cache.clock()
        return Found(None, entry.expires + offset, entry.stale_until + offset, entry.load_seconds)

    def _is_early(self, settings: Namespace, found: Found) -> bool:
        if not settings.early_refresh or not found.load_seconds or found.expires == math.inf:
            return False
        ahead = found.load_seconds * settings.early_refresh * -math.log(1 - self._chance())
        return self._cache.wall() + ahead >= found.expires

    def _refresh(self, load: Load, seen: Found) -> None:
        """Load in the background, unless somebody does already."""
        flight, mine = self._join(load)
        if mine:
            self._lead_apart(load, seen, flight)

    def _join(self, load: Load) -> tuple[_Flight, bool]:
        with self._lock:
            flight = self._flights.get(load.name)
            if flight is not None and not flight.watch.voided:
                return flight, False
            watch = self._cache.watches.open(load.name, *map(mark_of, load.tags))
            flight = self._flights[load.name] = _Flight(watch)
            return flight, True

    # --- The load ----------------------------------------------------------------------------

    def _lead_apart(self, load: Load, seen: Found | None, flight: _Flight) -> None:
        """Lead in the background; here where no thread is to be had, as somebody must."""
        try:
            self._background(lambda: self._lead_quietly(load, seen, flight))
        except RuntimeError:
            self._lead_quietly(load, seen, flight)

    def _lead_quietly(self, load: Load, seen: Found | None, flight: _Flight) -> None:
        """Lead where nobody is called back: who waits for the flight is told what went wrong."""
        try:
            self._lead(load, seen, flight)
        except Exception:
            return

    def _lead(self, load: Load, seen: Found | None, flight: _Flight) -> Any:
        """Make the value, tell who waits for it, and return it."""
        led = _led.set(_led.get() | {flight})
        try:
            value = self.filling.obtain(load, seen, flight.watch)
            flight.future.set_result(freeze(value))
            return value
        except Exception as error:
            flight.future.set_exception(error)
            raise
        except BaseException as error:
            flight.future.set_exception(Interrupted(repr(error)))
            raise
        finally:
            _led.reset(led)
            self._cache.watches.close(flight.watch)
            with self._lock:
                if self._flights.get(load.name) is flight:
                    del self._flights[load.name]


def _soft(load: Load, stale: Found | None) -> float:
    return load.settings.soft_timeout_seconds if stale is not None else 0.0
