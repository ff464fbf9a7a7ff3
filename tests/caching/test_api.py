import datetime
import json
from typing import Any
from urllib.parse import quote

import pytest
from django.core.cache import cache as default_cache

from caching.models import CachingSettings, Namespace
from caching.services import entries, invalidation
from caching.services.engines import main_engine
from optimizer.control import keys

cache: Any = default_cache  # a TieredCache, which takes more than Django's types say
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis", "users")]
BASE = "/internal/v1/caching"


@pytest.fixture
def call(client):
    bearer = f"Bearer {keys.issue(name='bot', scopes=['caching'])[1]}"

    def send(method, path, body=None, *, status=200):
        text = body if isinstance(body, str | bytes) else json.dumps(body)
        answer = client.generic(
            method,
            f"{BASE}/{path}",
            b"" if body is None else text,
            content_type="application/json",
            headers={"Authorization": bearer},
        )
        assert answer.status_code == status, answer.content
        if status >= 400:
            assert answer["Content-Type"] == "application/problem+json"
        return answer.json() if answer.content else None

    return send


def test_a_value_is_put_read_and_deleted(call):
    call("PUT", "user/42:profile", {"value": {"name": "Ann", "of": [1, 2.5, None]}}, status=204)
    found = call("GET", "user/42:profile")
    assert found["key"] == "42:profile"
    assert found["value"] == {"name": "Ann", "of": [1, 2.5, None]}
    assert found["tier"] in ("l1", "l2")
    assert 95 < found["ttl_seconds"] <= 100
    assert 0 <= found["age_seconds"] < 5
    assert found["size_bytes"] > 40
    assert cache.get("user:42:profile") == {"name": "Ann", "of": [1, 2.5, None]}
    assert call("DELETE", "user/42:profile") == {"deleted": True, "waiting": False}
    assert call("DELETE", "user/42:profile") == {"deleted": False, "waiting": False}
    assert call("GET", "user/42:profile", status=404)["type"] == "cache-miss"


def test_null_is_a_value_and_slashes_are_part_of_a_key(call):
    call("PUT", "user/a/b//c", {"value": None}, status=204)
    assert call("GET", "user/a/b//c")["value"] is None
    assert cache.get("user:a/b//c", "none") is None


@pytest.mark.parametrize("key", ["get-many", "set-many", "stats", "..", "a b", "ß%2F", "?"])
def test_no_key_collides_with_another_path(call, key):
    path = f"user/{quote(key, safe='')}"
    call("PUT", path, {"value": key}, status=204)
    assert call("GET", path)["value"] == key


@pytest.mark.parametrize(
    ("given", "low", "high"),
    [({}, 95, 100), ({"ttl_seconds": 7}, 5, 7), ({"ttl_seconds": 0.5}, 0, 0.5)],
)
def test_a_time_to_live_is_the_namespaces_or_the_callers(call, given, low, high):
    call("PUT", "user/1", {"value": 1, **given}, status=204)
    assert low < call("GET", "user/1")["ttl_seconds"] <= high


def test_null_as_time_to_live_is_for_ever(call):
    call("PUT", "user/1", {"value": 1, "ttl_seconds": None}, status=204)
    assert call("GET", "user/1")["ttl_seconds"] is None


def test_a_namespace_nobody_made_is_told_with_those_there_are(call):
    for method, body in (("GET", None), ("PUT", {"value": 1}), ("DELETE", None)):
        problem = call(method, "users/1", body, status=404)
        assert problem["type"] == "unknown-namespace"
        assert problem["known"] == ["default", "user"]


def test_a_key_of_another_namespace_is_told(call):
    Namespace.objects.create(name="vip", prefix="user:vip:")
    (error,) = call("PUT", "user/vip:1", {"value": 1}, status=422)["errors"]
    assert error["field"] == "key"
    assert "belongs to the namespace vip" in error["message"]
    assert call("PUT", "vip/1", {"value": 1}, status=204) is None
    assert cache.get("user:vip:1") == 1


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({1, 2}, "a Python set"),
        (datetime.datetime(2020, 1, 1), "a Python datetime"),
        ({"at": [b"x"]}, "a Python bytes"),
        (float("nan"), "the number nan"),
        ({1: 2}, "keys that are no texts"),
        (10**30, "beyond 64 bits"),
        ("\ud800", "surrogate"),
    ],
)
def test_what_is_no_json_is_a_conflict_and_no_failure(call, value, says):
    cache.set("other", value)
    cache.set("fine", (1, "x"))
    problem = call("GET", "default/other", status=409)
    assert problem["type"] == "not-json"
    assert says in problem["detail"]
    many = call("POST", "get-many", {"namespace": "default", "keys": ["other", "fine", "no"]})
    assert many == {"values": {"fine": [1, "x"]}, "missing": ["no"], "not_json": ["other"]}


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({}, "value", "required"),
        ({"value": 1, "ttl_seconds": 0}, "ttl_seconds", "greater than 0"),
        ({"value": 1, "ttl_seconds": 366 * 86_400 + 1}, "ttl_seconds", "31622400"),
        ({"value": 1, "ttl_seconds": "9"}, "ttl_seconds", "number"),
        ({"value": 1, "tags": ["x"] * 17}, "tags", "at most 16"),
        ({"value": 1, "tags": [""]}, "tags.0", "at least 1"),
        ({"value": 1, "tags": ["a\n"]}, "tags", "printable"),
        ({"value": 1, "tags": "x"}, "tags", "list"),
        ({"value": 1, "size": 1}, "size", "not permitted"),
        ({"value": 10**30}, "value", "64 bits"),
        ({"value": json.loads("[" * 70 + "]" * 70)}, "value", "64 levels"),
    ],
)
def test_a_bad_field_is_named_with_its_range(call, body, field, says):
    (error,) = call("PUT", "user/1", body, status=422)["errors"]
    assert error["field"] == field
    assert says in error["message"]


