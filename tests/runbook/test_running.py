"""Start, stop, deploy, roll back: the sections about the product as a whole, in their order."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.runbook import book
from tests.runbook.book import section as runs
from tests.runbook.deployment import unknown

pytestmark = [pytest.mark.any_database, pytest.mark.any_python]


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=Tuneup", "-c", "user.email=tuneup@localhost")
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout


@runs(book.SETUP)
def test_before_you_begin(section, product, tmp_path):
    section.take(1)  # goes before every other block
    (tmp_path / "production.env").write_text("TUNEUP_ZONE=from-the-services\n")
    (tmp_path / "environment").write_text('WHO="nobody yet"\n')
    printed = section.run(2, KEY="", TUNEUP_CONFIG=str(tmp_path))
    assert '"status": "up"' in printed
    assert '"redis"' in printed, "the key it made may see the checks"


@runs("Start")
def test_start(section, product):
    section.take(1)  # started the product
    section.run(2)
    section.run(3)
    asked = product.deployment_asked()
    assert len(asked) == 2 and not unknown(asked)
    printed = section.run(4)
    assert {"up\tdatabase\t", "up\tredis\t", "up\tworker\t", "up\tbeat\t"} <= set(
        printed.splitlines()
    )
    roles = {line.split("\t")[1] for line in printed.splitlines() if line.startswith("SYNCED")}
    assert roles == {"web", "worker", "beat"}


@runs("Roll back a setting")
def test_roll_back_a_setting(section, product):
    kept = product.run(book.of("Back up and restore")[0])
    assert not kept
    path = "internal/v1/control/settings/ratelimit"
    change = {"tier": {"free": {"capacity": 3}}}
    product.call("PATCH", f"{path}?reason=a+mistake", json=change).raise_for_status()

    def capacity() -> int:
        return int(product.call("GET", path).json()["ratelimit"]["tier"]["free"]["capacity"])

    assert "a mistake" in section.run(1).splitlines()[0]
    assert capacity() == 3
    section.run(2)
    assert capacity() == 20
    product.call("PATCH", path, json=change).raise_for_status()
    printed = section.run(3)
    assert "ratelimit.tier.free.capacity: 3 -> 20" in printed
    assert capacity() == 20
    product.wait_until(lambda: _all_synced(product))
    assert {line.split("\t")[0] for line in section.run(4).splitlines()} == {"SYNCED"}


def _all_synced(product) -> bool:
    rows = product.call("GET", "internal/v1/control/processes").json()
    return all(one["state"] == "SYNCED" for one in rows)


@pytest.fixture(scope="module")
def repository(product) -> Path:
    """The product's folder in git, with a release `v2` at its origin that has a migration."""
    home = product.home
    with (home / ".gitignore").open("a") as file:
        file.write("/.venv\n*.log\n*.dump\n*.backup\n/settings.yaml\n/tuneup-*\n")
    git(home, "init", "--quiet", "--initial-branch=main")
    git(home, "add", "--all")
    git(home, "commit", "--quiet", "--message=First")
    git(home, "tag", "v1")
    origin = home.with_name("origin")
    git(home, "clone", "--quiet", str(home), str(origin))
    git(home, "remote", "add", "origin", str(origin))
    folder = origin / "optimizer" / "control" / "migrations"
    last = sorted(folder.glob("0*.py"))[-1].stem
    (folder / "0099_release.py").write_text(
        "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n"
        f'    dependencies = [("control", "{last}")]\n'
        '    operations = [migrations.RunSQL("CREATE TABLE of_v2 (id int)", "DROP TABLE of_v2")]\n'
    )
    git(origin, "add", "--all")
    git(origin, "commit", "--quiet", "--message=Second")
    git(origin, "tag", "v2")
    return home


@runs("Deploy")
def test_deploy(section, product, repository):
    assert re.search(r"\[X\]  \w+\.\w+", section.run(1))
    section.run(2)
    assert git(repository, "describe", "--tags").strip() == "v2"
    assert "control.0099_release" in section.run(3)
    section.run(4)
    section.run(5)
    asked = product.deployment_asked()
    assert len(asked) == 6 and not unknown(asked)
    product.run(book.of("Stop")[0])
    assert product.wait_until_stopped() == 0
    product.start(book.of("Start")[0])
    printed = section.run(6)
    assert re.search(r"(\d+) of \1 passed", printed)


@runs("Roll back a deploy")
def test_roll_back_a_deploy(section, product, repository):
    before = sorted((repository / "optimizer/control/migrations").glob("0*.py"))[-2].stem
    assert section.run(1).strip() == "optimizer/control/migrations/0099_release.py"
    assert "Unapplying control.0099_release... OK" in section.run(2, MIGRATION=before)
    assert git(repository, "describe", "--tags").strip() == "v1"
    section.run(3)


@runs("Ready says degraded or down")
def test_ready_says_what_is_wrong(section, product):
    assert section.run(1).strip() == "{}", "nothing is wrong"
