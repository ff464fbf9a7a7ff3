"""Over HTTP: items with their keys to an address, and call-backs from a job."""

import pytest
from django.utils import timezone

from optimizer.balancer import balancer
from optimizer.balancer.models import Backend, Group
from optimizer.batches import Entry, submit, submit_many
from optimizer.batches.models import Callback, DeadLetter, Item
from optimizer.batches.services import callbacks, runs
from optimizer.control import webhooks
from tests.batches.jobs import left, make, state, work
from tests.batches.receiver import receiver
from tests.control.test_propagation import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def other():
    with receiver() as found:
        yield found


def test_a_list_of_items_is_one_request(other):
    job = make("out", sink="http", url=other.url)
    submit_many(job.name, [Entry({"n": 1}, "k1"), Entry({"n": 2}), Entry("ä", "schlüssel")])
    assert work(job.name).done == 3
    (body,) = other.bodies
    assert [one["item"] for one in body["items"]] == [{"n": 1}, {"n": 2}, "ä"]
    assert body["items"][0]["key"] == "k1"
    assert body["items"][1]["key"].startswith("item-")
    assert other.headers[0]["idempotency-key"].startswith("batch-")
    assert (left(job), state(job).trips) == (0, 1)


def test_items_go_to_the_backends_of_a_group(other):
    with receiver() as bad:
        bad.answer = lambda _: (503, {})
        group = Group.objects.create(name="sinks", kind="http", strategy="round_robin",
                                     consecutive_failures=2)  # fmt: skip
        for name, one in (("good", other), ("bad", bad)):
            address = one.url.removesuffix("/items")
            Backend.objects.create(group=group, name=name, address=address)
        job = make("out", sink="http", url="balancer://sinks/items?a=1", one_request_each=True,
                   max_attempts=50)  # fmt: skip
        submit_many(job.name, [Entry({"n": n}, f"k{n}") for n in range(20)])
        wait_until(lambda: work(job.name) and left(job) == 0)
        assert state(job).done == 20
        assert sorted(body["n"] for body in other.bodies) == list(range(20))
        told = balancer.group("sinks").endpoints
        assert told["good"].successes == 20
        assert told["bad"].failures == len(bad.bodies) >= 2
        assert told["bad"].breaker == "open"  # and then it was left alone


def test_a_group_that_is_not_there_or_has_no_backend_holds_the_job_up():
    job = make("out", sink="http", url="balancer://nowhere/items")
    submit(job.name, {"n": 1})
    assert work(job.name).ended == "trouble"
    assert "there is no group 'nowhere'" in state(job).last_error
    Group.objects.create(name="nowhere", kind="http")
    wait_until(lambda: work(job.name).again)
    assert "it has no backends" in state(job).last_error
    assert left(job) == 1


def test_each_item_in_its_own_request_is_settled_by_itself(other):
    job = make("out", sink="http", url=other.url, one_request_each=True, backoff_seconds=30,
               max_backoff_seconds=30)  # fmt: skip
    statuses = {3: 422, 5: 503}
    other.answer = lambda body: (statuses.get(body["n"], 200), {"Retry-After": "7"})
    submit_many(job.name, [Entry({"n": n}, f"k{n}") for n in range(10)])
    turn = work(job.name)
    assert (turn.done, turn.failed, turn.again, left(job)) == (8, 1, 1, 1)
    assert sorted(one["idempotency-key"] for one in other.headers) == [f"k{n}" for n in range(10)]
    assert "422" in DeadLetter.objects.get().error
    waits = (Item.objects.get().available_at - timezone.now()).total_seconds()
    assert 6 < waits <= 30  # as long as the other side asks for, at least


def test_a_list_that_is_refused_is_halved(other):
    job = make("out", sink="http", url=other.url)
    other.answer = lambda body: (
        400 if any(one["item"]["n"] == 3 for one in body["items"]) else 200,
        {},
    )
    submit_many(job.name, [{"n": n} for n in range(16)])
    turn = work(job.name)
    assert (turn.done, turn.failed) == (15, 1)


def test_an_address_that_is_away_is_tried_again(other):
    job = make("out", sink="http", url=other.url)
    other.answer = lambda _: (503, {"Retry-After": "60"})
    submit(job.name, {"n": 1})
    assert work(job.name).again == 1
    other.answer = lambda _: (200, {})
    assert work(job.name).done == 0
    Item.objects.update(available_at=timezone.now())
    assert work(job.name).done == 1
    keys = {one["idempotency-key"] for one in other.headers}
    assert len(keys) == 1  # the other side can tell that it is the same


@pytest.mark.parametrize("status", [401, 404, 302])
def test_an_address_that_is_wrong_is_the_jobs_fault(other, status):
    job = make("out", sink="http", url=other.url)
    other.answer = lambda _: (status, {})
    submit(job.name, {"n": 1})
    assert work(job.name).ended == "trouble"
    assert (left(job), DeadLetter.objects.count()) == (1, 0)
    assert str(status) in state(job).last_error


def test_a_call_back_is_signed_as_standard_webhooks_are(other, settings):
    # The example of the specification's reference libraries.
    signed = webhooks.sign(
        SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, '{"test": 2432232314}'
    )
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    settings.WEBHOOK_SECRET = SECRET
    job = make("notes", handler="ledger", callback_url=other.url)
    submit_many(job.name, [{"n": 1}, {"n": 2, "poison": True}])
    runs.task(job.name, trigger="admin")
    assert callbacks.deliver_due() == 1
    (body,), (headers,) = other.bodies, other.headers
    assert body["type"] == "batches.run"
    assert (body["done"], body["failed"], body["state"]) == (1, 1, "done")
    expected = webhooks.sign(
        SECRET, headers["webhook-id"], int(headers["webhook-timestamp"]), other.raw[0]
    )
    assert headers["webhook-signature"] == expected
    assert callbacks.deliver_due() == 0


def test_an_empty_inbox_is_told_once_and_a_failed_call_back_is_tried_again(other):
    job = make("notes", handler="ledger", callback_url=other.url, chunk_items=2)
    submit_many(job.name, [{"n": n} for n in range(4)])
    other.answer = lambda _: (500, {})
    work(job.name)
    assert callbacks.deliver_due() == 0
    callback = Callback.objects.get()
    assert (callback.event, callback.attempts, callback.error[:3]) == ("drained", 1, "500")
    other.answer = lambda _: (204, {})
    Callback.objects.update(available_at=timezone.now())
    assert callbacks.deliver_due() == 1
    assert [one["done"] for one in other.bodies] == [4, 4]
