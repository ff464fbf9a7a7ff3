"""What the whole gains: the polled endpoints with all optimizations off and on, on SQLite and on
PostgreSQL, and their pace beside an empty Django view.

Run `python -m benchmarks.operations [--json FILE]`; it starts whole installations with
`manage.py up` and drives them over HTTP, off and on in turns. "Off" is what a plain Django project
does: `manage.py compare_optimizations` says for each endpoint what that is.
"""

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from benchmarks.place import own_place
from benchmarks.serving import load, server
from benchmarks.table import Row, arguments, show, verdict
from optimizer.operations import guard, private_postgres
from optimizer.operations.embedded_redis import free_port

REQUESTS, ROUNDS, CONNECTIONS = 800, 8, 1
FASTER_PERCENT = {"/health": 75, "/metrics": 63, "/api/overview": 81}
PACE = {"/health": 0.9, "/api/overview": 0.6}
START_SECONDS, MEASURE_SECONDS = 120, 600
L1_MIB = 200


def main() -> None:
    """Print the table."""
    options = arguments(__doc__ or "")
    rows = _gains("SQLite", {})
    binaries = private_postgres.find_binaries()
    if binaries is None:
        raise SystemExit("no PostgreSQL server here: apt-get install postgresql")
    durable = mock.patch.object(private_postgres, "_OPTIONS", ("max_connections=100",))
    with durable, private_postgres.private_postgres(binaries) as url:
        name = f"PostgreSQL {private_postgres.version_of(binaries)}"
        rows += _gains(name, {"DATABASE_URL": url})
    show("Operations", [*rows, *_pace()], options.json)


def _gains(database: str, environment: dict[str, str]) -> list[Row]:
    with _installation(environment) as place:
        measured = subprocess.run(
            [
                sys.executable,
                *("manage.py", "compare_optimizations", "--format", "json"),
                *("--requests", str(REQUESTS), "--rounds", str(ROUNDS)),
                *("--concurrency", str(CONNECTIONS)),
            ],
            env=place,
            check=True,
            stdout=subprocess.PIPE,
            timeout=MEASURE_SECONDS,
        )
    rows = []
    for line in json.loads(measured.stdout):
        name, percent = line["name"], line["improvement_percent"]
        if line["unit"] == "ms":
            rows.append(Row(f"{database}, {name}: off", line["before"], "ms"))
            ratio = line["before"] / line["after"] if line["after"] else None
            asked = FASTER_PERCENT.get(name)
            target = "" if asked is None else verdict(round(percent, 1), ">=", asked, "% faster")
            rows.append(Row(f"  on, {percent:.0f} % faster", line["after"], "ms", ratio, target))
        elif name == "memory":
            more = line["after"] / line["before"]
            target = verdict(round(more, 2), "<=", round(1.1 + L1_MIB / line["before"], 2))
            rows.append(Row(f"{database}, memory: on to off", line["after"], "MiB", more, target))
        else:
            rows.append(Row(f"{database}, {name}: on", line["after"], ""))
    return rows


@contextmanager
def _installation(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """Start everything in a folder of its own; give the environment of its commands."""
    with tempfile.TemporaryDirectory() as folder:
        place = {
            **{name: value for name, value in os.environ.items() if name != "REDIS_URL"},
            "DJANGO_SETTINGS_MODULE": "config.settings.local",
            "DATABASE_URL": "",
            "TUNEUP_VAR_DIR": folder,
            "TUNEUP_METRICS_DIR": folder,
            "WEB_PORT": str(free_port()),
            "ADMIN_PASSWORD": secrets.token_hex(12),
            **environment,
        }
        log = Path(folder, "up.log")
        with log.open("wb") as output:
            command = [sys.executable, "manage.py", "up", "--no-venv"]
            process = guard.spawn(command, output=output, env=place)
        try:
            until = time.monotonic() + START_SECONDS
            while "Tuneup is ready" not in log.read_text(errors="replace"):
                if time.monotonic() > until or process.poll() is not None:
                    raise SystemExit(log.read_text(errors="replace"))
                time.sleep(0.2)
            yield place
        finally:
            process.terminate()
            process.wait(60)
            guard.sweep(process)


def _pace() -> list[Row]:
    """Measure answers a second of one worker with one thread, and those of an empty view there."""
    best = dict.fromkeys(("/", *PACE), 0.0)
    with own_place():
        from optimizer.control import keys

        _, token = keys.issue(name="benchmark", scopes=["operations"])
        with server("benchmarks.empty_view:application") as empty, server() as ours:
            for _ in range(3):
                for path in best:
                    port = empty if path == "/" else ours
                    best[path] = max(best[path], load(port, path, token))
    rows = [Row("Empty Django view", best["/"], "/s", 1.0)]
    for path, bound in PACE.items():
        ratio = best[path] / best["/"]
        rows.append(Row(f"  {path}", best[path], "/s", ratio, verdict(ratio, ">=", bound)))
    return rows


if __name__ == "__main__":
    main()
