"""A load that reads the old value, and what invalidates it before the load is over.

In the second tier the store is refused; in the first nothing is kept; who asks after the
invalidation is not given what the load had read.
"""

import threading

import pytest

from caching.decorators import tiered
from caching.services import invalidation
from caching.services.engines import in_background
from tests.caching import schedules
from tests.caching.support import agents, eventually

pytestmark = pytest.mark.any_database

CHANGES = {
    "key": "cache.delete('k:1')",
    "many keys": "cache.delete_many(['x', 'k:1'])",
    "write": "cache.set('k:1', 'new')",
    "tagged write": "cache.set('k:1', 'new', tags=['t'])",
    "write of many": "cache.set_many({'k:1': 'new', 'x': 1})",
    "add": "cache.add('k:1', 'new')",
    "prefix": "cache.delete_pattern('k:*')",
    "glob": "cache.delete_pattern('?:1')",
    "tag": "invalidation.tag(caches['default'], 't')",
    "namespace": "invalidation.namespaces(caches['default'], ['default'])",
    "clear": "cache.clear()",
}
WRITES = {"write", "tagged write", "write of many", "add"}


class Paused:
    """A loader that has read the old value and waits to go on."""

    def __init__(self, key="k:1", value="old", tags=("t",), anew=False):
        self.reading, self.go_on = threading.Event(), threading.Event()
        self.result = None
        self._thread = threading.Thread(target=self._run, args=(key, value, tags, anew))
        self._thread.start()
        assert self.reading.wait(20)

    def _run(self, key, value, tags, anew):
        from caching.services import loads

        self.result = loads.get_or_load(
            tiered(), key, lambda: self._load(value), 60, tags=tags, anew=anew
        )

    def _load(self, value):
        self.reading.set()
        assert self.go_on.wait(20)
        return value

    def finish(self):
        self.go_on.set()
        self._thread.join()
        return self.result


def change_here(kind):
    names = {"cache": tiered(), "caches": {"default": tiered()}, "invalidation": invalidation}
    eval(CHANGES[kind], names)  # noqa: S307


def heard(engine, agent):
    """Wait until this process has heard all that the agent has told."""
    agent.ask("cache.set('marker', 1)")
    last = int(engine.remote._execute("GET", f"{engine.remote.root}~seq"))
    eventually(lambda: (engine.cache.line._last or 0) >= last)


@pytest.fixture(scope="module")
def agent(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), agents(1) as (one,):
        yield one


def hears_again(agent):
    """Let the agent forget the Redis that was emptied between two tests."""
    agent.ask("cache.set('marker', 1)")
    eventually(lambda: agent.ask("line.connected"))


# --- The second tier ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CHANGES)
def test_a_load_that_another_process_has_voided_is_stored_nowhere(engine, agent, kind):
    hears_again(agent)
    load = Paused()
    agent.ask(CHANGES[kind])
    heard(engine, agent)
    refused = int(engine.cache.spaces.default.counts["refused"])
    assert load.finish() == "old"  # its caller began before the change
    expected = "new" if kind in WRITES else None
    assert agent.ask("cache.get('k:1')") == expected
    assert tiered().get("k:1") == expected
    assert int(engine.cache.spaces.default.counts["refused"]) == refused + 1


@pytest.mark.parametrize("kind", CHANGES)
def test_a_load_that_another_thread_has_voided_is_stored_nowhere(engine, kind):
    load = Paused()
    change_here(kind)
    expected = "new" if kind in WRITES else None
    assert tiered().get("k:1") == expected
    assert load.finish() == "old"
    assert tiered().get("k:1") == expected
    engine.cache.store.clear()
    assert tiered().get("k:1") == expected  # from the second tier


@pytest.mark.parametrize("kind", sorted(CHANGES.keys() - WRITES))
def test_a_refresh_that_was_voided_leaves_nothing_old(engine, kind):
    tiered().set("k:1", "older", tags=["t"])
    load = Paused(anew=True)
    change_here(kind)
    assert load.finish() == "old"
    assert tiered().get("k:1") is None


