"""Nothing that this cache has not sealed itself, under this very name, is ever loaded."""

import pickle
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caching.decorators import tiered
from caching.engine import envelope
from caching.engine.envelope import HEADER_BYTES, MAC_BYTES, Sealer, Unreadable
from caching.models import Namespace
from caching.services import engines
from optimizer.control import live
from tests.caching.support import hearing

pytestmark = pytest.mark.any_database

NAME = b"default\0:1:k"
TIMES: dict[str, Any] = {"expires": 0.0, "stale_until": 0.0, "written": 1.0}
sealer = Sealer((b"secret",))
SEALED = sealer.seal(NAME, pickle.dumps({"a": 1}), "pickle", **TIMES)


class Bomb:
    """Leaves a trace where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path(self.path).touch, ()


def place(redis, key="k", space="default"):
    """Return the name in Redis that a key of this cache is stored under."""
    root = tiered().engine.remote.root
    generation = (redis.get(f"{root}~gen:{space}") or b"0").decode()
    return f"{root}:{space}.{generation}:{tiered().name_of(key)}"


def unreadable(space="default"):
    return int(tiered().tiers.spaces.by_name[space].counts["unreadable"])


def is_refused(key="k", space="default"):
    """Say whether what is in Redis is a counted miss, for every way to read."""
    tiered().tiers.store.clear()
    before = unreadable(space)
    assert tiered().get(key, "missed") == "missed"
    assert tiered().get_many([key]) == {}
    with pytest.raises(ValueError, match="not found"):
        tiered().incr(key)
    assert tiered().touch(key, 60) is False
    assert tiered().tiers.alarm.startswith(f"{space}: ")
    assert unreadable(space) >= before + 4
    assert tiered().get_or_load(key, lambda: "made anew") == "made anew"
    assert tiered().get(key) == "made anew"
    return True


def test_a_raw_pickle_is_never_loaded(cache, redis, tmp_path):
    trace = tmp_path / "trace"
    for payload in (
        pickle.dumps(Bomb(trace)),
        zlib.compress(pickle.dumps(Bomb(trace))),
        Sealer((b"another secret",)).seal(NAME, pickle.dumps(Bomb(trace)), "pickle", **TIMES),
        b"T1" + SEALED[2:HEADER_BYTES] + pickle.dumps(Bomb(trace)) + bytes(MAC_BYTES),
    ):
        redis.set(place(redis), payload)
        assert is_refused()
    assert not trace.exists()
    own = tiered().tiers.packed(
        tiered().tiers.spaces.default, tiered().name_of("k"), Bomb(trace), 9
    )
    redis.set(place(redis), own[0].payload)
    tiered().tiers.store.clear()
    tiered().get("k")
    assert trace.exists()  # the trap does work where the envelope is its own


@pytest.mark.parametrize(
    "payload", [b"", b"T1", b"x" * 47, b"T1" + b"\0" * 100, b"OK", b"1", SEALED[:HEADER_BYTES]]
)
def test_what_is_no_envelope_is_a_counted_miss(cache, redis, payload):
    redis.set(place(redis), payload)
    assert is_refused()


@pytest.mark.parametrize("cut", [0, 1, 2, 10, HEADER_BYTES, HEADER_BYTES + 1, -17, -16, -1])
def test_a_truncated_value_is_a_counted_miss(cache, redis, cut):
    cache.set("k", {"a": "value"})
    redis.set(place(redis), redis.get(place(redis))[:cut])
    assert is_refused()


def test_a_value_under_another_key_is_a_counted_miss(cache, redis):
    cache.set("other", "value of another")
    redis.set(place(redis), redis.get(place(redis, "other")))
    assert is_refused()


def test_a_value_of_another_version_is_a_counted_miss(cache, redis):
    cache.set("k", "value of another", version=2)
    there = place(redis).replace(":1:k", ":2:k")
    redis.set(place(redis), redis.get(there))
    assert is_refused()


def test_a_value_of_another_namespace_is_a_counted_miss(cache, redis):
    cache.set("s:k", "of the default namespace")
    data = redis.get(place(redis, "s:k"))
    Namespace.objects.create(name="s", prefix="s:")
    live.catch_up()
    tiered().engine.ready()
    redis.set(place(redis, "s:k", "s"), data)
    assert is_refused("s:k", "s")


def test_another_secret_is_refused_and_a_former_one_accepted(cache, redis, settings, monkeypatch):
    cache.set("k", {"a": 1})
    former = settings.SECRET_KEY

    def restarted(**changed):
        """Begin as a process that was started with other settings."""
        engines.stop_all()
        for name, value in changed.items():
            setattr(settings, name, value)
        monkeypatch.setattr(engines, "_engines", {})
        from django.core.cache import caches

        del caches["default"]
        hearing()

    restarted(SECRET_KEY="rotated", SECRET_KEY_FALLBACKS=["even older", former])
    assert tiered().get("k") == {"a": 1}
    tiered().set("k", {"a": 2})
    restarted(SECRET_KEY_FALLBACKS=[])
    assert tiered().get("k") == {"a": 2}
    restarted(SECRET_KEY=former)
    assert is_refused()
    engines.stop_all()
    from django.core.cache import caches

    del caches["default"]  # of this engine, which goes with the test


def test_an_unknown_codec_is_a_counted_miss(cache, redis, monkeypatch):
    mark = envelope.Codec(b"z", lambda value: b"{}", lambda data: {}, exact=True)
    monkeypatch.setitem(envelope.CODECS, "pickle", mark)
    cache.set("k", {})
    assert is_refused_codec(monkeypatch)


def is_refused_codec(monkeypatch):
    monkeypatch.undo()
    return is_refused()


def test_a_class_that_is_gone_is_a_counted_miss(cache, redis, monkeypatch):
    cache.set("k", Bomb("nowhere"))
    monkeypatch.delattr("tests.caching.test_envelope.Bomb.__reduce__")
    cache.set("k", Bomb("nowhere"))
    monkeypatch.delattr("tests.caching.test_envelope.Bomb")
    assert is_refused()


# --- The envelope by itself -----------------------------------------------------------------------


def test_an_envelope_gives_back_what_it_was_given():
    value, expires, stale_until, load_seconds = sealer.open(NAME, SEALED)
    assert (value, expires, stale_until, load_seconds) == ({"a": 1}, 0.0, 0.0, 0.0)


@given(st.integers(0, len(SEALED) - 1), st.integers(1, 255))
@settings(max_examples=500, deadline=None)
def test_any_changed_byte_is_refused(at, by):
    changed = bytearray(SEALED)
    changed[at] ^= by
    with pytest.raises(Unreadable):
        sealer.open(NAME, bytes(changed))


@given(st.binary(max_size=200))
@settings(max_examples=500, deadline=None)
def test_any_other_bytes_are_refused(data):
    for payload in (data, SEALED + data[1:] + b"x", data + SEALED[len(data) + 1 :], SEALED[:-1]):
        with pytest.raises(Unreadable):
            sealer.open(NAME, payload)


@given(st.binary(max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_other_name_is_refused(name):
    """Not even one whose bytes run into the envelope's."""
    for other in (name, NAME + name + b"x", NAME[: len(name) % len(NAME)]):
        with pytest.raises(Unreadable):
            sealer.open(other, SEALED)


