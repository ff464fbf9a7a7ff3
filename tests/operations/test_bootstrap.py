"""manage.py before Django: a copy of it in a folder of its own, with a stand-in for Django."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

pytestmark = pytest.mark.any_database

BASE_PYTHON = Path(
    sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}"
)
STAND_IN = """
import json, sys

def execute_from_command_line(argv):
    print(json.dumps({"prefix": sys.prefix, "argv": argv[1:]}))
"""


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    (folder / "django" / "core").mkdir(parents=True)
    (folder / "django" / "core" / "management.py").write_text(STAND_IN)
    (folder / "django" / "core" / "exceptions.py").write_text(
        "class ImproperlyConfigured(Exception): pass"
    )
    shutil.copy(settings.BASE_DIR / "manage.py", folder)
    (folder / "requirements.txt").write_text("# nothing\n")
    (folder / "requirements-dev.txt").write_text("# nothing either\n")
    return folder


def manage(project: Path, *arguments: str, python: Path = BASE_PYTHON, prelude: str = ""):
    """Run manage.py there, as `python3 manage.py`; `prelude` is code run before it."""
    command: list[str | Path] = [python, "manage.py", *arguments]
    if prelude:
        code = f"{prelude}\nimport runpy, sys\nsys.argv = {['manage.py', *arguments]!r}\n"
        command = [python, "-c", code + "runpy.run_path('manage.py', run_name='__main__')"]
    return subprocess.run(
        command,
        cwd=project,
        capture_output=True,
        text=True,
        env={**os.environ, "PIP_NO_INDEX": "1"},
    )


def test_the_environment_is_made_once_and_the_verb_runs_in_it(project):
    first = manage(project, "up", "--port", "1")
    assert first.returncode == 0, first.stderr
    assert "Making" in first.stdout
    assert "Installing requirements.txt" in first.stdout
    reached = json.loads(first.stdout.splitlines()[-1])
    assert reached == {"prefix": str(project / ".venv"), "argv": ["up", "--port", "1"]}

    second = manage(project, "up", "--port", "1")
    assert json.loads(second.stdout) == reached, "nothing changed, so nothing was said or done"

    (project / "requirements.txt").write_text("# changed\n")
    third = manage(project, "up")
    assert "Making" not in third.stdout
    assert "Installing requirements.txt" in third.stdout

    tests = manage(project, "test")
    assert "Installing requirements-dev.txt" in tests.stdout

    shutil.rmtree(project / ".venv" / "bin")  # as when its Python was removed
    assert "Making" in manage(project, "up").stdout


def test_what_cannot_be_installed_stops_with_the_reason(project):
    (project / "requirements.txt").write_text("no-such-package-as-this-one==1\n")
    done = manage(project, "up")
    assert done.returncode == 1
    assert "requirements.txt could not be installed" in done.stderr
    assert "no-such-package-as-this-one" in done.stderr


def test_other_verbs_make_no_environment(project):
    done = manage(project, "migrate")
    assert json.loads(done.stdout)["argv"] == ["migrate"]
    assert not (project / ".venv").exists()


def test_without_an_environment_on_request(project):
    done = manage(project, "up", "--no-venv")
    assert json.loads(done.stdout)["argv"] == ["up"]
    assert not (project / ".venv").exists()


def test_inside_another_environment_nothing_is_made(project, tmp_path):
    subprocess.run([BASE_PYTHON, "-m", "venv", "--without-pip", tmp_path / "other"], check=True)
    done = manage(project, "up", python=tmp_path / "other" / "bin" / "python")
    assert json.loads(done.stdout)["prefix"] == str(tmp_path / "other")
    assert not (project / ".venv").exists()


def test_an_old_python_is_told_what_is_needed(project):
    done = manage(project, "up", prelude="import sys; sys.version_info = (3, 9, 2, 'final', 0)")
    assert done.returncode == 1
    assert "Tuneup needs Python 3.11 or later; this is 3.9." in done.stderr


def test_a_python_without_venv_is_told_what_to_install(project):
    done = manage(project, "up", prelude="import sys; sys.modules['ensurepip'] = None")
    assert done.returncode == 1
    assert "apt-get install python3." in done.stderr
    assert not (project / ".venv").exists()
