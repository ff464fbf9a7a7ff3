import asyncio

import pytest
from django.db import OperationalError, transaction

from optimizer.control import live
from optimizer.control.models import Head
from tests.sample.live import sample
from tests.sample.models import SampleSettings, Shelf


@pytest.mark.django_db
def test_a_read_costs_no_query_after_the_first(django_assert_num_queries):
    sample.current()
    with django_assert_num_queries(0):
        assert sample.current().workers == 2


@pytest.mark.django_db(transaction=True)
def test_only_what_changed_is_read_again(django_assert_max_num_queries):
    live.catch_up()
    with django_assert_max_num_queries(1):
        live.catch_up()


@pytest.mark.django_db
def test_a_reload_that_fails_keeps_the_last_good_snapshot_and_shows(monkeypatch, caplog):
    good = sample.current()

    def broken() -> None:
        raise OperationalError("the table is gone")

    monkeypatch.setattr(sample, "load", broken)
    assert not sample.reload()
    assert sample.current() is good
    assert "the table is gone" in sample.error
    monkeypatch.undo()
    assert live.catch_up() == 0
    assert sample.error == ""


@pytest.mark.django_db(transaction=True)
def test_a_database_restored_from_a_backup_is_obeyed():
    Shelf.objects.create(name="low")
    Head.objects.update_or_create(pk=1, defaults={"revision": 50})
    live.catch_up()
    SampleSettings.objects.bulk_create([SampleSettings(workers=7)])
    Head.objects.filter(pk=1).update(revision=3)
    live.catch_up()
    assert live.reached_revision() == 3
    assert sample.current().workers == 7


@pytest.mark.django_db(transaction=True)
def test_what_was_read_in_a_transaction_that_failed_is_forgotten():
    with transaction.atomic():
        SampleSettings(workers=9).save()
        assert sample.current().workers == 9
        transaction.set_rollback(True)
    SampleSettings(workers=5).save()  # takes the number that was given back
    assert sample.current().workers == 5


@pytest.mark.django_db(transaction=True)
def test_settings_can_be_read_first_inside_an_event_loop():
    SampleSettings(workers=6).save()
    live.forget_all()

    async def read() -> int:
        return sample.current().workers

    assert asyncio.run(read()) in (2, 6)  # its own connection may not see a test database in memory


def test_without_a_database_the_defaults_serve(monkeypatch):
    def away() -> int:
        raise OperationalError("connection refused")

    monkeypatch.setattr(live, "catch_up", away)
    assert sample.current().workers == 2


def test_two_snapshots_of_one_component_are_refused():
    with pytest.raises(ValueError, match="already"):
        live.LiveSettings("sample", load=lambda: None, default=None)
