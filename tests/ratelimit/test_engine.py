import math
import multiprocessing
import secrets
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimizer.control.scripts import Script
from ratelimit.engine import Buckets, Limit
from ratelimit.engine.buckets import DECIDE, GIVE
from ratelimit.engine.limit import MAX_EXACT, MICRO

pytestmark = pytest.mark.any_database


@pytest.fixture
def bucket(redis):
    return Buckets(Script(DECIDE), Script(GIVE))


def subject() -> str:
    return f"user:{secrets.token_hex(8)}"


SLOW = Limit("slow", capacity=3, refill_tokens=1, refill_period_seconds=3600)
FAST = Limit("fast", capacity=5, refill_tokens=1000, refill_period_seconds=1)


def test_a_full_bucket_admits_exactly_its_capacity(bucket):
    who = subject()
    assert [bucket.check(who, SLOW).allowed for _ in range(5)] == [True] * 3 + [False] * 2


def test_each_subject_has_a_bucket_of_its_own(bucket):
    assert bucket.check(subject(), SLOW, 3).allowed
    assert bucket.check(subject(), SLOW, 3).allowed


def test_a_cost_is_spent_whole_or_not_at_all(bucket):
    who = subject()
    assert bucket.check(who, SLOW, 2).remaining == 1
    assert not bucket.check(who, SLOW, 2).allowed
    assert bucket.check(who, SLOW, 1).allowed


def test_a_denial_tells_when_the_cost_would_be_there(bucket):
    who = subject()
    bucket.check(who, SLOW, 3)
    one, two = (bucket.check(who, SLOW, cost).retry_after_seconds for cost in (1, 2))
    assert 3590 < one <= 3600
    assert 7190 < two <= 7200


def test_after_the_told_wait_it_passes(bucket):
    limit = Limit("quick", capacity=1, refill_tokens=20, refill_period_seconds=1)
    who = subject()
    bucket.check(who, limit)
    wait = bucket.check(who, limit).retry_after_seconds
    assert 0 < wait <= 0.05
    time.sleep(wait + 0.002)  # Redis reads another clock than this process sleeps by
    assert bucket.check(who, limit).allowed


def test_tokens_come_back_up_to_the_capacity(bucket):
    who = subject()
    bucket.check(who, FAST, 5)
    time.sleep(0.02)
    assert bucket.peek(who, FAST).remaining == 5


def test_a_peek_spends_nothing(bucket):
    who = subject()
    assert [bucket.peek(who, SLOW).remaining for _ in range(3)] == [3, 3, 3]


def test_a_reset_fills_the_bucket(bucket):
    who = subject()
    bucket.check(who, SLOW, 3)
    bucket.reset(who)
    assert bucket.peek(who, SLOW).remaining == 3


def test_a_denial_writes_nothing(bucket, redis):
    who = subject()
    bucket.check(who, SLOW, 3)
    with redis.pipeline() as watching:
        watching.watch(bucket.key(who))
        for _ in range(10):
            assert not bucket.check(who, SLOW).allowed
        watching.multi()
        watching.dbsize()
        assert watching.execute() == [1]  # WatchError where it was written anew


@pytest.mark.parametrize(
    "limit",
    [SLOW, FAST, Limit("tiny", 1, 1_000_000, 1), Limit("long", 100_000, 1, 86_400)],
    ids=lambda limit: limit.name,
)
def test_a_bucket_lives_until_it_is_full_and_never_for_ever(bucket, redis, limit):
    who = subject()
    bucket.check(who, limit)
    expiry_ms = redis.pttl(bucket.key(who))
    full_ms = limit.refill_period_seconds / limit.refill_tokens * 1000
    # A bucket that fills in less than a millisecond may be gone by the time it is asked.
    assert -2 <= expiry_ms <= math.ceil(full_ms) + 1
    assert expiry_ms != -1
    assert expiry_ms >= full_ms - 1000


