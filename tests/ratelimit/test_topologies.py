"""The limiter on a real Redis Cluster and behind a real Sentinel."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from redis import Redis

from optimizer.operations import embedded_redis, guard
from optimizer.operations.embedded_redis import free_port
from ratelimit.models import RatelimitSettings, Scope, Tier
from tests.children import children

pytestmark = [pytest.mark.any_database, pytest.mark.django_db(transaction=True)]

DECIDE = """
import asyncio, json
from optimizer.control.redis import RedisAway
from ratelimit import limiter, selectors
from ratelimit.services import reporter

async def decide():
    return bool(await limiter.acheck("user:async"))

passed = [bool(limiter.check("user:1")) for _ in range(5)]
many = [bool(one) for one in limiter.check_many([(f"user:m{n}", 1) for n in range(20)])]
both = [("user:a", 1), ("guild:b", 1, "guild")]
together = [bool(limiter.check_all(both)) for _ in range(3)]
reporter.report()
print(json.dumps({
    "passed": passed,
    "many": all(many),
    "together": together,
    "left": limiter.peek("user:a").remaining,
    "async": asyncio.run(decide()),
    "sources": sorted({limiter.check(f"user:s{n}").source for n in range(9)}),
    "top": dict(selectors.top(3)),
}))
input()
"""
EXPECTED = {
    "passed": [True, True, True, False, False],
    "many": True,
    "together": [True, False, False],
    "left": 2,  # what the guild's empty bucket refused was given back
    "async": True,
    "sources": ["redis"],
}


@pytest.fixture(autouse=True)
def tiers(redis):
    small = Tier.objects.create(
        name="small", capacity=3, refill_tokens=1, refill_period_seconds=3600
    )
    one = Tier.objects.create(name="one", capacity=1, refill_tokens=1, refill_period_seconds=3600)
    Scope.objects.create(name="guild", tier=one)
    RatelimitSettings(default_tier=small).save()


@contextmanager
def server(folder, *options: str) -> Iterator[int]:
    port = free_port()
    place = folder / str(port)
    place.mkdir()
    binary = str(embedded_redis.find_server())
    command = [binary, *options, "--port", str(port), "--dir", str(place)]
    process = guard.spawn(
        [*command, "--bind", "127.0.0.1", "--save", ""], output=subprocess.DEVNULL
    )
    try:
        eventually(lambda: embedded_redis.answers(f"redis://127.0.0.1:{port}/0"))
        yield port
    finally:
        guard.sweep(process)


def eventually(condition, within_seconds: float = 20.0) -> None:
    deadline = time.monotonic() + within_seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


@pytest.fixture
def cluster(tmp_path):
    """Two nodes that share the slots."""
    with ExitStack() as stack:
        # The default port of the bus, 10000 higher, may be beyond the last there is.
        buses = [free_port(), free_port()]
        options = [("--cluster-enabled", "yes", "--cluster-port", str(bus)) for bus in buses]
        ports = [stack.enter_context(server(tmp_path, *one)) for one in options]
        nodes = [stack.enter_context(Redis(port=port)) for port in ports]
        for node, (first, last) in zip(nodes, ((0, 8191), (8192, 16383)), strict=True):
            node.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
        nodes[0].execute_command("CLUSTER", "MEET", "127.0.0.1", ports[1], buses[1])

        def ready(node):
            info = node.execute_command("CLUSTER", "INFO")
            return b"cluster_state:ok" in info and b"cluster_known_nodes:2" in info

        eventually(lambda: all(ready(node) for node in nodes))
        yield f"redis+cluster://127.0.0.1:{ports[0]}"


@pytest.fixture
def sentinel(tmp_path):
    """A master that a Sentinel watches."""
    with server(tmp_path) as master:
        config = tmp_path / "sentinel.conf"
        config.write_text(f"sentinel monitor bot 127.0.0.1 {master} 1\n")
        with server(tmp_path, str(config), "--sentinel") as port:
            yield f"redis+sentinel://127.0.0.1:{port}/bot/0"


def decided(**environment: str) -> dict[str, object]:
    with children(1, DECIDE, REDIS_TIMEOUT_SECONDS="5", **environment) as (child,):
        line = child.read(60)
        assert line is not None
        told: dict[str, object] = json.loads(line)
        return told


def test_on_a_cluster_everything_holds_and_together_is_undone(cluster, redis, settings):
    told = decided(REDIS_URL=cluster, CACHE_REDIS_URL=settings.REDIS_URL)
    assert told.pop("top")
    assert told == EXPECTED


def test_behind_a_sentinel_everything_holds(sentinel):
    told = decided(REDIS_URL=sentinel)
    assert told.pop("top")
    assert told == EXPECTED
