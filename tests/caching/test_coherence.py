"""What one process changes reaches the first tier of every other."""

import os
import threading
import time

import pytest

from caching.decorators import tiered
from caching.models import CachingSettings
from caching.services import invalidation
from tests.caching.support import agents, eventually
from tests.connections import cut

pytestmark = pytest.mark.any_database

CHANGES = {
    "write": lambda: tiered().set("k:1", "new"),
    "write of many": lambda: tiered().set_many({"k:1": "new", "k:2": 1}),
    "delete": lambda: tiered().delete("k:1"),
    "touch": lambda: tiered().touch("k:1", 0),
    "prefix": lambda: tiered().delete_pattern("k:*"),
    "glob": lambda: tiered().delete_pattern("*:1"),
    "tag": lambda: invalidation.tag(tiered(), "t"),
    "namespace": lambda: invalidation.namespaces(tiered(), ["default"]),
    "clear": lambda: tiered().clear(),
}


@pytest.fixture(scope="module")
def others(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), agents(3) as found:
        yield found


def all_hold(others, key, value):
    """Let every process hold a copy."""
    asked = f"[cache.get({key!r}), l1({key!r})]"
    eventually(lambda: all(one.ask(asked) == [value] * 2 for one in others))
    assert tiered().get(key) == value


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_reaches_the_copies_of_every_process(engine, others, kind):
    tiered().set("k:1", "old", tags=["t"])
    tiered().set("other", "stays")
    all_hold(others, "k:1", "old")
    CHANGES[kind]()
    expected = "new" if kind.startswith("write") else None
    assert tiered().get("k:1") == expected
    eventually(lambda: all(one.ask("l1('k:1')") != "old" for one in others))
    assert [one.ask("cache.get('k:1')") for one in others] == [expected] * 3
    kept = None if kind in ("namespace", "clear") else "stays"
    assert [one.ask("cache.get('other')") for one in others] == [kept] * 3


def test_what_no_invalidation_names_stays(engine, others):
    tiered().set_many({"a:1": 1, "b:1": 1})
    all_hold(others, "a:1", 1)
    all_hold(others, "b:1", 1)
    tiered().delete_pattern("a:*")
    eventually(lambda: all(one.ask("l1('a:1')") is None for one in others))
    assert [one.ask("l1('b:1')") for one in others] == [1] * 3


def test_a_counter_is_the_same_everywhere(engine, others):
    tiered().set("n", 0)
    for one in others:
        one.tell("[cache.incr('n') for _ in range(50)][-1]")
    for _ in range(50):
        tiered().incr("n")
    for one in others:
        one.answer()
    eventually(lambda: [one.ask("cache.get('n')") for one in others] == [200] * 3)
    assert tiered().get("n") == 200


def test_of_all_processes_one_loads(engine, others):
    code = """
results = []
threads = [threading.Thread(target=lambda: results.append(
    cache.get_or_load('once', load('made', 0.3)))) for _ in range(50)]
for one in threads: one.start()
for one in threads: one.join()
"""
    for one in others:
        one.ask("counted.clear()")
        one.tell(code)
    for one in others:
        one.answer()
    assert sum(one.ask("len(counted)") for one in others) == 1
    assert [one.ask("results == ['made'] * 50") for one in others] == [True] * 3


def test_copies_that_fell_under_a_cut_line_are_never_served_again(engine, others, redis):
    """What was invalidated while nobody could hear it."""
    for turn in range(5):
        tiered().set("k", f"old {turn}")
        all_hold(others, "k", f"old {turn}")
        assert cut(redis, "pubsub") >= len(others)
        tiered().set("k", f"new {turn}")
        staleness = engine.cache.settings.max_staleness_seconds
        until = time.monotonic() + staleness
        while time.monotonic() < until:
            seen = {one.ask("cache.get('k')") for one in others}
            if seen == {f"new {turn}"}:
                break
        for _ in range(3):
            assert {one.ask("cache.get('k')") for one in others} == {f"new {turn}"}
        assert tiered().get("k") == f"new {turn}"
        eventually(lambda: engine.cache.line.connected)


def test_news_that_got_lost_drops_every_copy(engine, others, redis):
    """A gap in the numbers says so, as the next piece of news arrives."""
    tiered().set("k", "old")
    all_hold(others, "k", "old")
    redis.incr(f"{engine.remote.root}~seq")
    tiered().set("other", 1)
    eventually(lambda: all(one.ask("l1('k')") is None for one in others))
    assert [one.ask("cache.get('k')") for one in others] == ["old"] * 3


