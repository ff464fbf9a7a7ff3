"""Very many dead letters at once, and people who are at the same ones."""

import threading
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext

from optimizer.batches import tasks
from optimizer.batches.models import DeadLetter, Item, Job
from optimizer.batches.pages import letters
from optimizer.batches.services import dead_letters, sweeping
from tests.batches.admin_rows import letter, text_of, url
from tests.batches.jobs import make, state
from tests.batches.test_api import call  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)
MANY = dead_letters.AT_ONCE + 600


def write(job: Job, number: int, payload: str = "{}") -> None:
    one = letter(job, payload=payload)
    DeadLetter.objects.bulk_create(
        DeadLetter(job=job, item_id=n, payload=payload, error_type="E", created_at=one.created_at)
        for n in range(number - 1)
    )


@pytest.mark.parametrize("asked", ["replay", "discard"])
def test_a_click_on_very_many_is_short_and_a_worker_does_the_rest(admin_client, asked):
    job, other = make(), make("notes", handler="ledger")
    write(job, MANY)
    letter(other)
    form = {"action": asked, "select_across": "1", "_selected_action": ["1"], "confirm": "1"}
    address = url("batches_deadletter_changelist", job__id__exact=job.pk)
    with CaptureQueriesContext(connection) as queries:
        admin_client.post(address, form)
    assert len(queries) < 30
    assert DeadLetter.objects.count() == MANY + 1
    page = " ".join(text_of(admin_client, url("batches_deadletter_changelist")).split())
    assert f"Workers still have to {asked} 2 600." in page
    assert LogEntry.objects.filter(change_message__startswith=f"{MANY} dead letters").exists()
    assert sweeping.has_asked_letters()
    tasks.letters()
    assert not sweeping.has_asked_letters()
    assert [one.job_id for one in DeadLetter.objects.all()] == [other.pk]
    replayed = MANY if asked == "replay" else 0
    assert (state(job).replayed, state(job).discarded) == (replayed, MANY - replayed)
    assert Item.objects.count() == replayed


def test_over_the_api_very_many_are_a_workers(call):  # noqa: F811
    write(make("out", sink="http", url="http://127.0.0.1:1/"), MANY)
    done = call("POST", "/out/dead-letters/replay", {"all": True}, status=202)
    assert done == {"replayed": 0, "waiting": MANY}
    few = list(DeadLetter.objects.values_list("pk", flat=True)[:3])
    done = call("POST", "/out/dead-letters/discard", {"ids": few})
    assert done == {"discarded": 3, "waiting": 0}


def test_workers_share_what_was_asked_and_do_each_once():
    job = make()
    write(job, MANY)
    DeadLetter.objects.update(asked="replay")

    def work_off():
        try:
            while dead_letters.work_off(0.05):
                pass
        finally:
            connection.close()

    threads = [threading.Thread(target=work_off) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (Item.objects.count(), state(job).replayed) == (MANY, MANY)


def test_replaying_loads_no_payloads():
    job = make()
    write(job, 20, payload='"' + "x" * 50_000 + '"')
    with CaptureQueriesContext(connection) as queries:
        assert dead_letters.replay(DeadLetter.objects.values_list("pk", flat=True)) == 20
    read = [one["sql"] for one in queries if one["sql"].startswith("SELECT")]
    assert read and not [sql for sql in read if '."payload"' in sql]
    assert len(Item.objects.all()[0].payload) == 50_002


@pytest.mark.parametrize("button", ["save", "replay"])
@pytest.mark.parametrize("other", ["edits", "discards"])
def test_who_saves_while_another_does_undoes_nothing(admin_client, monkeypatch, button, other):
    row = letter(make("notes", handler="ledger"))
    checks: Any = letters.complaint

    def meanwhile(*given):
        if other == "edits":
            DeadLetter.objects.update(payload='"theirs"')
        else:
            dead_letters.discard([row.pk])
        return checks(*given)

    monkeypatch.setattr(letters, "complaint", meanwhile)
    form = {"payload": '"mine"', button: "1"}
    page = admin_client.post(url("batches_deadletter_change", row.pk), form, follow=True)
    assert "Somebody else was quicker" in page.content.decode()
    assert [one.payload for one in DeadLetter.objects.all()] == (
        ['"theirs"'] if other == "edits" else []
    )
    assert not Item.objects.exists()
