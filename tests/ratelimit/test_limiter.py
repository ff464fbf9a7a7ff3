"""The limiter over live rows: scopes, patterns, lists, many at once, and what a process keeps."""

import asyncio
import threading
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from optimizer.control import redis as access
from optimizer.control.redis import breaker
from optimizer.control.scripts import Script
from ratelimit import limiter
from ratelimit.engine.shares import Share
from ratelimit.live import UnknownScope
from ratelimit.models import (
    RatelimitSettings,
    Scope,
    ScopeRule,
    Subject,
    SubjectPattern,
    Tier,
)
from ratelimit.services import assignments
from ratelimit.services.decisions import MAX_ACCOUNTS
from tests.control.test_propagation import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


def make(name: str, capacity: int, **more) -> Tier:
    return Tier.objects.create(
        name=name, capacity=capacity, **{"refill_tokens": 1, "refill_period_seconds": 3600, **more}
    )


@pytest.fixture
def small():
    tier = make("small", 3)
    RatelimitSettings(default_tier=tier).save()
    return tier


def remaining(subject="u", scope=""):
    return limiter.peek(subject, 1, scope).remaining


# --- scopes ---------------------------------------------------------------------------------------


def test_each_scope_has_a_bucket_of_its_own(small):
    Scope.objects.create(name="play")
    limiter.check("u", 2)
    assert limiter.check("u", 1, "play").remaining == 2
    assert limiter.check("u", 1, "play").policy == "play/small"
    assert remaining() == 1


def test_a_scope_gives_each_tier_its_own_and_others_the_scopes(small):
    big, tiny = make("big", 50), make("tiny", 1)
    scope = Scope.objects.create(name="play", tier=tiny)
    ScopeRule.objects.create(scope=scope, subject_tier=small, tier=big)
    Subject.objects.create(identifier="other", tier=make("other", 9))
    assert limiter.check("u", 1, "play").limit.name == "big"
    assert limiter.check("other", 1, "play").limit.name == "tiny"
    assert limiter.check("other").limit.name == "other"


def test_a_scope_with_a_star_stands_for_all_that_begin_so(small):
    Scope.objects.create(name="command:*", tier=make("commands", 5))
    Scope.objects.create(name="command:ban:*", tier=make("bans", 1))
    limiter.check("u", 5, "command:play")
    assert remaining("u", "command:play") == 0
    assert remaining("u", "command:stop") == 5
    assert limiter.check("u", 1, "command:ban:user").limit.name == "bans"


@pytest.mark.parametrize(
    "scope", ["command:a\r\nX: y", 'command:"', "command:ü", "command:" + "x" * 64]
)
def test_a_scope_is_of_a_form_that_headers_take(small, scope):
    Scope.objects.create(name="command:*")
    with pytest.raises(UnknownScope, match="must be up to 64"):
        limiter.check("u", 1, scope)


def test_a_scope_that_nobody_made_is_refused_with_those_there_are(small):
    Scope.objects.create(name="play")
    with pytest.raises(UnknownScope, match="play"):
        limiter.check("u", 1, "dance")


# --- who belongs where ----------------------------------------------------------------------------


def test_a_pattern_gives_its_tier_by_priority(small):
    SubjectPattern.objects.create(pattern="guild:*", tier=make("guilds", 7), priority=20)
    SubjectPattern.objects.create(pattern="guild:1?", tier=make("teens", 8), priority=10)
    Subject.objects.create(identifier="guild:12", tier=make("mine", 9))
    names = [limiter.check(who).limit.name for who in ("guild:5", "guild:15", "guild:12", "u")]
    assert names == ["guilds", "teens", "mine", "small"]


def test_an_assignment_ends_by_itself(small):
    now = timezone.now()
    Subject.objects.create(
        identifier="u", tier=make("guest", 50), expires_at=now + timedelta(seconds=0.3)
    )
    assert limiter.check("u").limit.name == "guest"
    time.sleep(0.35)
    report()
    assert limiter.check("u").limit.name == "small"


def test_the_lists_need_no_bucket(small, django_assert_num_queries):
    Subject.objects.create(identifier="friend", access="allow")
    SubjectPattern.objects.create(pattern="spam:*", access="deny")
    assert [limiter.check("friend").allowed for _ in range(9)] == [True] * 9
    denied = limiter.check("spam:1")
    assert (denied.allowed, denied.source) == (False, "list")
    assert denied.retry_after_seconds > 0


