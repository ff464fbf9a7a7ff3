"""The cache API that Django promises, over both tiers and over each one alone."""

import asyncio
import threading
import time

import pytest
from django.core.cache import caches
from django.core.cache.backends.base import DEFAULT_TIMEOUT, CacheKeyWarning, InvalidCacheKey

pytestmark = pytest.mark.any_database

MISSING = object()


# --- Get, set, delete -----------------------------------------------------------------------------


def test_what_is_set_is_got_and_what_is_deleted_is_gone(any_cache):
    any_cache.set("k", "v")
    assert any_cache.get("k") == "v"
    assert "k" in any_cache
    assert any_cache.has_key("k")
    assert any_cache.delete("k") is True
    assert any_cache.delete("k") is False
    assert any_cache.get("k") is None
    assert any_cache.get("k", "default") == "default"
    assert "k" not in any_cache


def test_a_stored_none_is_not_a_missing_value(any_cache):
    any_cache.set("none", None)
    assert any_cache.get("none", "default") is None
    assert "none" in any_cache
    assert any_cache.add("none", 1) is False
    assert any_cache.get_many(["none", "other"]) == {"none": None}


def test_add_stores_only_where_there_is_nothing(any_cache):
    assert any_cache.add("k", 1) is True
    assert any_cache.add("k", 2) is False
    assert any_cache.get("k") == 1
    assert any_cache.add("gone", 1, timeout=0) is True
    assert "gone" not in any_cache


def test_of_many_threads_that_add_one_does(any_cache):
    for turn in range(20):
        results: list[bool] = []
        barrier = threading.Barrier(8)

        def add(key=f"lock{turn}", results=results, barrier=barrier):
            barrier.wait()
            results.append(any_cache.add(key, threading.get_ident()))

        in_threads(8, add)
        assert sum(results) == 1


def test_many_are_set_got_and_deleted_at_once(any_cache):
    values = {f"k{n}": n for n in range(1200)}  # more than one script takes
    assert any_cache.set_many(values) == []
    assert any_cache.get_many([*values, "other"]) == values
    any_cache.delete_many(["k0", "k1", "other"])
    assert any_cache.get_many(["k0", "k1", "k2"]) == {"k2": 2}
    any_cache.delete_many([])
    any_cache.delete_many(iter(["k2"]))
    assert any_cache.get_many(iter(["k2", "k3"])) == {"k3": 3}
    assert any_cache.set_many({}) == []
    assert any_cache.get_many([]) == {}


def test_clear_removes_all_and_what_is_set_later_stays(any_cache):
    any_cache.set_many({"a": 1, "b": 2}, version=2)
    any_cache.set("a", 1)
    any_cache.clear()
    assert any_cache.get("a") is None
    assert any_cache.get_many(["a", "b"], version=2) == {}
    any_cache.set("a", 2)
    assert any_cache.get("a") == 2


def test_close_may_be_called_at_any_time(any_cache):
    any_cache.set("k", 1)
    any_cache.close()
    assert any_cache.get("k") == 1


# --- Numbers --------------------------------------------------------------------------------------


def test_numbers_go_up_and_down(any_cache):
    any_cache.set("n", 41)
    assert any_cache.incr("n") == 42
    assert any_cache.incr("n", 10) == 52
    assert any_cache.decr("n") == 51
    assert any_cache.decr("n", 60) == -9
    assert any_cache.incr("n", -1) == -10
    assert any_cache.get("n") == -10
    any_cache.set("f", 1.5)
    assert any_cache.incr("f") == 2.5


def test_counting_where_there_is_nothing_is_an_error(any_cache):
    with pytest.raises(ValueError, match="'n' not found"):
        any_cache.incr("n")
    with pytest.raises(ValueError, match="not found"):
        any_cache.decr("n")
    any_cache.set("n", "text")
    with pytest.raises(TypeError):
        any_cache.incr("n")
    assert any_cache.get("n") == "text"


def test_counting_keeps_the_time_to_live(any_cache):
    any_cache.set("n", 1, timeout=0.5)
    any_cache.set("ever", 1, timeout=None)
    any_cache.incr("n")
    any_cache.incr("ever")
    time.sleep(0.6)
    assert "n" not in any_cache
    assert any_cache.get("ever") == 2