@pytest.mark.parametrize("news", [b"", b"nonsense", b"\x93\x01\xa1z\xa1x", b"\xc0", b"\x90"])
def test_news_that_nobody_understands_drops_every_copy(engine, others, redis, news):
    tiered().set("k", "old")
    all_hold(others, "k", "old")
    redis.publish(engine.remote.channel, news)
    eventually(lambda: all(one.ask("l1('k')") is None for one in others))
    all_hold(others, "k", "old")  # and they go on hearing
    tiered().set("k", "new")
    eventually(lambda: {one.ask("cache.get('k')") for one in others} == {"new"})


def test_an_emptied_redis_is_noticed_with_the_next_news(engine, others, redis):
    tiered().set("k", "old")
    all_hold(others, "k", "old")
    redis.flushdb()
    tiered().set("other", 1)
    eventually(lambda: [one.ask("cache.get('k')") for one in others] == [None] * 3)


def test_copies_are_served_only_as_long_as_the_line_is_confirmed(engine):
    CachingSettings(max_staleness_seconds=0.2).save()
    engine.ready()
    tiered().set("k", 1)
    eventually(lambda: engine.cache.peek(tiered().name_of("k")) is not None)
    engine.backplane.stop()
    time.sleep(0.25)
    assert engine.cache.peek(tiered().name_of("k")) is None
    assert tiered().get("k") == 1  # from Redis


# --- Forks ----------------------------------------------------------------------------------------


def in_a_fork(call):
    """Return what the call returns in a fork of this process, as text."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, repr(call()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return said


def test_a_fork_has_no_copies_of_its_parent_and_hears_by_itself(engine):
    fork = """
import os
from tests.caching.support import eventually
reader, writer = os.pipe()
def held(key):
    return l1(key)
if os.fork() == 0:
    at_once = held("k")
    first = cache.get("k")
    eventually(lambda: line.connected)
    cache.get("k")
    eventually(lambda: (cache.get("k"), held("k"))[1] == "old")
    os.write(1, f"{at_once} {first}\\n".encode())
    eventually(lambda: cache.get("k") == "new")
    os.write(1, b"child has heard\\n")
    os._exit(0)
"""
    tiered().set("k", "old")
    with agents(1) as (parent,):
        assert parent.ask("[cache.get('k'), l1('k')]") == ["old"] * 2
        parent.tell(fork)
        lines = [parent.child.read(30), parent.child.read(30)]
        assert set(lines) == {"null", "None old"}
        tiered().set("k", "new")
        parent.child.read_until("child has heard", 30)
        eventually(lambda: parent.ask("cache.get('k')") == "new")


def test_a_fork_loads_by_itself_what_its_parent_was_loading(engine):
    go_on = threading.Event()
    started = threading.Event()

    def make():
        started.set()
        assert go_on.wait(20)
        return "parent's"

    loader = threading.Thread(target=lambda: tiered().get_or_load("k", make))
    loader.start()
    assert started.wait(20)
    tiered().delete("k")  # and the right to store with it
    assert in_a_fork(lambda: tiered().get_or_load("k", lambda: "child's")) == repr("child's")
    go_on.set()
    loader.join()
    assert tiered().get("k") == "child's"


def test_a_fork_takes_over_neither_locks_nor_counts(engine):
    usage, space = engine.cache.usage, engine.cache.spaces.default
    tiered().get("k")

    def load():
        found = tiered().get_or_load("k", lambda: "child's")
        engine.cache.usage.hot_keys.add("k")
        return found, int(engine.cache.spaces.default.counts["misses"])

    with usage.curve._lock, usage.hot_keys._lock, space._lock:
        assert in_a_fork(load) == repr(("child's", 1))


def test_the_curve_forgets_what_news_took_away(engine):
    usage = engine.cache.usage
    names = [tiered().name_of(f"c:{n}") for n in range(200)]
    tiered().set_many({f"c:{n}": n for n in range(200)})
    known = [name for name in names if name in usage.curve._sample.places]
    assert known
    with agents(1) as (other,):
        other.ask("cache.delete_many([f'c:{n}' for n in range(200)])")
    eventually(lambda: not any(name in usage.curve._sample.places for name in known))
