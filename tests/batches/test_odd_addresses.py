"""Addresses that do what no address should do."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.utils import timezone

from optimizer.batches import submit, submit_many
from optimizer.batches.models import Callback, DeadLetter
from optimizer.batches.services import callbacks
from optimizer.batches.services.validation import problems
from optimizer.control import webhooks
from tests.batches.jobs import left, make, state, work
from tests.batches.receiver import receiver

pytestmark = [pytest.mark.any_database, pytest.mark.django_db(transaction=True)]


@contextmanager
def answering(head: bytes, part: bytes = b"", pause_seconds: float = 0.0) -> Iterator[str]:
    """Give the URL of a server that sends a head and then, for ever, the same part."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve(peer):
            with peer:
                try:
                    peer.recv(65536)
                    peer.sendall(head)
                    while part:
                        peer.sendall(part)
                        time.sleep(pause_seconds)
                except OSError:
                    return

        def accept():
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(peer,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("part", "pause_seconds"), [(b"x" * 65536, 0.0), (b"x", 0.05)], ids=["flood", "drip"]
)
def test_an_answer_without_an_end_is_read_no_further(part, pause_seconds):
    with answering(b"HTTP/1.1 422 No\r\n\r\n", part, pause_seconds) as url:
        job = make("out", sink="http", url=url, timeout_seconds=1)
        submit(job.name, {"n": 1})
        assert work(job.name).failed == 1
    assert DeadLetter.objects.get().error.startswith("422 No: x")


@pytest.mark.parametrize("charset", ["rot13", "unicode_escape", "nobody", "utf-16"])
def test_an_answer_in_an_odd_charset_is_an_answer(charset):
    says = b"HTTP/1.1 422 No\r\nContent-Length: 8\r\nContent-Type: text/plain; charset=%s\r\n\r\n"
    with answering(says % charset.encode() + b"\\ud800\0\xff") as url:
        job = make("out", sink="http", url=url)
        submit(job.name, {"n": 1})
        assert work(job.name).failed == 1
    assert "ud800" in DeadLetter.objects.get().error


@pytest.mark.parametrize("url", ["http://[::1", "http:///x", "http://host:99999/"])
def test_an_address_that_is_none_is_said_and_costs_no_item(url):
    job = make("out", sink="http", url=url)
    assert set(problems(job)) == {"url"}
    submit(job.name, {"n": 1})
    assert work(job.name).ended == "trouble"
    assert (left(job), state(job).done, DeadLetter.objects.count()) == (1, 0, 0)
    job = make("notes", handler="ledger", callback_url=url)
    assert set(problems(job)) == {"callback_url"}


def test_of_call_backs_to_who_does_not_answer_one_is_tried(monkeypatch):
    monkeypatch.setattr(webhooks, "_TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, receiver() as other:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        away = make("notes", handler="ledger", callback_url=url)
        here = make("others", handler="ledger", callback_url=other.url)
        for number in range(30):
            Callback.objects.create(
                job=away if number % 3 else here, event="drained", body={"n": number}
            )
        assert callbacks.deliver_due(15) == 5
        assert callbacks.deliver_due(15) == 5
    tried = Callback.objects.filter(job=away).order_by("-attempts").values_list("attempts", "error")
    assert [one for one, _ in tried] == [1] + [0] * 19
    assert "ReadTimeout" in tried[0][1]
    # The next time it is another one's turn.
    Callback.objects.filter(delivered_at=None).update(available_at=timezone.now())
    first = Callback.objects.get(job=away, attempts=1)
    make("notes", handler="ledger", callback_url="http://127.0.0.1:1/")
    callbacks.deliver_due()
    first.refresh_from_db()
    assert first.attempts == 1
    assert Callback.objects.filter(job=away, attempts=1).count() == 2


def test_a_call_back_that_alone_is_refused_holds_up_no_other():
    with receiver() as other:
        job = make("notes", handler="ledger", callback_url=other.url)
        other.answer = lambda body: (400 if body["n"] == 0 else 204, {})
        for number in range(5):
            Callback.objects.create(
                job=job, event="drained", body={"n": number},
                available_at=timezone.now() - timedelta(seconds=5 - number),
            )  # fmt: skip
        assert callbacks.deliver_due() == 4


def test_an_error_that_no_database_stores_is_told_all_the_same():
    job = make("notes", handler="odd_names", max_attempts=1)
    submit_many(job.name, [{"n": 1}, {"n": 2}])
    work(job.name)
    assert "\\udcff" in DeadLetter.objects.all()[0].error
