import pytest

from optimizer.control.models import Revision
from ratelimit import limiter
from ratelimit.live import ratelimit
from ratelimit.models import RatelimitSettings, Subject, Tier
from ratelimit.services import EXAMPLE_SUBJECT, seed

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


@pytest.fixture
def tier():
    return Tier.objects.create(
        name="small", capacity=2, refill_tokens=1, refill_period_seconds=3600
    )


def test_without_any_rows_everybody_has_the_built_in_tier():
    decision = limiter.check("anybody")
    assert (decision.limit.name, decision.limit.capacity) == ("default", 20)


def test_a_subject_has_the_bucket_of_its_tier(tier):
    Subject.objects.create(identifier="user:1", tier=tier)
    assert [limiter.check("user:1").allowed for _ in range(3)] == [True, True, False]
    assert limiter.check("user:2").limit.name == "default"


def test_others_have_the_default_tier(tier):
    RatelimitSettings(default_tier=tier).save()
    assert limiter.check("anybody").limit.name == "small"


def test_a_changed_tier_governs_the_next_decision(tier):
    RatelimitSettings(default_tier=tier).save()
    assert limiter.check("u").limit.capacity == 2
    Tier.objects.filter(pk=tier.pk).update(capacity=50)
    assert limiter.check("u").limit.capacity == 50


def test_the_kill_switch_lets_everything_pass(tier):
    RatelimitSettings(default_tier=tier, enabled=False).save()
    decisions = [limiter.check("u") for _ in range(5)]
    assert all(one.allowed for one in decisions)
    assert {one.source for one in decisions} == {"disabled"}


@pytest.mark.usefixtures("redis_away")
@pytest.mark.parametrize(("policy", "allowed"), [("open", True), ("closed", False)])
def test_while_redis_is_away_the_tier_says_what_happens(tier, policy, allowed):
    Tier.objects.filter(pk=tier.pk).update(when_redis_is_away=policy)
    RatelimitSettings(default_tier=tier).save()
    for _ in range(5):
        decision = limiter.check("u")
        assert (decision.allowed, decision.source) == (allowed, "redis-away")
        assert (decision.retry_after_seconds > 0) is not allowed


@pytest.mark.parametrize("cost", [0, 3])
def test_a_cost_out_of_range_names_the_tier(tier, cost):
    RatelimitSettings(default_tier=tier).save()
    with pytest.raises(ValueError, match="between 1 and 2, the capacity of tier small"):
        limiter.check("u", cost)


def test_a_decision_asks_no_database(tier, django_assert_num_queries):
    RatelimitSettings(default_tier=tier).save()
    limiter.check("u")
    with django_assert_num_queries(0):
        limiter.check("u")


def test_a_peek_and_a_reset_reach_the_same_bucket(tier):
    RatelimitSettings(default_tier=tier).save()
    limiter.check("u", 2)
    assert limiter.peek("u").remaining == 0
    limiter.reset("u")
    assert limiter.peek("u").remaining == 2


def test_the_first_rows_are_written_once_and_in_one_revision():
    seed()
    Tier.objects.filter(name="demo").update(capacity=9)
    seed()
    assert Revision.objects.count() == 2
    assert ratelimit.current().tier_of(EXAMPLE_SUBJECT).limit.capacity == 9
    assert ratelimit.current().default_tier.limit.name == "free"


def test_the_self_checks_pass():
    from ratelimit.verify import CHECKS

    for check in CHECKS:
        assert check.run()


def test_a_tier_in_use_as_default_cannot_be_deleted(tier):
    from django.db.models import ProtectedError

    RatelimitSettings(default_tier=tier).save()
    with pytest.raises(ProtectedError):
        tier.delete()


def test_a_tier_too_large_to_count_exactly_is_refused_by_form_and_database():
    from django.core.exceptions import ValidationError
    from django.db import IntegrityError

    row = Tier(name="huge", capacity=1_000_000, refill_period_seconds=86_400)
    with pytest.raises(ValidationError, match="exactly"):
        row.full_clean()
    with pytest.raises(IntegrityError):
        row.save()
