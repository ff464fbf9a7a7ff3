"""The page of performance reviews, and the command that makes one."""

import json
import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from caching.models import CachingSettings
from optimizer.control.recommendations import Bar, Button, Place
from optimizer.operations.models import AlertEvent, OperationsSettings, PerformanceReview
from optimizer.operations.services import reviews
from tests.operations.review_case import NOW, WEEK, advice, recommend, two_weeks
from tests.operations.test_operations_pages import HTML, text_of, url
from tests.queries.admin_rows import staff, statistic

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]

HITS = "caching.hit_percent"
MB = 1024**2
BUTTON = Button("Apply 300 MB", Place("admin:caching_budget"), {"budget_bytes": str(300 * MB)})


def full(monkeypatch, **changed):
    """Make a review with something of each kind, written by somebody hostile."""
    two_weeks(HITS, 80, 60)
    statistic(1, hour=NOW - WEEK, calls=1000, seconds=10.0)
    AlertEvent.objects.create(
        name=HTML, figure=HITS, severity="warning", condition=HTML, value=1, worst=1,
        started_at=NOW - WEEK,
    )  # fmt: skip
    bars = (Bar("200 MB", 71.0, "now"), Bar("300 MB", 88.0, "advised"), Bar("400 MB", 89.0))
    told = advice("budget", title=HTML, reason=HTML, button=BUTTON, bars=bars)
    recommend(monkeypatch, "caching", told, advice("fine", is_fine=True))
    return reviews.make("someone", NOW)


def test_it_stands_with_nothing_to_show(admin_client):
    assert "There is no review yet" in text_of(admin_client, url("operations_reviews"))


def test_it_shows_everything_and_no_html_of_others(admin_client, monkeypatch):
    full(monkeypatch)
    text = text_of(admin_client, url("operations_reviews"))
    assert HTML not in text
    for word in ("Worse", "23 to 30 November 2026", "Cache hits", "88 %", "Apply 300 MB", "fine"):
        assert word in text
    assert 'aria-label="Cache hits: now' in text  # its trend


def test_the_button_applies_the_advised_budget(admin_client, monkeypatch):
    full(monkeypatch)
    text = text_of(admin_client, url("operations_reviews"))
    (action,) = re.findall(r'<form method="post" action="([^"]+budget[^"]+)"', text)
    fields = dict(re.findall(r'<input type="hidden" name="(budget_bytes)" value="(\d+)"', text))
    admin_client.post(action, fields)
    assert CachingSettings.load().l1_budget_bytes == 300 * MB


def test_an_earlier_one_is_shown_without_its_buttons(admin_client, monkeypatch):
    first = full(monkeypatch)
    second = reviews.make("x", NOW + WEEK)
    assert "Apply 300 MB" not in text_of(admin_client, url("operations_review", first.pk))
    assert "Apply 300 MB" in text_of(admin_client, url("operations_review", second.pk))
    assert admin_client.get(url("operations_review", 99)).status_code == 404


def test_it_says_who_gets_the_next_one(admin_client, settings):
    assert "nobody gets it by mail" in text_of(admin_client, url("operations_reviews"))
    OperationsSettings(review_emails="a@example.org").save()
    settings.EMAIL_URL = ""
    assert "EMAIL_URL is not set" in text_of(admin_client, url("operations_reviews"))
    settings.EMAIL_URL = "memorymail://"
    text = text_of(admin_client, url("operations_reviews"))
    assert "goes to a@example.org" in text and "EMAIL_URL" not in text


def test_the_button_makes_one_now(admin_client):
    answer = admin_client.post(url("operations_reviews"), follow=True)
    assert "Reviewed up to now" in answer.content.decode()
    row = PerformanceReview.objects.get()
    assert (row.asked_by, row.due_at) == ("admin", None)


