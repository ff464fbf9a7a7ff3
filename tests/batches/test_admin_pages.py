"""The pages of batches in the admin: that they stand, what they tell, and who may what."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from optimizer.batches import submit_many
from optimizer.batches.models import DeadLetter, Item, Job, JobState, Run
from optimizer.batches.services import reporter
from optimizer.control.series import Series
from optimizer.queries import watch
from tests.batches.admin_rows import HTML, PAGES, fill, letter, staff, text_of, url
from tests.batches.jobs import make, work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]


def pages_of(job: Job) -> list[str]:
    names = ("change", "status", "status_fragment", "history", "delete")
    return [url(f"batches_job_{name}", job.pk) for name in names]


def test_all_pages_stand_with_nothing_to_show(admin_client):
    Job.objects.all().delete()
    for page in PAGES:
        text_of(admin_client, url(page))
    text_of(admin_client, url("batches_batchessettings_change", 1))
    job = make("bare")
    for page in pages_of(job):
        text_of(admin_client, page)
    assert admin_client.get(url("batches_job_status", job.pk + 1)).status_code == 404
    assert admin_client.get(url("batches_deadletter_change", 7)).status_code == 404


@pytest.mark.usefixtures("redis_away")
def test_all_pages_stand_while_redis_is_away(admin_client):
    job = make()
    fill(job, range(2))
    for page in [*map(url, PAGES), *pages_of(job)]:
        text_of(admin_client, page)
    assert "Redis is away" in text_of(admin_client, url("batches_live"))
    assert "Redis is away" in text_of(admin_client, url("batches_job_status", job.pk))


def test_a_job_tells_how_far_it_is_and_how_well_it_does(admin_client):
    job = make(adaptive=True)
    fill(job, range(3))
    JobState.objects.filter(job=job).update(
        one_by_one_seconds=0.01, in_bulk_seconds=0.001, calibrated_at=timezone.now()
    )
    page = text_of(admin_client, url("batches_job_status", job.pk))
    for told in (
        "4\u202f007 of 4\u202f010",
        "exactly once",
        "in the same transaction",
        "size: it was full",
        '<p class="tu-number">250</p>',  # rows a round trip
        "3\u202f984",  # saved
        "10 ×",
        "10 ms an item one by one",
        "stock: too small",
        "9 of 10, 1 failed",
        "503 away",
        "<title>≤ 16 ms: 5</title>",
    ):
        assert told in page, told
    JobState.objects.filter(job=job).update(one_by_one_seconds=None)
    assert "not measured yet" in text_of(admin_client, url("batches_job_status", job.pk))


@pytest.mark.django_db(transaction=True)
def test_what_was_done_is_charted(admin_client, monkeypatch):
    job = make()
    submit_many(job.name, [{"sku": f"p{n}"} for n in range(30)])
    monkeypatch.setattr(reporter, "series", Series("batches"))
    with monkeypatch.context() as patched:  # a slot is shown when it is over
        patched.setattr(reporter.series, "_clock", lambda: timezone.now().timestamp() - 15)
        work(job.name)
        reporter.report()
    for page in (url("batches_job_status", job.pk), url("batches_live")):
        text = text_of(admin_client, page)
        assert "applied" in text
        assert "Nothing was counted" not in text
    assert "Busiest in the last hour" in text_of(admin_client, url("batches_live"))


@pytest.mark.parametrize(
    ("values", "state", "told"),
    [
        ({}, {"stopped_at": timezone.now(), "stopped_because": HTML}, "stopped"),
        ({"enabled": False}, {}, "paused"),
        ({}, {"wait_until": timezone.now() + timedelta(hours=1)}, "waits after trouble"),
        ({"high_water_items": 2, "low_water_items": 1}, {}, "full"),
        ({}, {}, "working"),
    ],
)
def test_each_state_is_told(admin_client, values, state, told):
    job = make(**values)
    fill(job, range(2))
    JobState.objects.filter(job=job).update(**state)
    for name, *args in (("job_changelist",), ("job_status", job.pk), ("live",)):
        page = text_of(admin_client, url(f"batches_{name}", *args))
        assert f">{told}</span>" in page
        assert HTML not in page


def test_hostile_values_are_shown_as_text(admin_client):
    job = make("notes", handler="ledger")
    huge = f'{{"a":"{HTML}","b":"' + "x" * 250_000 + '"}'
    deep = "[" * 900 + ",".join("1" * 50_000) + "]" * 900
    rows = [
        letter(job, payload=huge, error=HTML * 20, error_type=HTML, key=HTML),
        letter(job, payload=deep),
        letter(job, payload="{not json"),
    ]
    Item.objects.create(job=job, key=HTML, payload=huge)
    Run.objects.create(job=job, trigger="api", actor=HTML, message=HTML)
    lists = [url(page) for page in PAGES]
    for page in [*lists, *(url("batches_deadletter_change", row.pk) for row in rows)]:
        text = text_of(admin_client, page)
        assert HTML not in text, page
        assert len(text) < 3_000_000, page
    assert all(len(text_of(admin_client, page)) < 400_000 for page in lists)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    "query",
    [{"q": "\0"}, {"job__id__exact": "\0"}, {"failed": "x"}, {"error_type": HTML}, {"p": "9" * 30}],
    ids=str,
)
def test_addresses_that_ask_for_nonsense_are_answered(admin_client, page, query):
    fill(make(), range(1))
    assert admin_client.get(url(page, **query)).status_code in (200, 302)


def test_who_may_nothing_sees_nothing(client):
    job = make()
    row = letter(job)
    nobody = staff(client)
    pages = [*map(url, PAGES), *pages_of(job), url("batches_deadletter_change", row.pk)]
    assert {nobody.get(page).status_code for page in pages} == {403}
    nobody.logout()
    assert {nobody.get(page).status_code for page in pages} == {302}


def test_who_may_look_may_not_act(client):
    job = make()
    row = letter(job)
    viewer = staff(client, "view_job", "view_deadletter", "view_callback", "view_batchessettings")
    assert "Run now" not in text_of(viewer, url("batches_job_status", job.pk))
    assert viewer.post(url("batches_job_act", job.pk), {"action": "pause"}).status_code == 403
    address = url("batches_deadletter_change", row.pk)
    assert "Save and replay" not in text_of(viewer, address)
    for button in ("save", "replay", "discard"):
        form = {button: "1", "payload": "{}"}
        assert viewer.post(address, form).status_code == 403
    for action in ("replay", "discard"):
        chosen = {"action": action, "_selected_action": [row.pk], "confirm": "1"}
        viewer.post(url("batches_deadletter_changelist"), chosen)
    job.refresh_from_db()
    assert job.enabled
    assert DeadLetter.objects.get().payload == row.payload


def test_who_may_change_letters_may_not_discard_them(client):
    row = letter(make())
    changer = staff(client, "view_deadletter", "change_deadletter")
    page = text_of(changer, url("batches_deadletter_change", row.pk))
    assert "Save and replay" in page
    assert "Discard</button>" not in page
    address = url("batches_deadletter_change", row.pk)
    assert changer.post(address, {"discard": "1"}).status_code == 403
    assert DeadLetter.objects.exists()


def test_pages_ask_the_same_however_much_there_is_to_show(admin_client):
    first = make("first")
    pages = [*map(url, PAGES), url("batches_job_status", first.pk)]

    def asked() -> dict[str, int]:
        counts = {}
        for page in pages:
            text_of(admin_client, page)
            with CaptureQueriesContext(connection) as queries, watch() as found:
                text_of(admin_client, page)
            assert [one for one in found if one.kind == "n_plus_one"] == [], page
            counts[page] = len(queries)
        return counts

    for number in range(2):
        fill(make(f"few-{number}", schedule="interval"), range(2))
    few = asked()
    for number in range(8):
        fill(make(f"many-{number}", schedule="interval"), range(8))
    assert {page: count for page, count in asked().items() if count > few[page]} == {}
    assert max(few.values()) <= 18, few


def test_waiting_items_are_found_by_their_key_alone(admin_client):
    job = make()
    fill(job, range(3))
    page = text_of(admin_client, url("batches_item_changelist", q="item-1"))
    assert "item-1" in page
    assert "item-2" not in page
    assert "w1" in page
