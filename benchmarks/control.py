"""What live settings cost: reading one against peers, and telling six processes of a change.

Run `python -m benchmarks.control [--json FILE]`; it makes its own database and Redis.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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


def main() -> None:
    options = arguments(__doc__ or "")
    with tempfile.TemporaryDirectory(prefix="tuneup-bench-") as name:
        folder = Path(name)
        redis = embedded_redis.configure(folder / "redis", embedded_redis.find_server())
        server = guard.spawn(redis.command, output=subprocess.DEVNULL)
        os.environ.update(
            DJANGO_SETTINGS_MODULE="config.settings.local",
            TUNEUP_VAR_DIR=name,
            DATABASE_URL=f"sqlite:///{folder / 'bench.sqlite3'}",
            REDIS_URL=redis.url,
        )
        try:
            while not embedded_redis.answers(redis.url):
                time.sleep(0.02)
            import django
            from django.core.management import call_command

            django.setup()
            call_command("migrate", verbosity=0)
            show("Live settings", reading(redis.url) + propagation(), options.json)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
