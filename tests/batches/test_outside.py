"""Outside the database: at least once, with leases, attempts and back-off."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from optimizer.batches import submit, submit_many
from optimizer.batches.models import DeadLetter, Item
from optimizer.batches.services import at_least_once
from tests.batches.jobs import left, make, state, work
from tests.control.test_propagation import wait_until
from tests.library.models import Ledger

pytestmark = pytest.mark.django_db(transaction=True)


def applied() -> list[int]:
    return sorted(Ledger.objects.values_list("item", flat=True))


def test_items_are_applied_and_taken_out():
    job = make("out", handler="outside")
    submit_many(job.name, [{"n": n} for n in range(50)])
    assert work(job.name).done == 50
    assert (applied(), left(job)) == (list(range(50)), 0)


def test_poison_items_are_found():
    job = make("out", handler="outside", chunk_items=50)
    submit_many(job.name, [{"n": n, "poison": n in (7, 8)} for n in range(50)])
    turn = work(job.name)
    assert (turn.done, turn.failed) == (48, 2)
    assert len(applied()) == 48
    assert DeadLetter.objects.count() == 2


def test_what_is_away_is_tried_again_and_then_buried():
    job = make("out", handler="outside", max_attempts=3)
    submit(job.name, {"n": 1, "away": True})
    assert work(job.name).again >= 1
    wait_until(lambda: work(job.name) and DeadLetter.objects.exists(), 60)
    letter = DeadLetter.objects.get()
    assert (letter.attempts, letter.error_type) == (3, "ConnectionError")
    assert state(job).retried == 2


def test_what_a_lost_worker_had_in_hand_is_found_once_its_lease_is_over(monkeypatch):
    job = make("out", handler="outside", max_attempts=2)
    submit_many(job.name, [{"n": n} for n in range(3)])

    def lost(*_, **__):
        raise KeyboardInterrupt  # no clean-up runs when a process is killed

    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(at_least_once, "isolate", lost)
            with pytest.raises(KeyboardInterrupt):
                work(job.name)
        assert left(job) == 3
        assert work(job.name).ended == "empty"  # they are leased
        Item.objects.update(available_at=timezone.now() - timedelta(seconds=1))
    # What its worker was lost with each time is not tried for ever.
    assert work(job.name).failed == 3
    assert "workers were lost" in DeadLetter.objects.all()[0].error


def test_what_took_longer_than_its_lease_is_settled_by_who_has_it_now(monkeypatch):
    job = make("out", handler="outside")
    submit_many(job.name, [{"n": n} for n in range(3)])
    settle = at_least_once._settle

    def late(todo, taken, failed, again, until):
        Item.objects.filter(pk=taken[0].id).update(available_at=timezone.now())
        return settle(todo, taken, failed, again, until)

    monkeypatch.setattr(at_least_once, "_settle", late)
    turn = work(job.name, seconds=0)
    assert (turn.done, left(job)) == (2, 1)
    monkeypatch.undo()
    assert work(job.name).done == 1
    assert applied() == [0, 0, 1, 2]  # at least once: that is the promise
    assert state(job).done == 3


def test_a_job_to_blame_frees_its_items_at_once(monkeypatch):
    job = make("out", handler="outside")
    submit(job.name, {"n": 1})

    def fails(self, rows):
        raise RuntimeError("a bug of the sink")

    from optimizer.batches.services.sinks.handler import HandlerSink

    with monkeypatch.context() as patch:
        patch.setattr(HandlerSink, "write", fails)
        assert work(job.name).ended == "trouble"
    item = Item.objects.get()
    assert item.attempts == 0
    assert item.available_at <= timezone.now()
    assert "a bug of the sink" in state(job).last_error


def test_what_is_done_is_not_read_again():
    job = make("notes", handler="outside")
    submit_many(job.name, [{"n": n} for n in range(20)])
    with CaptureQueriesContext(connection) as queries:
        assert work(job.name).done == 20
    read = [one["sql"] for one in queries if one["sql"].startswith("SELECT")]
    assert not [sql for sql in read if '."payload"' in sql]