def test_assigning_replaces_and_unassigning_gives_back(small):
    make("big", 50)
    assignments.assign("u", tier="big")
    assert limiter.check("u").limit.name == "big"
    assignments.assign("u", access="deny", expires_after_seconds=60)
    assert not limiter.check("u").allowed
    assert assignments.unassign("u")
    assert not assignments.unassign("u")
    assert limiter.check("u").limit.name == "small"


# --- many -----------------------------------------------------------------------------------------


def test_many_are_decided_each_for_itself(small):
    decided = limiter.check_many([("u", 2), ("v", 1), ("u", 2), ("u", 1)])
    assert [one.allowed for one in decided] == [True, True, False, True]


def test_all_are_spent_or_none(small):
    Scope.objects.create(name="guild", tier=make("guilds", 1))
    charges = [("user:1", 1, ""), ("guild:1", 1, "guild")]
    assert limiter.check_all(charges)
    verdict = limiter.check_all(charges)
    assert not verdict
    assert verdict.violated_policies == ("guild/guilds",)
    assert remaining("user:1") == 2
    again = limiter.check_all(charges)  # from the deny cache
    assert not again
    assert again.decisions[0].source == "deny-cache"


def test_the_wait_of_all_is_that_of_the_one_that_refused(small):
    quick = make("quick", 1, refill_tokens=1, refill_period_seconds=10)
    Scope.objects.create(name="guild", tier=quick)
    charges = [("user:1", 1), ("guild:1", 1, "guild")]
    assert limiter.check_all(charges).retry_after_seconds == 0
    assert 9 < limiter.check_all(charges).retry_after_seconds <= 10


def test_all_with_one_named_twice_is_refused(small):
    with pytest.raises(ValueError, match="twice"):
        limiter.check_all([("u", 1), ("u", 2)])


def test_a_cost_is_a_whole_number(small):
    with pytest.raises(ValueError, match="between 1 and 3"):
        limiter.check("u", 1.5)  # type: ignore[arg-type]


def test_the_leases_that_are_watched_stay_few():
    RatelimitSettings(default_tier=make("busy", 100_000)).save()
    for _ in range(20_000):
        limiter.check("u")
    assert len(limiter.decisions.lending) == 1


def test_one_bad_charge_spends_none(small):
    with pytest.raises(ValueError, match="between 1 and 3"):
        limiter.check_many([("u", 1), ("v", 4)])
    assert remaining("u") == 3


def test_asyncio_decides_alike(small):
    Scope.objects.create(name="play")

    async def go():
        first = await asyncio.gather(*(limiter.acheck("u") for _ in range(5)))
        many = await limiter.acheck_many([("v", 1), ("w", 1)])
        verdict = await limiter.acheck_all([("v", 1), ("w", 1, "play")])
        left = await limiter.apeek("v")
        return first, many, verdict, left, await limiter.arefund("v", 1)

    first, many, verdict, left, refunded = asyncio.run(go())
    assert sum(one.allowed for one in first) == 3
    assert all(many)
    assert verdict
    assert left.remaining == 1
    assert refunded == 2


# --- what a process keeps -------------------------------------------------------------------------


def test_a_denial_is_remembered_for_its_cost(small):
    limiter.check("u", 2)
    first, again = limiter.check("u", 2), limiter.check("u", 2)
    assert (first.source, again.source) == ("redis", "deny-cache")
    assert 0 < again.retry_after_seconds <= first.retry_after_seconds + 0.1
    assert limiter.check("u", 1).allowed  # a smaller one may pass


def test_a_remembered_denial_asks_nobody(small, monkeypatch):
    limiter.check("u", 3)
    limiter.check("u")
    monkeypatch.setattr(Script, "run", None)
    assert not any(limiter.check("u") for _ in range(50))


def test_a_remembered_denial_ends_when_the_token_is_there():
    RatelimitSettings(
        default_tier=make("quick", 1, refill_tokens=50, refill_period_seconds=1)
    ).save()
    while (denied := limiter.check("u")).allowed:  # on a busy machine a token more may be there
        pass
    time.sleep(denied.retry_after_seconds + 0.001)
    assert limiter.check("u").source != "deny-cache"
    wait_until(lambda: limiter.check("u").allowed)


def test_a_reset_or_grant_ends_what_is_remembered(small):
    limiter.check("u", 3)
    assert not limiter.check("u")
    limiter.reset("u")
    assert limiter.check("u", 3)
    assert not limiter.check("u")
    assert limiter.grant("u", 5) == 5
    assert limiter.check("u")


