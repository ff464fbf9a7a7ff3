import threading
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from optimizer.control import revisions
from optimizer.control.models import Head, PendingRevert, Revision
from optimizer.control.origin import origin
from optimizer.control.revisions import RevertRefused, change, confirm, revert, revert_due
from tests.sample.live import sample
from tests.sample.models import Book, SampleSettings, Shelf

pytestmark = pytest.mark.django_db(transaction=True)


def newest() -> Revision:
    return Revision.objects.order_by("-number")[0]


def only_revision() -> Revision:
    return Revision.objects.get()


def test_a_change_spans_all_rows_written_in_it():
    with origin(channel="admin", actor="ada", request_id="r1"), change("sample", reason="why"):
        shelf = Shelf.objects.create(name="low")
        Book.objects.create(title="One", shelf=shelf)
        settings = SampleSettings.load()
        settings.workers = 5
        settings.save()
    revision = only_revision()
    assert (revision.actor, revision.channel, revision.reason) == ("ada", "admin", "why")
    assert revision.request_id == "r1"
    assert revision.before == {}
    assert set(revision.after) == {"sample.shelf", "sample.book", "sample.samplesettings"}


def test_numbers_follow_each_other_without_a_gap():
    for size in (1, 2, 3):
        Shelf.objects.update_or_create(name="low", defaults={"size": size})
    assert list(Revision.objects.order_by("number").values_list("number", flat=True)) == [1, 2, 3]
    assert Head.objects.get().revision == 3


@pytest.mark.parametrize(
    "write",
    [
        lambda: Shelf.objects.filter(name="low").update(size=7),
        lambda: Shelf.objects.bulk_create([Shelf(name="high")]),
        lambda: Shelf.objects.filter(name="low").delete(),
        lambda: Shelf.objects.get(name="low").delete(),
        lambda: Shelf.objects.bulk_update(
            [Shelf(pk=Shelf.objects.get().pk, size=9)], fields=["size"]
        ),
    ],
    ids=["update", "bulk_create", "queryset delete", "delete", "bulk_update"],
)
def test_every_way_to_write_makes_one_revision(write):
    Shelf.objects.create(name="low")
    write()
    assert Revision.objects.count() == 2


def test_a_cascade_is_part_of_the_revision():
    shelf = Shelf.objects.create(name="low")
    Book.objects.create(title="One", shelf=shelf)
    shelf.delete()
    assert set(newest().before) == {"sample.shelf", "sample.book"}


def test_a_fixture_makes_one_revision(tmp_path):
    fixture = tmp_path / "rows.yaml"
    fixture.write_text(
        "- {model: sample.shelf, pk: 1, fields: {name: a}}\n"
        "- {model: sample.shelf, pk: 2, fields: {name: b}}\n"
    )
    call_command("loaddata", str(fixture), verbosity=0)
    assert set(only_revision().after["sample.shelf"]) == {"1", "2"}
    assert only_revision().channel == "command"


def test_writing_the_same_values_makes_no_revision():
    shelf = Shelf.objects.create(name="low")
    shelf.save()
    assert Revision.objects.count() == 1


def test_facts_that_are_no_settings_make_no_revision():
    book = Book.objects.create(title="One", shelf=Shelf.objects.create(name="low"))
    Book.objects.filter(pk=book.pk).update(reads=4)
    assert Revision.objects.count() == 2
    assert Book.objects.get().reads == 4


def test_a_failed_change_leaves_nothing():
    with pytest.raises(RuntimeError), change("sample"):
        Shelf.objects.create(name="low")
        raise RuntimeError
    assert not Shelf.objects.exists()
    assert not Revision.objects.exists()


def test_a_revision_is_never_changed_nor_deleted():
    Shelf.objects.create(name="low")
    revision = only_revision()
    for attempt in (revision.save, revision.delete, Revision.objects.all().delete):
        with pytest.raises(TypeError):
            attempt()
    with pytest.raises(TypeError):
        Revision.objects.update(reason="x")


def test_the_process_that_changes_obeys_at_once():
    assert sample.current().sizes == {}
    Shelf.objects.create(name="low", size=4)
    assert sample.current().sizes == {"low": 4}


def test_an_outer_rollback_takes_the_revision_with_it():
    sample.current()
    with transaction.atomic():
        Shelf.objects.create(name="low")
        transaction.set_rollback(True)
    assert not Revision.objects.exists()
    assert sample.current().sizes == {}