def test_no_thread_loses_anothers_count(any_cache):
    any_cache.set("n", 0)
    in_threads(6, lambda: [any_cache.incr("n") for _ in range(25)])
    assert any_cache.get("n") == 150


# --- Times to live --------------------------------------------------------------------------------


def test_a_value_lives_as_long_as_it_is_told(any_cache):
    any_cache.set("short", 1, timeout=0.2)
    any_cache.set("ever", 1, timeout=None)
    any_cache.set("default", 1, timeout=DEFAULT_TIMEOUT)
    any_cache.set_many({"many": 1}, timeout=0.2)
    assert any_cache.get("short") == 1
    time.sleep(0.25)
    assert any_cache.get_many(["short", "ever", "default", "many"]) == {"ever": 1, "default": 1}
    assert any_cache.get("short") is None
    assert any_cache.add("short", 2) is True


@pytest.mark.parametrize("timeout", [0, -1, -1000, -0.0, float("nan"), float("-inf"), -(10**400)])
def test_no_time_to_live_removes_what_is_there(any_cache, timeout):
    any_cache.set_many({"a": 1, "b": 1})
    any_cache.set("a", 2, timeout=timeout)
    any_cache.set_many({"b": 2, "c": 2}, timeout=timeout)
    assert any_cache.get_many(["a", "b", "c"]) == {}


def test_touch_gives_another_time_to_live(any_cache):
    any_cache.set_many({"longer": 1, "ever": 1, "default": 1}, timeout=0.3)
    any_cache.set("shorter", 1)
    assert any_cache.touch("longer", 60) is True
    assert any_cache.touch("ever", None) is True
    assert any_cache.touch("default") is True
    assert any_cache.touch("shorter", 0.1) is True
    assert any_cache.touch("missing", 60) is False
    time.sleep(0.4)
    assert set(any_cache.get_many(["longer", "ever", "default", "shorter"])) == {
        "longer", "ever", "default",
    }  # fmt: skip
    assert any_cache.touch("longer", 0) is True
    assert any_cache.touch("longer", 0) is False
    assert "longer" not in any_cache


# --- Versions, prefixes, key functions ------------------------------------------------------------


def test_versions_are_apart(any_cache):
    any_cache.set("k", 1)
    any_cache.set("k", 2, version=2)
    assert any_cache.get("k", version=1) == 1
    assert any_cache.get("k", version=2) == 2
    assert any_cache.get_many(["k"], version=2) == {"k": 2}
    assert any_cache.has_key("k", version=2)
    assert any_cache.incr("k", version=2) == 3
    assert any_cache.touch("k", version=3) is False
    assert any_cache.add("k", 3, version=3) is True
    any_cache.delete_many(["k"], version=3)
    assert any_cache.delete("k", version=2) is True
    assert any_cache.get("k") == 1
    any_cache.set_many({"k": 4}, version=4)
    assert any_cache.get("k", version=4) == 4


def test_a_version_is_raised_and_lowered_with_its_value(any_cache):
    any_cache.set("k", None)
    assert any_cache.incr_version("k") == 2
    assert any_cache.get("k", MISSING) is MISSING
    assert any_cache.get("k", MISSING, version=2) is None
    assert any_cache.decr_version("k", version=2) == 1
    assert any_cache.get("k", MISSING) is None
    for call in (any_cache.incr_version, any_cache.decr_version):
        with pytest.raises(ValueError, match="not found"):
            call("missing")


def reversed_key(key, prefix, version):
    return f"{version}|{prefix}|{key}"[::-1]


@pytest.fixture
def several(cache, settings):
    """Caches over one second tier that differ in prefix, version, key function and time-out."""
    own = settings.CACHES["default"]
    settings.CACHES = {
        **settings.CACHES,
        "prefix": {**own, "KEY_PREFIX": "p"},
        "version": {**own, "VERSION": 2},
        "function": {**own, "KEY_FUNCTION": "tests.caching.test_backend.reversed_key"},
        "short": {**own, "TIMEOUT": 0.2, "KEY_PREFIX": "short"},
        "ever": {**own, "TIMEOUT": None, "KEY_PREFIX": "ever"},
        "never": {**own, "TIMEOUT": 0, "KEY_PREFIX": "never"},
    }
    return caches


