import asyncio
import threading

import pytest

from caching.models import Namespace
from optimizer.client import (
    ApiError,
    AsyncTuneup,
    CacheAway,
    Entry,
    Invalidated,
    InvalidFields,
    Tuneup,
    Unauthorized,
    Unavailable,
)
from optimizer.client.cache import invalidate
from optimizer.client.protocol import read_answer
from optimizer.control import keys

pytestmark = [
    pytest.mark.any_database,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis"),
]


class Blocking:
    """The cache of the asyncio client, called as the other one is."""

    def __init__(self, *arguments):
        self._made = arguments

    def __getattr__(self, name):
        def call(*arguments, **options):
            async def run():
                async with AsyncTuneup(*self._made) as client:
                    return await getattr(client.cache, name)(*arguments, **options)

            return asyncio.run(run())

        return call


@pytest.fixture
def token():
    Namespace.objects.create(name="user", prefix="user:", codec="json", ttl_seconds=100)
    return keys.issue(name="bot", scopes=["caching"])[1]


@pytest.fixture(params=["sync", "async"])
def make(request):
    def new(*arguments):
        if request.param == "async":
            return Blocking(*arguments)
        client = Tuneup(*arguments)
        request.addfinalizer(client.close)
        return client.cache

    return new


@pytest.fixture
def cache(make, live_server, token):
    return make(live_server.url, token)


def test_a_value_goes_there_and_back(cache):
    assert cache.get("user", "1") is None
    assert cache.get("user", "1", "none") == "none"
    cache.set("user", "1", {"name": "Ann", "of": [1, None]})
    assert cache.get("user", "1") == {"name": "Ann", "of": [1, None]}
    entry = cache.entry("user", "1")
    assert isinstance(entry, Entry)
    assert entry.ttl_seconds is not None
    assert 95 < entry.ttl_seconds <= 100
    assert cache.delete("user", "1") is True
    assert cache.delete("user", "1") is False
    assert cache.entry("user", "1") is None


def test_none_is_a_value(cache):
    cache.set("user", "1", None)
    assert cache.get("user", "1", "none") is None


def test_a_time_to_live_is_the_namespaces_the_callers_or_none(cache):
    cache.set("user", "1", 1, ttl_seconds=9)
    assert cache.entry("user", "1").ttl_seconds <= 9
    cache.set("user", "1", 1, ttl_seconds=None)
    assert cache.entry("user", "1").ttl_seconds is None


@pytest.mark.parametrize("key", ["a/b", "..", "../..", ".", "a b?c#d", "ß%2F", "get-many", "/x/"])
def test_any_key_arrives_as_it_is(cache, key):
    cache.set("user", key, key)
    assert cache.get("user", key) == key
    assert cache.get_many("user", [key]) == {key: key}
    assert cache.delete("user", key)


def test_many_at_once(cache):
    assert cache.set_many("user", {"a": 1, "b": [2]}, ttl_seconds=9, tags=["t"]) == []
    assert cache.get_many("user", ["a", "b", "c"]) == {"a": 1, "b": [2]}
    assert cache.delete_many("user", ["a", "c"]) == 1


def test_invalidations(cache):
    cache.set_many("user", {f"{number}": number for number in range(5)}, tags=["t"])
    counted = cache.invalidate(tag="t", dry_run=True)
    assert counted == Invalidated(5, dry_run=True, waiting=False)
    assert cache.invalidate(namespace="user", keys=["0", "9"]).invalidated == 1
    assert cache.invalidate(namespace="user", pattern="1*").invalidated == 1
    assert cache.invalidate(tag="t").invalidated == 3
    assert cache.invalidate(namespace="user").invalidated is None
    assert cache.stats()["namespaces"]["user"]["invalidations"] >= 2


def test_bad_fields_and_namespaces_are_named(cache):
    with pytest.raises(InvalidFields, match="ttl_seconds: .*greater than 0"):
        cache.set("user", "1", 1, ttl_seconds=0)
    with pytest.raises(InvalidFields, match="namespace: Give a namespace"):
        cache.invalidate(pattern="*")
    for call in (lambda: cache.get("no", "1"), lambda: cache.get_many("no", ["1"])):
        with pytest.raises(ApiError, match="Known: default, user") as caught:
            call()
        assert caught.value.problem.type == "unknown-namespace"


def test_a_revoked_key_and_nobody_there_are_errors(cache, make):
    keys.revoke("bot")
    with pytest.raises(Unauthorized):
        cache.get("user", "1")
    with pytest.raises(Unavailable):
        make("http://127.0.0.1:1", "key").get("user", "1")


def test_a_cache_that_cannot_count_is_an_error_of_its_own():
    problem = b'{"type": "temporary-reduced-capacity", "status": 503}'
    with pytest.raises(CacheAway) as caught:
        read_answer(invalidate(True, tag="t"), 503, problem, {"Retry-After": "1"})
    assert caught.value.retry_after_seconds == 1


def test_many_threads_share_one_client(live_server, token):
    with Tuneup(live_server.url, token) as client:
        found: list[object] = []

        def work(number):
            client.cache.set("user", number, number)
            found.append(client.cache.get("user", number))

        threads = [threading.Thread(target=work, args=(str(one),)) for one in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(found, key=str) == [str(one) for one in range(6)]
