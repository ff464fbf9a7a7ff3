"""What the tasks of a loop ask together."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from redis.exceptions import ConnectionError as Gone

from optimizer.control import redis as access
from ratelimit import limiter
from ratelimit.models import RatelimitSettings, SubjectPattern, Tier
from tests.connections import cut

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


def tier(capacity: int, pattern: str = "") -> None:
    made = Tier.objects.create(
        name=f"of {capacity}",
        capacity=capacity,
        refill_tokens=1,
        refill_period_seconds=3600,
        lease_percent=0,  # what is lent is not there for others
    )
    if pattern:
        SubjectPattern.objects.create(pattern=pattern, tier=made)
    else:
        RatelimitSettings(default_tier=made).save()


@contextmanager
def scripts_run(redis) -> Iterator[list[str]]:
    """Give, when the block has ended, the scripts that were run in this database."""
    scripts: list[str] = []
    with redis.monitor() as heard:
        yield scripts
        redis.get("the end")
        for one in heard.listen():  # of all databases: other tests run beside this one
            if one["db"] != redis.connection_pool.connection_kwargs["db"]:
                continue
            if one["command"] == "GET the end":
                break
            if one["command"].startswith("EVALSHA"):
                scripts.append(one["command"])


@pytest.fixture
def hundred():
    tier(capacity=100)


async def checks(*names: str) -> list[bool]:
    return [bool(one) for one in await asyncio.gather(*(limiter.acheck(one) for one in names))]


def test_forty_tasks_ask_in_few_scripts(hundred, redis):
    limiter.check("warm")
    names = [f"u{number}" for number in range(40)]
    with scripts_run(redis) as scripts:
        assert asyncio.run(checks(*names)) == [True] * 40
    assert 1 <= len(scripts) <= 40 / 8
    assert [limiter.peek(name).remaining for name in names] == [99] * 40


def test_tasks_on_one_bucket_get_what_is_there_and_no_more():
    tier(capacity=5)
    assert sum(asyncio.run(checks(*["u"] * 30))) == 5


def test_tasks_of_many_tiers_are_told_apart(hundred):
    tier(capacity=3, pattern="small:*")
    allowed = asyncio.run(checks(*["small:1", "big:1"] * 10))
    assert (sum(allowed[::2]), sum(allowed[1::2])) == (3, 10)


def test_a_task_that_is_cancelled_takes_no_other_along(hundred):
    async def run() -> list[bool]:
        tasks = [asyncio.create_task(limiter.acheck(f"u{number}")) for number in range(20)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        told = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in told[::2])
        return [bool(one) for one in told[1::2]]

    assert asyncio.run(run()) == [True] * 10


def test_a_redis_that_has_lost_its_scripts_costs_nobody_an_answer(hundred, redis):
    async def run() -> None:
        await checks("u1", "u2")
        redis.script_flush()
        assert await checks(*(f"v{number}" for number in range(20))) == [True] * 20

    asyncio.run(run())


def test_a_connection_that_ends_costs_nobody_an_answer(hundred, redis):
    """Their tier says what they answer then; and the next ones find Redis again."""

    async def run() -> None:
        await checks("u1")
        assert cut(redis, "normal") >= 1
        told = await asyncio.gather(*(limiter.acheck(f"v{number}") for number in range(20)))
        assert all(one.allowed for one in told)
        for _ in range(100):
            if (await limiter.acheck("w")).source == "redis":
                return
            await asyncio.sleep(0.02)
        raise AssertionError("never asked Redis again")

    asyncio.run(run())


def test_each_task_gets_an_error_of_its_own(hundred, monkeypatch):
    """One object that several tasks raise would gather the traces of all."""

    def fail(command: bytes, receiver) -> None:
        receiver.set_exception(Gone("gone"))

    monkeypatch.setattr("ratelimit.services.turns.post", fail)

    async def run() -> list[object]:
        calls = (limiter.acheck(f"u{number}") for number in range(3))
        return list(await asyncio.gather(*calls, return_exceptions=True))

    told = asyncio.run(run())
    assert [type(one) for one in told] == [Gone] * 3
    assert len({id(one) for one in told}) == 3


def test_while_the_breaker_is_open_the_tier_answers(hundred):
    for _ in range(access.breaker.failures):
        access.breaker.failed()
    told = asyncio.run(asyncio.wait_for(limiter.acheck("u"), 0.2))
    assert told.source == "redis-away"
