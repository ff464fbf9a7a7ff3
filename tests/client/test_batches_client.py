"""The batch processor's client: against the real server, and one that fails by a script."""

import asyncio
import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from optimizer.batches import tasks
from optimizer.batches.models import Item
from optimizer.batches.services import fullness
from optimizer.client import (
    ApiError,
    AsyncTuneup,
    BatchesAway,
    BatchItem,
    JobFull,
    Tuneup,
    Unauthorized,
    Unavailable,
)
from optimizer.client import batch_calls as calls
from optimizer.control import keys
from tests.batches.jobs import left, make, work
from tests.control.test_propagation import wait_until
from tests.library.models import Ledger

pytestmark = [
    pytest.mark.any_database,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis"),
]


class Blocking:
    """The batches of the asyncio client, called as the other ones are."""

    def __init__(self, *arguments, **options):
        self._made = arguments, options

    def __getattr__(self, name):
        def call(*arguments, **options):
            async def run():
                async with AsyncTuneup(*self._made[0], **self._made[1]) as client:
                    return await getattr(client.batches, name)(*arguments, **options)

            return asyncio.run(run())

        return call


@pytest.fixture
def token():
    return keys.issue(name="bot", scopes=["batches"])[1]


@pytest.fixture(params=["sync", "async"])
def new(request):
    def build(*arguments, **options):
        if request.param == "async":
            return Blocking(*arguments, **options)
        client = Tuneup(*arguments, **options)
        request.addfinalizer(client.close)
        return client.batches

    return build


@pytest.fixture
def batches(new, live_server, token):
    return new(live_server.url, token)


@pytest.fixture
def job():
    return make("notes", handler="ledger")


class Scripted:
    """A server that gives scripted answers, the last one again and again."""

    def __init__(self, *answers):
        self.answers, self.bodies = list(answers), []

    def answer(self, body):
        self.bodies.append(json.loads(body))
        given = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return given if isinstance(given, tuple) else (202, {}, given)

    @property
    def keys(self):
        return [[one["key"] for one in body["items"]] for body in self.bodies]


@contextmanager
def serving(script):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, headers, document = script.answer(body)
            if status == 0:  # it dies with the request in hand
                self.close_connection = True
                return
            content = json.dumps(document).encode()
            self.send_response(status)
            for name, value in {"Content-Length": len(content), **headers}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


TAKEN = {"accepted": 1, "known": []}
DIES: tuple[int, dict[str, str], dict[str, object]] = (0, {}, {})
AWAY = (
    503,
    {"Retry-After": "0"},
    {"type": "temporary-reduced-capacity", "title": "Away", "status": 503},
)
FULL = (429, {"Retry-After": "1"}, {"type": "job-full", "title": "Full", "status": 429})
BAD: tuple[int, dict[str, str], dict[str, object]]
BAD = (422, {}, {"type": "invalid-fields", "title": "Bad", "status": 422})


def test_an_item_goes_in_once(batches, job):
    assert batches.submit("notes", {"n": 1}, key="a") is True
    assert batches.submit("notes", {"n": 1}, key="a") is False
    assert batches.submit("notes", {"n": 2}, order="user:7") is True
    first, second = Item.objects.order_by("pk")
    assert (first.payload, first.key) == ('{"n":1}', "a")
    assert second.key.startswith("client-")
    assert second.lane != 0


def test_many_items_go_in_several_calls(batches, job, monkeypatch):
    monkeypatch.setattr(calls, "MAX_ITEMS", 4)
    batches.submit("notes", {"n": 6}, key="k6")
    given = (BatchItem({"n": n}, f"k{n}") for n in range(10))
    done = batches.submit_many("notes", given)
    assert (done.accepted, done.known) == (9, [6])
    assert left(job) == 10


def test_calls_are_cut_by_their_bytes_too(batches, job):
    items = [{"n": n, "pad": "x" * 200_000} for n in range(100)]
    assert [len(one.entries) for one in calls.portions(items)] == [78, 22]
    assert batches.submit_many("notes", items).accepted == 100


