"""Get or load through Django's cache: within transactions too."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import wait
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.core.cache.backends.base import DEFAULT_TIMEOUT

from caching.engine.filling import Load
from caching.engine.loading import Interrupted, led_in
from caching.engine.reading import MISSING
from caching.services import transactions
from caching.services.invalidation import checked_tags
from caching.services.transactions import GONE

if TYPE_CHECKING:
    from caching.backends import TieredCache

_LOOK_SECONDS = 1.0


def get_or_load(
    cache: "TieredCache",
    key: Any,
    make: Callable[[], Any],
    timeout: Any = DEFAULT_TIMEOUT,
    *,
    tags: Sequence[str] = (),
    version: int | None = None,
    anew: bool = False,
) -> Any:
    """Return a value, or what `make` makes of it, once among all threads and processes.

    With `anew` it is made even where there is one, which others are given meanwhile. The key's
    namespace says how: early refresh, stale values, time-outs, negative caching. Within a
    transaction every process makes its own, and it is stored after the commit. Raises what `make`
    raises where no stale value may be served.
    """
    if not anew and (found := cache.glance(key, version)) is not MISSING:
        return found
    load = _load(cache, key, make, timeout, tags, version)
    load.anew = anew
    return _now(cache, load, str(key))


async def aget_or_load(
    cache: "TieredCache",
    key: Any,
    make: Callable[[], Awaitable[Any]],
    timeout: Any = DEFAULT_TIMEOUT,
    *,
    tags: Sequence[str] = (),
    version: int | None = None,
    anew: bool = False,
) -> Any:
    """Return a value, or what the coroutine function makes of it; see `get_or_load`."""
    if not anew and (found := cache.glance(key, version)) is not MISSING:
        return found
    loop, context = asyncio.get_running_loop(), copy_context()

    async def made() -> Any:
        return await make()

    def bring() -> Any:
        # In the caller's context: its language, and the thread that its synchronous parts run in.
        future = led_in(context).run(asyncio.run_coroutine_threadsafe, made(), loop)
        while not wait((future,), _LOOK_SECONDS).done:
            if loop.is_closed():  # then nobody would ever say how it ended
                raise Interrupted("The event loop ended before the load did.")
        return future.result()

    load = _load(cache, key, bring, timeout, tags, version)
    load.anew = anew
    # Asked in the thread whose connections the coroutine's queries use.
    if load.ttl == 0 or await sync_to_async(transactions.is_open)():
        found = await sync_to_async(cache.get)(key, MISSING, version)
        return await make() if found is MISSING or anew else found
    return await cache.engine.loading.aget_or_load(
        load, sync_to_async(lambda call, *given: call(*given), thread_sensitive=False), make
    )


def _load(
    cache: "TieredCache",
    key: Any,
    make: Callable[[], Any],
    timeout: Any,
    tags: Sequence[str],
    version: int | None,
) -> Load:
    cache.engine.ready()
    text = str(key)
    return Load(
        cache.name_of(key, version),
        cache.tiers.spaces.of(text),
        make,
        cache.seconds(text, timeout),
        checked_tags(tags),
    )


def _now(cache: "TieredCache", load: Load, key: str) -> Any:
    loading = cache.engine.loading
    if transactions.is_open():
        return _in_transaction(cache, load, key)
    if load.ttl == 0:
        found = cache.tiers.get(load.name, key)
        return load.make() if found is MISSING else found
    return loading.get_or_load(load)


def _in_transaction(cache: "TieredCache", load: Load, key: str) -> Any:
    """What is made may show what is not committed, so it waits for the commit."""
    changed = cache.changed(load.name)
    if changed is not MISSING and changed is not GONE and not load.anew:
        return transactions.value_of(changed)
    lease = None
    if changed is MISSING:
        found = cache.tiers.get(load.name, key)
        if found is not MISSING and not load.anew:
            return found
        lease = cache.engine.loading.filling.begin_apart(load)
    before = transactions.snapshot() if lease is not None else None
    started = time.perf_counter()
    value = load.make()
    took = time.perf_counter() - started
    load.space.loaded(took)

    if load.ttl == 0:
        return value
    waiting = transactions.change(value, load.ttl)  # the caller may change what it is given

    def store() -> None:
        if before is not None and transactions.snapshot() == before:
            made = transactions.value_of(waiting)
            cache.engine.loading.filling.store_apart(load, made, took, lease)

    cache.write_later({load.name: waiting}, store)
    return value