@pytest.mark.parametrize("where", ["here", "elsewhere"])
@pytest.mark.parametrize("kind", sorted(CHANGES.keys() - WRITES))
def test_who_asks_after_the_invalidation_is_not_given_what_was_read_before(
    engine, agent, kind, where
):
    """Nobody joins a load that is void, though it goes on in the same process."""
    hears_again(agent)
    load = Paused()
    if where == "here":
        change_here(kind)
    else:
        agent.ask(CHANGES[kind])
        heard(engine, agent)
    asked: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: asked.append(tiered().get_or_load("k:1", lambda: "new", tags=["t"]))
        )
        for _ in range(3)
    ]
    for one in threads:
        one.start()
    assert load.finish() == "old"
    for one in threads:
        one.join()
    assert asked == ["new"] * 3
    assert tiered().get("k:1") == "new"


def test_a_load_whose_right_to_store_has_expired_stores_nothing(space):
    space(load_seconds=0.1)
    load = Paused("s:1")
    assert tiered().get_or_load("s:2", lambda: 1) == 1
    threading.Event().wait(0.15)
    tiered().engine.loading.forget()  # as if the next caller were another process
    assert tiered().get_or_load("s:1", lambda: "new") == "new"
    assert load.finish() == "old"
    assert tiered().get("s:1") == "new"
    tiered().tiers.store.clear()
    assert tiered().get("s:1") == "new"


# --- The first tier -------------------------------------------------------------------------------


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("kind", CHANGES)
def test_what_was_read_before_an_invalidation_is_not_kept_after_it(
    engine, agent, kind, many, monkeypatch
):
    """The reader has the bytes of the second tier, and has not kept its copy yet."""
    hears_again(agent)
    tiered().set("k:1", "old", tags=["t"])
    engine.cache.store.clear()
    has_read, go_on = threading.Event(), threading.Event()
    name = "get_many" if many else "get"
    real = getattr(engine.remote, name)

    def slow(*given):
        found = real(*given)
        has_read.set()
        assert go_on.wait(20)
        return found

    monkeypatch.setattr(engine.remote, name, slow)
    got = []
    read = (lambda: tiered().get_many(["k:1"])["k:1"]) if many else (lambda: tiered().get("k:1"))
    reader = threading.Thread(target=lambda: got.append(read()))
    reader.start()
    assert has_read.wait(20)
    monkeypatch.undo()
    agent.ask("cache.delete('k:1')" if kind == "add" else "None")
    agent.ask(CHANGES[kind])
    heard(engine, agent)
    go_on.set()
    reader.join()
    assert got == ["old"]
    assert engine.cache.peek(tiered().name_of("k:1")) is None
    assert tiered().get("k:1") == ("new" if kind in WRITES else None)


def test_what_a_writer_keeps_is_not_older_than_what_others_wrote_meanwhile(
    engine, agent, monkeypatch
):
    hears_again(agent)
    real = engine.remote.set

    def slow(item):
        seq = real(item)
        agent.ask("cache.set('k:1', 'theirs')")
        heard(engine, agent)
        return seq

    monkeypatch.setattr(engine.remote, "set", slow)
    tiered().set("k:1", "mine")
    monkeypatch.undo()
    assert tiered().get("k:1") == "theirs"


def test_a_write_that_redis_did_not_take_voids_what_is_being_read(engine, monkeypatch):
    from caching.engine.remote import Away

    tiered().set("k:1", "old")
    engine.cache.store.clear()
    real = engine.remote.get

    def lost(item):
        raise Away("cut")

    def slow(*given):
        found = real(*given)
        monkeypatch.setattr(engine.remote, "set", lost)
        tiered().set("k:1", "new")
        monkeypatch.undo()
        return found

    monkeypatch.setattr(engine.remote, "get", slow)
    assert tiered().get("k:1") == "old"
    assert tiered().get("k:1") in (None, "new")


def test_a_refresh_reaches_the_copies_of_others(engine, agent):
    hears_again(agent)
    tiered().set("k:1", "old")
    eventually(lambda: agent.ask("cache.get('k:1')") == "old")  # it may have an earlier test's
    load = Paused(value="new", tags=(), anew=True)
    assert agent.ask("cache.get('k:1')") == "old"
    assert load.finish() == "new"
    eventually(lambda: agent.ask("cache.get('k:1')") == "new")
    assert tiered().get("k:1") == "new"


def test_background_loads_end_with_their_connections_closed(engine):
    done = threading.Event()
    in_background(done.set)
    assert done.wait(20)


# --- Random schedules -----------------------------------------------------------------------------


def test_no_random_schedule_leaves_a_stale_value_anywhere(redis, transactional_db):
    found = schedules.run(500)
    assert found.stale == [], found
    assert found.schedules == 500
    assert found.loads > 500  # they did race over something
    assert found.refused > 0