@pytest.mark.parametrize(
    ("body", "status"), [("{", 400), ("[" * 100_000, 400), (f'"{"x" * 1024**2}"', 413)]
)
def test_a_body_that_cannot_be_read_is_a_problem(call, body, status):
    call("PUT", "user/1", body, status=status)


def test_a_key_has_bounds(call):
    assert call("GET", f"user/{'x' * 801}", status=422)["errors"][0]["field"] == "key"
    call("GET", f"user/{'x' * 800}", status=404)
    for keys_, says in (([], "at least 1"), (["x"] * 1001, "at most 1000"), ([""], "at least 1")):
        (error,) = call("POST", "get-many", {"namespace": "user", "keys": keys_}, status=422)[
            "errors"
        ]
        assert says in error["message"]
    (error,) = call("POST", "get-many", {"namespace": "user", "keys": ["a\nb"]}, status=422)[
        "errors"
    ]
    assert "control characters" in error["message"]


def test_a_value_too_large_is_refused_and_leaves_nothing_behind(call):
    CachingSettings(max_value_bytes=1024).save()
    call("PUT", "user/1", {"value": "small"}, status=204)
    (error,) = call("PUT", "user/1", {"value": "x" * 2000}, status=422)["errors"]
    assert error == {"field": "value", "message": "It may have up to 1024 bytes, as stored."}
    call("GET", "user/1", status=404)


def test_many_at_once(call):
    CachingSettings(max_value_bytes=1024).save()
    body = {"namespace": "user", "values": {"a": 1, "b": [2], "c": "x" * 2000}, "ttl_seconds": 9}
    assert call("POST", "set-many", body) == {"refused": ["c"], "waiting": False}
    assert call("GET", "user/b")["ttl_seconds"] <= 9
    many = {"namespace": "user", "keys": ["a", "c", "b", "c"]}
    assert call("POST", "get-many", many) == {
        "values": {"a": 1, "b": [2]},
        "missing": ["c"],
        "not_json": [],
    }
    assert call("POST", "delete-many", many) == {"deleted": 2, "waiting": False}
    assert call("POST", "get-many", many)["values"] == {}
    body["values"] = {"n": 10**30}
    (error,) = call("POST", "set-many", body, status=422)["errors"]
    assert error["field"] == "values.n"


def fill(call, count=4):
    values = {f"{number}:x": number for number in range(count)}
    call("POST", "set-many", {"namespace": "user", "values": values, "tags": ["team"]})
    cache.set("1:x", "of another namespace")
    return list(values)


@pytest.mark.parametrize(
    ("target", "count"),
    [
        ({"namespace": "user", "keys": ["0:x", "1:x", "9:x"]}, 2),
        ({"namespace": "user", "pattern": "1:*"}, 1),
        ({"namespace": "user", "pattern": "?:x"}, 4),
        ({"namespace": "user", "pattern": "*"}, 4),
        ({"tag": "team"}, 4),
        ({"tag": "no-such-tag"}, 0),
        ({"namespace": "user"}, 4),
    ],
    ids=lambda one: json.dumps(one),
)
def test_an_invalidation_is_counted_first_and_then_done(call, target, count):
    names = {"namespace": "user", "keys": fill(call)}
    assert call("POST", "invalidate", {**target, "dry_run": True}) == {
        "invalidated": count,
        "dry_run": True,
        "waiting": False,
    }
    assert len(call("POST", "get-many", names)["values"]) == 4
    done = call("POST", "invalidate", target)
    whole = target == {"namespace": "user"}
    assert done == {"invalidated": None if whole else count, "dry_run": False, "waiting": False}
    assert len(call("POST", "get-many", names)["values"]) == 4 - count
    assert cache.get("1:x") == "of another namespace"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "namespace"),
        ({"keys": ["a"]}, "namespace"),
        ({"pattern": "*"}, "namespace"),
        ({"namespace": "user", "keys": ["a"], "pattern": "*"}, "pattern"),
        ({"namespace": "user", "tag": "t"}, "namespace"),
        ({"keys": ["a"], "tag": "t"}, "keys"),
        ({"namespace": "user", "pattern": "*****"}, "pattern"),
        ({"namespace": "user", "pattern": ""}, "pattern"),
        ({"tag": ""}, "tag"),
        ({"tag": "x" * 101}, "tag"),
        ({"namespace": "user", "keys": []}, "keys"),
    ],
    ids=lambda one: json.dumps(one),
)
@pytest.mark.parametrize("dry_run", [True, False])
def test_an_invalidation_that_says_not_what_names_the_field(call, body, field, dry_run):
    (error,) = call("POST", "invalidate", {**body, "dry_run": dry_run}, status=422)["errors"]
    assert error["field"] == field
    assert error["message"]