def test_who_may_only_look_sees_no_buttons(client, monkeypatch):
    full(monkeypatch)
    viewer = staff(client, "view_operationssettings")
    text = text_of(viewer, url("operations_reviews"))
    assert "Review now" not in text and "Apply 300 MB" not in text
    assert viewer.post(url("operations_reviews")).status_code == 403
    viewer.logout()
    assert viewer.get(url("operations_reviews")).status_code == 302
    other = staff_of_nothing(client)
    assert other.get(url("operations_reviews")).status_code == 403


def test_it_holds_back_what_its_reader_may_not_see_elsewhere(client, monkeypatch):
    full(monkeypatch)
    told = advice("b", title="Raise\nit", reason="x\ny")
    recommend(monkeypatch, "caching", told)
    reviews.make("x", NOW)
    with_cache = staff(client, "view_operationssettings", "view_cachingsettings")
    text = text_of(with_cache, url("operations_reviews"))
    assert "Raise" in text and "Cache hits" in text
    assert "buyer_id" not in text and "1 time," not in text  # of a query; of a rule
    told = with_cache.get(url("operations_reviews"), {"format": "markdown"}).content.decode()
    assert "- **Raise it** (Cache manager, new): x y" in told
    assert "buyer_id" not in told and "## Settings" not in told


def staff_of_nothing(client):
    from django.contrib.auth.models import User

    client.force_login(User.objects.create_user("nobody", is_staff=True))
    return client


@pytest.mark.usefixtures("redis_away")
def test_it_is_made_and_shown_while_redis_is_away(admin_client):
    answer = admin_client.post(url("operations_reviews"), follow=True)
    text = answer.content.decode()
    assert "Nothing could be told of: " in text and "Cache manager" in text


def test_one_of_another_version_is_said_to_be_so(admin_client):
    now = timezone.now()
    row = PerformanceReview.objects.create(begin=now, end=now, content={"figures": 3})
    assert "of another version" in text_of(admin_client, url("operations_review", row.pk))
    two_weeks(HITS, 80, 60)
    assert reviews.make("x", NOW).worse == 1


def test_places_that_are_gone_have_no_link(admin_client, monkeypatch):
    gone = Place("admin:page_of_an_earlier_version")
    told = advice("a", place=gone, button=Button("Do it", gone))
    recommend(monkeypatch, "caching", told)
    reviews.make("x", NOW)
    text = text_of(admin_client, url("operations_reviews"))
    assert "Do a" in text and "Do it" not in text


def test_it_is_downloaded_as_markdown(admin_client, monkeypatch):
    row = full(monkeypatch)
    answer = admin_client.get(url("operations_review", row.pk), {"format": "markdown"})
    assert answer["Content-Type"].startswith("text/markdown")
    assert "performance-review-2026-11-30.md" in answer["Content-Disposition"]
    text = answer.content.decode()
    assert text.startswith("# Performance review, 23 to 30 November 2026\n")
    assert "200 MB: 71 % (now); 300 MB: 88 % (advised); 400 MB: 89 %" in text


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("review_performance", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_makes_one_and_prints_it(monkeypatch, settings, mailoutbox):
    recommend(monkeypatch, "caching", advice("a"))
    assert "- **Do a** (Cache manager, new): It helps." in command()
    assert "<h1" in command("--format", "html")
    assert json.loads(command("--format", "json"))["advice"]
    settings.EMAIL_URL = "memorymail://"
    command("--mail", "a@example.org,b@example.org")
    assert [one.to for one in mailoutbox] == [["a@example.org"], ["b@example.org"]]
    assert PerformanceReview.objects.count() == 4


def test_the_command_says_what_is_wrong(settings):
    settings.EMAIL_URL = ""
    with pytest.raises(CommandError, match="--mail: 'nobody' is no e-mail address"):
        command("--mail", "nobody")
    assert not PerformanceReview.objects.exists()
    with pytest.raises(CommandError, match="EMAIL_URL is not set"):
        command("--mail", "a@example.org")
