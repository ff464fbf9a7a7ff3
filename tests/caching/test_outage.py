"""The second tier hangs, dies, comes back: nothing is raised, nothing stale is served after it."""

import threading
import time

import pytest

from caching.decorators import tiered
from caching.models import CachingSettings
from caching.services import backplane, invalidation, sweeping
from tests.caching.support import agents, eventually, hearing

pytestmark = pytest.mark.any_database

BUDGET = 0.25  # REDIS_TIMEOUT_SECONDS


def is_back(engine):
    eventually(lambda: not engine.link.breaker.is_open and engine.cache.line.connected)
    eventually(lambda: not engine.cache.pending.waiting)


def is_gone(engine):
    """Wait until the outage is noticed."""
    eventually(lambda: tiered().get("other") is None and engine.link.breaker.is_open)
    eventually(lambda: not engine.cache.line.connected)


def everything():
    """Use every call; none may raise because Redis is away."""
    cache = tiered()
    cache.set("a", 1)
    cache.set_many({"b": 1, "c": 2})
    cache.get_many(["a", "b", "zz"])
    cache.add("d", 1)
    cache.touch("a", 60)
    cache.delete("zz")
    cache.delete_many(["zz"])
    cache.delete_pattern("zz*")
    cache.delete_pattern("*zz")
    invalidation.tag(cache, "zz")
    invalidation.namespaces(cache, [])
    assert cache.get_or_load("e", lambda: "made") == "made"
    assert "zz" not in cache
    with pytest.raises(ValueError, match="not found"):
        cache.incr("n")


WRITES = {
    "write": lambda: tiered().set("k:1", "new"),
    "write of many": lambda: tiered().set_many({"k:1": "new"}),
    "delete": lambda: tiered().delete("k:1"),
    "prefix": lambda: tiered().delete_pattern("k:*"),
    "glob": lambda: tiered().delete_pattern("*:1"),
    "tag": lambda: invalidation.tag(tiered(), "t"),
    "namespace": lambda: invalidation.namespaces(tiered(), ["default"]),
}


@pytest.mark.parametrize("how", ["killed", "hanging"])
def test_an_outage_raises_nothing_and_costs_no_more_than_the_budget(own_redis, how):
    engine = hearing()
    tiered().set("k", "old")
    tiered().get("k")
    own_redis.kill() if how == "killed" else own_redis.hang()
    began = time.monotonic()
    longest = 0.0
    while time.monotonic() < began + 2.5:
        started = time.monotonic()
        value = tiered().get("k")
        now = time.monotonic()
        longest = max(longest, now - started)
        assert value in ("old", None)
        if started > began + engine.cache.settings.max_staleness_seconds:
            assert value is None  # nobody confirms it any more
        time.sleep(0.002)
    assert longest < 4 * BUDGET  # a budget, and what a busy machine adds
    everything()
    own_redis.start() if how == "killed" else own_redis.wake()
    is_back(engine)
    assert tiered().get("k") == "old"  # nobody changed it
    tiered().set("k", "new")
    assert tiered().get("k") == "new"


@pytest.mark.parametrize("how", ["killed", "hanging"])
@pytest.mark.parametrize("kind", WRITES)
def test_what_changed_meanwhile_is_gone_before_redis_is_read_again(
    own_redis, kind, how, monkeypatch
):
    monkeypatch.setattr(backplane, "_DEAD_SECONDS", 0.5)  # the line is to be given up, and soon
    engine = hearing()
    tiered().set("k:1", "old", tags=["t"])
    own_redis.kill() if how == "killed" else own_redis.hang()
    is_gone(engine)
    WRITES[kind]()
    assert engine.cache.pending.waiting
    seen, stop = set(), threading.Event()

    def read():
        while not stop.is_set():
            seen.update([tiered().get("k:1"), *tiered().get_many(["k:1"]).values()])
            time.sleep(0.001)

    reader = threading.Thread(target=read)
    reader.start()
    own_redis.start() if how == "killed" else own_redis.wake()
    is_back(engine)
    time.sleep(0.1)
    stop.set()
    reader.join()
    assert "old" not in seen
    assert tiered().get("k:1") is None
    with own_redis.client() as client:
        assert client.get(f"{engine.remote.root}:default.0:{tiered().name_of('k:1')}") is None or (
            kind == "namespace"  # out of reach, and swept later
        )


def test_with_redis_away_values_live_in_the_process_for_a_moment(own_redis):
    CachingSettings(max_staleness_seconds=1.5).save()
    engine = hearing()
    own_redis.kill()
    is_gone(engine)
    tiered().set("k", "mine")
    began = time.monotonic()
    time.sleep(0.6)  # several attempts to connect later
    if time.monotonic() < began + 1.4:
        assert tiered().get("k") == "mine"
    time.sleep(1)
    assert tiered().get("k") is None


def test_with_redis_away_each_process_makes_one_load(own_redis):
    hearing()
    code = """
results = []
threads = [threading.Thread(target=lambda: results.append(
    cache.get_or_load('once', load('made', 0.5)))) for _ in range(50)]
for one in threads: one.start()
for one in threads: one.join()
"""
    with agents(2, CACHE_REDIS_URL=own_redis.url) as others:
        own_redis.kill()
        gone = "cache.get('x') is None and engine.link.breaker.is_open and not line.connected"
        eventually(lambda: all(one.ask(gone) for one in others))
        for one in others:
            one.tell(code)
        for one in others:
            one.answer()
        assert [one.ask("len(counted)") for one in others] == [1, 1]
        assert [one.ask("results == ['made'] * 50") for one in others] == [True, True]


def test_after_a_restart_changes_reach_the_others_again(own_redis):
    engine = hearing()
    with agents(2, CACHE_REDIS_URL=own_redis.url) as others:
        tiered().set("k", "old")
        assert [one.ask("cache.get('k')") for one in others] == ["old"] * 2
        own_redis.kill()
        tiered().set("k", "meanwhile")
        own_redis.start()
        is_back(engine)
        eventually(lambda: all(one.ask("line.connected") for one in others))
        eventually(lambda: [one.ask("cache.get('k')") for one in others] == [None] * 2)
        tiered().set("k", "new")
        eventually(lambda: [one.ask("cache.get('k')") for one in others] == ["new"] * 2)


def test_a_full_redis_takes_every_invalidation_and_is_swept(own_redis):
    engine, cache = hearing(), tiered()
    cache.set_many({f"{kind}:{number}": 1 for kind in "abcd" for number in range(3)}, tags=["t"])
    with own_redis.client() as client:
        client.config_set("maxmemory", 1)
        cache.set("a:0", 2)  # refused: nothing is left of the old one
        assert cache.get("a:0") is None
        cache.delete("a:1")
        assert cache.delete_pattern("a:*") == 1
        assert cache.delete_pattern("*:0") == 3
        assert cache.delete_pattern("zz*") == cache.delete_pattern("*zz") == 0
        assert cache.get("b:1") == 1
        assert invalidation.tag(cache, "t") == 6
        assert cache.get_or_load("a:0", lambda: "loaded") == "loaded"
        cache.clear()
        assert not engine.cache.pending.waiting
        swept = sweeping.sweep_all()["redis"]
        assert not swept.away and swept.finished
