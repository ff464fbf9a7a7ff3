"""`manage.py batches`, plainly and on a terminal."""

import io
import json
import os
import pty
import subprocess
import sys
from contextlib import suppress

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError

from optimizer.batches import Entry, submit_many
from optimizer.batches.management.bars import Screen
from optimizer.batches.models import DeadLetter, Item, JobState, Run
from optimizer.batches.services import operating
from tests.batches.jobs import left, make, state, work
from tests.children import database_url
from tests.control.test_propagation import wait_until
from tests.library.models import Ledger

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


@pytest.fixture
def job():
    return make("notes", handler="ledger")


@pytest.fixture
def run(capsys):
    def command(*arguments):
        call_command("batches", *arguments)
        return capsys.readouterr().out

    return command


def test_status_is_for_people_or_for_programs(run, job):
    submit_many("notes", [{"n": n} for n in range(3)])
    assert run("status") == "notes: working, 3 left, 0 done, 0 failed\n"
    (found,) = json.loads(run("status", "notes", "--json"))
    assert (found["job"], found["left"], found["state"]) == ("notes", 3, "working")
    with pytest.raises(CommandError, match=r"no batch job 'no'\. Known: notes\."):
        run("status", "no")


def test_a_run_is_done_here(run, job):
    submit_many("notes", [{"n": n} for n in range(3)])
    assert "3 done, 0 failed." in run("run", "notes")
    one = Run.objects.get()
    assert (one.state, one.trigger) == ("done", "command")
    assert Ledger.objects.count() == 3


def test_failed_items_and_failed_runs_are_exit_code_1(run, job):
    submit_many("notes", [{"n": 1}, {"n": 2, "poison": True}])
    with pytest.raises(CommandError, match="1 done, 1 failed") as caught:
        run("run", "notes")
    assert caught.value.returncode == 1
    make("empty", handler="ledger", source="nobody")
    with pytest.raises(CommandError, match="'nobody' is not registered"):
        run("run", "empty")


def test_a_run_waits_for_items_that_are_tried_again(run):
    job = make("notes", handler="ledger", max_attempts=2, backoff_seconds=1.0)
    submit_many("notes", [{"n": 1, "again": True}])
    with suppress(CommandError):
        run("run", "notes")
    assert Run.objects.get().state == "done"
    assert (DeadLetter.objects.get().attempts, left(job)) == (2, 0)


def test_a_run_of_a_job_that_is_held_does_not_wait_for_ever(run, job):
    submit_many("notes", [{"n": 1}])
    operating.pause("notes")
    with pytest.raises(CommandError, match="the job is paused .It is switched off"):
        run("run", "notes")
    assert Run.objects.get().state == "running"
    with pytest.raises(CommandError, match="is going on"):
        run("run", "notes")
    make("lost", handler="nobody", backoff_seconds=100.0)
    submit_many("lost", [1])
    with pytest.raises(CommandError, match="the job is waiting .*'nobody' is not registered"):
        run("run", "lost")


def test_a_run_is_handed_to_a_worker(run, job):
    assert "is handed to a worker" in run("run", "notes", "--no-wait")
    assert Run.objects.get().state == "running"


def test_watch_ends_when_nothing_is_left_or_nothing_goes_on(run, job):
    submit_many("notes", [{"n": 1}])
    work("notes")
    assert run("watch", "--until-idle").startswith("notes: idle, 0 left, 1 done, 0 failed")
    submit_many("notes", [{"n": 2}])
    operating.pause("notes")
    with pytest.raises(CommandError, match="do not go on by themselves: notes"):
        run("watch", "notes", "--until-idle")


@pytest.fixture
def lines(tmp_path):
    def write(*given):
        path = tmp_path / "items.jsonl"
        path.write_bytes(b"\n".join(given))
        return str(path)

    return write