def test_a_revert_restores_settings_and_rows_at_once():
    keep = Shelf.objects.create(name="keep", size=1)
    gone = Shelf.objects.create(name="gone")
    Book.objects.create(title="One", shelf=gone)
    with change("sample"):
        Shelf.objects.filter(pk=keep.pk).update(size=50)
        Shelf.objects.create(name="new")
        gone.delete()
        SampleSettings(workers=9).save()
    number = Head.objects.get().revision
    reverted = revert(number)
    assert set(Shelf.objects.values_list("name", "size")) == {("keep", 1), ("gone", 10)}
    assert Book.objects.get().shelf.name == "gone"
    assert SampleSettings.load().workers == 2
    assert reverted is not None
    assert reverted.reverts_id == number
    assert sample.current().workers == 2


def test_a_revert_of_a_revert_brings_the_change_back():
    shelf = Shelf.objects.create(name="low", size=1)
    Shelf.objects.filter(pk=shelf.pk).update(size=2)
    revert(2)
    revert(3)
    assert Shelf.objects.get().size == 2


def test_a_revert_refuses_to_undo_a_later_change():
    shelf = Shelf.objects.create(name="low", size=1)
    Shelf.objects.filter(pk=shelf.pk).update(size=2)
    Shelf.objects.filter(pk=shelf.pk).update(size=3)
    with pytest.raises(RevertRefused, match="size of low was changed since, to 3"):
        revert(2)
    assert Shelf.objects.get().size == 3
    revert(2, force=True)
    assert Shelf.objects.get().size == 1


def test_a_revert_leaves_other_fields_of_the_row_alone():
    shelf = Shelf.objects.create(name="low", size=1)
    Shelf.objects.filter(pk=shelf.pk).update(size=2)
    Shelf.objects.filter(pk=shelf.pk).update(policy="closed")
    revert(2)
    assert (Shelf.objects.get().size, Shelf.objects.get().policy) == (1, "closed")


def test_a_revert_to_values_no_longer_allowed_is_refused_whole():
    shelf = Shelf.objects.create(name="low", size=80)
    with change("sample"):
        SampleSettings(workers=9).save()
        Shelf.objects.filter(pk=shelf.pk).update(size=20)
    Shelf.objects.filter(pk=shelf.pk).update(policy="closed")
    with pytest.raises(ValidationError, match="at most 50"):
        revert(2)
    assert SampleSettings.load().workers == 9


def overdue(number: int) -> None:
    PendingRevert.objects.filter(pk=number).update(due_at=timezone.now() - timedelta(seconds=1))


def test_an_expiring_change_ends_by_itself():
    with change("sample", revert_after_seconds=60):
        SampleSettings(workers=9).save()
    assert revert_due() == []
    overdue(1)
    assert revert_due() == [1]
    assert SampleSettings.load().workers == 2
    assert newest().channel == "expiry"
    assert revert_due() == []


def test_a_confirmed_change_stays():
    with change("sample", revert_after_seconds=60, unless_confirmed=True):
        SampleSettings(workers=9).save()
    assert confirm(1)
    assert not confirm(1)
    assert revert_due() == []
    assert SampleSettings.load().workers == 9


def test_an_expiring_change_keeps_what_was_decided_later():
    with change("sample", revert_after_seconds=60):
        SampleSettings(workers=9).save()
    SampleSettings(workers=11).save()
    overdue(1)
    revert_due()
    assert SampleSettings.load().workers == 11


def test_an_end_that_is_no_longer_allowed_is_shown_and_not_tried_for_ever():
    shelf = Shelf.objects.create(name="low", size=80)
    with change("sample", revert_after_seconds=60):
        Shelf.objects.filter(pk=shelf.pk).update(size=20)
    Shelf.objects.filter(pk=shelf.pk).update(policy="closed")
    overdue(2)
    assert revert_due() == []
    assert "at most 50" in PendingRevert.objects.get().failure


@pytest.mark.parametrize("seconds", [0, -1, 10**9])
def test_a_time_out_of_range_is_refused(seconds):
    with (
        pytest.raises(ValidationError, match="between 1 and"),
        change("sample", revert_after_seconds=seconds),
    ):
        Shelf.objects.create(name="low")
    assert not Shelf.objects.exists()


def test_changes_at_once_get_their_numbers_in_commit_order():
    Head.objects.get_or_create(pk=1)
    failures: list[BaseException] = []

    def write(name: str) -> None:
        try:
            for size in range(1, 6):
                with change("sample"):
                    Shelf.objects.update_or_create(name=name, defaults={"size": size})
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    numbers = list(Revision.objects.order_by("created_at").values_list("number", flat=True))
    assert sorted(numbers) == list(range(1, 16))
    assert Head.objects.get().revision == 15
    assert revisions.settings_models("sample") == [SampleSettings, Shelf, Book]
