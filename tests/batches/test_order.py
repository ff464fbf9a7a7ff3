"""Items of one ordering key are applied in their order, by several workers at once."""

import random
import threading

import pytest
from django.db import connection

from optimizer.batches import Entry, submit_many
from optimizer.batches.models import Lane
from tests.batches.jobs import left, make, work
from tests.control.test_propagation import wait_until
from tests.library.models import Ledger

pytestmark = pytest.mark.django_db(transaction=True)


def in_order() -> bool:
    seen: dict[str, int] = {}
    for note, number in Ledger.objects.order_by("pk").values_list("note", "item"):
        if number <= seen.get(note, -1):
            return False
        seen[note] = number
    return True


@pytest.mark.parametrize("handler", ["ledger", "outside_notes"])
def test_several_workers_keep_the_order_of_each_key(handler):
    job = make("notes", handler=handler, ordered=True, chunk_items=20)
    chance = random.Random(3)  # noqa: S311
    keys = [f"key-{chance.randrange(40)}" for _ in range(600)]
    submit_many(job.name, [Entry({"n": n, "note": key}, order=key) for n, key in enumerate(keys)])
    failures = []

    def one():
        try:
            wait_until(lambda: work(job.name) and left(job) == 0, 60)
        except Exception as error:  # shown below
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert Ledger.objects.count() == 600
    assert in_order()


def test_what_waits_for_another_attempt_holds_back_only_its_lane():
    job = make("notes", handler="ledger", ordered=True, chunk_items=1, backoff_seconds=60,
               max_backoff_seconds=60)  # fmt: skip
    submit_many(
        job.name,
        [
            Entry({"n": 1, "note": "a", "again": True}, order="a"),
            Entry({"n": 2, "note": "a"}, order="a"),
            Entry({"n": 3, "note": "b"}, order="b"),
        ],
    )
    turns = [work(job.name) for _ in range(3)]
    # With its lane held the job is looked at again later, not all the time.
    assert turns[-1].ended == "not due"
    assert list(Ledger.objects.values_list("item", flat=True)) == [3]
    assert left(job) == 2
    assert Lane.objects.filter(job=job).count() == 16
