"""A new version comes and goes, keys change, a backup comes back: what needs a stop and a start."""

import sqlite3
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.admin_session import AdminSession
from tests.operations.runbook.conftest import Installation

pytestmark = [pytest.mark.any_database, pytest.mark.any_python]

MIGRATION = """
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("ratelimit", "{leaf}")]
    operations = [
        migrations.RunSQL("CREATE TABLE version_two (id integer)", "DROP TABLE version_two")
    ]
"""
VIEW = """
from django.http import HttpResponse

urlpatterns.append(path("version", lambda request: HttpResponse("2")))
"""


def release(installation: Installation) -> None:
    """Commit a second version: a table and a view."""
    folder = installation.origin / "ratelimit" / "migrations"
    leaf = max(folder.glob("0*.py")).stem
    (folder / "9000_version_two.py").write_text(MIGRATION.format(leaf=leaf))
    with (installation.origin / "config" / "urls.py").open("a") as file:
        file.write(VIEW)
    installation.commit("Version 2")


def tables(database: Path) -> set[str]:
    with sqlite3.connect(database) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}


def start(installation: Installation) -> None:
    with installation.section("Start") as step:
        step.paste()
        step.paste()
    assert installation.is_up()


def stop(installation: Installation) -> None:
    with installation.section("Stop") as step:
        assert step.paste() == ""
    with pytest.raises(httpx.ConnectError):
        installation.http.get("/health")


def capacity(installation: Installation) -> int:
    return int(installation.api("GET", "control/settings/ratelimit")["tier"]["demo"]["capacity"])


def change_capacity(installation: Installation, value: int) -> None:
    document = {"tier": {"demo": {"capacity": value}}}
    installation.api("PATCH", "control/settings/ratelimit", document)


@pytest.mark.timeout(300)
def test_versions_keys_and_backups(installation):
    database = installation.checkout / "var" / "tuneup.sqlite3"
    change_capacity(installation, 11)
    with (
        AdminSession(installation.address, installation.password) as admin,
        installation.section("Back up and restore: SQLite") as backup,
    ):
        assert backup.paste() == ""
        change_capacity(installation, 12)
        _deploy(installation, admin, database)
        _roll_back(installation, database)
        # It is stopped: now the backup.
        backup.paste()
        start(installation)
        assert capacity(installation) == 11
        assert installation.http.get("/version").status_code == 404
        change_capacity(installation, 13)
        said = backup.paste()
        assert "ratelimit.tier.demo.capacity: 13 -> 11" in said
        assert said.splitlines()[-1].endswith("field(s) changed.")
        assert capacity(installation) == 11


def _deploy(installation: Installation, admin: AdminSession, database: Path) -> None:
    with installation.section("Rotate SECRET_KEY") as step:
        assert step.paste() == ""
    with installation.section("Rotate WEBHOOK_SECRET") as step:
        assert step.paste() == ""
    lines = (installation.checkout / ".env").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines)
    former = (installation.checkout / "var" / "secret-key").read_text()
    assert given["SECRET_KEY_FALLBACKS"] == former != given["SECRET_KEY"]
    assert given["WEBHOOK_SECRET"].startswith("whsec_")
    with installation.section("Deploy a new version") as step:
        step.paste()
        release(installation)
        assert "ratelimit.9000_version_two" in step.paste()
        stop(installation)
        start(installation)
        said = step.paste().split()
        assert said[0] == "up" and "SYNCED" in said, said
    assert installation.http.get("/version").text == "2"
    assert "version_two" in tables(database)
    # Whoever was logged in under the former key still is.
    assert "Dashboard" in admin.get("/admin/")


def _roll_back(installation: Installation, database: Path) -> None:
    with installation.section("Roll back a deploy") as step:
        stop(installation)
        assert "> ratelimit.9000_version_two" in step.paste().replace(">  ", "> ")
        step.paste()
        assert "version_two" not in tables(database)
        step.paste()
    assert "version" not in (installation.checkout / "config" / "urls.py").read_text()
