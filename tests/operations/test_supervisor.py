"""The supervisor in a process of its own, with real programs under it."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.any_database

PRELUDE = """
import sys
from optimizer.operations import supervisor
from optimizer.operations.supervisor import Program, Stop, Supervisor

supervisor.FIRST_PAUSE_SECONDS = 0.01

def python(name, code, **options):
    return Program(name, [sys.executable, "-u", "-c", code], **options)

def supervise(*programs):
    try:
        with Supervisor() as running:
            for program in programs:
                running.start(program)
            running.until(lambda: False)
    except Stop as stop:
        print(stop, flush=True)
        sys.exit(stop.code)
"""

POLITE = """
import signal, sys, time
def leave(*_):
    print("leaves", flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, leave)
print("runs", flush=True)
time.sleep(60)
"""

# Starts a child, and like it does not listen to SIGTERM.
STUBBORN_FAMILY = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork()
print("runs", flush=True)
time.sleep(60)
"""


class Supervised:
    """A script that supervises, with what it has said so far."""

    def __init__(self, script: str, folder: Path) -> None:
        self._output = folder / "output"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PRELUDE + script], stdout=output, stderr=output
            )

    @property
    def said(self) -> str:
        return self._output.read_text()

    def wait_for(self, text: str, times: int = 1) -> None:
        deadline = time.monotonic() + 20
        while len(re.findall(text, self.said)) < times:
            assert time.monotonic() < deadline, self.said
            time.sleep(0.02)

    def descendants(self) -> list[psutil.Process]:
        found: list[psutil.Process] = psutil.Process(self.process.pid).children(recursive=True)
        return found

    def send(self, number: int) -> None:
        os.kill(self.process.pid, number)


@pytest.fixture
def supervise(tmp_path):
    started: list[Supervised] = []

    def start(script: str) -> Supervised:
        started.append(Supervised(script, tmp_path))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


def test_a_killed_supervisor_leaves_no_process_behind(supervise):
    one = supervise(
        f"supervise(python('a', {POLITE!r}), python('family', {STUBBORN_FAMILY!r}))",
    )
    one.wait_for("runs", 3)
    family = one.descendants()
    assert len(family) == 5  # two guards, two programs, one child of a program
    one.send(signal.SIGKILL)
    _, alive = psutil.wait_procs(family, timeout=60)
    assert alive == []


def test_a_program_that_ends_is_started_again(supervise):
    one = supervise("supervise(python('a', 'print(\"here I am\"); raise SystemExit(3)'))")
    one.wait_for("here I am", 2)
    assert "a ended with exit code 3; restarting in 0.01 s" in one.said


def test_five_crashes_in_a_row_stop_all_with_the_reason(supervise):
    one = supervise(f"supervise(python('good', {POLITE!r}), python('bad', 'raise SystemExit(7)'))")
    assert one.process.wait(30) == 1
    assert "bad crashed 5 times in a row, last with exit code 7" in one.said
    assert one.said.count("bad ended with") == 4
    assert re.search(r"good +\| leaves", one.said)


def test_the_pause_before_a_restart_doubles(supervise):
    one = supervise("supervise(python('bad', 'raise SystemExit(7)'))")
    one.process.wait(30)
    assert re.findall(r"restarting in (\S+) s", one.said) == ["0.01", "0.02", "0.04", "0.08"]


def test_a_program_that_had_settled_may_crash_again(supervise):
    one = supervise("supervisor.SETTLED_SECONDS = 0; supervise(python('a', 'print(\"again\")'))")
    one.wait_for("again", 7)
    assert one.process.poll() is None


def test_what_a_crashed_program_leaves_is_swept_before_its_restart(supervise):
    orphaning = "import os, time\nprint('runs')\nif os.fork() == 0: time.sleep(60)\n"
    one = supervise(f"supervise(python('a', {orphaning!r}))")
    assert one.process.wait(30) == 1
    assert "crashed 5 times" in one.said
    assert not [
        p for p in psutil.process_iter(["cmdline"]) if orphaning in (p.info["cmdline"] or [])
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_all_in_the_opposite_order(supervise, number):
    one = supervise(
        f"supervise(*(python(name, {POLITE!r}) for name in ('redis', 'web', 'beat')))",
    )
    one.wait_for("runs", 3)
    one.send(number)
    assert one.process.wait(20) == 0
    assert re.findall(r"(\w+) +\| leaves", one.said) == ["beat", "web", "redis"]


def test_a_program_that_does_not_stop_in_time_is_killed(supervise):
    one = supervise(f"supervise(python('family', {STUBBORN_FAMILY!r}, stop_seconds=0.2))")
    one.wait_for("runs", 2)
    family = one.descendants()
    one.send(signal.SIGINT)
    assert one.process.wait(20) == 0
    assert "family did not stop within 0.2 s; killed" in one.said
    assert psutil.wait_procs(family, timeout=60)[1] == []


def test_a_second_signal_kills_all_at_once(supervise):
    one = supervise(f"supervise(python('family', {STUBBORN_FAMILY!r}, stop_seconds=600))")
    one.wait_for("runs", 2)
    family = one.descendants()
    one.send(signal.SIGINT)
    one.wait_for("stopping family")
    one.send(signal.SIGINT)
    assert one.process.wait(20) == 130
    assert psutil.wait_procs(family, timeout=60)[1] == []


def test_programs_are_out_of_the_terminals_reach(supervise):
    one = supervise(f"supervise(python('a', {POLITE!r}))")
    one.wait_for("runs")
    ours = os.getsid(one.process.pid)
    assert ours not in {os.getsid(process.pid) for process in one.descendants()}


def test_a_command_that_cannot_be_run_is_named(supervise):
    one = supervise("supervise(Program('a', ['/no/such/program']))")
    assert one.process.wait(20) == 1
    assert "/no/such/program: No such file or directory" in one.said


def test_a_task_gives_its_output_and_shows_its_errors(supervise):
    one = supervise("""
with Supervisor() as running:
    print(running.run("task", [sys.executable, "-c",
        "import sys; print('result'); print('a warning', file=sys.stderr); sys.exit(4)"]))
""")
    assert one.process.wait(20) == 0
    assert "(4, 'result\\n')" in one.said
    assert "task    | a warning" in one.said


def test_a_signal_during_a_task_ends_it_too(supervise):
    one = supervise("""
with Supervisor() as running:
    running.run("task", ["sh", "-c", "echo runs >&2; exec sleep 60"])
""")
    one.wait_for("runs")
    family = one.descendants()
    one.send(signal.SIGTERM)
    one.process.wait(20)
    assert psutil.wait_procs(family, timeout=60)[1] == []


def test_it_ends_when_nobody_reads_its_output(supervise):
    one = supervise(f"""
import os
read, write = os.pipe()
os.dup2(write, 1)
os.close(write)
os.close(read)
supervise(python('a', {POLITE!r}))
""")
    assert one.process.wait(20) != 0
