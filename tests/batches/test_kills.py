"""Real workers that are killed, stopped and cut off at random: every item is applied once."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack, suppress

import psutil
import pytest
from django.conf import settings
from django.db import connection

from optimizer.batches.models import DeadLetter, Item
from optimizer.operations import embedded_redis
from optimizer.operations.embedded_redis import free_port
from tests.batches.jobs import make
from tests.children import children, database_url
from tests.library.models import Ledger

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

ITEMS = 3000
KILLS = 30
SETTLED_SECONDS = 10.0
SENDER = f"""
import random, time
from django.db import DatabaseError
from optimizer.batches import Entry, submit, submit_many
chance = random.Random()
numbers = list(range({ITEMS}))
while numbers:
    count = chance.choice((1, 5, 40))
    now, numbers = numbers[:count], numbers[count:]
    while True:
        try:
            submit_many("ledger", [Entry({{"n": n}}, key=f"key-{{n}}") for n in now])
            break
        except DatabaseError:
            time.sleep(0.05)
    time.sleep(chance.uniform(0, 0.25))
print("sent")
"""


class Programs:
    """Redis, a Celery worker with two processes, and beat: what the test kills and starts again."""

    def __init__(self, folder) -> None:
        self.folder, self.port = folder, free_port()
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.batches.worker_settings",
            "DATABASE_URL": database_url(),
            "REDIS_URL": f"redis://127.0.0.1:{self.port}/0",
        }

    def start_redis(self) -> None:
        command = [str(embedded_redis.find_server()), "--port", str(self.port), "--save", ""]
        command += ["--bind", "127.0.0.1", "--dir", str(self.folder)]
        self.running["redis"] = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, start_new_session=True
        )
        until = time.monotonic() + 20
        while not embedded_redis.answers(self.environment["REDIS_URL"]):
            assert time.monotonic() < until
            time.sleep(0.02)

    def start(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            log.write(b"\n-- started\n")
            log.flush()
            self.running[name] = subprocess.Popen(
                [sys.executable, "-m", "celery", "--app", "config", name, "-l", "INFO", *arguments],
                cwd=settings.BASE_DIR,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start_worker(self) -> None:
        self.start("worker", "--concurrency", "2", "--without-mingle", "--without-gossip")

    def start_beat(self) -> None:
        self.start("beat", "--pidfile", "")

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def supervise(self) -> None:
        """Start the worker again where it ended: one that loses a process as it boots gives up."""
        if self.running["worker"].poll() is not None:
            self.start_worker()

    def wait_for_worker(self, within_seconds: float) -> None:
        """Wait until the worker that was started last has begun to work."""
        until = time.monotonic() + within_seconds
        while not (len(self.pool()) == 2 and self._is_ready()):
            assert time.monotonic() < until
            self.supervise()
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        log = (self.folder / "worker.log").read_text(errors="replace")
        _, _, since = log.rpartition("-- started")
        return " ready." in since

    def pool(self) -> list[psutil.Process]:
        """Return the processes that run the tasks."""
        try:
            found: list[psutil.Process] = psutil.Process(self.running["worker"].pid).children()
            return found
        except psutil.NoSuchProcess:
            return []

    def freeze(self, seconds: float) -> None:
        """Stop the worker and its processes for a while, wherever they are."""
        group = os.getpgid(self.running["worker"].pid)
        os.killpg(group, signal.SIGSTOP)
        time.sleep(seconds)
        os.killpg(group, signal.SIGCONT)

    def stop(self) -> None:
        for name in list(self.running):
            self.kill(name)


def test_every_item_is_applied_once_whatever_is_killed_when(tmp_path):
    make("ledger", handler="slow_ledger", chunk_items=50, idle_seconds=0.05, flush_seconds=0.1)
    programs, chance = Programs(tmp_path), random.Random()  # noqa: S311
    kills: Counter[str] = Counter()
    with ExitStack() as stack:
        stack.callback(programs.stop)
        programs.start_redis()
        programs.start_beat()
        programs.start_worker()
        senders = stack.enter_context(
            children(2, SENDER, REDIS_URL=programs.environment["REDIS_URL"])
        )
        until = time.monotonic() + 150
        while sum(kills.values()) < KILLS:
            assert time.monotonic() < until, kills
            time.sleep(chance.uniform(0.05, 0.5))
            programs.supervise()
            number = sum(kills.values())
            if number % 10 == 4:
                programs.kill("worker")
                programs.start_worker()
                kills["worker"] += 1
            elif number in (12, 22) and kills["redis"] < number // 10:
                programs.kill("redis")
                time.sleep(0.5)
                programs.start_redis()
                kills["redis"] += 1
            elif pool := programs.pool():
                if number % 10 == 8:
                    programs.freeze(1.0)
                with suppress(psutil.NoSuchProcess):
                    chance.choice(pool).kill()
                    kills["process"] += 1
        for sender in senders:
            sender.read_until("sent", 60)
        programs.wait_for_worker(60)
        last_fault = time.monotonic()  # that a worker is here again is the supervisor's part
        while Ledger.objects.count() < ITEMS or Item.objects.exists():
            programs.supervise()
            took = time.monotonic() - last_fault
            if took > SETTLED_SECONDS:
                log = (tmp_path / "worker.log").read_text(errors="replace")[-4000:]
                raise AssertionError(f"{Item.objects.count()} wait after {took:.1f} s:\n{log}")
            time.sleep(0.05)
    applied = Counter(Ledger.objects.values_list("item", flat=True))
    assert applied == Counter(range(ITEMS))
    assert not DeadLetter.objects.exists()
    assert kills["worker"] >= 3 and kills["redis"] == 2
    connection.close()
