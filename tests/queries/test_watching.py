"""Requests, tasks and commands are watched; what they did arrives in the database, once."""

import io
import threading
from typing import Any

import pytest
from celery import shared_task
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connection
from django.http import HttpResponse, StreamingHttpResponse
from django.test import Client, override_settings
from django.urls import path

import config.urls
from optimizer.control.redis import call
from optimizer.queries import tasks
from optimizer.queries.engine.hyperloglog import HyperLogLog
from optimizer.queries.engine.sampling import Sampler
from optimizer.queries.engine.settings import Ignore, Settings
from optimizer.queries.live import queries
from optimizer.queries.models import Finding, Ignored, Statement, Statistic, TableWrites
from optimizer.queries.models.findings import State
from optimizer.queries.services import collector, current, ingest, reporter, watching
from tests.library.filling import fill
from tests.library.models import Book
from tests.queries.units import begin

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Nothing gathered before, and all of a unit watched."""
    monkeypatch.setattr(collector, "collector", collector.Collector())
    monkeypatch.setattr(queries, "_snapshot", Settings(mode="all"))
    monkeypatch.setattr(watching, "sampler", Sampler(lambda: 0.5))


def live(monkeypatch, **changed):
    monkeypatch.setattr(queries, "_snapshot", Settings(**{"mode": "all", **changed}))


def looped(request):
    names = [book.author.name for book in Book.objects.all()]
    return HttpResponse(str(len(names)))


def streamed(request):
    return StreamingHttpResponse(book.author.name for book in Book.objects.all())


urlpatterns: list[Any] = [
    path("looped/<int:pk>", lambda r, pk: looped(r)),
    path("streamed", streamed),
]
urlpatterns += config.urls.urlpatterns


@shared_task(name="tests.looped")
def task():
    return [book.author.name for book in Book.objects.all()]


class Command(BaseCommand):
    def handle(self, **_):
        self.stdout.write(str([book.author.name for book in Book.objects.all()]))


Command.__module__ = "tests.management.commands.looped"


def told():
    """Carry over what was gathered."""
    assert reporter.flush()
    return ingest.read_all()


def test_a_request_is_watched_and_named_by_its_route():
    fill(3)
    with override_settings(ROOT_URLCONF=__name__):
        assert Client().get("/looped/7").status_code == 200
    assert told() == 1
    finding = Finding.objects.get(kind="n_plus_one")
    assert finding.units == ["GET /looped/<int:pk>"]
    assert finding.location.startswith("tests/queries/test_watching.py:")
    assert 'select_related("author")' in finding.suggestion
    assert finding.count == finding.queries >= 3
    assert finding.hits == 1
    assert finding.lost_seconds > 0
    assert finding.stack[0].endswith(" <listcomp>") or finding.stack[0].endswith(" looped")
    rows = Statistic.objects.filter(fingerprint=finding.fingerprint)
    assert sum(row.calls for row in rows) == finding.count
    assert sum(row.n_plus_one for row in rows) == finding.count
    statement = Statement.objects.get(fingerprint=finding.fingerprint)
    assert "library_author" in statement.tables


def test_a_streamed_response_is_watched_to_its_end():
    fill(3)
    with override_settings(ROOT_URLCONF=__name__):
        response: Any = Client().get("/streamed")
        b"".join(response.streaming_content)
        response.close()
    assert current.unit.get() is None
    told()
    assert Finding.objects.get(kind="n_plus_one").units == ["GET /streamed"]


def test_a_task_and_a_command_are_watched():
    fill(3)
    task.apply()
    call_command(Command(), stdout=io.StringIO())
    told()
    units = {name for one in Finding.objects.filter(kind="n_plus_one") for name in one.units}
    assert units == {"tests.looped", "manage.py looped"}


def test_a_task_within_a_request_is_part_of_it():
    fill(3)
    watched = begin("outer", "request")
    task.apply()
    watching.end(watched)
    told()
    assert Finding.objects.get(kind="n_plus_one").units == ["outer"]


def test_nothing_is_written_within_a_watched_unit(django_assert_num_queries):
    fill(3)
    count = Book.objects.count()
    with override_settings(ROOT_URLCONF=__name__), django_assert_num_queries(count + 1):
        Client().get("/looped/7")


def test_an_interval_counts_once_though_the_reader_dies(monkeypatch):
    fill(3)
    task.apply()
    assert reporter.flush()
    before = call(lambda r: r.xlen(reporter.STREAM))
    assert before == 1

    def dies(*_):
        raise RuntimeError("the worker is killed before it trims")

    with monkeypatch.context() as patched:
        patched.setattr(ingest, "_trim", dies)
        with pytest.raises(RuntimeError):
            ingest.read_all()
    hits = Finding.objects.get(kind="n_plus_one").hits
    assert ingest.read_all() == 0
    assert Finding.objects.get(kind="n_plus_one").hits == hits == 1


def test_a_second_interval_adds_up():
    fill(3)
    for _ in range(2):
        task.apply()
        assert told() == 1
    finding = Finding.objects.get(kind="n_plus_one")
    assert (finding.hits, finding.queries) == (2, 2 * finding.count)
    row = Statistic.objects.get(fingerprint=finding.fingerprint)
    assert row.calls == 2 * finding.count
    assert call(lambda r: r.xlen(reporter.STREAM)) == 0


def test_two_readers_at_once_count_once():
    fill(3)
    for _ in range(6):
        task.apply()
        assert reporter.flush()
    threads = [threading.Thread(target=read_and_close) for _ in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    assert Finding.objects.get(kind="n_plus_one").hits == 6


def read_and_close():
    try:
        ingest.read_all()
    finally:
        connection.close()


@pytest.mark.usefixtures("redis_away")
def test_without_redis_what_was_gathered_is_kept():
    fill(3)
    task.apply()
    assert not reporter.flush()
    assert not reporter.flush()
    kept = collector.collector.take()
    assert [one.hits for one in kept.news.findings if one.kind == "n_plus_one"] == [1]
    assert kept.gathered.units == 1


def test_a_fixed_finding_that_returns_is_open_again():
    fill(3)
    task.apply()
    told()
    Finding.objects.update(state=State.FIXED)
    task.apply()
    told()
    finding = Finding.objects.get(kind="n_plus_one")
    assert (finding.state, finding.reopened) == (State.OPEN, 1)


def test_an_ignored_one_stays_ignored_and_its_fix_is_read_anew_with_its_model():
    fill(3)
    task.apply()
    told()
    Finding.objects.update(state=State.IGNORED, suggestion="as it was", model_state="old")
    task.apply()
    told()
    finding = Finding.objects.get(kind="n_plus_one")
    assert finding.state == State.IGNORED
    assert "select_related" in finding.suggestion
    Finding.objects.update(suggestion="kept as long as nothing changes")
    task.apply()
    told()
    assert Finding.objects.get(kind="n_plus_one").suggestion.startswith("kept")


@pytest.mark.parametrize(
    ("what", "pattern"),
    [("unit", "tests.*"), ("location", "tests/queries/test_watching.py:*")],
)
def test_a_pattern_ignores_and_says_that_it_did(monkeypatch, what, pattern):
    live(monkeypatch, ignores=(Ignore(what, pattern),))
    fill(3)
    task.apply()
    told()
    assert not Finding.objects.filter(kind="n_plus_one").exists()
    assert Ignored.objects.get(pattern=pattern).hits == 1


@pytest.mark.parametrize("changed", [{"enabled": False}, {"mode": "off"}])
def test_off_watches_nothing(monkeypatch, changed):
    live(monkeypatch, **changed)
    fill(3)
    task.apply()
    assert collector.collector.take().is_empty


def test_a_skipped_unit_still_tells_of_slow_queries(monkeypatch):
    live(monkeypatch, mode="sampled", sample_percent=1.0, slow_query_seconds=0.001)
    fill(3)
    watched = begin("slow", "task")
    assert watched.weight == 0
    with connection.cursor() as cursor:
        cursor.execute(SLOW)
        cursor.execute("SELECT 1")
    watching.end(watched)
    gathered = collector.collector.take()
    assert [one.kind for one in gathered.news.findings] == ["slow"]
    assert not gathered.gathered.tallies


SLOW = """
    WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 200000)
    SELECT COUNT(*) FROM counted
