"""What may be stored, and that nobody ever changes what another gets."""

import copy
import datetime
import pickle
import threading
from collections import OrderedDict

import pytest
from django.contrib.auth.models import Group
from django.core.cache import caches
from django.utils import timezone
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import SafeString, mark_safe
from hypothesis import given
from hypothesis import strategies as st

from caching.decorators import tiered
from caching.engine.remote import BATCH_BYTES, CHUNK, batches
from caching.models import CachingSettings, Namespace

pytestmark = pytest.mark.any_database


class Point:
    """A class of a bot's own."""

    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return isinstance(other, Point) and self.x == other.x

    __hash__ = None  # type: ignore[assignment]


class Words(list):
    """A subclass of a plain type."""


class Zone(datetime.tzinfo):
    """A time zone that can be changed."""

    def __init__(self):
        self.minutes = [0]

    def utcoffset(self, _):
        return datetime.timedelta(minutes=self.minutes[0])

    def dst(self, _):
        return datetime.timedelta(0)

    def tzname(self, _):
        return "here"


VALUES: list[object] = [
    None, True, 1, -(1 << 70), 1 << 64, 1.5, float("inf"), "", "text", "ключ 🗝", b"", b"\x00\xff",
    "lone \ud800", "x" * 100_000, b"y" * 100_000, 3 + 4j, [], {}, set(), (), frozenset({1}),
    {"a": [1, {"b": (1, 2)}]}, {1: "number"}, {"deep": [[[[[]]]]]}, [b"bytes", "text"], ({"a": 1},),
    bytearray(b"abc"), {1, 2}, OrderedDict(a=1), Point(3), [Point(1)], ValueError("wrong", 1),
    datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.UTC), datetime.date(2026, 1, 2),
    datetime.timedelta(1), mark_safe("<b>"),
]  # fmt: skip


def read_back(cache, key):
    """Return a value as this process has it, and as another would read it."""
    mine = cache.get(key)
    many = cache.get_many([key])[key]
    return mine, many


@pytest.mark.parametrize("number", range(len(VALUES)))
def test_what_is_stored_comes_back_as_it_was(any_cache, number):
    value = VALUES[number]
    any_cache.set("k", value)
    for found in read_back(any_cache, "k"):
        assert type(found) is type(value)
        if isinstance(value, Exception):
            assert found.args == value.args
        else:
            assert found == value


def test_safe_texts_stay_safe(any_cache):
    any_cache.set("k", mark_safe("<b>"))
    assert isinstance(any_cache.get("k"), SafeString)


def test_models_and_querysets_are_stored(any_cache, django_assert_num_queries):
    Group.objects.create(name="g")
    any_cache.set("one", Group.objects.get())
    any_cache.set("all", Group.objects.all())
    any_cache.set("deferred", Group.objects.defer("name").get())
    with django_assert_num_queries(0):
        assert any_cache.get("one").name == "g"
        assert [one.name for one in any_cache.get("all")] == ["g"]
    assert any_cache.get("deferred").name == "g"


@pytest.mark.parametrize(
    "make",
    [threading.Lock, lambda: (n for n in range(3)), lambda: lambda: 1],
    ids=["lock", "generator", "function"],
)
def test_what_cannot_be_stored_raises_and_changes_nothing(any_cache, make):
    value = make()
    any_cache.set("k", "old")
    for call in (
        lambda: any_cache.set("k", value), lambda: any_cache.add("k", value),
        lambda: any_cache.add("new", value), lambda: any_cache.set_many({"k": 2, "z": value}),
        lambda: any_cache.get_or_set("new", lambda: value),
    ):  # fmt: skip
        with pytest.raises((pickle.PicklingError, TypeError, AttributeError)):
            call()
    assert any_cache.get("k") == "old"
    assert any_cache.get_many(["new", "z"]) == {}
    assert any_cache.get_or_set("new", lambda: "loads again", 60) == "loads again"


@pytest.mark.parametrize("value", ["text", [1, 2], {"a": 1}])
def test_a_lazy_object_is_stored_as_what_it_stands_for(any_cache, value):
    any_cache.set("k", SimpleLazyObject(lambda: value))
    any_cache.set("in", {"k": [SimpleLazyObject(lambda: value)]})
    for _ in range(2):
        assert any_cache.get("k") == value
        assert type(any_cache.get("k")) is type(value)
        assert any_cache.get("in") == {"k": [value]}


@pytest.mark.parametrize("timeout", [float("inf"), 1e18, 10**400])
def test_a_time_without_end_is_for_ever(any_cache, timeout):
    any_cache.set("a", 1, timeout)
    any_cache.set_many({"b": 1}, timeout)
    assert any_cache.add("c", 1, timeout)
    assert any_cache.get_many("abc") == dict.fromkeys("abc", 1)
    assert any_cache.touch("a", timeout)


