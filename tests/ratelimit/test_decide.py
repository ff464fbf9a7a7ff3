"""The script beyond one bucket: quotas, slots, shadow mode, waits, leases, groups, versions."""

import math
import secrets
import struct
import time
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimizer.control.scripts import Script
from ratelimit.engine import Buckets, Limit
from ratelimit.engine.buckets import (
    DECIDE,
    GIVE,
    Ask,
    Lent,
    Told,
    answers,
    key_of,
    question,
    slots_key,
    verdict,
)
from ratelimit.engine.limit import BUCKET, CONCURRENCY, LEASE_SECONDS, QUOTA
from ratelimit.engine.token_bucket import TokenBucket

pytestmark = pytest.mark.usefixtures("redis")

_decide, _give = Script(DECIDE), Script(GIVE)
SLOW = Limit("slow", capacity=10, refill_tokens=1, refill_period_seconds=3600)
LEASED = replace(SLOW, capacity=100, lease_ratio=0.25)


@pytest.fixture
def bucket():
    return Buckets(_decide, _give)


def subject() -> str:
    return f"user:{secrets.token_hex(8)}"


def ask_all(groups, *, spend=True) -> list[list[Told]]:
    keys, arguments = question(groups, spend=spend)
    return answers(groups, _decide.run(keys, *arguments))


def ask_one(key: bytes, limit: Limit, cost: int = 1, **more) -> Told:
    ((told,),) = ask_all([[Ask(key, limit, cost, **more)]])
    return told


# --- several limits -------------------------------------------------------------------------------


def test_a_group_is_spent_whole_or_not_at_all():
    user, guild = key_of(subject()), key_of(subject())
    small = replace(SLOW, name="small", capacity=1)
    first = ask_all([[Ask(user, SLOW), Ask(guild, small)]])[0]
    assert [one.violated for one in first] == [0, 0]
    second = ask_all([[Ask(user, SLOW), Ask(guild, small)]])[0]
    assert [one.violated for one in second] == [0, BUCKET]
    assert second[0].remaining == first[0].remaining == 9  # nothing was taken from the user


def test_the_verdict_names_the_violated_one():
    group = [Ask(key_of(subject()), SLOW, policy="user"), Ask(key_of(subject()), SLOW, 10)]
    ask_all([group])
    told = ask_all([group])[0]
    decided = verdict(group, told, time.monotonic())
    assert not decided
    assert decided.violated_policies == ("slow",)
    assert [bool(one) for one in decided.decisions] == [False, False]
    assert decided.retry_after_seconds > 35_000


def test_many_groups_decide_each_for_itself_and_in_order():
    key = key_of(subject())
    limit = replace(SLOW, capacity=3)
    told = ask_all([[Ask(key, limit)] for _ in range(5)])
    assert [one.violated for (one,) in told] == [0, 0, 0, BUCKET, BUCKET]


# --- quota ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("period", ["day", "month"])
def test_a_quota_is_violated_beside_a_full_bucket(bucket, period):
    limit = replace(SLOW, capacity=10, quota=3, quota_period=period)
    who = subject()
    decided = [bucket.check(who, limit) for _ in range(4)]
    assert [one.allowed for one in decided] == [True, True, True, False]
    assert [one.quota_remaining for one in decided] == [2, 1, 0, 0]
    assert decided[3].violated == QUOTA
    assert decided[3].violated_policies == ("slow-quota",)
    longest = 86_400 if period == "day" else 31 * 86_400
    assert 0 < decided[3].retry_after_seconds <= longest + 3600  # a day may have 25 hours


def test_a_quota_begins_anew_with_the_period(bucket, redis):
    limit = replace(SLOW, quota=3)
    who = subject()
    bucket.check(who, limit, 3)
    key = bucket.key(who)
    state = bytearray(redis.get(key))
    state[80:88] = struct.pack(">d", struct.unpack(">d", state[80:88])[0] - 86_400_000_000)
    redis.set(key, bytes(state))
    assert bucket.check(who, limit).quota_remaining == 2


def test_a_quota_outlives_a_bucket_that_is_full(bucket, redis):
    limit = Limit("quick", 10, 1000, 1, quota=3)
    who = subject()
    bucket.check(who, limit)
    time.sleep(0.02)
    assert bucket.peek(who, limit).remaining == 10
    assert bucket.peek(who, limit).quota_remaining == 2
    assert redis.pttl(bucket.key(who)) > 0


# --- calls at once --------------------------------------------------------------------------------