@pytest.mark.parametrize(
    ("item", "says"),
    [
        ({"n": object()}, "what JSON has"),
        ("\ud800", "what JSON has"),
        ("x" * 262_144, "at most 262144 bytes"),
        ({"n": [1, float("nan")]}, "finite numbers"),
        ({"n": json.loads("[" * 100 + "]" * 100)}, "at most 100 deep"),
        (BatchItem(1, key="k" * 201), "key must be a text"),
        (BatchItem(1, order="a\0"), "order must be a text"),
    ],
)
def test_what_no_job_could_take_is_a_value_error(batches, job, item, says):
    with pytest.raises(ValueError, match=says):
        batches.submit_many("notes", [{"n": 1}, item])
    assert left(job) == 0


def test_a_job_is_watched_run_paused_and_resumed(batches, job):
    batches.submit_many("notes", [{"n": n, "poison": n > 2} for n in range(5)])
    assert batches.progress("notes").left == 5
    run = batches.run("notes")
    assert run.state == "running"
    with pytest.raises(ApiError) as caught:
        batches.run("notes")
    assert caught.value.problem.type == "run-going-on"
    tasks.run("notes", run_id=run.id)
    assert (batches.run_state("notes", run.id).state, Ledger.objects.count()) == ("done", 3)
    assert batches.pause("notes").state == "paused"
    assert batches.resume("notes").state == "idle"
    assert [one.job for one in batches.jobs()] == ["notes"]
    page = batches.dead_letters("notes", limit=1, error_type="ValueError")
    assert (page.total, page.dead_letters[0].item) == (2, {"n": 4, "poison": True})
    assert batches.replay("notes", [page.dead_letters[0].id]) == 1
    assert batches.discard("notes") == 1
    assert batches.progress("notes").left == 1


def test_unknown_jobs_and_revoked_keys_are_errors_at_once(batches, job):
    with pytest.raises(ApiError, match="no batch job 'nothing'") as caught:
        batches.submit("nothing", 1)
    assert caught.value.problem.type == "unknown-job"
    keys.revoke("bot")
    with pytest.raises(Unauthorized):
        batches.submit("notes", 1)


def test_a_full_job_is_waited_for_and_then_an_error(new, live_server, token):
    job = make("notes", handler="ledger", high_water_items=1, low_water_items=0)
    Item.objects.create(job=job, payload='{"n": 1}')
    fullness.forget()
    with pytest.raises(JobFull) as caught:
        new(live_server.url, token, submit_seconds=0.5).submit("notes", {"n": 2})
    assert caught.value.retry_after_seconds == 5
    Item.objects.all().delete()
    fullness.forget()
    assert new(live_server.url, token, submit_seconds=0.5).submit("notes", {"n": 2})


def test_a_submit_is_repeated_with_the_same_key(new):
    script = Scripted(DIES, AWAY, FULL, TAKEN)
    with serving(script) as url:
        started = time.monotonic()
        assert new(url, "key").submit("notes", 1)
        assert time.monotonic() - started >= 1  # as the full job asks
    assert len(script.keys) == 4
    assert len({str(one) for one in script.keys}) == 1


@pytest.mark.parametrize(
    ("answer", "kind"), [(DIES, Unavailable), (AWAY, BatchesAway), (FULL, JobFull)]
)
def test_the_time_for_repetitions_is_bounded(new, answer, kind):
    with serving(Scripted(answer)) as url, pytest.raises(kind):
        new(url, "key", submit_seconds=0.3).submit("notes", 1)


def test_what_the_server_refuses_is_not_repeated_and_says_how_far_it_came(new, monkeypatch):
    monkeypatch.setattr(calls, "MAX_ITEMS", 2)
    script = Scripted({"accepted": 2, "known": []}, BAD)
    with serving(script) as url, pytest.raises(ApiError) as caught:
        new(url, "key").submit_many("notes", range(5))
    assert caught.value.items_sent == 2
    assert len(script.bodies) == 2


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_collector_sends_by_size_age_and_at_the_end(kind, live_server, token, job):
    def arrived(count):
        wait_until(lambda: left(job) == count)

    def sync():
        with Tuneup(live_server.url, token) as client:
            with client.batches.collect("notes", size=5, age_seconds=60) as batch:
                for n in range(7):
                    batch.add({"n": n}, key=f"k{n}")
                arrived(5)  # by size
            arrived(7)  # at the end
            with client.batches.collect("notes", age_seconds=0.05) as batch:
                batch.add({"n": 1}, key="k1")
                batch.add({"n": 8})
                arrived(8)  # by age
                wait_until(lambda: batch.accepted == 1)
                assert batch.known == 1

    async def asynchronous():
        async with AsyncTuneup(live_server.url, token) as client:
            async with client.batches.collect("notes", size=5, age_seconds=60) as batch:
                for n in range(7):
                    await batch.add({"n": n}, key=f"k{n}")
                await asyncio.to_thread(arrived, 5)
            await asyncio.to_thread(arrived, 7)
            async with client.batches.collect("notes", age_seconds=0.05) as batch:
                await batch.add({"n": 1}, key="k1")
                await batch.add({"n": 8})
                await asyncio.to_thread(arrived, 8)
                await asyncio.to_thread(wait_until, lambda: batch.accepted == 1, 10)
                assert batch.known == 1

    sync() if kind == "sync" else asyncio.run(asynchronous())
    work("notes")
    assert Ledger.objects.count() == 8


