#!/usr/bin/env python3
"""Django's command line; `up` and `test` first make the virtual environment they run in.

Standard library only, and old syntax only, so that an old Python is told what it lacks.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent
VENV = BASE_DIR / ".venv"
OLDEST = (3, 11)
REQUIREMENTS = {
    "up": "requirements.txt",
    "test": "requirements-dev.txt",
    "venv": "requirements-dev.txt",  # only makes the environment: for make and .ci/run
}


def bootstrap(requirements: Path) -> None:
    """Make .venv where it is missing, install what has changed, and go on inside it.

    In another virtual environment nothing is done: its owner decides what is in it.
    """
    inside = Path(sys.prefix).resolve() == VENV.resolve()
    if not inside and sys.prefix != sys.base_prefix:
        return
    python = VENV / "bin" / "python"
    import fcntl  # not everywhere, and only needed here

    with Path(__file__).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of two first starts, one makes it and one waits
        if not inside and not works(python):
            make_venv()
        install(python, requirements)
    if not inside:
        sys.stdout.flush()
        os.execv(python, [str(python), str(Path(__file__)), *sys.argv[1:]])


def works(python: Path) -> bool:
    """Say whether the environment can install: half-made ones, and ones of a Python that is gone,
    cannot.
    """
    try:
        return not subprocess.run(
            [python, "-m", "pip", "--version"], capture_output=True
        ).returncode
    except OSError:
        return False


def make_venv() -> None:
    try:
        import ensurepip  # noqa: F401  (Debian keeps it in a package of its own)
        import venv
    except ImportError:
        version = "{}.{}".format(*sys.version_info)
        sys.exit(
            "This Python cannot make virtual environments. On Debian or Ubuntu:\n"
            f"    apt-get install python{version}-venv\n"
            "Or make and activate one yourself, install requirements.txt, and start again."
        )
    print(f"Making {VENV} with Python {sys.version.split()[0]}", flush=True)
    venv.EnvBuilder(with_pip=True, clear=True, symlinks=True).create(VENV)


def install(python: Path, requirements: Path) -> None:
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    stamp = VENV / f"{requirements.stem}.installed"
    if stamp.is_file() and stamp.read_text() == digest:
        return
    print(f"Installing {requirements.name} (about a minute the first time)", flush=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "--quiet", "install"]
    if subprocess.run(pip + ["--requirement", str(requirements)]).returncode:
        sys.exit(f"{requirements.name} could not be installed; pip says why above.")
    stamp.write_text(digest)


def main() -> None:
    if sys.version_info < OLDEST:
        sys.exit(
            "Tuneup needs Python {}.{} or later; this is {}.{}.".format(
                *OLDEST, *sys.version_info[:2]
            )
        )
    verb = sys.argv[1] if len(sys.argv) > 1 else ""
    if verb in REQUIREMENTS:
        if "--no-venv" in sys.argv:
            sys.argv.remove("--no-venv")
        else:
            bootstrap(BASE_DIR / REQUIREMENTS[verb])
        if verb == "venv":
            return
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"Tuneup cannot start with these settings: {error}")


if __name__ == "__main__":
    main()