"""


def test_only_what_no_unit_reads_is_loaded_in_vain():
    fill(3)
    for _ in range(4):
        watched = begin("vain", "task")
        list(Book.objects.select_related("author"))
        watching.end(watched)
    told()
    assert Finding.objects.get().kind == "unused_eager_load"


def test_what_some_unit_reads_is_no_finding():
    fill(3)
    for reads in (False, True, False, False, False):
        watched = begin("some", "task")
        books = list(Book.objects.select_related("author"))
        names = [book.author.name for book in books if reads]
        assert bool(names) == reads
        watching.end(watched)
    told()
    assert not Finding.objects.exists()


def test_only_staff_is_watched_where_so_chosen(monkeypatch, admin_client):
    live(monkeypatch, admins_only=True)
    fill(3)
    with override_settings(ROOT_URLCONF=__name__):
        Client().get("/looped/7")
        assert collector.collector.take().is_empty
        admin_client.get("/looped/7")  # nobody asked who it is
    assert collector.collector.take().is_empty


def test_writes_are_counted_by_table():
    fill(3)
    watched = begin("writes", "task")
    for book in Book.objects.all():
        book.pages += 1
        book.save()
    watching.end(watched)
    told()
    assert TableWrites.objects.get(table="library_book").calls == Book.objects.count()
    assert Finding.objects.filter(kind="write_n_plus_one").exists()


def test_unreadable_intervals_are_passed_over():
    call(lambda r: r.xadd(reporter.STREAM, {b"s": b"junk", b"n": b"junk"}))
    call(lambda r: r.xadd(reporter.STREAM, {b"other": b"x"}))
    assert ingest.read_all() == 2
    assert not Finding.objects.exists()


def test_pages_whose_place_stands_in_the_text_are_different_parameters():
    fill(9)
    for at in range(0, 12, 4):
        watched = begin("pages")
        assert list(Book.objects.order_by("pk")[at : at + 4])
        watching.end(watched)
    told()
    offsets = [one for one in Statistic.objects.filter(unit="pages") if one.calls == 2]
    assert [HyperLogLog.from_bytes(bytes(one.distinct)).count() for one in offsets] == [2]


def test_the_optimizer_does_not_watch_itself():
    fill(3)
    task.apply()
    told()
    tasks.collect.apply()
    assert collector.collector.take().is_empty


def test_a_new_pattern_takes_what_is_stored_off_the_list(monkeypatch):
    fill(3)
    task.apply()
    told()
    live(monkeypatch, ignores=(Ignore("unit", "tests.loop*"),))
    tasks.collect()
    assert set(Finding.objects.values_list("state", flat=True)) == {State.IGNORED}