def test_no_more_calls_go_on_than_there_are_slots(bucket, redis):
    limit = replace(SLOW, concurrency=2)
    who = subject()
    decided = [bucket.check(who, limit, slot=name) for name in "abc"]
    assert [one.allowed for one in decided] == [True, True, False]
    assert [one.slots_remaining for one in decided] == [1, 0, 0]
    assert decided[2].violated == CONCURRENCY
    assert decided[2].remaining == 8  # the refused call took no token
    redis.zrem(slots_key(bucket.key(who)), "a")
    assert bucket.check(who, limit, slot="c").allowed


def test_a_call_that_never_ends_loses_its_slot(bucket, redis):
    limit = replace(SLOW, concurrency=1, hold_seconds=0.1)
    who = subject()
    assert bucket.check(who, limit, slot="a").allowed
    assert not bucket.check(who, limit, slot="b").allowed
    time.sleep(0.11)
    assert bucket.check(who, limit, slot="b").allowed
    assert redis.zrange(slots_key(bucket.key(who)), 0, -1) == [b"b"]


# --- shadow, wait ---------------------------------------------------------------------------------


def test_shadow_mode_tells_and_lets_pass(bucket):
    limit = replace(SLOW, capacity=2, shadow=True)
    who = subject()
    decided = [bucket.check(who, limit) for _ in range(3)]
    assert [one.allowed for one in decided] == [True] * 3
    assert [one.shadow for one in decided] == [False, False, True]


def test_a_shadow_does_not_stop_the_others_of_its_group():
    shadow = replace(SLOW, capacity=1, shadow=True)
    group = [Ask(key_of(subject()), shadow), Ask(key_of(subject()), SLOW)]
    for left in (9, 8):
        assert ask_all([group])[0][1].remaining == left


def test_who_may_wait_passes_and_is_told_how_long(bucket):
    limit = Limit("wait", 2, 10, 1, max_wait_seconds=0.2)
    who = subject()
    decided = [bucket.check(who, limit) for _ in range(5)]
    assert [one.allowed for one in decided] == [True, True, True, True, False]
    assert decided[1].delay_seconds == 0
    assert 0 < decided[2].delay_seconds <= 0.1 < decided[3].delay_seconds <= 0.2
    assert 0 < decided[4].retry_after_seconds <= 0.1


# --- live changes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("how", "remaining"), [("as-is", 4), ("reset", 20), ("proportional", 8)])
def test_a_change_does_to_tokens_in_hand_what_the_tier_says(bucket, how, remaining):
    who = subject()
    bucket.check(who, replace(SLOW, version=1), 6)
    changed = replace(SLOW, version=2, capacity=20, on_change=how)
    assert bucket.peek(who, changed).remaining == remaining


def test_a_process_that_has_not_heard_of_a_change_obeys_it_all_the_same(bucket):
    who = subject()
    old, new = replace(SLOW, version=1), replace(SLOW, version=2, capacity=2)
    bucket.check(who, old)
    assert bucket.check(who, new).remaining == 1
    assert bucket.check(who, old).remaining == 0
    assert not bucket.check(who, old).allowed


def test_a_denial_by_new_numbers_puts_them_in_force(bucket):
    """Else who has not heard of a cut would go on filling the bucket."""
    who = subject()
    old = Limit("t", 5, 20, 1, version=1)
    bucket.check(who, old, 5)
    assert not bucket.check(who, replace(old, version=2, refill_period_seconds=3600), 5).allowed
    time.sleep(0.3)
    assert not bucket.check(who, old, 5).allowed


@pytest.mark.parametrize("raised", [True, False])
def test_until_a_change_is_heard_of_the_slower_of_the_rates_has_filled_the_bucket(bucket, raised):
    who = subject()
    slow, fast = SLOW, replace(SLOW, refill_tokens=3600 * 100)
    before, after = (slow, fast) if raised else (fast, slow)
    bucket.check(who, before, 10)
    time.sleep(0.05)
    assert bucket.check(who, replace(after, version=1)).violated


def test_a_change_between_two_versions_of_one_number_resets_nothing_twice(bucket):
    who = subject()
    old = replace(SLOW, version=1, on_change="reset")
    new = replace(old, version=2, capacity=5)
    bucket.check(who, old, 10)
    for left in (4, 3):
        assert bucket.check(who, new).remaining == left
        assert bucket.peek(who, old).remaining == left


# --- leases ---------------------------------------------------------------------------------------


def test_a_lease_is_a_share_of_what_is_left_and_counts_as_leased():
    told = ask_one(key_of(subject()), LEASED, wanted=1000)
    assert (told.granted, told.remaining, told.leased) == (24, 75, 24)


def test_the_last_tokens_are_not_leased():
    key = key_of(subject())
    ask_one(key, LEASED, 97)
    assert ask_one(key, LEASED, wanted=1000).granted == 0


