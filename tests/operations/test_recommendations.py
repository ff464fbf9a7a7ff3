"""What each component recommends, from what really happened."""

import time

import pytest
from django.core.cache import cache
from django.utils import timezone

from caching import recommendations as of_caching
from caching.models import CachingSettings
from caching.services import reporter as reporter_of_caching
from optimizer.balancer import balancer
from optimizer.balancer import recommendations as of_balancer
from optimizer.balancer.services import reporter as balancer_reporter
from optimizer.batches import recommendations as of_batches
from optimizer.batches.models import Job, JobState
from optimizer.control import live, registry
from optimizer.control.revisions import change
from optimizer.control.series import SLOT_SECONDS, Series
from optimizer.operations import recommendations as of_operations
from optimizer.operations import verification
from optimizer.operations.models import AlertEvent, AlertRule, OperationsSettings
from optimizer.operations.services import review_words
from optimizer.pools import recommendations as of_pools
from optimizer.pools.models import PooledConnection
from optimizer.pools.selectors import overview
from optimizer.pools.services.servers import Server
from optimizer.queries import recommendations as of_queries
from optimizer.queries.models import Finding
from ratelimit import recommendations as of_ratelimit
from ratelimit.models import RatelimitSettings, Tier
from ratelimit.services.limiter import limiter
from ratelimit.services.reporter import reporter, series
from tests.balancer.case import make as make_group
from tests.batches import jobs
from tests.batches.admin_rows import letter
from tests.caching.support import hearing
from tests.queries import admin_rows

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


def ids(told) -> list[str]:
    return [one.id for one in told]


def test_every_component_has_a_say_and_its_pages_are_there():
    for component in registry.components(platform=False):
        assert component.recommend is not None, component.name
        for one in component.recommend():
            assert review_words.url_of(one.place), one


def test_the_cache_s_budget_follows_the_curve():
    megabyte = 1024**2
    CachingSettings(l1_budget_bytes=megabyte, l1_policy="lru").save()
    hearing()
    names = [f"page-{number}" for number in range(1500)]
    for name in names:
        cache.set(name, b"x" * 1_600, 600)
    assert of_caching.recommend() == []  # nobody has read enough to tell
    for _ in range(4):
        for name in names:
            assert cache.get(name)
    reporter_of_caching.report()  # else within a second: the curve learns how many reads there were
    (told,) = [one for one in of_caching.recommend() if one.id == "budget"]
    assert told.title == "Raise the budget of each process from 1 MB to 4 MB"
    assert told.button is not None and told.button.fields == {"budget_bytes": str(4 * megabyte)}
    by_label = {one.label: one for one in told.bars}
    assert by_label["1 MB"].kind == "now" and by_label["1 MB"].percent < 50
    assert by_label["4 MB"].kind == "advised" and by_label["4 MB"].percent > 80
    CachingSettings(l1_budget_bytes=4 * megabyte, l1_policy="lru").save()
    live.try_to_catch_up()
    (told,) = [one for one in of_caching.recommend() if one.id == "budget"]
    assert told.is_fine and told.button is None


def test_a_namespace_that_hits_little_is_named():
    hearing()
    for number in range(1100):
        cache.get(f"nothing-{number}")
    (told,) = [one for one in of_caching.recommend() if one.id.startswith("namespace")]
    assert told.id == "namespace:default" and "0.0 % of" in told.reason


def test_a_tier_that_denies_much_and_one_that_could_limit(monkeypatch):
    slow = {"refill_tokens": 1, "refill_period_seconds": 3600}
    tight = Tier.objects.create(name="tight", capacity=500, **slow)
    Tier.objects.create(name="watched", capacity=5000, shadow=True, **slow)
    RatelimitSettings(default_tier=tight).save()
    live.try_to_catch_up()

    def ask(subject):
        for _ in range(1100):
            limiter.check(subject)
        reporter.report()

    ask("first")
    RatelimitSettings(default_tier=Tier.objects.get(name="watched")).save()
    live.try_to_catch_up()
    ask("second")
    clock = series._clock
    monkeypatch.setattr(series, "_clock", lambda: clock() + SLOT_SECONDS)
    told = {one.id: one for one in of_ratelimit.recommend()}
    assert set(told) == {"denies:tight", "shadow:watched"}
    assert "55 % of 1,100 calls" in told["denies:tight"].reason


def test_jobs_that_stand_still_or_fail_are_named():
    stopped = jobs.make("stopped")
    jobs.make("fine")
    JobState.objects.create(
        job=stopped, stopped_at=timezone.now(), stopped_because="Too many failed."
    )
    letter(Job.objects.get(name="fine"))
    told = {one.id: one for one in of_batches.recommend()}
    assert set(told) == {"stopped:stopped", "dead-letters:fine"}
    assert told["stopped:stopped"].reason == "Too many failed."
    assert told["dead-letters:fine"].title == "1 dead letter of fine"


