"""How `get_or_load` loads: early, late, in the background, with errors and time-outs."""

import threading
import time

import pytest

from caching.decorators import tiered
from tests.caching.support import eventually

pytestmark = pytest.mark.any_database


class Loader:
    """Gives what it is told, and counts."""

    def __init__(self, value, seconds=0.0):
        self.value, self.seconds, self.calls = value, seconds, 0
        self.may_end = threading.Event()
        self.may_end.set()

    def __call__(self):
        self.calls += 1
        time.sleep(self.seconds)
        assert self.may_end.wait(20)
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


def expire(engine, key="s:k", seconds=0.15, loader=None):
    """Store a value whose time to live is over."""
    tiered().get_or_load(key, loader or Loader("old"), seconds)
    time.sleep(seconds + 0.05)


def test_many_threads_make_one_load(cache):
    loader, results = Loader({"a": 1}, 0.2), []
    threads = [
        threading.Thread(target=lambda: results.append(cache.get_or_load("k", loader)))
        for _ in range(50)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert loader.calls == 1
    assert results == [{"a": 1}] * 50
    results[0]["a"] = 2
    assert results[1] == {"a": 1}  # each has a value of its own


def test_all_who_wait_for_a_load_are_told_what_went_wrong(cache):
    loader, errors = Loader(LookupError("no such bot"), 0.2), []

    def ask():
        try:
            cache.get_or_load("k", loader)
        except LookupError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert errors == ["no such bot"] * 5
    assert loader.calls == 1
    assert cache.get_or_load("k", lambda: "next") == "next"  # at once: the lease was given back


def test_a_stale_value_is_served_while_it_is_loaded_anew(space):
    own = space(stale_seconds=30)
    expire(own)
    assert tiered().get("s:k") is None  # a plain get gives no stale value
    loader = Loader("new")
    loader.may_end.clear()
    assert [tiered().get_or_load("s:k", loader) for _ in range(5)] == ["old"] * 5
    eventually(lambda: loader.calls == 1)
    loader.may_end.set()
    eventually(lambda: tiered().get("s:k") == "new")
    assert loader.calls == 1
    assert own("stale") == 5


def test_past_its_stale_time_a_value_is_not_served(space):
    expire(space(stale_seconds=0.1))
    time.sleep(0.1)
    assert tiered().get_or_load("s:k", Loader("new")) == "new"


def test_a_stale_value_stands_in_for_an_error_and_few_try_again(space):
    own = space(stale_if_error_seconds=30, retry_seconds=0.5)
    expire(own)
    failing = Loader(OSError("the database is away"))
    assert [tiered().get_or_load("s:k", failing) for _ in range(5)] == ["old"] * 5
    assert failing.calls == 1
    assert own("failed_loads") == 1
    time.sleep(0.55)
    assert tiered().get_or_load("s:k", failing) == "old"
    assert failing.calls == 2
    time.sleep(0.55)
    assert tiered().get_or_load("s:k", Loader("new")) == "new"


def test_past_that_time_the_error_is_raised(space):
    expire(space(stale_if_error_seconds=0.1))
    time.sleep(0.1)
    with pytest.raises(OSError, match="away"):
        tiered().get_or_load("s:k", Loader(OSError("the database is away")))


def test_an_invalidated_value_stands_in_for_nothing(space):
    expire(space(stale_if_error_seconds=30, stale_seconds=30))
    tiered().delete("s:k")
    with pytest.raises(OSError, match="away"):
        tiered().get_or_load("s:k", Loader(OSError("the database is away")))


def test_after_the_soft_time_out_the_stale_value_is_served_and_the_load_goes_on(space):
    expire(space(stale_if_error_seconds=30, soft_timeout_seconds=0.05))
    slow = Loader("new")
    slow.may_end.clear()
    assert tiered().get_or_load("s:k", slow) == "old"
    slow.may_end.set()
    eventually(lambda: tiered().get("s:k") == "new")
    assert slow.calls == 1


def test_without_a_stale_value_the_soft_time_out_waits_for_the_load(space):
    space(stale_if_error_seconds=30, soft_timeout_seconds=0.05)
    assert tiered().get_or_load("s:k", Loader("first", 0.2)) == "first"


def test_after_the_hard_time_out_who_waits_loads_for_itself_and_stores_nothing(space):
    space(load_seconds=0.2)
    hanging = Loader("late")
    hanging.may_end.clear()
    leader = threading.Thread(target=lambda: tiered().get_or_load("s:k", hanging))
    leader.start()
    eventually(lambda: hanging.calls == 1)
    assert tiered().get_or_load("s:k", Loader("mine")) == "mine"
    assert tiered().get("s:k") is None
    hanging.may_end.set()
    leader.join()


def test_nothing_is_remembered_for_its_own_short_time(space):
    space(negative_seconds=0.3, ttl_seconds=60)
    nobody = Loader(None)
    assert [tiered().get_or_load("s:k", nobody) for _ in range(5)] == [None] * 5
    assert nobody.calls == 1
    assert "s:k" in tiered()
    time.sleep(0.35)
    assert tiered().get_or_load("s:k", Loader("somebody")) == "somebody"


def test_nothing_is_not_remembered_longer_than_a_value(space):
    space(negative_seconds=60)
    tiered().get_or_load("s:k", Loader(None), 0.1)
    time.sleep(0.15)
    assert tiered().get_or_load("s:k", Loader("somebody")) == "somebody"


def test_nothing_may_not_be_remembered_at_all(space):
    space(negative_seconds=0)
    nobody = Loader(None)
    assert [tiered().get_or_load("s:k", nobody) for _ in range(3)] == [None] * 3
    assert nobody.calls == 3


@pytest.mark.parametrize(("chance", "early"), [(0.0, False), (1 - 1e-15, True)])
def test_a_value_is_loaded_before_it_expires_when_the_dice_say_so(
    engine, space, monkeypatch, chance, early
):
    """1 - e^-n: with n = 34 load times ahead, each of 0.1 s, 2 seconds before the end is early."""
    own = space(early_refresh=1)
    monkeypatch.setattr(engine.loading, "_chance", lambda: chance)
    assert tiered().get_or_load("s:k", Loader("old", 0.1), 3) == "old"
    loader = Loader("new")
    assert tiered().get_or_load("s:k", loader, 3) == "old"  # nobody waits
    if early:
        eventually(lambda: tiered().get("s:k") == "new")
        assert own("early") == 1
    else:
        time.sleep(0.1)
        assert tiered().get("s:k") == "old"
    assert loader.calls == early


def test_jitter_shortens_a_life_and_never_lengthens_it(space, redis):
    space(jitter_percent=50, ttl_seconds=100)
    for n in range(100):
        tiered().set(f"s:{n}", n)
        tiered().get_or_load(f"s:loaded:{n}", Loader(n), 100)
    names = redis.keys("*:tiered:s.0:*")
    lives = [redis.pttl(one) for one in names]
    assert len(lives) == 200
    assert max(lives) <= 100_000
    assert min(lives) >= 49_000
    assert max(lives) - min(lives) > 20_000
    held = tiered().tiers.store.entries.values()
    assert all(one.expires <= time.monotonic() + 100 for one in held)


def test_a_counter_keeps_its_life_whatever_the_jitter(space, redis):
    space(jitter_percent=50)
    tiered().set("s:n", 0, timeout=100)
    (name,) = redis.keys("*:tiered:s.0:*")
    before = redis.pttl(name)
    for _ in range(20):
        tiered().incr("s:n")
    assert before - 5000 < redis.pttl(name) <= before


def test_what_cannot_be_stored_keeps_nobody_waiting(cache):
    with pytest.raises(TypeError):
        cache.get_or_load("k", threading.Lock)
    started = time.monotonic()
    cache.engine.loading.forget()  # as another process
    assert cache.get_or_load("k", lambda: 1) == 1
    assert time.monotonic() - started < 10  # not the 30 s of a lease