def test_the_reader_fixes_what_a_payload_is_signed_with():
    """No byte of it chooses an algorithm, a key or a shorter signature."""
    for size in range(MAC_BYTES):
        with pytest.raises(Unreadable):
            sealer.open(NAME, SEALED[: len(SEALED) - MAC_BYTES] + SEALED[-MAC_BYTES:][:size])


def test_what_unpacks_to_more_than_a_value_may_have_is_refused(monkeypatch):
    packed = sealer.seal(NAME, bytes(9_000_000), "pickle", compress_over_bytes=100, **TIMES)
    assert len(packed) < 100_000
    monkeypatch.setattr(envelope, "MAX_UNPACKED_BYTES", 1_000_000)
    with pytest.raises(Unreadable, match="more than a value may have"):
        sealer.open(NAME, packed)
    whole = sealer.seal(NAME, bytes(2_000_000), "pickle", compress_over_bytes=100, **TIMES)
    assert len(whole) > 2_000_000  # its writer refuses it as too large


def test_times_stand_where_redis_looks_for_them():
    data = sealer.seal(NAME, b"N.", "pickle", expires=123.5, stale_until=130.0, written=1.0)
    assert struct.unpack_from(">ddd", data, 4) == (123.5, 130.0, 1.0)
    assert time.time() > 123.5