def test_lines_become_items(run, job, lines):
    path = lines(b'{"n": 1, "id": "a"}', b"", b'{"n": 2, "id": 7}', b'{"n": 3, "id": "a"}')
    told = run("submit", "notes", path, "--key", "id", "--order", "n")
    assert told == "2 item(s) accepted, 1 known before.\n"
    assert list(Item.objects.order_by("pk").values_list("key", flat=True)) == ["a", "7"]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (b"{", "line 2: is no JSON"),
        (b"\xff", "line 2: is no JSON"),
        (b"[1]", "line 2: has no text or whole number in the field 'n'"),
        (b'{"n": "a\\u0000"}', "line 2: key must be a text"),
    ],
)
def test_a_bad_line_is_named(run, job, lines, bad, says):
    with pytest.raises(CommandError, match=says):
        run("submit", "notes", lines(b'{"n": 1}', bad), "--key", "n")
    assert left(job) == 0


def test_a_file_that_is_not_there_and_a_full_job_are_told(run, lines):
    make("notes", handler="ledger", high_water_items=1, low_water_items=0)
    with pytest.raises(CommandError, match="No such file"):
        run("submit", "notes", "/no/such/file")
    with pytest.raises(CommandError, match="is full.* 1 item"):
        run("submit", "notes", lines(b"1", b"2"))


def test_dead_letters_are_shown_replayed_and_discarded(run, job):
    submit_many("notes", [Entry({"n": n, "poison": True}) for n in range(3)])
    work("notes")
    told = run("dead-letters", "notes", "--limit", "2")
    assert "ValueError: 2 is poison" in told
    assert told.endswith("2 of 3 dead letter(s).\n")
    first = DeadLetter.objects.order_by("pk").first()
    assert first is not None
    assert (
        run("dead-letters", "notes", "--replay", "--id", str(first.pk)) == "1 item(s) replayed.\n"
    )
    assert json.loads(run("dead-letters", "notes", "--json"))["total"] == 2
    assert run("dead-letters", "notes", "--discard") == "2 item(s) discarded.\n"
    assert left(job) == 1
    with pytest.raises(CommandError, match="from 1 to 100"):
        run("dead-letters", "notes", "--limit", "0")


def test_a_job_is_measured_when_asked(run):
    job = make()
    assert "20 items or more" in run("calibrate", "products")
    assert state(job).wants_calibration
    submit_many("products", [{"sku": f"p{n}"} for n in range(20)])
    work("products")
    assert JobState.objects.get(job=job).calibrated_at is not None


def test_a_log_gets_only_the_lines_that_changed():
    class Out(io.StringIO):
        def write(self, text, ending="\n"):
            return super().write(text + ending)

    out = Out()
    screen = Screen(out)
    for lines in (["a 1", "b 1"], ["a 1", "b 2"], ["a 1", "b 2"]):
        screen.show(lines)
    assert out.getvalue() == "a 1\nb 1\nb 2\n"


@pytest.mark.parametrize("verb", ["watch", "submit"])
def test_it_works_as_a_program_on_a_terminal(job, verb):
    """Bars are drawn in place; items come by standard input."""
    submit_many("notes", [{"n": 1}])
    master, slave = pty.openpty()
    arguments = ["watch", "notes"] if verb == "watch" else ["submit", "notes"]
    child = subprocess.Popen(
        [sys.executable, "manage.py", "batches", *arguments],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DATABASE_URL": database_url(), "COLUMNS": "100"},
        stdin=subprocess.PIPE,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    seen = b""
    try:
        if verb == "submit":
            child.communicate(b'{"n": 2}\n', timeout=60)
            assert child.returncode == 0, os.read(master, 4096).decode()
            assert left(job) == 2
            return

        def has(text):
            nonlocal seen
            seen += os.read(master, 4096)
            return text in seen

        wait_until(lambda: has(b"\x1b[2Knotes"), 60)
        assert b"[........................]   0% working, 1 left" in seen
        work("notes")
        wait_until(lambda: has(b"[########################] 100% idle, 0 left"))
        assert b"\x1b[1A" in seen
    finally:
        child.terminate()
        child.wait()
        os.close(master)