def test_prefixes_versions_and_key_functions_keep_caches_apart(several):
    for name in ("default", "prefix", "version", "function"):
        several[name].set("k", name)
        several[name].set_many({f"many-{name}": 1})
    for name in ("default", "prefix", "version", "function"):
        assert several[name].get("k") == name
        assert several[name].get_many(["k", "many-default"]).keys() == {
            "k", *(["many-default"] if name == "default" else []),
        }  # fmt: skip
    assert several["default"].get("k", version=2) == "version"
    several["prefix"].delete("k")
    assert several["default"].get("k") == "default"


def test_the_settings_say_how_long_values_live(several):
    several["short"].set("k", 1)
    several["ever"].set("k", 1)
    several["never"].set("k", 1)
    several["never"].set("own", 1, timeout=60)
    assert "k" not in several["never"]
    assert several["never"].get("own") == 1
    time.sleep(0.25)
    assert "k" not in several["short"]
    assert several["ever"].get("k") == 1


# --- Keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["ключ", "🗝 ".strip(), "a:b:c", 17, ("a", 1), b"bytes", ""])
def test_any_key_that_can_be_a_text_is_one(any_cache, key):
    any_cache.set(key, "v")
    assert any_cache.get(key) == "v"
    assert any_cache.get_many([key]) == {key: "v"}
    assert any_cache.delete(key)


@pytest.mark.filterwarnings("error::django.core.cache.backends.base.CacheKeyWarning")
@pytest.mark.parametrize("key", ["with space", "new\nline", "delete\x7f", "x" * 251])
def test_keys_that_memcached_would_refuse_are_warned_of_by_every_call(any_cache, key):
    calls = [
        lambda: any_cache.get(key), lambda: any_cache.set(key, 1), lambda: any_cache.add(key, 1),
        lambda: any_cache.delete(key), lambda: any_cache.get_many([key]),
        lambda: any_cache.set_many({key: 1}), lambda: any_cache.delete_many([key]),
        lambda: any_cache.incr(key), lambda: any_cache.touch(key), lambda: key in any_cache,
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(CacheKeyWarning):
            call()


@pytest.mark.filterwarnings("ignore::django.core.cache.backends.base.CacheKeyWarning")
def test_keys_that_are_warned_of_work_and_ones_far_too_long_are_refused(any_cache):
    for key in ("with space", "new\nline", "x" * 900):
        any_cache.set(key, key)
        assert any_cache.get(key) == key
    for key in ("x" * 1001, "lone \ud800 surrogate"):
        with pytest.raises(InvalidCacheKey):
            any_cache.set(key, 1)
        with pytest.raises(InvalidCacheKey):
            any_cache.get(key)


# --- Asyncio --------------------------------------------------------------------------------------


def test_asyncio_has_the_same_calls(any_cache):
    async def go():
        await any_cache.aset("k", 1)
        assert await any_cache.aget("k") == 1
        assert await any_cache.aget("missing", "default") == "default"
        assert await any_cache.aadd("k", 2) is False
        assert await any_cache.ahas_key("k")
        assert await any_cache.aincr("k", 4) == 5
        assert await any_cache.adecr("k") == 4
        assert await any_cache.atouch("k", 60)
        assert await any_cache.aset_many({"a": 1, "b": 2}) == []
        assert await any_cache.aget_many(["a", "b", "c"]) == {"a": 1, "b": 2}
        assert await any_cache.aget_or_set("c", lambda: 3) == 3
        assert await any_cache.aincr_version("c") == 2
        assert await any_cache.adecr_version("c", version=2) == 1
        await any_cache.adelete_many(["a", "b"])
        assert await any_cache.adelete("c") is True
        assert await any_cache.aget_many(["a", "b", "c"]) == {}
        with pytest.raises(ValueError, match="not found"):
            await any_cache.aincr("c")
        await any_cache.aclear()
        assert await any_cache.aget("k") is None
        await any_cache.aclose()

    asyncio.run(go())


def in_threads(count, call):
    threads = [threading.Thread(target=call) for _ in range(count)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
