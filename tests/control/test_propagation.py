"""Several real processes follow one change."""

import os
import signal
import time
from collections import Counter

import pytest
from django.db import connection

from optimizer.control import live, processes
from optimizer.control.models import ControlSettings, Head
from tests.children import Child, children
from tests.sample.models import SampleSettings

START_SECONDS = 60.0  # of a Django process, on a machine that has other work

pytestmark = pytest.mark.django_db(transaction=True)

FOLLOW = """
import sys, time
from optimizer.control import watcher
from tests.sample.live import sample
watcher.start("web")
last = None
while True:
    now = sample.current().workers
    if now != last:
        print(now)
        last = now
    time.sleep(0.005)
"""

FOLLOW_AFTER_A_FORK = """
import os, time
from optimizer.control import watcher
from tests.sample.live import sample
watcher.start("web")
sample.current()
if os.fork():
    os.wait()
last = None
while True:
    watcher.ensure()
    now = sample.current().workers
    if now != last:
        print(now)
        last = now
    time.sleep(0.005)
"""


FORK_AT_ANY_MOMENT = """
import os, time
from django.db import connections
from optimizer.control import watcher
from tests.sample.live import sample
watcher.start("worker")
sample.current()
for _ in range(6):
    until = time.monotonic() + 0.05
    while time.monotonic() < until:  # the parent asks its database all the time
        watcher._watcher._poll_at = 0.0
        time.sleep(0.001)
    if not os.fork():
        break
else:
    connections.close_all()
    print("forked")
    os.wait()
watcher.ensure()
last = None
while True:
    now = sample.current().workers
    if now != last:
        print(now)
        last = now
    time.sleep(0.01)
"""


def wait_until(condition, within_seconds=60.0):
    deadline = time.monotonic() + within_seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)
    return result


def ready(started: list[Child]) -> None:
    for child in started:
        child.read_until("2", START_SECONDS)
    wait_until(lambda: len(processes.seen(0)) == len(started))


@pytest.mark.usefixtures("redis")
def test_every_process_obeys_and_acknowledges_within_a_second():
    with children(4, FOLLOW) as started:
        ready(started)
        SampleSettings(workers=9).save()
        for child in started:
            child.read_until("9", 1.0)
        number = Head.objects.get().revision
        wait_until(lambda: {one.state for one in processes.seen(number)} == {"SYNCED"})
        for one in processes.seen(number):
            assert one.role == "web"
            assert one.took_seconds is not None
            assert 0 <= one.took_seconds < 1  # 0: a poll may find it before it is announced


@pytest.mark.usefixtures("redis")
def test_a_forked_child_follows_on_its_own():
    with children(1, FOLLOW_AFTER_A_FORK) as (child,):
        child.read_until("2", START_SECONDS)
        SampleSettings(workers=9).save()
        child.read_until("9", 3.0)


@pytest.mark.usefixtures("redis")
def test_children_forked_while_the_parent_reads_follow_for_ever():
    """SQLite replaces its write-ahead index when the last connection closes."""
    connection.close()
    with children(1, FORK_AT_ANY_MOMENT) as (parent,):
        parent.read_until("forked", START_SECONDS)
        for workers in range(10, 16):
            SampleSettings(workers=workers).save()
            connection.close()
            time.sleep(0.3)
        said: Counter[str] = Counter()
        while (line := parent.read(1.0)) is not None:
            said[line] += 1
        assert said["15"] == 6, said


def test_without_redis_a_process_follows_within_its_poll_interval():
    ControlSettings(poll_interval_seconds=0.5).save()
    with children(1, FOLLOW, REDIS_URL="redis://127.0.0.1:1/0") as (child,):
        child.read_until("2", START_SECONDS)
        SampleSettings(workers=9).save()
        child.read_until("9", 1.5)


@pytest.mark.usefixtures("redis")
def test_a_stopped_process_is_stale_then_not_seen(monkeypatch):
    with children(2, FOLLOW) as started:
        ready(started)
        os.kill(started[0].process.pid, signal.SIGSTOP)
        SampleSettings(workers=9).save()
        started[1].read_until("9", 1.0)
        number = Head.objects.get().revision

        def states() -> dict[int, str]:
            return {one.pid: one.state for one in processes.seen(number)}

        pids = [child.process.pid for child in started]
        wait_until(lambda: states() == {pids[0]: "STALE", pids[1]: "SYNCED"})
        monkeypatch.setattr(processes, "SEEN_WITHIN_SECONDS", 0.01)
        wait_until(lambda: states()[pids[0]] == "NOT SEEN")
        monkeypatch.undo()
        os.kill(started[0].process.pid, signal.SIGCONT)
        started[0].read_until("9", 2.0)


@pytest.mark.usefixtures("redis")
def test_a_process_that_ends_leaves_the_list_and_a_killed_one_expires():
    with children(2, FOLLOW) as started:
        ready(started)
        started[0].process.send_signal(signal.SIGINT)
        wait_until(lambda: len(processes.seen(0)) == 1)
        started[1].process.kill()
        assert len(processes.seen(0)) == 1
    live.catch_up()


@pytest.mark.usefixtures("redis")
def test_an_expired_change_ends_in_some_process_by_itself():
    ControlSettings(poll_interval_seconds=0.5).save()
    with children(3, FOLLOW) as started:
        ready(started)
        from optimizer.control.revisions import change

        with change("sample", revert_after_seconds=1):
            SampleSettings(workers=9).save()
        for child in started:
            child.read_until("9", 1.0)
        for child in started:
            child.read_until("2", 4.0)


IMPORTS = """
import sys, threading
from optimizer.control import live
from optimizer.control.redis import call
from optimizer.control.snapshot import control
before = set(sys.modules)
def first():
    call(lambda r: r.ping())
    control.current()
thread = threading.Thread(target=first)
thread.start()
thread.join()
print("late:", *sorted(set(sys.modules) - before))
"""


def test_threads_import_nothing_that_a_fork_could_leave_half_done(redis):
    with children(1, IMPORTS) as (child,):
        child.read_until("late:", START_SECONDS)
