"""The runbook's parts about PostgreSQL, on a server of their own that hangs and is restored."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest
from django.conf import settings

from optimizer.operations.embedded_redis import free_port
from optimizer.operations.private_postgres import find_binaries, private_postgres
from tests.operations.runbook.book import eventually, section
from tests.programs import program

pytestmark = [pytest.mark.any_database, pytest.mark.any_python]
TOKEN = "tu_abcdefgh_" + "0123456789" * 4


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    binaries = find_binaries()
    if binaries is None:
        program("postgres")
    assert binaries is not None
    program("pg_dump"), program("pg_restore"), program("pg_isready")
    with private_postgres(binaries) as url:
        yield url


@pytest.fixture(scope="module")
def environment(database, tmp_path_factory) -> dict[str, str]:
    """What a host has, with a database that is prepared."""
    folder = tmp_path_factory.mktemp("runbook-postgresql")
    found = {
        **{name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(settings.BASE_DIR),
        "DJANGO_SETTINGS_MODULE": "config.settings.local",
        "DATABASE_URL": database,
        "TUNEUP_VAR_DIR": str(folder / "var"),
        "PROMETHEUS_MULTIPROC_DIR": str(folder / "var" / "metrics"),
        "TUNEUP_API_KEY": TOKEN,
        "ADMIN_PASSWORD": "a-long-test-password",
        "AUTH": f"Authorization: Bearer {TOKEN}",
        "JSON": "Content-Type: application/json",
    }
    (folder / "manage.py").symlink_to(Path(settings.BASE_DIR, "manage.py"))
    (folder / "var" / "metrics").mkdir(parents=True)
    command = [sys.executable, "manage.py", "prepare"]
    done = subprocess.run(command, cwd=folder, env=found, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {**found, "FOLDER": str(folder)}


def of_server(database: str) -> list[psutil.Process]:
    """Return the server and its processes."""
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT pg_backend_pid()").fetchone()
    assert row is not None
    port = database.rpartition(":")[2].split("/")[0]
    (server,) = [
        one
        for one in psutil.process_iter(["cmdline"])
        if (line := one.info["cmdline"] or [])[:1]
        and line[0].endswith("/postgres")
        and port in line
    ]
    return [server, *server.children()]


def test_a_backup_is_restored_whole(database, environment):
    folder = Path(environment["FOLDER"])

    def users() -> int:
        with psycopg.connect(database) as connection:
            row = connection.execute("SELECT count(*) FROM auth_user").fetchone()
        assert row is not None
        return int(row[0])

    with section("Back up and restore: PostgreSQL", folder, environment, {}) as step:
        assert step.paste() == ""
        before = users()
        with psycopg.connect(database) as connection:
            connection.execute("TRUNCATE auth_user CASCADE")
            connection.execute("DROP TABLE ratelimit_tier CASCADE")
        step.paste()
        assert users() == before == 1
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT name FROM ratelimit_tier").fetchall()


def test_a_database_that_hangs_leaves_the_limiter_and_comes_back(database, environment):
    folder, port = Path(environment["FOLDER"]), free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--port", str(port)]
    with (folder / "web.log").open("wb") as log:
        web = subprocess.Popen(
            [*command, "--blocking-threads", "4", "config.wsgi:application"],
            cwd=settings.BASE_DIR, env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    key = {"Authorization": f"Bearer {TOKEN}"}

    def well() -> bool:
        try:
            return httpx.get(f"{address}/ready", timeout=30).status_code == 200
        except httpx.HTTPError:
            return False

    hung: list[psutil.Process] = []
    try:
        eventually(well)
        check = f"{address}/internal/v1/ratelimit/check"
        assert httpx.post(check, json={"subject": "a"}, headers=key, timeout=30).status_code == 200
        hung = of_server(database)
        for one in hung:
            one.send_signal(signal.SIGSTOP)
        with section(
            "The database is down", folder, {**environment, "TUNEUP": address}, {}
        ) as step:
            said = step.paste().splitlines()
            assert said[0] == '"down"'
            assert "no answer" in said[1]
            assert said[2] == "true"
            assert "no response" in said[3] or "rejecting" in said[3] or "no attempt" in said[3]
            assert httpx.get(f"{address}/health", timeout=30).status_code == 200
            for one in hung:
                one.send_signal(signal.SIGCONT)
            assert step.paste().splitlines()[-1] == "true"
    finally:
        for one in hung:
            one.send_signal(signal.SIGCONT)
        os.killpg(web.pid, signal.SIGKILL)
        web.wait()
