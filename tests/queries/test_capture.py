"""Every connection is heard, whoever opened it and when; and the program notices nothing."""

import threading

import pytest
from django.db import connection, connections

from optimizer.queries import watch
from optimizer.queries.services import capture
from optimizer.queries.services.units import Unit

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.any_database]


def test_a_connection_that_another_thread_opened_before_is_heard():
    opened, go, unit = threading.Event(), threading.Event(), Unit()

    def work():
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        if capture.wrapper in connection.execute_wrappers:  # as before anything was installed
            connection.execute_wrappers.remove(capture.wrapper)
        opened.set()
        assert go.wait(20)
        with capture.watching(unit), connection.cursor() as cursor:
            cursor.execute("SELECT 2")
        connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    assert opened.wait(20)
    for one in capture._open_in_other_threads():
        capture._wrap(one)
    go.set()
    thread.join(20)
    unit.fold()
    assert unit.queries == 1


def test_an_error_of_the_database_passes_through():
    with watch(), pytest.raises(Exception, match="nowhere"), connection.cursor() as cursor:
        cursor.execute("SELECT * FROM nowhere")


def test_an_error_of_the_optimizer_is_counted_and_the_query_still_answers(monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("a bug of ours")

    before = 0
    monkeypatch.setattr(capture, "errors", before)  # the first few are logged
    monkeypatch.setattr(Unit, "note", broken)
    with watch() as findings, connection.cursor() as cursor:
        cursor.execute("SELECT 3")
        assert cursor.fetchone() == (3,)
    assert findings == []
    assert capture.errors == before + 1
    assert "a bug of ours" in caplog.text
