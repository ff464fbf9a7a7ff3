"""Performance reviews: what is called worse, when one is made, what it holds, who is mailed."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError
from django.utils import timezone

from optimizer.control import live, registry
from optimizer.control.revisions import change
from optimizer.operations import tasks
from optimizer.operations.baselines import files
from optimizer.operations.engine.review_times import last_due
from optimizer.operations.models import (
    AlertEvent,
    Notice,
    OperationsSettings,
    PerformanceReview,
    Sample,
)
from optimizer.operations.services import notices, review_content, review_words, reviews
from tests.operations.review_case import HOUR, NOW, WEEK, advice, keep, recommend, two_weeks
from tests.queries.admin_rows import statistic

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]

HITS, P95 = "caching.hit_percent", "operations.request_p95_seconds"


def settings_of(**changed):
    with change("operations"):
        row = OperationsSettings.load()
        for name, value in changed.items():
            setattr(row, name, value)
        row.full_clean()
        row.save()
    live.try_to_catch_up()


def due_now(now):
    row = reviews.make_if_due(now)
    assert row is not None
    return row


def read(row):
    row.refresh_from_db()
    return review_content.read(row.content)


# When one is made


def test_it_is_made_once_and_late_rather_than_never():
    two_weeks(HITS, 80, 60)
    late = NOW + timedelta(days=2)
    row = due_now(late)
    assert (row.due_at, row.end) == (NOW.replace(minute=0), late)
    assert reviews.make_if_due(late + HOUR) is None
    assert reviews.make_if_due(NOW + WEEK) is not None
    assert PerformanceReview.objects.count() == 2


def test_before_the_history_begins_there_is_nothing_to_review():
    assert reviews.make_if_due(NOW) is None
    keep(HITS, [80.0], end=NOW + timedelta(days=3))
    assert reviews.make_if_due(NOW + timedelta(days=3)) is None
    settings_of(review_every="never")
    two_weeks(HITS, 80, 60)
    assert reviews.make_if_due(NOW + WEEK) is None


def test_one_that_another_was_first_with_is_dropped(monkeypatch):
    two_weeks(HITS, 80, 60)
    settings_of(review_emails="a@example.org")
    gather = reviews.gather

    def slowly(now):
        monkeypatch.setattr(reviews, "gather", gather)
        assert reviews.make_if_due(now) is not None  # another worker, meanwhile
        return gather(now)

    monkeypatch.setattr(reviews, "gather", slowly)
    assert reviews.make_if_due(NOW) is None
    assert PerformanceReview.objects.count() == Notice.objects.count() == 1


# What it holds


def test_figures_are_compared_with_as_long_a_time_before():
    two_weeks(HITS, 80, 60)
    two_weeks(P95, 0.2, 0.1)
    two_weeks("caching.reads_per_second", 100, 1000)
    keep("batches.waiting_items", [5.0] * 3)
    review = reviews.gather(NOW)
    told = {one.name: one for one in review.figures}
    assert [one.name for one in review.worse] == [HITS]
    assert [one.name for one in review.better] == [P95]
    assert told[HITS].percent == pytest.approx(-25, rel=0.01)
    assert (told[HITS].before, told[HITS].after) == pytest.approx((83.2, 62.4), rel=0.01)
    assert told["caching.reads_per_second"].verdict == "same"  # neither good nor bad
    assert told["batches.waiting_items"].verdict == "unknown"


def test_the_threshold_is_an_admin_s():
    two_weeks(HITS, 80, 60)
    settings_of(review_regression_percent=30.0)
    assert not reviews.gather(NOW).worse


def test_a_daily_review_is_of_a_day():
    settings_of(review_every="daily")
    keep(HITS, [80.0] * 24 + [60.0] * 24)
    review = reviews.gather(NOW)
    assert review.end - review.begin == timedelta(days=1)
    assert [one.name for one in review.worse] == [HITS]


def test_minutes_that_are_not_summed_up_yet_count():
    two_weeks(HITS, 80, 60)
    begin = NOW.replace(minute=0) - HOUR
    Sample.objects.filter(at=begin).delete()
    for minute in range(60):
        at = begin + timedelta(minutes=minute)
        Sample.objects.create(span_seconds=60, figure=HITS, at=at, value=60, least=60, most=60)
    (told,) = [one for one in reviews.gather(NOW).figures if one.name == HITS]
    assert told.detail == "168 hours, 168 before"


def test_queries_are_compared_with_the_review_before():
    hour = NOW - 30 * HOUR
    statistic(1, hour=hour - WEEK, calls=1000, seconds=10.0)
    first = reviews.make("someone", NOW - WEEK)
    assert {one.verdict for one in read(first).measures} == {"unknown"}
    statistic(1, hour=hour, calls=1000, seconds=30.0)
    statistic(2, hour=hour, calls=10, seconds=30.0)  # too few to tell
    (worse,) = reviews.gather(NOW).worse
    assert worse.name == f"queries.query:{1:016x}"
    assert (worse.before, worse.after) == pytest.approx((0.01, 0.03))


def test_a_baseline_is_compared_with_the_one_before_of_its_kind(settings, tmp_path):
    settings.METRICS_HISTORY_DIR = tmp_path

    def write(days, milliseconds, **more):
        figures = files.Figures(milliseconds, milliseconds, milliseconds, milliseconds, 9.0, 100, 0)
        given: dict[str, Any] = {"label": "", "url": "http://x", "requests": 100, "concurrency": 2}
        given |= {"optimizations": {"caching": True}, "endpoints": {"/health": figures}} | more
        files.write(files.Baseline(made_at=NOW - timedelta(days=days), **given))

    write(9, 1.0)
    write(8, 0.1, optimizations={"caching": False})
    write(1, 1.5)
    (folder := tmp_path / "baselines" / "baseline_20261129_000000.json").write_text("{")
    (worse,) = reviews.gather(NOW).worse
    assert (worse.name, worse.before, worse.after) == ("/health", 1.0, 1.5)
    assert worse.percent == pytest.approx(50)
    folder.unlink()
    assert not reviews.gather(NOW + WEEK).endpoints  # none was made in that week


def test_it_tells_of_alerts_and_of_changed_settings():
    settings_of(login_rate_per_minute=5)
    now = timezone.now()
    for begin, end in ((30, 29), (2, 1), (1, None)):
        AlertEvent.objects.create(
            name="Slow" if end else "Wait",
            figure=P95,
            severity="warning",
            condition="c",
            value=1,
            worst=2,
            started_at=now - begin * HOUR * 24,
            resolved_at=now - end * HOUR * 24 if end else None,
        )
    review = reviews.gather(now)
    told = {one.name: (one.times, one.firing) for one in review.alerts}
    assert told == {"Slow": (1, False), "Wait": (1, True)}
    assert review.alerts[0].seconds == pytest.approx(86_400, rel=0.01)
    assert (review.edit_count, review.edits[0].component) == (1, "operations")


def test_a_recommendation_is_new_once_and_settled_when_it_is_gone(monkeypatch):
    two_weeks(HITS, 80, 80)
    recommend(monkeypatch, "caching", advice("a"), advice("b"), advice("c", is_fine=True))
    first = read(reviews.make("x", NOW - WEEK))
    ours = [one for one in first.advice if one.component == "caching"]
    assert all(first.is_new(one) for one in ours)
    assert {one.of.id for one in first.to_do} >= {"a", "b"}
    assert "c" not in {one.of.id for one in first.to_do}
    recommend(monkeypatch, "caching", advice("b"), advice("d"))
    second = read(reviews.make("x", NOW))
    known = {one.of.id: second.is_new(one) for one in second.advice if one.component == "caching"}
    assert known == {"b": False, "d": True}
    assert second.settled == [("caching", "Do a")]
    assert "- Settled: Do a" in review_words.as_markdown(second)
    assert "Do a" in review_words.as_html(second)


@pytest.mark.parametrize("error", [DatabaseError("gone"), ZeroDivisionError()])
def test_a_component_that_cannot_tell_is_named_and_takes_no_other_away(monkeypatch, error):
    import dataclasses

    def broken():
        raise error

    recommend(monkeypatch, "caching", advice("a"))
    reviews.make("x", NOW - WEEK)
    one = dataclasses.replace(registry.get("caching"), recommend=broken)
    monkeypatch.setitem(registry._components, "caching", one)
    recommend(monkeypatch, "batches", advice("z"))
    review = reviews.gather(NOW)
    assert review.missing == ["Cache manager"]
    assert not review.settled  # nobody knows
    assert "z" in {one.of.id for one in review.to_do}
    assert "Cache manager" in review_words.as_markdown(review)


@pytest.mark.usefixtures("redis_away")
def test_while_redis_is_away_a_review_says_whose_part_is_missing():
    two_weeks(HITS, 80, 60)
    review = reviews.gather(NOW)
    assert {"Cache manager", "Rate limiter"} <= set(review.missing)
    assert [one.name for one in review.worse] == [HITS]


# Who hears of it


def test_a_scheduled_one_is_mailed_to_each_address_once(settings, mailoutbox, monkeypatch):
    two_weeks(HITS, 80, 60)
    recommend(monkeypatch, "caching", advice("a", title="Raise <b>it</b>", reason="x | y"))
    settings_of(review_emails="a@example.org, b@example.org", site_url="https://bots.example.org")
    settings.EMAIL_URL = "memorymail://"
    row = due_now(NOW)
    assert notices.deliver_due() == 2
    assert notices.deliver_due() == 0
    assert sorted(one.to[0] for one in mailoutbox) == ["a@example.org", "b@example.org"]
    mail = mailoutbox[0]
    assert mail.subject.startswith("[Tuneup] Performance review: 1 worse, 0 better, ")
    assert "| Cache manager: Cache hits | 83.17 % | 62.38 % | -25 % worse |" in mail.body
    assert "[Raise <b>it</b>](https://bots.example.org/admin/caching/" in mail.body
    (html, kind) = mail.alternatives[0]
    assert kind == "text/html"
    assert "Raise &lt;b&gt;it&lt;/b&gt;" in html
    assert 'href="https://bots.example.org/admin/caching/' in html
    assert "<script" not in html and "src=" not in html
    assert {one.delivered_at is None for one in row.notices.all()} == {False}


def test_one_made_by_hand_is_mailed_to_nobody():
    settings_of(review_emails="a@example.org")
    reviews.make("x", NOW)
    assert not Notice.objects.exists()


def test_a_mail_that_does_not_go_out_waits_for_its_next_try(settings):
    two_weeks(HITS, 80, 60)
    settings_of(review_emails="a@example.org")
    row = due_now(NOW)
    settings.EMAIL_URL = ""
    assert notices.deliver_due() == 0
    (notice,) = row.notices.all()
    assert "EMAIL_URL is not set" in notice.error
    assert notice.available_at > timezone.now()


def test_a_notice_is_of_one_thing():
    from django.db import IntegrityError, transaction

    with pytest.raises(IntegrityError), transaction.atomic():
        Notice.objects.create(kind="review", channel="email")


@pytest.mark.parametrize(
    "changed, field",
    [
        ({"review_emails": "a@example.org, nobody"}, "review_emails"),
        ({"site_url": "bots.example.org"}, "site_url"),
        ({"site_url": "https://bots.example.org/x"}, "site_url"),
        ({"review_hour": 24}, "review_hour"),
        ({"review_every": "yearly"}, "review_every"),
    ],
)
def test_a_bad_setting_is_named(changed, field):
    with pytest.raises(ValidationError) as told:
        settings_of(**changed)
    assert field in told.value.message_dict


def test_beat_s_task_makes_it_and_old_ones_are_forgotten():
    end = timezone.now()
    due = last_due("weekly", "monday", 6, end)
    assert due is not None
    keep(HITS, [80.0] * 10, end=due)
    assert tasks.review() is True
    assert tasks.review() is False
    PerformanceReview.objects.update(end=end - timedelta(days=401))
    assert tasks.forget() == 1