def test_what_comes_back_of_a_lease_is_there_again():
    key = key_of(subject())
    told = ask_one(key, LEASED, wanted=8)
    again = ask_one(key, LEASED, lent=Lent(5, 8, told.window))
    assert (again.leased, again.remaining) == (0, 100 - 1 - 3 - 1)


def test_a_bucket_does_not_fill_up_behind_a_lease(bucket):
    quick = Limit("quick", 100, 100_000, 1, lease_ratio=0.25)
    key = key_of(subject())
    told = ask_one(key, quick, wanted=24)
    time.sleep(0.002)  # long enough to fill
    again = ask_one(key, quick)
    assert again.remaining == 100 - told.granted - 1


def test_a_lease_nobody_gives_back_is_forgotten_after_its_time():
    quick = Limit("quick", 100, 100_000, 1, lease_ratio=0.25)
    key = key_of(subject())
    assert ask_one(key, quick, wanted=24).leased == 24
    time.sleep(2 * LEASE_SECONDS + 0.005)
    assert ask_one(key, quick).leased == 0


def test_a_lease_given_back_late_makes_no_more_than_full(bucket):
    quick = Limit("quick", 100, 100_000, 1, lease_ratio=0.25)
    who = subject()
    told = ask_one(bucket.key(who), quick, wanted=24)
    time.sleep(2 * LEASE_SECONDS + 0.005)
    again = ask_one(bucket.key(who), quick, lent=Lent(24, 24, told.window))
    assert again.remaining == 99


def test_a_denial_that_gives_a_lease_back_keeps_it(bucket):
    key = key_of(subject())
    told = ask_one(key, LEASED, 90, wanted=2)
    assert ask_one(key, LEASED, 50, lent=Lent(2, 2, told.window)).violated == BUCKET
    assert ask_one(key, LEASED).remaining == 9


# --- give -----------------------------------------------------------------------------------------


def test_a_refund_puts_back_up_to_the_capacity_and_takes_it_off_the_quota(bucket):
    limit = replace(SLOW, quota=20)
    who = subject()
    bucket.check(who, limit, 4)
    assert bucket.give(who, limit, 3, "refund") == 9
    assert bucket.peek(who, limit).quota_remaining == 19
    assert bucket.give(who, limit, 100, "refund") == 10


def test_a_grant_goes_beyond_the_capacity_and_stays(bucket, redis):
    who = subject()
    assert bucket.give(who, SLOW, 5, "grant") == 15
    assert bucket.check(who, SLOW, 10).remaining == 5
    assert bucket.peek(who, SLOW).remaining == 5
    assert redis.pttl(bucket.key(who)) > 0


# --- the same arithmetic in memory ----------------------------------------------------------------

LIMITS = st.builds(
    Limit,
    name=st.just("any"),
    capacity=st.integers(1, 1000),
    refill_tokens=st.integers(1, 1000),
    refill_period_seconds=st.integers(1, 1000),
)
STEPS = st.lists(st.tuples(st.integers(0, 10**9), st.integers(1, 1000)), min_size=1, max_size=15)
_CLOCKED = Script(DECIDE.replace("redis.call('TIME')", "{0, ARGV[#ARGV]}"))


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(limit=LIMITS, steps=STEPS, plain=st.booleans())
def test_the_script_and_the_bucket_in_memory_decide_alike(redis, limit, steps, plain):
    now = 1_000_000
    memory = TokenBucket(limit.capacity, limit.refill_tokens, limit.refill_period_seconds, now)
    key = key_of(subject())
    for pause_us, cost in steps:
        now += pause_us
        cost = min(cost, limit.capacity)
        # A lease that is asked for where none is given takes the longer of the script's two ways.
        asked = Ask(key, limit, cost, wanted=0 if plain else 1)
        keys, arguments = question([[asked]], spend=True)
        ((told,),) = answers([[asked]], _CLOCKED.run(keys, *arguments, now))
        redis.persist(key)  # its own expiry runs by the true clock
        wait = memory.spend(cost, now)
        assert (told.violated == 0, told.wait) == (wait == 0, wait)
        assert told.remaining == memory.remaining


def test_the_ends_of_periods_follow_the_time_zone():
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from ratelimit.engine.periods import period_ends

    berlin = ZoneInfo("Europe/Berlin")
    _, this, following = period_ends(datetime(2026, 3, 28, 12, tzinfo=berlin), "day")
    assert (following - this) / 3.6e9 == 23  # the clocks go forward on the 29th
    _, this, _ = period_ends(datetime(2026, 12, 31, 23, 59, tzinfo=berlin), "month")
    assert datetime.fromtimestamp(this / 1e6, berlin) == datetime(2027, 1, 1, tzinfo=berlin)
    assert math.isfinite(this)
