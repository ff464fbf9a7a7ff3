"""Brings up a whole installation on one machine and keeps it running."""

import fcntl
import http.client
import json
import os
import sys
import time
from pathlib import Path
from typing import IO

from django.conf import settings

from optimizer.operations import embedded_redis
from optimizer.operations.guard import ORPHAN_GRACE_SECONDS
from optimizer.operations.supervisor import Printer, Program, Stop, Supervisor

REDIS_START_SECONDS = 60.0  # a long append-only file takes its time
SLOW_START_SECONDS = 30.0


def run(*, host: str, port: int) -> None:
    """Start everything and watch it; ends by raising Stop."""
    os.chdir(settings.BASE_DIR)
    settings.VAR_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (settings.VAR_DIR / "up.lock").open("a+", encoding="utf-8") as lock:
        _take(lock, f"http://{_reachable(host)}:{port}/")
        if not embedded_redis.port_is_free(host, port):
            raise Stop(
                f"Port {port} on {host} is in use. Stop what listens there, or choose another: "
                f"manage.py up --port {port + 1}",
                code=1,
            )
        _empty(settings.METRICS_DIR)
        environment = {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "PROMETHEUS_MULTIPROC_DIR": str(settings.METRICS_DIR),
        }
        printer = Printer(sys.stdout, as_json=settings.LOG_FORMAT == "json")
        keep_open = [lock.fileno()]
        with Supervisor(env=environment, keep_open=keep_open, printer=printer) as supervisor:
            _start_redis(supervisor)
            made = _prepare(supervisor)
            for program in _programs(host, port):
                supervisor.start(program)
            _wait_until_ready(supervisor, host, port)
            supervisor.printer.show(summary(f"http://{_reachable(host)}:{port}", **made))
            supervisor.until(lambda: False)


def _take(lock: IO[str], address: str) -> None:
    """Become the only `up` of this var folder.

    The guards hold the lock too: after a kill, the next start waits until the last has gone.
    """
    deadline = time.monotonic() + ORPHAN_GRACE_SECONDS + 5
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            lock.seek(0)
            pid, _, running = lock.read().partition(" ")
            if _lives(pid) or time.monotonic() > deadline:
                raise Stop(
                    f"Tuneup is already running here (pid {pid}, {running.strip()}).", code=1
                ) from None
            time.sleep(0.1)
    lock.truncate(0)
    lock.write(f"{os.getpid()} {address}\n")
    lock.flush()


def _lives(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:  # another user's
        return True
    return True


def _empty(folder: Path) -> None:
    """Drop the metric files of processes that are gone; they would count for ever."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*.db"):
        file.unlink()


def _start_redis(supervisor: Supervisor) -> None:
    if settings.REDIS_IS_GIVEN:
        if not embedded_redis.answers(settings.REDIS_URL):
            supervisor.printer.say("up", "REDIS_URL does not answer; starting without it")
        return
    try:
        server = embedded_redis.find_server()
    except embedded_redis.NoServer as error:
        raise Stop(str(error), code=1) from error
    redis = embedded_redis.configure(settings.VAR_DIR / "redis", server)
    supervisor.start(Program("redis", redis.command))
    if not supervisor.until(lambda: embedded_redis.answers(redis.url), seconds=REDIS_START_SECONDS):
        raise Stop(f"Redis did not answer within {REDIS_START_SECONDS:g} s", code=1)


def _prepare(supervisor: Supervisor) -> dict[str, str]:
    """Migrate and seed in a process of its own, which reads where Redis is."""
    code, output = supervisor.run("prepare", [sys.executable, "manage.py", "prepare", "--json"])
    if code:
        raise Stop("The preparation failed; it says why above", code=1)
    made: dict[str, str] = json.loads(output)
    return made


def _programs(host: str, port: int) -> list[Program]:
    python = sys.executable
    log_config = settings.VAR_DIR / "granian-logging.json"
    log_config.write_text(json.dumps(settings.LOGGING), encoding="utf-8")
    # fmt: off
    web = [
        python, "-m", "granian", "--interface", "wsgi", "--host", host, "--port", str(port),
        "--workers", str(settings.WEB_WORKERS), "--blocking-threads", str(settings.WEB_THREADS),
        "--respawn-failed-workers", "--workers-kill-timeout", "5", "--log-level", "warning",
        "--log-config", str(log_config),
        "config.wsgi:application",
    ]
    celery = [python, "-m", "celery", "--app", "config", "--quiet"]
    worker = [
        *celery, "worker", "--pool", "prefork",
        "--concurrency", str(settings.CELERY_CONCURRENCY), "--without-mingle",
    ]
    # fmt: on
    beat = [*celery, "beat", "--pidfile", ""]
    return [Program("web", web), Program("worker", worker, stop_seconds=20), Program("beat", beat)]


def _reachable(host: str) -> str:
    """Return the host as a client on this machine writes it."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"[{host}]" if ":" in host else host


def _wait_until_ready(supervisor: Supervisor, host: str, port: int) -> None:
    answer, ask_at = "nothing", 0.0

    def ready() -> bool:
        nonlocal answer, ask_at
        if time.monotonic() < ask_at:
            return False
        status, answer = _ask_ready(_reachable(host), port)
        ask_at = time.monotonic() + 0.25
        return status == http.HTTPStatus.OK

    while not supervisor.until(ready, seconds=SLOW_START_SECONDS):
        supervisor.printer.say("up", f"not ready yet, /ready says: {answer[:500]}")


def _ask_ready(host: str, port: int) -> tuple[int, str]:
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/ready")
        response = connection.getresponse()
        return response.status, f"{response.status} {response.read().decode(errors='replace')}"
    except (OSError, http.client.HTTPException) as error:
        return 0, f"{type(error).__name__}: {error}"
    finally:
        connection.close()


def summary(address: str, *, username: str, password: str, api_key: str) -> str:
    """Return the table a newcomer reads first; secrets only where they were made just now."""
    if password:
        login = f"user {username}, password {password}   (shown only this once)"
    elif username:
        login = f"user {username}, password as ADMIN_PASSWORD gives"
    else:
        login = "as before; a new password: python3 manage.py changepassword USER"
    if api_key:
        key = f"{api_key}   (shown only this once)"
    else:
        key = "as before, put it into $TUNEUP_API_KEY; a new one: Admin, API keys"
    # Double quotes where the shell is to fill in the key, single ones where it is literal.
    bearer = f"'Authorization: Bearer {api_key}'"
    if not api_key:
        bearer = '"Authorization: Bearer $TUNEUP_API_KEY"'
    return f"""
  Tuneup is ready.

    Address    {address}/
    Admin      {address}/admin/   {login}
    API docs   {address}/internal/v1/docs
    API key    {key}

  A bot's call:

curl -i -X POST {address}/internal/v1/ratelimit/check -H {bearer} \
-H 'Content-Type: application/json' -d '{{"subject":"example"}}'

  Ctrl-C stops everything, a second one at once.

"""
