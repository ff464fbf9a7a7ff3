"""What was counted arrives: metrics, charts, top consumers, the record for what-if."""

from functools import partial

import pytest

from optimizer.control import ticker
from optimizer.control.redis import call
from optimizer.control.series import SLOT_SECONDS, Series
from ratelimit import limiter, metrics, selectors
from ratelimit.live import limit_of
from ratelimit.models import RatelimitSettings, Scope, Tier
from ratelimit.services import what_if
from ratelimit.services.reporter import DECIDERS, Reporter, record_key, reporter, series

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


@pytest.fixture
def small():
    tier = Tier.objects.create(
        name="small", capacity=3, refill_tokens=1, refill_period_seconds=3600
    )
    RatelimitSettings(default_tier=tier).save()
    return tier


@pytest.fixture
def later(monkeypatch):
    """Look from a slot later: the one that is going on is not shown."""
    clock = series._clock
    return lambda: monkeypatch.setattr(series, "_clock", lambda: clock() + SLOT_SECONDS)


def counted(outcome, source):
    return metrics.DECISIONS.labels("small", "", outcome, source)._value.get()


@pytest.mark.usefixtures("small")
def test_the_counts_of_every_kind_arrive_once():
    before = counted("denied", "deny-cache"), counted("allowed", "redis")
    for _ in range(8):
        limiter.check("u")
    for _ in range(3):
        reporter.report()
    assert counted("allowed", "redis") == before[1] + 3
    assert counted("denied", "deny-cache") == before[0] + 4


@pytest.mark.usefixtures("small")
def test_the_chart_sums_over_processes_and_slots(later):
    others = Reporter(limiter)
    for one in (reporter, others):
        for _ in range(4):
            limiter.check("u")
        one.report()
    later()
    slots, counts = selectors.rates(600)
    assert len(slots) == 600 // SLOT_SECONDS
    assert sum(counts["allowed", "small", ""]) == 3
    assert sum(counts["denied", "small", ""]) == 5


def test_a_shadow_is_counted_as_shadow(small, later):
    Tier.objects.update(shadow=True)
    for _ in range(5):
        assert limiter.check("u")
    reporter.report()
    later()
    _, counts = selectors.rates(600)
    assert sum(counts["shadow", "small", ""]) == 2


@pytest.mark.usefixtures("small")
def test_the_top_consumers_are_those_with_the_most_calls():
    for name, calls in (("a", 1), ("b", 5), ("c", 3)):
        for _ in range(calls):
            limiter.check(name)
    reporter.report()
    assert selectors.top(2) == [("b", 5), ("c", 3)]


@pytest.mark.usefixtures("small")
def test_processes_that_decide_number_themselves():
    limiter.check("u")
    reporter.report()
    assert limiter.decisions.share == (0, 1)
    call(lambda r: r.zadd(DECIDERS, {"zz-another": 10**12}))
    limiter.check("u")
    reporter.report()
    assert limiter.decisions.share == (0, 2)


@pytest.mark.usefixtures("small")
def test_the_record_replays_what_was_offered(small):
    for _ in range(10):
        limiter.check("u")
    limiter.check("v")
    reporter.report()
    told = what_if.preview("small", limit_of(small))
    assert (told.calls, told.sampled_ratio) == (11, 1.0)
    assert (told.before.refused, told.after.refused) == (7, 7)
    small.capacity = 8
    told = what_if.preview("small", limit_of(small))
    assert (told.before.refused, told.after.refused) == (7, 2)
    assert told.most_affected == (what_if.Affected("u", 7, 2),)


@pytest.mark.usefixtures("small")
def test_the_record_knows_what_calls_cost(small):
    small.capacity = 100
    small.save()
    limiter.check("u", 3)  # by Redis
    limiter.check_many([("u", 3), ("u", 3)])
    limiter.check_all([("u", 3)])
    reporter.report()
    small.capacity = 7
    assert what_if.preview("small", limit_of(small)).after.refused == 2


@pytest.mark.usefixtures("small")
def test_the_record_is_bounded_and_thins_out(monkeypatch):
    from ratelimit.services import reporter as module

    settings = RatelimitSettings.load()
    settings.sample_subjects = 10
    settings.save()
    monkeypatch.setattr(module, "ROWS_A_MINUTE", 60)
    for turn in range(4):
        for number in range(50):
            limiter.check(f"user:{turn}:{number}")
        reporter.report()
    lengths = call(lambda r: [r.llen(key) for key in r.keys(record_key(0)[:-1] + "*")])
    assert lengths
    assert max(lengths) <= 60
    assert reporter._level > 0
    reporter._level = 0


@pytest.mark.usefixtures("small")
def test_scopes_are_told_by_the_row_and_subjects_by_no_label():
    Scope.objects.create(name="command:*")
    limiter.check("u", 1, "command:play")
    reporter.report()
    samples = [sample for one in metrics.DECISIONS.collect() for sample in one.samples]
    assert {"command:*"} <= {sample.labels["scope"] for sample in samples}
    assert not any(value == "u" for sample in samples for value in sample.labels.values())


def test_the_series_keeps_what_it_counted_while_redis_is_away(redis_away, settings):
    from optimizer.control import redis as access

    kept = Series("kept", clock=lambda: 1000.0)
    kept.add({"x": 3})
    with pytest.raises(access.RedisAway):
        kept.send()
    settings.REDIS_URL = __import__("os").environ["REDIS_URL"]
    access.forget()
    access.breaker.reset()
    kept.add({"x": 1})
    kept.send()
    later = Series("kept", clock=lambda: 1010.0)
    assert later.read(60)[1] == {"x": [0, 0, 0, 0, 0, 4]}
    kept.send()
    assert later.read(60)[1]["x"][-1] == 4


def test_a_job_that_fails_does_not_keep_the_others(monkeypatch, caplog):
    ran: list[int] = []

    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(ticker, "_jobs", [(fail, 1), (partial(ran.append, 1), 2)])
    for turn in (1, 2, 3, 4):
        ticker.tick(turn)
    assert ran == [1, 1]
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.usefixtures("small")
def test_a_bucket_of_a_scope_with_a_star_is_found_by_its_name():
    Scope.objects.create(name="command:*")
    limiter.check("u", 2, "command:play")
    assert [one.scope for one in selectors.buckets("u")] == [""]
    found = selectors.buckets("u", "command:play")
    assert [(one.scope, one.tokens) for one in found] == [("", 3), ("command:play", 1)]
