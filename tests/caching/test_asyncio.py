"""Loads from asyncio: callers that are cancelled, slow loads, event loops that end."""

import asyncio
import time
from typing import Any

import pytest

from caching.decorators import tiered
from tests.caching.support import eventually

pytestmark = pytest.mark.any_database


class Load:
    """A coroutine function that takes so many seconds, and counts."""

    def __init__(self, value="new", seconds=0.0):
        self.value, self.seconds, self.calls = value, seconds, 0

    async def __call__(self):
        self.calls += 1
        await asyncio.sleep(self.seconds)
        return self.value


def test_one_who_is_cancelled_while_a_load_begins_leaves_no_load_behind(space):
    space()
    cache = tiered()

    async def go():
        load = Load()
        asked = asyncio.create_task(cache.aget_or_load("s:k", load))
        while not cache.engine.loading._flights:
            await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        async with asyncio.timeout(5):  # load_seconds are 30
            assert await cache.aget_or_load("s:k", load) == "new"
        assert load.calls == 1

    asyncio.run(go())


def test_who_leads_a_load_waits_for_its_end(space):
    space(load_seconds=0.1)
    load = Load(seconds=0.5)
    assert asyncio.run(tiered().aget_or_load("s:k", load)) == "new"
    assert load.calls == 1


def test_a_load_that_asks_for_its_own_key_does_not_wait_for_itself(space):
    space()
    cache = tiered()

    async def outer():
        return await cache.aget_or_load("s:async", Load("inner"))

    before = time.monotonic()
    found = cache.get_or_load("s:k", lambda: cache.get_or_load("s:k", lambda: "inner"))
    assert found == "inner"
    assert asyncio.run(cache.aget_or_load("s:async", outer)) == "inner"
    assert time.monotonic() - before < 10  # load_seconds are 30


def test_a_load_whose_event_loop_has_ended_is_given_up(space):
    space(stale_seconds=60)
    cache = tiered()
    cache.set("s:k", "old", 0.05)
    time.sleep(0.1)

    async def ask_and_leave(load):
        assert await cache.aget_or_load("s:k", load) == "old"
        while not load.calls:
            await asyncio.sleep(0)
        asyncio.get_running_loop().stop()
        await asyncio.sleep(60)

    loop = asyncio.new_event_loop()  # one that cancels nothing when it ends
    load = Load(seconds=60)
    task = loop.create_task(ask_and_leave(load))
    loop.run_forever()
    loop.close()
    eventually(lambda: not cache.engine.loading._flights)
    abandoned: Any = task
    abandoned._log_destroy_pending = False


def test_a_load_goes_on_in_this_thread_where_there_is_no_other(space, monkeypatch):
    space(stale_seconds=60)
    cache = tiered()
    cache.set("s:k", "old", 0.05)
    time.sleep(0.1)

    def no_thread(job):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(cache.engine.loading, "_background", no_thread)
    assert cache.get_or_load("s:k", lambda: "new") == "old"
    assert cache.get("s:k") == "new"
