"""The pages in the admin: who may what, and that they stand whatever there is to show."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from optimizer.queries import watch
from optimizer.queries.models import (
    Finding,
    Ignored,
    IgnoreRule,
    Statement,
)
from optimizer.queries.models.findings import State
from tests.queries.admin_rows import HTML, PAGES, advice, finding, staff, statistic, text_of, url

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]


def test_all_pages_stand_with_nothing_to_show(admin_client):
    for page in PAGES:
        text_of(admin_client, url(page))
    assert admin_client.get(url("queries_query", "0" * 16)).status_code == 404
    assert admin_client.get(url("queries_finding_change", 7)).status_code == 404


@pytest.mark.usefixtures("redis_away")
def test_all_pages_stand_while_redis_is_away(admin_client):
    row = finding()
    statistic()
    for page in PAGES:
        text_of(admin_client, url(page))
    assert "Redis is away" in text_of(admin_client, url("queries_live"))
    assert row.location in text_of(admin_client, url("queries_live"))
    assert row.location in text_of(admin_client, url("queries_finding_change", row.pk))


def test_a_finding_tells_all(admin_client):
    row, _ = finding(5), statistic(5)
    page = text_of(admin_client, url("queries_finding_change", row.pk))
    for told in (
        "up to 12 times in one unit",
        "select_related(&quot;buyer&quot;)</pre>",
        "<strong>shop/views.py:900</strong>",
        "shop/urls.py:7 dispatch",
        "shop.tasks.remind",
        "Mark as fixed",
        url("queries_query", row.fingerprint).rstrip("?"),
        "pattern=shop%2Fviews.py%3A5",
        "in an N+1 <strong>3000</strong>",
    ):
        assert told in page, told
    form = text_of(admin_client, url("queries_ignorerule_add", what="location", pattern="a%3A5"))
    assert 'value="a:5"' in form


def test_every_kind_is_told_in_a_sentence(admin_client):
    for number, kind in enumerate(Finding.Kind):
        row = finding(number, kind=kind, suggestion="", stack=[], units=[])
        page = text_of(admin_client, url("queries_finding_change", row.pk))
        assert kind.label in page
        assert "No fix is known." in page
    listed = text_of(admin_client, url("queries_finding_changelist"))
    assert all(f"{row.location}</a>" in listed for row in Finding.objects.all())


def test_a_finding_without_a_place_can_be_opened(admin_client):
    row = finding(location="", queryset_location="", suggestion="")
    address = url("queries_finding_change", row.pk).rstrip("?")
    for listed in (url("queries_finding_changelist"), url("queries_live")):
        page = text_of(admin_client, listed)
        assert address in page
        assert "place unknown</a>" in page
    page = text_of(admin_client, address)
    assert "N+1 at place unknown" in page
    assert "Ignore all at this line" not in page
    assert "Ignore this query everywhere" in page


def test_the_list_tells_its_numbers(admin_client):
    seen_at = timezone.now() - timedelta(seconds=150)
    finding(hits=4321, queries=51852, lost_seconds=0.0042, last_seen_at=seen_at)
    page = text_of(admin_client, url("queries_finding_changelist"))
    for told in ("4\u202f321", "51\u202f852", "4.2 ms", "2 min ago", ">N+1</span>", ">Open</span>"):
        assert told in page, told
    assert "GET /orders" not in page


def test_what_is_open_is_listed_unless_another_state_is_chosen(admin_client):
    rows = [finding(number, state=state) for number, state in enumerate(State)]

    def listed(**query: str) -> set[str]:
        page = text_of(admin_client, url("queries_finding_changelist", **query))
        return {row.state for row in rows if f"{row.location}</a>" in page}

    assert listed() == {"open"}
    assert listed(state="fixed") == {"fixed"}
    assert listed(state="all") == listed(state="nonsense") == {"open", "ignored", "fixed"}
    assert listed(kind__exact="slow") == set()
    assert listed(q="views.py:0") == {"open"}
    assert listed(q="nowhere") == set()


def test_the_costliest_is_listed_first(admin_client):
    for number in (1, 3, 2):
        finding(number)
    page = text_of(admin_client, url("queries_finding_changelist"))
    places = [page.index(f"shop/views.py:{number}</a>") for number in (3, 2, 1)]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("action", "state"), [("ignore", "ignored"), ("mark_fixed", "fixed"), ("open_again", "open")]
)
def test_actions_set_the_state_and_who_did_it_is_recorded(admin_client, action, state):
    before = State.OPEN if state != "open" else State.FIXED
    rows = [finding(number, state=before, fixed_at=timezone.now()) for number in (1, 2)]
    form = {"action": action, "_selected_action": [row.pk for row in rows]}
    page = admin_client.post(url("queries_finding_changelist", state="all"), form, follow=True)
    assert "2 findings" in page.content.decode()
    for row in Finding.objects.all():
        assert row.state == state
        assert (row.fixed_at is not None) == (state == "fixed")
    assert LogEntry.objects.filter(user__username="admin").count() == 2
    told = text_of(admin_client, url("queries_finding_change", rows[0].pk))
    assert f"State: {State(state).label}" in told


def test_the_buttons_of_a_finding_set_its_state(admin_client):
    row = finding()
    state_url = url("queries_finding_state", row.pk)
    assert admin_client.post(state_url, {"state": "fixed"}).status_code == 302
    row.refresh_from_db()
    assert (row.state, LogEntry.objects.count()) == ("fixed", 1)
    first = row.fixed_at
    admin_client.post(state_url, {"state": "fixed"})
    admin_client.post(state_url, {"state": "nonsense"})
    row.refresh_from_db()
    assert (row.state, row.fixed_at, LogEntry.objects.count()) == ("fixed", first, 1)
    assert admin_client.get(state_url).status_code == 405
    assert admin_client.post(url("queries_finding_change", row.pk)).status_code == 405


def test_who_may_look_may_not_act(client):
    row, index = finding(), advice()
    viewer = staff(client, "view_finding", "view_queriessettings")
    page = text_of(viewer, url("queries_finding_change", row.pk))
    assert "Mark as fixed" not in page
    assert "Ignore all at this line" not in page
    assert 'name="action"' not in text_of(viewer, url("queries_finding_changelist"))
    assert viewer.post(url("queries_finding_state", row.pk), {"state": "fixed"}).status_code == 403
    viewer.post(
        url("queries_finding_changelist"), {"action": "ignore", "_selected_action": [row.pk]}
    )
    assert "Open again" not in text_of(viewer, url("queries_recommendations"))
    assert viewer.post(url("queries_decide", index.pk), {"state": "fixed"}).status_code == 403
    for one in (row, index):
        one.refresh_from_db()
        assert one.state == "open"


def test_who_may_change_findings_acts(client):
    row = finding()
    changer = staff(client, "change_finding", "view_finding")
    assert "Mark as fixed" in text_of(changer, url("queries_finding_change", row.pk))
    changer.post(url("queries_finding_state", row.pk), {"state": "ignored"})
    row.refresh_from_db()
    assert row.state == "ignored"


def test_who_may_nothing_sees_nothing(client):
    row = finding()
    nobody = staff(client)
    pages = [url(page) for page in PAGES]
    pages += [url("queries_finding_change", row.pk), url("queries_query", row.fingerprint)]
    assert {nobody.get(page).status_code for page in pages} == {403}
    nobody.logout()
    assert {nobody.get(page).status_code for page in pages} == {302}


def test_nothing_is_added_or_deleted_by_hand(admin_client):
    row = finding()
    assert admin_client.get(url("queries_finding_add")).status_code == 403
    assert admin_client.post(url("queries_finding_delete", row.pk)).status_code == 403


def test_html_is_escaped_and_long_sql_cut(admin_client):
    long = f"SELECT {HTML} " + "x, " * 60_000
    row = finding(
        location=HTML,
        sql=long,
        suggestion=f"{HTML}  # {HTML}",
        queryset_location=HTML,
        stack=[HTML],
        units=[HTML],
    )
    statistic(location=HTML, unit=HTML)
    Statement.objects.update(text=long, tables=[HTML], explain_note=HTML)
    advice(table=HTML, columns=[HTML], reason=HTML, statement=HTML, meta_line=HTML)
    IgnoreRule.objects.create(what="location", pattern=HTML, note=HTML)
    pages = [url(page) for page in PAGES]
    pages += [url("queries_finding_change", row.pk), url("queries_query", row.fingerprint)]
    for page in pages:
        shown = text_of(admin_client, page)
        assert "<script>alert(1)" not in shown, page
        assert len(shown) < 150_000, page


def test_patterns_tell_how_often_they_matched(admin_client):
    IgnoreRule.objects.create(what="location", pattern="shop/legacy/*")
    IgnoreRule.objects.create(what="unit", pattern="GET /old")
    Ignored.objects.create(pattern="GET /old", hits=1234, last_at=timezone.now())
    page = text_of(admin_client, url("queries_ignorerule_changelist"))
    assert ">never</span>" in page
    assert "1\u202f234" in page


def test_pages_ask_the_same_however_much_there_is_to_show(admin_client):
    first = finding(0)
    pages = [url(page) for page in PAGES]
    pages += [url("queries_finding_change", first.pk), url("queries_query", first.fingerprint)]

    def fill(numbers: range) -> None:
        for number in numbers:
            if number:
                finding(number)
            statistic(number)
            statistic(number, location="shop/tasks.py:9", digest=f"f{number:031x}")
            advice(number)
            IgnoreRule.objects.create(what="unit", pattern=f"GET /{number}")
            Ignored.objects.create(pattern=f"GET /{number}", hits=1, last_at=timezone.now())
            admin_client.post(url("queries_finding_state", first.pk), {"state": "fixed"})
            admin_client.post(url("queries_finding_state", first.pk), {"state": "open"})

    def asked() -> dict[str, int]:
        counts = {}
        for page in pages:
            text_of(admin_client, page)  # what is cached for good is there
            with CaptureQueriesContext(connection) as queries, watch() as found:
                text_of(admin_client, page)
            kinds = [one for one in found if one.kind in ("n_plus_one", "duplicate")]
            assert kinds == [], page
            counts[page] = len(queries)
        return counts

    fill(range(2))
    few = asked()
    fill(range(2, 12))
    assert {page: count for page, count in asked().items() if count > few[page]} == {}
    assert max(few.values()) <= 16, few
