"""The client's part for pools, sync and async, against the real views."""

import asyncio

import pytest

from optimizer.client import ApiError, AsyncTuneup, InvalidFields, Tuneup, Unauthorized
from optimizer.control import keys
from optimizer.pools.models import PooledConnection
from optimizer.pools.services import reporter, seeds

pytestmark = [
    pytest.mark.any_database,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis"),
]


class Blocking:
    """The pools of the asyncio client, called as the other ones are."""

    def __init__(self, *arguments):
        self._made = arguments

    def __getattr__(self, name):
        def call(*arguments, **options):
            async def run():
                async with AsyncTuneup(*self._made) as client:
                    return await getattr(client.pools, name)(*arguments, **options)

            return asyncio.run(run())

        return call


@pytest.fixture(params=["sync", "async"])
def make(request):
    def new(*arguments):
        if request.param == "async":
            return Blocking(*arguments)
        client = Tuneup(*arguments)
        request.addfinalizer(client.close)
        return client.pools

    return new


@pytest.fixture
def pools(make, live_server):
    seeds.seed()
    reporter.report()
    return make(live_server.url, keys.issue(name="bot", scopes=["pools"])[1])


def test_pools_are_told(pools):
    found = {one.alias: one for one in pools.all()}
    assert set(found) >= {"default", "redis", "cache"}
    assert found["redis"].counts.acquired > 0 and found["redis"].limits.max_size == 50
    told = pools.get("redis")
    assert told.server is not None and told.server.limit > 0
    assert told.advice.suggested >= 1 and told.by_process[0].gauges.size >= 0


def test_what_is_done_to_pools(pools):
    assert pools.recycle("redis").limits.generation == 1
    assert pools.suspend("cache", 5).limits.suspended_until > 0
    assert pools.resume("cache").limits.suspended_until == 0
    assert PooledConnection.objects.get(alias="redis").generation == 1


def test_what_is_refused(pools, make, live_server):
    with pytest.raises(ApiError) as unknown:
        pools.get("no/such pool")
    assert unknown.value.problem.status == 404
    with pytest.raises(InvalidFields):
        pools.suspend("cache", 301)
    with pytest.raises(Unauthorized):
        make(live_server.url, "tu_aaaaaaaa_" + "x" * 43).all()