@contextmanager
def collecting(kind, url, submit_seconds, **options):
    """Give a collector's add, flush, close and unsent, called as if it were a blocking one."""
    if kind == "sync":
        with Tuneup(url, "key", submit_seconds=submit_seconds) as client:
            batch = client.batches.collect("notes", **options)
            yield batch, batch.add, batch.flush, batch.close
        return
    with asyncio.Runner() as runner:

        async def build():
            client = AsyncTuneup(url, "key", submit_seconds=submit_seconds)
            return client, client.batches.collect("notes", **options)

        client, batch = runner.run(build())
        yield (
            batch,
            lambda *given, **named: runner.run(batch.add(*given, **named)),
            lambda: runner.run(batch.flush()),
            lambda: runner.run(batch.aclose()),
        )
        runner.run(client.aclose())


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_what_cannot_be_sent_is_kept_with_its_keys_and_order(kind):
    script = Scripted(AWAY)
    with (
        serving(script) as url,
        collecting(kind, url, 0.0, size=2, age_seconds=60) as (batch, add, flush, close),
    ):
        for n in range(3):
            add(n, key=f"k{n}")
        with pytest.raises(BatchesAway):
            flush()
        assert [one.key for one in batch.unsent] == ["k0", "k1", "k2"]
        script.answers = [{"accepted": 2, "known": []}, TAKEN]
        flush()
        assert batch.unsent == []
        assert script.keys[-2:] == [["k0", "k1"], ["k2"]]
        script.answers = [AWAY]
        add(3)
        with pytest.raises(BatchesAway):
            close()
        assert [one.item for one in batch.unsent] == [3]
        with pytest.raises(RuntimeError, match="closed"):
            add(4)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_collector_that_is_full_says_why_and_keeps_no_more(kind):
    with (
        serving(Scripted(FULL)) as url,
        collecting(kind, url, 0.0, size=1, age_seconds=0.01) as (batch, add, _, close),
    ):
        with pytest.raises(JobFull):
            for n in range(50):
                add(n)
        assert len(batch.unsent) == 10
        with pytest.raises(JobFull):
            close()


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_an_error_that_does_not_pass_is_raised_by_the_next_add(kind):
    with (
        serving(Scripted(BAD)) as url,
        collecting(kind, url, 5.0, age_seconds=60) as (batch, add, flush, close),
    ):
        add(1)
        with pytest.raises(ApiError):
            flush()
        with pytest.raises(ApiError):
            add(2)
        with pytest.raises(ValueError, match="what JSON has"):
            add(object())
        assert [one.item for one in batch.unsent] == [1]
        with pytest.raises(ApiError):
            close()


def test_many_threads_share_a_collector(live_server, token, job):
    with (
        Tuneup(live_server.url, token) as client,
        client.batches.collect("notes", size=50, age_seconds=0.02) as batch,
    ):

        def work_from(at):
            for n in range(at, at + 100):
                batch.add({"n": n})

        threads = [threading.Thread(target=work_from, args=(at,)) for at in range(0, 500, 100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert batch.accepted == 500
    work("notes")
    assert sorted(Ledger.objects.values_list("item", flat=True)) == list(range(500))


def test_the_error_of_a_block_is_not_hidden_by_what_could_not_be_sent():
    with (
        serving(Scripted(AWAY)) as url,
        Tuneup(url, "key", submit_seconds=0.0) as client,
        pytest.raises(KeyError) as caught,
        client.batches.collect("notes") as batch,
    ):
        batch.add(1)
        raise KeyError("the bot's own")
    assert "1 items could not be sent" in caught.value.__notes__[0]
