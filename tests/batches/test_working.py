"""Items become rows: in bulk, once, whatever some of them are like."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from optimizer.batches import Entry, selectors, submit, submit_many
from optimizer.batches.live import live_job
from optimizer.batches.models import DeadLetter
from optimizer.batches.services import calibration, dead_letters
from optimizer.control import live
from tests.batches.jobs import left, make, state, work
from tests.control.test_propagation import wait_until
from tests.library.models import Language, Ledger, Product, Setting

pytestmark = pytest.mark.django_db(transaction=True)


def products(count: int, **values):
    return [{"sku": f"p{n:05}", "name": f"Product {n}", **values} for n in range(count)]


def test_items_become_rows_in_a_few_statements():
    job = make(chunk_items=1000)
    submit_many(job.name, products(1000, price="1.50", stock=3))
    with CaptureQueriesContext(connection) as queries:
        turn = work()
    assert (turn.done, turn.failed, left(job)) == (1000, 0, 0)
    assert Product.objects.filter(price="1.50", stock=3).count() == 1000
    assert len(queries) < 40
    assert state(job).done == 1000
    assert state(job).flushes == {"size": 1}


def test_the_last_item_of_a_row_wins():
    job = make()
    submit_many(job.name, [{"sku": "a", "stock": n} for n in range(5)])
    work()
    assert Product.objects.get().stock == 4
    assert (state(job).done, state(job).folded) == (5, 4)


def test_items_may_carry_different_fields():
    job = make()
    submit_many(job.name, [{"sku": "a", "stock": 1}, {"sku": "b", "name": "B"}])
    submit_many(job.name, [{"sku": "a", "name": "A"}, {"sku": "a", "name": "A2", "stock": 7}])
    work()
    assert list(Product.objects.order_by("sku").values_list("sku", "name", "stock")) == [
        ("a", "A2", 7),
        ("b", "B", 0),
    ]


@pytest.mark.parametrize(
    ("item", "says"),
    [
        ({"sku": "x", "stock": -1}, "stock: Ensure this value is greater than or equal to 0"),
        ({"sku": "x", "stock": 10**20}, "stock: "),
        ({"sku": "x", "stock": "many"}, "stock: "),
        ({"sku": "x", "stock": True}, "stock: "),
        ({"sku": "x", "price": "1e9"}, "price: "),
        ({"sku": "x", "name": "n" * 61}, "name: Ensure this value has at most 60 characters"),
        ({"sku": "x", "name": None}, "name: Must not be null."),
        ({"sku": "x", "colour": "red"}, "colour: There is no such field."),
        ({"name": "no key"}, "sku: Is missing."),
        (["sku", "x"], "must be an object"),
        ({"sku": "x", "language": 999_999}, ""),
        ({"sku": "x", "changed_at": "yesterday"}, "changed_at: "),
    ],
)
def test_a_poison_item_becomes_a_dead_letter_and_the_others_rows(item, says):
    job = make()
    submit_many(job.name, [*products(20), item, {"sku": "last", "language_id": None}])
    turn = work()
    assert (turn.done, turn.failed, left(job)) == (21, 1, 0)
    letter = DeadLetter.objects.get()
    assert says in letter.error
    assert Product.objects.count() == 21


def test_a_dead_letter_is_edited_and_replayed():
    job = make()
    submit(job.name, {"sku": "x", "stock": -1}, key="k")
    work()
    letter = DeadLetter.objects.get()
    letter.payload = '{"sku": "x", "stock": 1}'
    letter.save()
    assert dead_letters.replay([letter.pk]) == 1
    work()
    assert Product.objects.get().stock == 1
    assert not DeadLetter.objects.exists()
    assert (state(job).failed, state(job).done, state(job).replayed) == (1, 1, 1)


def test_a_reference_that_points_nowhere_is_the_items_fault():
    language = Language.objects.create(name="English", code="en")
    job = make()
    submit_many(job.name, products(30, language_id=language.pk))
    submit(job.name, {"sku": "lost", "language_id": language.pk + 1})
    turn = work()
    assert (turn.done, turn.failed) == (30, 1)
    assert DeadLetter.objects.get().payload.startswith('{"sku":"lost"')


@pytest.mark.parametrize("chunk", [7, 100, 1000])
def test_poison_items_of_a_handler_are_found_by_halving(chunk):
    job = make("notes", handler="ledger", chunk_items=chunk)
    poison = {3, 57, 58, 99}
    submit_many(job.name, [{"n": n, "poison": n in poison} for n in range(100)])
    turn = work(job.name)
    assert (turn.done, turn.failed, left(job)) == (96, 4, 0)
    assert sorted(Ledger.objects.values_list("item", flat=True)) == sorted(set(range(100)) - poison)
    assert {letter.error for letter in DeadLetter.objects.all()} == {
        f"{n} is poison" for n in poison
    }


def test_a_job_that_stops_on_errors_keeps_the_rest():
    job = make("notes", handler="ledger", on_error="stop", chunk_items=50)
    submit_many(job.name, [{"n": n, "poison": n == 10} for n in range(100)])
    turn = work(job.name)
    assert turn.ended == "stopped"
    assert turn.failed == 1
    # The halves before the poison one are applied, what came after it waits.
    assert turn.done + left(job) == 99
    assert Ledger.objects.count() == turn.done
    assert "10 is poison" in state(job).stopped_because


def test_the_skip_limit_stops_a_job():
    job = make("notes", handler="ledger", skip_limit=3, chunk_items=10)
    submit_many(job.name, [{"n": n, "poison": True} for n in range(40)])
    assert work(job.name).ended == "stopped"
    assert DeadLetter.objects.count() == 3
    assert left(job) == 37


def test_what_asks_for_another_attempt_waits_and_ends_as_a_dead_letter():
    job = make("notes", handler="ledger", max_attempts=3)
    submit(job.name, {"n": 2, "again": True})
    wait_until(lambda: work(job.name).failed == 1)
    assert DeadLetter.objects.get().attempts == 3
    assert not Ledger.objects.exists()
    assert state(job).retried == 2


def test_the_effect_and_the_inbox_are_of_one_transaction(monkeypatch):
    """Whatever fails before the commit, nothing has happened."""
    from optimizer.batches.services import exactly_once

    job = make("notes", handler="ledger")
    submit_many(job.name, [{"n": n} for n in range(10)])

    def fails(*_):
        raise RuntimeError("the power is gone")

    with monkeypatch.context() as patch:
        patch.setattr(exactly_once, "record", fails)
        assert work(job.name).ended == "trouble"
    assert (Ledger.objects.count(), left(job)) == (0, 10)
    assert "the power is gone" in state(job).last_error


def test_a_job_that_does_not_fit_the_project_waits():
    job = make("lost", handler="nobody")
    submit(job.name, {"n": 1})
    assert work(job.name).ended == "trouble"
    assert left(job) == 1
    assert "'nobody' is not registered" in state(job).last_error
    assert work(job.name).ended in ("waiting", "trouble")


@pytest.mark.parametrize(
    ("action", "after"),
    [
        ("insert", {"a": "1", "b": "new"}),
        ("upsert", {"a": "new", "b": "new"}),
        ("update", {"a": "new"}),
        ("delete", {}),
    ],
)
def test_actions(action, after):
    Setting.objects.create(key="a", value="1")
    job = make(model="library.Setting", action=action, key_fields="key")
    submit_many(job.name, [{"key": "a", "value": "new"}, {"key": "b", "value": "new"}])
    work()
    assert dict(Setting.objects.values_list("key", "value")) == after
    assert DeadLetter.objects.count() == (action == "insert")


def test_names_are_mapped_and_left_out():
    job = make(fields={"id": "sku", "title": "name", "comment": None})
    submit(job.name, {"id": "a", "title": "A", "comment": "nobody reads it"})
    work()
    assert Product.objects.get().name == "A"


def test_the_sequence_guards_against_stale_items():
    job = make(sequence_field="version")
    for version, stock in ((5, 50), (3, 30), (5, 51)):
        submit(job.name, {"sku": "a", "version": version, "stock": stock})
        work()
    assert Product.objects.get().stock == 50
    submit(job.name, {"sku": "a", "version": 6, "stock": 60})
    work()
    assert Product.objects.get().stock == 60


def test_what_is_switched_off_waits():
    job = make(enabled=False)
    submit_many(job.name, products(3))
    assert work().ended == "paused"
    make(enabled=True)
    live.try_to_catch_up()
    assert work().done == 3


def test_a_chunk_holds_no_more_bytes_than_it_may():
    job = make("notes", handler="ledger", flush_bytes=1024, chunk_items=100)
    submit_many(job.name, [Entry({"n": n, "note": "", "pad": "x" * 400}) for n in range(9)])
    turn = work(job.name)
    assert (turn.done, left(job)) == (9, 0)
    assert turn.chunks == 5


def test_the_speed_up_is_measured_with_the_jobs_own_items_when_asked():
    job = make(chunk_items=200)
    submit_many(job.name, products(10))
    work()
    calibration.ask_for(job.pk)
    submit_many(job.name, products(100, stock=2))
    work()
    found = selectors.progress(live_job(job))
    assert found.speed_up is not None and found.speed_up > 1
    assert state(job).wants_calibration is False
    assert Product.objects.filter(stock=2).count() == 100
