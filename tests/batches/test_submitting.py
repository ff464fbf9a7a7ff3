"""What is submitted is in the inbox, once, when the call returns."""

import json
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from optimizer.batches import (
    BadItem,
    Entry,
    JobFull,
    TooMany,
    UnknownJob,
    collect,
    submit,
    submit_many,
)
from optimizer.batches.models import AcceptedKey, Item, Job, JobState
from optimizer.batches.services import fullness, sweeping
from optimizer.batches.services.submitting import MAX_ITEM_BYTES
from tests.batches.jobs import left, make, work

pytestmark = pytest.mark.django_db(transaction=True)


def nested(depth: int) -> Any:
    item: Any = 1
    for _ in range(depth):
        item = [item]
    return item


def test_one_item_is_one_statement():
    job = make()
    submit(job.name, {"sku": "a"})  # the settings are read
    with CaptureQueriesContext(connection) as queries:
        assert submit(job.name, {"sku": "b"}) is True
    assert len(queries) == 1
    assert left(job) == 2


def test_many_items_are_a_few_statements():
    job = make()
    submit(job.name, {"sku": "a"})
    with CaptureQueriesContext(connection) as queries:
        found = submit_many(job.name, ({"sku": f"p{n}"} for n in range(5000)))
    assert (found.accepted, found.known) == (5000, [])
    assert len(queries) <= 4
    assert left(job) == 5001


def test_a_repeated_key_is_known():
    job = make()
    assert submit(job.name, {"sku": "a"}, key="k") is True
    assert submit(job.name, {"sku": "a"}, key="k") is False
    found = submit_many(
        job.name, [Entry({"sku": "b"}, "k2"), Entry({"sku": "c"}, "k"), Entry({"sku": "b"}, "k2")]
    )
    assert (found.accepted, found.known) == (1, [1, 2])
    work()
    assert submit(job.name, {"sku": "a"}, key="k") is False  # also after it was applied
    assert left(job) == 0


def test_a_key_belongs_to_its_job_and_is_forgotten_in_time():
    job, other = make(), make("others")
    assert submit(job.name, {"sku": "a"}, key="k")
    assert submit(other.name, {"sku": "a"}, key="k")
    AcceptedKey.objects.filter(job=job).update(accepted_at=timezone.now() - timedelta(days=4))
    assert sweeping.forget()["keys"] == 1
    assert submit(job.name, {"sku": "a"}, key="k")
    assert not submit(other.name, {"sku": "a"}, key="k")


def test_senders_of_the_same_keys_at_once_are_accepted_once():
    job = make()
    accepted = []

    def send():
        try:
            found = submit_many(job.name, [Entry({"sku": f"p{n}"}, f"k{n}") for n in range(300)])
            accepted.append(found.accepted)
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(accepted) == 300
    assert left(job) == 300


def test_a_transaction_that_is_rolled_back_takes_its_items_along():
    job = make()
    with pytest.raises(RuntimeError), transaction.atomic():
        submit(job.name, {"sku": "a"}, key="k")
        raise RuntimeError
    assert left(job) == 0
    assert submit(job.name, {"sku": "a"}, key="k") is True


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        (Entry(object()), "item"),
        (Entry("x" * MAX_ITEM_BYTES), "item"),
        (Entry({"text": "\ud800"}), "item"),
        (Entry({"n": [1, {"m": float("nan")}]}), "item"),
        (Entry(float("-inf")), "item"),
        (Entry(nested(101)), "item"),
        (Entry(1, key="\ud800"), "key"),
        (Entry(1, order="\udfff"), "order"),
        (Entry(1, key="k" * 201), "key"),
        (Entry(1, key="a\0"), "key"),
        (Entry(1, order="o" * 201), "order"),
        (Entry(1, key=5), "key"),  # type: ignore[arg-type]
    ],
)
def test_a_bad_item_is_named_and_nothing_is_taken(entry, field):
    job = make("notes", handler="ledger")
    with pytest.raises(BadItem) as raised:
        submit_many(job.name, [Entry({"n": 1}), entry])
    assert (raised.value.index, raised.value.field) == (1, field)
    assert left(job) == 0


@pytest.mark.parametrize(
    "item", [nested(100), {"null": [None, 1.5]}, "ä € 😀", "a\0b", [], None, 1e300, True]
)
def test_anything_that_json_has_is_an_item(item):
    job = make("notes", handler="ledger")
    submit(job.name, item)
    assert json.loads(Item.objects.get().payload) == item


