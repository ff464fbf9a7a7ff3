"""The two runs of `manage.py test`; the suite itself is replaced by one small file."""

import os
import subprocess
import sys

import psycopg
import pytest
from django.conf import settings

from optimizer.operations import private_postgres, test_runs
from optimizer.operations.test_runs import Run

pytestmark = pytest.mark.any_database
# The plugins of the suite take seconds to import in each process, and a small file needs one.
BARE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "xdist.plugin"}


@pytest.fixture
def manage_test(tmp_path):
    """Run `manage.py test` on a file of tests of its own."""

    def run(tests: str, *arguments: str, **environment: str):
        (tmp_path / "test_it.py").write_text(tests)
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")
        }
        return subprocess.run(
            [sys.executable, "manage.py", "test", "--no-venv", *arguments]
            + ["-q", f"--rootdir={tmp_path}", tmp_path],
            cwd=settings.BASE_DIR,
            env={**inherited, **BARE, "CI": "false", "TUNEUP_VAR_DIR": str(tmp_path / "var")}
            | {"DJANGO_SETTINGS_MODULE": "config.settings.local"}
            | environment,
            capture_output=True,
            text=True,
        )

    return run


def test_the_exit_code_and_the_last_line_tell_of_each_run(manage_test):
    postgres_only = "import os\ndef test_it(): assert 'DATABASE_URL' in os.environ\n"
    done = manage_test(postgres_only, "--database=sqlite")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "SQLite failed"
    done = manage_test(postgres_only, "--database=postgresql")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("PostgreSQL")


def test_what_fails_only_beside_others_is_named_and_does_not_fail_the_run(manage_test):
    tests = """
import os
def test_alone(): assert "PYTEST_XDIST_WORKER" not in os.environ
def test_steady(): pass
"""
    done = manage_test(tests, "--database=sqlite")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "SQLite passed (UNSTEADY: test_it.py::test_alone)"


def test_what_fails_alone_too_fails_the_run_and_so_do_many_unsteady_ones(manage_test):
    done = manage_test("def test_broken(): assert 0", "--database=sqlite")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "SQLite failed"
    alone = """
import os, pytest
@pytest.mark.parametrize("number", range(6))
def test_alone(number): assert "PYTEST_XDIST_WORKER" not in os.environ
"""
    assert manage_test(alone, "--database=sqlite").returncode == 1


def test_an_unknown_database_is_refused(manage_test):
    done = manage_test("", "--database=oracle")
    assert done.returncode == 1
    assert "--database: oracle is neither sqlite nor postgresql" in done.stderr


def test_a_missing_postgresql_is_said_and_fails_only_where_it_is_required(monkeypatch):
    monkeypatch.setattr(test_runs, "find_binaries", lambda: None)
    runs = test_runs.run_all([], required=False, databases=["postgresql"])
    assert [run.verdict for run in runs] == [
        "PostgreSQL NOT RUN (no server binaries: apt-get install postgresql)"
    ]
    assert not test_runs.failed(runs, required=False)
    assert test_runs.failed(runs, required=True)


def test_a_failed_run_fails_the_whole():
    assert test_runs.failed([Run("SQLite"), Run("PostgreSQL", exit_code=1)], required=False)


def test_a_private_cluster_takes_only_its_own_password_and_leaves_nothing():
    binaries = private_postgres.find_binaries()
    if binaries is None:  # the run itself says so loudly
        assert not settings.CI, "apt-get install postgresql"
        return
    with private_postgres.private_postgres(binaries) as url:
        with psycopg.connect(url) as connection:
            assert connection.execute("SHOW fsync").fetchone() == ("off",)
            row = connection.execute("SHOW data_directory").fetchone()
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(url, password="another")
    assert row is not None and not os.path.exists(row[0])
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
