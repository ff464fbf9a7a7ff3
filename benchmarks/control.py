"""What live settings cost: reading one against peers, telling six processes of a change, and the
slowest HTTP call while Redis hangs, dies and returns.

Run `python -m benchmarks.control [--json FILE]`; it makes its own database and Redis.
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
from redis import Redis

from benchmarks.table import Row, arguments, nanoseconds_per_call, show
from optimizer.operations import embedded_redis, guard

PROCESSES = 6
CHANGES = 20

FOLLOW = """
import time
from optimizer.control import watcher
from optimizer.control.snapshot import control
watcher.start("web")
last = None
while True:
    now = control.current().process_expiry_seconds
    if now != last:
        print(now, time.time_ns())
        last = now
    time.sleep(0.0005)
"""

CONSTANCE = """
import sys
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["constance"],
    CONSTANCE_REDIS_CONNECTION=sys.argv[1],
    CONSTANCE_BACKEND="constance.backends.redisd." + sys.argv[2],
    CONSTANCE_CONFIG={"LIMIT": (30, "a limit")},
)
import django
django.setup()
from benchmarks.table import nanoseconds_per_call
from constance import config
print(nanoseconds_per_call({"it": lambda: config.LIMIT})["it"])
"""

module_attribute = 30


def read_module_attribute() -> int:
    return module_attribute


def reading(redis_url: str) -> list[Row]:
    """Compare one read of a setting, each through a function of its own."""
    from django.conf import settings

    from optimizer.control.snapshot import control

    own = nanoseconds_per_call(
        {
            "module attribute through a function": read_module_attribute,
            "Tuneup current()": control.current,
            "Tuneup current().field": lambda: control.current().process_expiry_seconds,
            "django.conf settings.NAME": lambda: settings.REDIS_TIMEOUT_SECONDS,
        }
    )
    reference = own["module attribute through a function"]
    for backend in ("CachingRedisBackend", "RedisBackend"):
        done = subprocess.run(
            [sys.executable, "-c", CONSTANCE, redis_url, backend],
            capture_output=True,
            text=True,
            check=True,
        )
        own[f"django-constance {backend}"] = float(done.stdout)
    targets = {"Tuneup current()": "target: <= 4 x"}
    return [
        Row(name, value, "ns", value / reference, targets.get(name, ""))
        for name, value in own.items()
    ]


def propagation() -> list[Row]:
    """Measure from the start of a save to the moment when the last of six processes obeys."""
    from optimizer.control.models import ControlSettings
    from tests.children import children

    took: list[float] = []
    with children(PROCESSES, FOLLOW) as started:
        for child in started:
            child.read(30)
        time.sleep(1)
        for change in range(CHANGES):
            before = time.time_ns()
            ControlSettings(process_expiry_seconds=100 + change).save()
            lines = [child.read(10) for child in started]
            assert all(line and line.startswith(f"{100 + change} ") for line in lines), lines
            took.append(max(int(line.split()[1]) - before for line in lines if line) / 1e6)
    title = f"save to obeyed by {PROCESSES} processes"
    return [
        Row(f"{title}, median", statistics.median(took), "ms"),
        Row(f"{title}, worst of {CHANGES}", max(took), "ms", target="target: <= 1,000 ms"),
    ]


class Server:
    """The benchmark's own Redis."""

    def start(self, redis: embedded_redis.EmbeddedRedis) -> None:
        self._process = guard.spawn(redis.command, output=subprocess.DEVNULL)
        while not embedded_redis.answers(redis.url):
            time.sleep(0.02)
        with Redis.from_url(redis.url) as client:
            self._pid = int(client.info("server")["process_id"])

    def freeze(self) -> None:
        os.kill(self._pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._pid, signal.SIGCONT)

    def kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


def outage(redis: embedded_redis.EmbeddedRedis, server: Server) -> list[Row]:
    """Call the API all the time while Redis is frozen, killed and started again."""
    from optimizer.control import keys

    _, token = keys.issue(name="benchmark")
    port = embedded_redis.free_port()
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--port", str(port)]
    command += ["--workers", "2", "--blocking-threads", "2", "--log-level", "error"]
    web = guard.spawn([*command, "config.wsgi:application"], output=subprocess.DEVNULL)
    took: list[float] = []
    wrong: list[int] = []
    stopping = threading.Event()

    def call() -> None:
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers) as http:
            while not stopping.is_set():
                start = time.perf_counter()
                answer = http.post("/internal/v1/ratelimit/check", json={"subject": "bench"})
                took.append((time.perf_counter() - start) * 1000)
                if answer.status_code not in (200, 429):
                    wrong.append(answer.status_code)
                time.sleep(0.005)

    try:
        while not _listens(port):
            time.sleep(0.05)
        threads = [threading.Thread(target=call) for _ in range(2)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        took.clear()
        server.freeze()
        time.sleep(1.5)
        server.thaw()
        time.sleep(1)
        server.kill()
        time.sleep(1)
        server.start(redis)
        time.sleep(1.5)
        stopping.set()
        for thread in threads:
            thread.join()
    finally:
        web.terminate()
        web.wait()
    assert not wrong, wrong
    title = f"Redis frozen, killed, restarted: slowest of {len(took):,} calls"
    return [Row(title, max(took), "ms", target="target: <= 350 ms, none failed")]


def _listens(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=1).status_code == 200
    except httpx.TransportError:
        return False


def main() -> None:
    options = arguments(__doc__ or "")
    with tempfile.TemporaryDirectory(prefix="tuneup-bench-") as name:
        folder = Path(name)
        redis = embedded_redis.configure(folder / "redis", embedded_redis.find_server())
        server = Server()
        server.start(redis)
        os.environ.update(
            DJANGO_SETTINGS_MODULE="config.settings.local",
            TUNEUP_VAR_DIR=name,
            DATABASE_URL=f"sqlite:///{folder / 'bench.sqlite3'}",
            REDIS_URL=redis.url,
        )
        try:
            import django
            from django.core.management import call_command

            django.setup()
            call_command("migrate", verbosity=0)
            rows = reading(redis.url) + propagation() + outage(redis, server)
            show("Live settings", rows, options.json)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