def test_without_a_deny_cache_redis_is_asked_every_time(small):
    settings = RatelimitSettings.load()
    settings.deny_cache_seconds = 0
    settings.save()
    limiter.check("u", 3)
    assert {limiter.check("u").source for _ in range(3)} == {"redis"}


def test_a_changed_tier_ends_what_is_remembered(small):
    limiter.check("u", 3)
    assert not limiter.check("u")
    Tier.objects.filter(pk=small.pk).update(capacity=10, on_change="reset")
    assert limiter.check("u").remaining == 9


def test_a_busy_bucket_is_leased_and_spends_exactly_its_capacity():
    RatelimitSettings(default_tier=make("busy", 1000)).save()
    decided = [limiter.check("u") for _ in range(1500)]
    assert sum(one.allowed for one in decided) == 1000
    assert sum(one.source == "lease" for one in decided) > 500
    lefts = [one.remaining for one in decided if one.allowed]
    assert lefts == sorted(lefts, reverse=True)


def test_a_lease_that_ends_is_given_back():
    RatelimitSettings(default_tier=make("busy", 1000)).save()
    for _ in range(10):
        limiter.check("u")
    leased = limiter.peek("u")
    assert leased.leased > 0
    time.sleep(0.06)
    limiter.give_back_leases()
    after = limiter.peek("u")
    assert (after.remaining, after.leased) == (990, 0)


def test_threads_together_get_what_one_bucket_holds(settings):
    settings.REDIS_TIMEOUT_SECONDS = 10  # else a busy machine makes an outage of it
    access.forget()
    RatelimitSettings(default_tier=make("busy", 500)).save()
    passed: list[int] = []

    sources: set[str] = set()

    def hammer() -> None:
        decided = [limiter.check("u") for _ in range(300)]
        passed.append(sum(one.allowed for one in decided))
        sources.update(one.source for one in decided)

    threads = [threading.Thread(target=hammer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    limiter.decisions.accounts.clear()
    time.sleep(0.06)
    limiter.give_back_leases()
    while decided := limiter.check("u"):
        passed.append(1)
        sources.add(decided.source)
    assert sources <= {"redis", "lease", "deny-cache"}
    assert sum(passed) == 500


def test_a_slot_is_released_with_the_block():
    RatelimitSettings(default_tier=make("one", 100, concurrency=1)).save()
    with limiter.hold("u") as first:
        assert first.slot
        assert not limiter.check("u")
    again = limiter.check("u")
    assert again
    assert limiter.release("u", again.slot)
    assert not limiter.release("u", again.slot)


def test_a_million_subjects_take_bounded_memory(small, monkeypatch):
    from ratelimit.services import decisions

    monkeypatch.setattr(decisions, "MAX_ACCOUNTS", 50)
    for number in range(200):
        limiter.check(f"user:{number}")
    assert len(limiter.decisions.accounts) == 50
    assert MAX_ACCOUNTS == 10_000


# --- Redis away -----------------------------------------------------------------------------------


@pytest.fixture
def away(redis_away):
    breaker.failed()
    breaker.failed()


@pytest.mark.usefixtures("away")
def test_local_shares_add_up_to_the_bucket():
    RatelimitSettings(default_tier=make("local", 10, when_redis_is_away="local")).save()
    passed = []
    for rank in range(4):
        limiter.decisions.forget()
        limiter.decisions.share = Share(rank, 4)
        decided = [limiter.check("u") for _ in range(10)]
        passed.append(sum(one.allowed for one in decided))
        assert {one.source for one in decided} == {"local"}
    limiter.decisions.forget()
    assert passed == [3, 3, 2, 2]


@pytest.mark.usefixtures("away")
def test_with_fewer_tokens_than_processes_some_hold_none():
    RatelimitSettings(default_tier=make("local", 2, when_redis_is_away="local")).save()
    passed = []
    for rank in range(3):
        limiter.decisions.forget()
        limiter.decisions.share = Share(rank, 3)
        passed.append(sum(bool(limiter.check("u")) for _ in range(5)))
    limiter.decisions.forget()
    assert passed == [1, 1, 0]


@pytest.mark.usefixtures("away")
def test_together_is_all_or_nothing_locally_too(small):
    Tier.objects.update(when_redis_is_away="local")
    scope = Scope.objects.create(name="play", tier=make("one", 1, when_redis_is_away="local"))
    assert limiter.check_all([("u", 1), ("u", 1, scope.name)])
    assert not limiter.check_all([("u", 1), ("u", 1, scope.name)])
    assert limiter.check("u", 2)  # what the refused one took is there again


def report():
    from ratelimit.services import reporter

    reporter.report()