def test_chunks_that_could_be_larger_and_bulk_that_gains_little_are_named():
    job = jobs.make("small", adaptive=True, most_chunk_items=500)
    JobState.objects.create(
        job=job, done=20_000, chunk_items=500, latencies={"8": 40},
        one_by_one_seconds=0.001, in_bulk_seconds=0.001,
    )  # fmt: skip
    assert ids(of_batches.recommend()) == ["chunk:small", "gain:small"]


def test_a_backend_that_fails_and_one_that_is_alone(redis, monkeypatch):
    for name in ("series", "latencies"):
        monkeypatch.setattr(balancer_reporter, name, Series(f"balancer-test-{name}"))
    make_group("api", "http://10.0.0.1:80", max_ejected_percent=0, failure_percent=100)
    group, tells = balancer.group("api"), balancer_reporter.Reporter()
    for number in range(1100):
        group.done(group.begin(), 0.01, failed=number % 20 == 0)
    with monkeypatch.context() as earlier:
        for one in (balancer_reporter.series, balancer_reporter.latencies):
            earlier.setattr(one, "_clock", lambda: time.time() - 10)
        tells.report()
    told = {one.id: one for one in of_balancer.recommend()}
    assert "alone:api" in told
    (fails,) = [one for name, one in told.items() if name.startswith("fails:api/")]
    assert fails.reason.startswith("5 % of 1,100 calls")


def test_pools_follow_what_callers_wait_for(monkeypatch):
    PooledConnection.objects.create(alias="redis", kind="redis", max_size=4)
    live.try_to_catch_up()
    every = overview.every

    def busy(**given):
        pools, away = every(**given)
        for pool in pools:
            for process in pool.processes:
                totals = process.pool.totals
                totals.acquired, totals.queued, totals.timeouts, totals.leaked = 90_000, 900, 3, 2
                recent = process.pool.recent
                recent.acquired, recent.use_seconds, recent.uses = 60_000, 600.0, {1: 60_000}
                process.pool.recent_seconds = 60.0
        return pools, away

    monkeypatch.setattr(of_pools, "every", busy)
    told = {one.id: one for one in of_pools.recommend()}
    assert set(told) >= {"size:redis", "leaks:redis"}
    assert told["size:redis"].title.startswith("Raise max_size of redis from 4 to ")
    assert "900 of 90,000" in told["size:redis"].reason and "3 in vain" in told["size:redis"].reason


@pytest.mark.parametrize("room, says", [(1000, []), (2, ["size:redis"])])
def test_a_pool_is_made_smaller_only_where_its_server_has_no_room(monkeypatch, room, says):
    PooledConnection.objects.create(alias="redis", kind="redis", max_size=40)
    live.try_to_catch_up()
    every = overview.every

    def quiet(**given):
        pools, away = every(**given)
        for pool in pools:
            pool.server = Server(limit=room, reserved=0, used=1)
            for process in pool.processes:
                process.pool.totals.acquired, process.pool.totals.queued = 90_000, 0
                recent = process.pool.recent
                recent.acquired, recent.use_seconds, recent.uses = 600, 0.6, {1: 600}
                process.pool.recent_seconds = 60.0
        return pools, away

    monkeypatch.setattr(of_pools, "every", quiet)
    assert [one for one in ids(of_pools.recommend()) if one == "size:redis"] == says


def test_queries_tell_findings_indexes_and_caches():
    finding = admin_rows.finding(1)
    admin_rows.finding(2, kind=Finding.Kind.REVIEW)
    admin_rows.finding(5, lost_seconds=0.9)  # too little to bother anybody
    admin_rows.advice(3)
    admin_rows.advice(4, state="ignored")
    told = {one.id: one for one in of_queries.recommend()}
    assert f"finding:{finding.digest}" in told
    assert f"index:{3:032x}" in told
    assert len([name for name in told if name.split(":")[0] in ("finding", "index")]) == 2


def test_operations_tell_of_restless_rules_failed_checks_and_slow_answers(monkeypatch):
    assert of_operations.recommend() == []
    rule = AlertRule.objects.create(name="Slow", figure="operations.request_p95_seconds")
    AlertEvent.objects.bulk_create(
        AlertEvent(
            rule=rule, name="Slow", figure=rule.figure, severity="warning", condition="c",
            value=1, worst=1, resolved_at=timezone.now(),
        )
        for _ in range(20)
    )  # fmt: skip
    with change("operations"):
        OperationsSettings(fast_answers=False).save()
    live.try_to_catch_up()
    failed = {"component": "Cache", "check": "reads", "passed": False}
    verification._keep({"run": "1", "actor": "x", "state": "done", "outcomes": [failed]})
    assert ids(of_operations.recommend()) == [f"restless:{rule.pk}", "verification", "fast-answers"]