def test_an_unknown_namespace_is_told_by_every_call(call):
    for path, body in (
        ("invalidate", {"namespace": "no"}),
        ("invalidate", {"namespace": "no", "dry_run": True}),
        ("get-many", {"namespace": "no", "keys": ["a"]}),
        ("set-many", {"namespace": "no", "values": {"a": 1}}),
        ("delete-many", {"namespace": "no", "keys": ["a"]}),
    ):
        assert call("POST", path, body, status=404)["type"] == "unknown-namespace"


@pytest.mark.usefixtures("cache_away")
def test_while_redis_is_away_changes_wait_and_reads_miss(call):
    assert call("PUT", "user/1", {"value": 1}, status=202) == {"waiting": True}
    body = {"namespace": "user", "values": {"a": 1}}
    assert call("POST", "set-many", body, status=202) == {"refused": [], "waiting": True}
    assert call("DELETE", "user/2", status=202)["waiting"] is True
    call("GET", "user/2", status=404)
    for target in ({"tag": "t"}, {"namespace": "user"}, {"namespace": "user", "pattern": "*"}):
        waiting = {"invalidated": None, "dry_run": False, "waiting": True}
        assert call("POST", "invalidate", target, status=202) == waiting
        problem = call("POST", "invalidate", {**target, "dry_run": True}, status=503)
        assert problem["type"] == "temporary-reduced-capacity"
    call("GET", "user/1", status=404)


def test_a_namespace_without_second_tier_lives_in_this_process(call):
    Namespace.objects.create(name="here", prefix="here:", l2=False)
    call("PUT", "here/1", {"value": [1]}, status=204)
    found = call("GET", "here/1")
    assert (found["value"], found["tier"], found["size_bytes"]) == ([1], "l1", None)
    body = {"namespace": "here", "pattern": "*", "dry_run": True}
    assert call("POST", "invalidate", body)["invalidated"] is None
    call("POST", "invalidate", {"namespace": "here", "pattern": "*"})
    call("GET", "here/1", status=404)


def test_calls_are_counted_as_hits_and_misses(call):
    def counts():
        found = call("GET", "stats")["namespaces"]["user"]
        return [found["writes"], found["misses"], found["l1_hits"] + found["l2_hits"]]

    call("DELETE", "user/1")  # a process that has used no cache yet tells nothing
    before = counts()
    call("PUT", "user/1", {"value": 1}, status=204)
    call("GET", "user/1")
    call("GET", "user/2", status=404)
    assert counts() == [one + 1 for one in before]


def test_a_key_without_the_scope_is_refused(client):
    token = keys.issue(name="other", scopes=["ratelimit"])[1]
    answer = client.get(f"{BASE}/stats", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 403


def test_an_inspection_tells_all_and_counts_for_nothing(users):
    users.stale_seconds = 50
    users.compress_over_bytes = 100
    users.save()
    cache.set("user:1", ["x" * 1000], 10)
    counts = entries.place("user").space.counts
    before = {name: int(one) for name, one in counts.items()}
    found = entries.inspect("user", "1")
    assert found is not None
    assert found.value == ["x" * 1000]
    assert (found.codec, found.compressed, found.generation) == ("json", True, 0)
    assert found.size_bytes is not None
    assert found.size_bytes < 500
    assert found.stale_seconds is not None
    assert 55 < found.stale_seconds <= 60
    assert entries.inspect("user", "2") is None
    assert {name: int(one) for name, one in counts.items()} == before


def test_a_stale_value_is_inspected_but_not_served(users):
    users.stale_seconds = 50
    users.save()
    cache.set("user:1", "old", 0.01)
    main_engine().cache.wall, wall = (lambda: wall() + 1), main_engine().cache.wall
    try:
        found = entries.inspect("user", "1")
        assert found is not None
        assert found.is_stale
        assert entries.get("user", "1") is None
    finally:
        main_engine().cache.wall = wall


def test_what_a_tag_invalidated_is_gone_for_the_caller_at_once():
    for number in range(200):
        cache.set("user:1", number, tags=["t"])
        assert cache.get("user:1") == number
        assert invalidation.tag(cache, "t") == 1
        assert cache.get("user:1") is None


@pytest.mark.usefixtures("cache_away")
def test_too_many_tags_for_the_queue_become_their_namespaces():
    pending = main_engine().cache.pending
    for number in range(10_001):
        pending.add_tag(str(number), ("default", "user"))
    assert not pending.tags
    assert set(pending.spaces) == {"default", "user"}