CHANGES = {
    "list": ([1, [2]], lambda v: v[1].append(3)),
    "dict": ({"a": {"b": 1}}, lambda v: v["a"].update(c=2)),
    "set": ({1, 2}, lambda v: v.add(3)),
    "bytearray": (bytearray(b"abc"), lambda v: v.extend(b"d")),
    "dict in tuple": (({"a": 1}, 2), lambda v: v[0].update(b=2)),
    "object": (Point([1]), lambda v: v.x.append(2)),
    "object in list": ([Point(1)], lambda v: setattr(v[0], "x", 2)),
    "ordered": (OrderedDict(a=1), lambda v: v.update(b=2)),
    "zone": (
        datetime.datetime(2026, 1, 1, tzinfo=Zone()),
        lambda v: v.tzinfo.minutes.append(1) or v.tzinfo.minutes.pop(0),
    ),
    "exception": (ValueError("a"), lambda v: setattr(v, "args", ("b",))),
    "subclass": (Words(), lambda v: v.append(1)),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_nobody_changes_what_another_gets(any_cache, kind):
    value, change = CHANGES[kind]
    stored = pickle.dumps(value)
    ways = (
        lambda: any_cache.get("k"),
        lambda: any_cache.get_many(["k"])["k"],
        lambda: any_cache.get_or_set("k", list),
    )
    mine = copy.deepcopy(value)
    any_cache.set("k", mine)
    change(mine)  # after it was stored
    for way in ways * 2:
        got = way()
        assert pickle.dumps(got) == stored
        change(got)
        assert pickle.dumps(got) != stored


def test_who_loads_a_value_shares_it_with_nobody(any_cache):
    mine = any_cache.get_or_set("loaded", lambda: {"a": [1]})
    mine["a"].append(2)
    assert any_cache.get("loaded") == {"a": [1]}
    other = any_cache.get_or_set("loaded", lambda: {"b": 1})
    other["a"].append(3)
    assert any_cache.get("loaded") == {"a": [1]}


def test_immutable_values_are_not_copied(cache):
    value = ("text", 1, frozenset({(timezone.now(), b"x" * 100)}))
    cache.set("k", value)
    assert cache.get("k") is cache.get("k")


# --- Bounds ---------------------------------------------------------------------------------------


def test_a_value_too_large_is_refused_and_leaves_no_older_one(any_cache):
    CachingSettings(max_value_bytes=2000, max_staleness_seconds=60).save()
    any_cache.set("k", "old")
    large = bytes(range(256)) * 20
    any_cache.set("k", large)
    assert any_cache.get("k") is None
    assert any_cache.set_many({"a": 1, "large": large, "b": 2}) == ["large"]
    assert any_cache.get_many(["a", "large", "b"]) == {"a": 1, "b": 2}
    assert any_cache.get_or_set("k", lambda: large) == large
    assert any_cache.get("k") is None


def test_to_add_what_is_too_large_leaves_what_is_there(any_cache):
    CachingSettings(max_value_bytes=2000, max_staleness_seconds=60).save()
    any_cache.set("k", "old")
    assert any_cache.add("k", bytes(range(256)) * 20) is False
    assert any_cache.get("k") == "old"


def test_large_values_are_compressed_in_redis(cache, redis):
    cache.set("k", ["text"] * 50_000)
    (name,) = (one for one in redis.keys("*:tiered:*") if b"~" not in one.split(b":")[2])
    assert redis.strlen(name) < 10_000
    assert cache.get("k") == ["text"] * 50_000


# --- Namespaces -----------------------------------------------------------------------------------


def test_namespaces_never_share_a_key(engine, settings):
    """The longest prefix that fits governs a key, and no name can be made to look like others."""
    for prefix in ("a:", "a:b:", "default."):
        name = prefix.strip(":.").replace(":", "-") + "-ns"
        Namespace.objects.create(name=name, prefix=prefix)
    settings.CACHES = {
        **settings.CACHES,
        "tricky": {**settings.CACHES["default"], "KEY_PREFIX": "a"},
        "colon": {**settings.CACHES["default"], "KEY_PREFIX": "a:b"},
    }
    keys = [
        "a",
        "a:",
        "a:b",
        "a:b:",
        "a:b:c",
        "b:c",
        "default.0:a",
        "default.",
        "0:a",
        ":1:a",
        "1:a",
    ]
    names = ["default", "tricky", "colon"]
    for name in names:
        for key in keys:
            caches[name].set(key, (name, key))
    for name in names:
        assert caches[name].get_many(keys) == {key: (name, key) for key in keys}
        for key in keys:
            assert caches[name].get(key) == (name, key)


def test_a_json_namespace_gives_the_first_reader_what_all_get(space):
    space(codec="json")
    cache = caches["default"]
    cache.set("s:k", {"a": (1, 2)})
    assert cache.get("s:k") == {"a": [1, 2]}
    with pytest.raises(TypeError):
        cache.set("s:k", {"a": {1, 2}})
    assert cache.get("s:k") == {"a": [1, 2]}


@given(st.lists(st.integers(0, 2 * BATCH_BYTES), max_size=1200))
def test_many_values_are_written_in_parts_that_redis_takes_in_time(sizes):
    parts = list(batches(sizes, lambda size: size))
    assert [size for part in parts for size in part] == sizes
    for part in parts:
        assert len(part) <= CHUNK
        assert sum(part) <= BATCH_BYTES or len(part) == 1


def test_many_large_values_are_all_there(cache):
    values = {f"k:{n}": f"{n}" * 60_000 for n in range(60)}
    assert cache.set_many(values) == []
    tiered().tiers.store.clear()
    assert cache.get_many(values) == values