def test_an_unknown_job_is_refused():
    with pytest.raises(UnknownJob, match="'nobody'"):
        submit("nobody", 1)


@pytest.mark.parametrize("keys", [("",), ("k",), ("a", "b")])
def test_a_job_that_was_deleted_a_moment_ago_is_unknown(keys):
    job = make()
    Job.objects.filter(pk=job.pk)._raw_delete("default")  # no process has heard of it yet
    with pytest.raises(UnknownJob):
        submit_many(job.name, [Entry({"sku": "a"}, key) for key in keys])
    assert not Item.objects.exists() and not AcceptedKey.objects.exists()


def test_a_block_is_written_once_at_its_end():
    job = make()
    submit(job.name, {"sku": "a"})
    with CaptureQueriesContext(connection) as queries, collect(job.name) as block:
        for n in range(100):
            assert submit(job.name, {"sku": f"p{n}"}) is True
        assert not queries.captured_queries
        with collect(job.name):
            submit(job.name, {"sku": "inner"})
    assert len(queries) <= 4
    assert left(job) == 102
    assert block.accepted == 101


def test_a_block_that_raises_submits_nothing():
    job, other = make(), make("others")
    with pytest.raises(RuntimeError), collect(job.name):
        submit(job.name, {"sku": "a"})
        submit(other.name, {"sku": "b"})  # another job's is not in the block
        raise RuntimeError
    assert (left(job), left(other)) == (0, 1)


def test_a_large_block_is_written_in_parts():
    job = make("notes", handler="ledger")
    with collect(job.name) as block:
        for n in range(10_001):
            submit(job.name, {"n": n})
        assert left(job) == 10_000
    assert (left(job), block.accepted) == (10_001, 10_001)


def test_past_the_high_water_mark_items_are_refused_until_the_low_one():
    job = make(high_water_items=10, low_water_items=4, flush_seconds=60, idle_seconds=60)
    submit_many(job.name, [{"sku": f"p{n}"} for n in range(10)])
    with pytest.raises(JobFull) as raised:
        submit(job.name, {"sku": "x"})
    assert 1 <= raised.value.retry_after_seconds <= 60
    assert left(job) == 10

    def leave(count):
        keep = list(Item.objects.order_by("pk").values_list("pk", flat=True)[:count])
        Item.objects.exclude(pk__in=keep).delete()
        for level in fullness._levels.values():
            level.looked_at = 0.0

    leave(5)
    with pytest.raises(JobFull):
        submit(job.name, {"sku": "x"})
    leave(4)
    submit(job.name, {"sku": "x"})
    assert left(job) == 5


def test_a_call_that_is_too_large_for_the_mark_is_refused_whole():
    job = make(high_water_items=10, low_water_items=4)
    with pytest.raises(TooMany, match="11 items at once are more than 'products' has room for, 10"):
        submit_many(job.name, [{"sku": f"p{n}"} for n in range(11)])
    assert left(job) == 0


def test_an_old_item_makes_a_job_full_too():
    job = make(high_water_seconds=60)
    submit(job.name, {"sku": "a"})
    long_ago = timezone.now() - timedelta(seconds=61)
    Item.objects.update(created_at=long_ago)
    fullness.forget()
    with pytest.raises(JobFull):
        submit(job.name, {"sku": "b"})


def test_by_policy_a_full_job_accepts_all_the_same_or_lets_its_sender_wait():
    marks: dict[str, Any] = {"high_water_items": 2, "low_water_items": 1}
    job = make(past_high_water="accept", **marks)
    submit_many(job.name, [{"sku": f"p{n}"} for n in range(5)])
    assert left(job) == 5
    job = make(past_high_water="wait", max_wait_seconds=10, **marks)

    def drain_soon():
        try:
            work()
        finally:
            connection.close()

    timer = threading.Timer(0.3, drain_soon)
    timer.start()
    submit(job.name, {"sku": "x"})
    timer.join()
    assert left(job) == 1
    make(past_high_water="wait", max_wait_seconds=0.1, **marks)
    submit_many(job.name, [{"sku": "y"}])
    with pytest.raises(JobFull):
        submit(job.name, {"sku": "z"})
    with pytest.raises(JobFull), transaction.atomic():  # it would hold its locks meanwhile
        submit(job.name, {"sku": "z"})
    assert JobState.objects.get(job=job).done == 5