@pytest.mark.parametrize(
    ("changed", "remaining"),
    [
        (Limit("cut", 1, 1, 3600), 1),
        (Limit("raised", 10, 1, 3600), 2),
        (Limit("other period", 3, 2, 7200), 2),
        (Limit("short period", 3, 1, 1800), 2),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_live_change_keeps_the_tokens_in_hand_up_to_the_new_capacity(bucket, changed, remaining):
    who = subject()
    bucket.check(who, SLOW)
    assert bucket.peek(who, changed).remaining == remaining


def test_a_raised_capacity_fills_from_what_was_there(bucket):
    who = subject()
    bucket.check(who, SLOW, 3)
    raised = Limit("raised", 100, 1, 3600)
    assert not bucket.check(who, raised).allowed


def test_a_clock_that_went_back_adds_nothing_and_locks_nobody_out_for_longer(bucket, redis):
    import struct

    who = subject()
    bucket.check(who, SLOW)
    units, at, *numbers = struct.unpack(">6d", redis.get(bucket.key(who)))
    redis.set(bucket.key(who), struct.pack(">6d", units, at + 5 * MICRO, *numbers))
    assert bucket.check(who, SLOW, 2).allowed
    wait = bucket.check(who, SLOW).retry_after_seconds
    assert 3600 < wait < 3606


@pytest.mark.parametrize("stored", [b"", b"x", b"x" * 47, b"x" * 49])
def test_a_value_of_another_form_counts_as_a_full_bucket(bucket, redis, stored):
    who = subject()
    redis.set(bucket.key(who), stored)
    assert bucket.check(who, SLOW).remaining == 2


def test_redis_losing_its_scripts_is_not_noticed(bucket, redis):
    who = subject()
    bucket.check(who, SLOW)
    redis.script_flush()
    assert bucket.check(who, SLOW).remaining == 1


@pytest.mark.parametrize("cost", [0, -1, 4, 10**18])
def test_a_cost_that_can_never_pass_is_refused_with_the_range(bucket, cost):
    with pytest.raises(ValueError, match="between 1 and 3"):
        bucket.check(subject(), SLOW, cost)


@pytest.mark.parametrize("who", ["", "x" * 257])
def test_a_subject_of_a_wrong_length_is_refused(bucket, who):
    with pytest.raises(ValueError, match="1 to 256"):
        bucket.check(who, SLOW)


@pytest.mark.parametrize("who", ["a}b", "{", "}{", "a b\nc", "ü", "🤖" * 256, "*", "x" * 256])
def test_any_text_may_be_a_subject(bucket, who):
    key = bucket.key(who).decode()
    assert key.index("{") < key.index("}") == len(key) - 1
    assert bucket.check(who, SLOW).allowed


def test_two_subjects_never_share_a_key(bucket):
    names = ["a", "a}", "{a}", "#a", "a{", "}", "{"]
    assert len({bucket.key(name) for name in names}) == len(names)


@pytest.mark.parametrize("field", ["capacity", "refill_tokens", "refill_period_seconds"])
def test_a_limit_without_a_positive_number_is_refused(field):
    numbers = {"capacity": 1, "refill_tokens": 1, "refill_period_seconds": 1, field: 0}
    with pytest.raises(ValueError, match=field):
        Limit("x", **numbers)  # type: ignore[arg-type]


def test_a_limit_too_large_to_count_exactly_is_refused():
    with pytest.raises(ValueError, match="exactly"):
        Limit("x", MAX_EXACT, 1, 1)


LIMITS = st.builds(
    Limit,
    name=st.just("any"),
    capacity=st.integers(1, 1_000_000),
    refill_tokens=st.integers(1, 1_000_000),
    refill_period_seconds=st.integers(1, 9000),
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(limit=LIMITS, costs=st.lists(st.floats(0.01, 1), min_size=1, max_size=12))
def test_no_more_is_admitted_than_the_capacity_and_what_came_back(bucket, redis, limit, costs):
    who = subject()
    started = redis.time()
    spent = 0
    for share in costs:
        cost = max(1, int(limit.capacity * share))
        if bucket.check(who, limit, cost).allowed:
            spent += cost
    ended = redis.time()
    seconds = ended[0] - started[0] + (ended[1] - started[1]) / MICRO
    came_back = seconds * limit.refill_tokens / limit.refill_period_seconds
    assert spent <= limit.capacity + came_back + 1e-6


def _hammer(who: str, limit: Limit, together, seconds: float, results) -> None:
    bucket = Buckets(Script(DECIDE), Script(GIVE))
    bucket.peek(who, limit)  # the first call connects, and reads Django's settings
    together.wait(60)
    until, admitted = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        admitted += bucket.check(who, limit).allowed
    results.put(admitted)


def test_eight_processes_together_get_no_more_than_the_bucket_gives(redis):
    limit = Limit("shared", capacity=20, refill_tokens=200, refill_period_seconds=1)
    context = multiprocessing.get_context("spawn")
    results, together = context.Queue(), context.Barrier(9)
    arguments = (subject(), limit, together, 1.5, results)
    processes = [context.Process(target=_hammer, args=arguments) for _ in range(8)]
    for process in processes:
        process.start()
    together.wait(60)
    started_at = time.monotonic()
    for process in processes:
        process.join()
    took_seconds = time.monotonic() - started_at
    admitted = sum(results.get() for _ in processes)
    # Some hammer before this process has looked at its clock, which sees them out.
    assert admitted <= 20 + 200 * (took_seconds + 0.1)
    assert admitted > 100
