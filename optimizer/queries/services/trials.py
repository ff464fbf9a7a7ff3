"""Run something once to see what its queries do: an address, a command, tests.

None of it is counted among the statistics of what runs anyway. What is run may print: all of it
goes to standard error.
"""

import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
from django.conf import settings as django_settings
from django.contrib import auth
from django.core.management import CommandError, call_command
from django.test import Client

import optimizer
from optimizer.queries.engine.formats import Results, Told, merged
from optimizer.queries.engine.settings import Ignores, Settings
from optimizer.queries.services import capture
from optimizer.queries.services.findings import findings_of
from optimizer.queries.services.showing import told_of
from optimizer.queries.services.units import Unit

_PLUGIN = "optimizer.queries.pytest_plugin"
_PYTEST_SAYS = {1: "Some tests failed.", 2: "The tests were interrupted.", 5: "There are no tests."}


@dataclass(slots=True)
class Trial:
    """What was found; `error` says why the run failed, `trace` where, `note` what to know of it."""

    findings: list[Told] = field(default_factory=list)
    error: str | None = None
    trace: str = ""
    note: str = ""


class UnknownUser(Exception):
    """There is no such user, or none that may sign in."""


def visit(path: str, user_name: str | None, threshold: int, settings: Settings) -> Trial:
    """GET a path of this project, as a user or as nobody. Raises UnknownUser.

    What the view changes stays; a session that comes of it does not.
    """
    user = _user(user_name) if user_name else None
    trial, unit = Trial(), Unit(f"GET {path}")
    client = Client(SERVER_NAME=_host())
    with _sessions(client, user), _watched(unit, trial):
        response: Any = client.get(path, secure=django_settings.SECURE_SSL_REDIRECT)
        if response.streaming:
            for _ in response:
                pass
        response.close()
        match = response.wsgi_request.resolver_match
        if match is not None:
            unit.name = f"GET /{match.route}"
        if response.status_code >= 400:
            trial.error = f"{path} answered {response.status_code}."
        elif response.status_code >= 300:
            trial.note = f"{path} leads to {response.get('Location', 'another address')}."
    return _complete(trial, unit, threshold, settings)


def run_command(name: str, arguments: list[str], threshold: int, settings: Settings) -> Trial:
    """Run a management command."""
    trial, unit = Trial(), Unit(f"manage.py {name}")
    with _watched(unit, trial):
        call_command(name, *arguments)
    return _complete(trial, unit, threshold, settings)


def run_tests(
    path: str, threshold: int, settings: Settings, settings_module: str | None = None
) -> Trial:
    """Run pytest on a path, in a process of its own, with the plugin.

    The tests' settings are those that pytest-django finds, unless others are named.
    """
    environment = dict(os.environ)
    root = str(Path(str(optimizer.__file__)).parent.parent)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (root, os.getenv("PYTHONPATH"))))
    environment.pop("DJANGO_SETTINGS_MODULE", None)  # manage.py has set it to its own
    if settings_module:
        environment["DJANGO_SETTINGS_MODULE"] = settings_module
    with tempfile.TemporaryDirectory(prefix="tuneup-") as folder:
        written = Path(folder, "found.json")
        options = [f"--n-plus-one-json={written}", f"--n-plus-one-threshold={threshold}"]
        code = subprocess.run(  # noqa: S603  # what the user of the command names
            [sys.executable, "-m", "pytest", "-p", _PLUGIN, *options, path],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=2,
        ).returncode
        told = written.read_bytes() if written.exists() else b""
    trial = Trial()
    if code:
        trial.error = _PYTEST_SAYS.get(code, f"pytest ended with code {code}.")
    if told:
        results = msgspec.json.decode(told, type=Results)
        trial.findings = merged(_kept(results.findings, settings))
    elif not code:
        trial.error = "pytest has told nothing."
    return trial


def _user(name: str) -> Any:
    model = auth.get_user_model()
    try:
        user: Any = model._default_manager.get_by_natural_key(name)
    except model.DoesNotExist as error:
        raise UnknownUser(f"there is no user {name!r}") from error
    if not user.is_active:
        raise UnknownUser(f"the user {name!r} is not active")
    return user


def _host() -> str:
    """Return a name that the project answers to."""
    names = [one.lstrip(".") for one in django_settings.ALLOWED_HOSTS if one.strip(".*")]
    return names[0] if names else "localhost"


@contextmanager
def _sessions(client: Client, user: Any) -> Iterator[None]:
    """Sign a user in, without a password and with nobody told; delete the session in the end."""
    store, cookie = (
        import_module(django_settings.SESSION_ENGINE).SessionStore,
        (django_settings.SESSION_COOKIE_NAME),
    )
    keys = set()
    if user is not None:
        session = store()
        session[auth.SESSION_KEY] = user._meta.pk.value_to_string(user)
        session[auth.BACKEND_SESSION_KEY] = django_settings.AUTHENTICATION_BACKENDS[0]
        session[auth.HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.save()
        keys.add(session.session_key)
        client.cookies[cookie] = session.session_key
    try:
        yield
    finally:
        if cookie in client.cookies:
            keys.add(client.cookies[cookie].value)
        for key in filter(None, keys):
            store(key).delete()


@contextmanager
def _watched(unit: Unit, trial: Trial) -> Iterator[None]:
    """Watch the enclosed work, and keep its error and its output to itself."""
    with _output_aside(), capture.watching(unit):
        try:
            yield
        except SystemExit as ended:
            if ended.code not in (None, 0):
                trial.error = f"It ended with {ended.code}."
        except CommandError as error:
            trial.error = str(error)
        except Exception as error:
            trial.error = f"{type(error).__name__}: {error}"
            trial.trace = traceback.format_exc()


@contextmanager
def _output_aside() -> Iterator[None]:
    """Let what is printed, by this process or by its children, go to standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        sys.stdout.flush()  # what others have left there
        os.dup2(kept, 1)
        os.close(kept)


def _complete(trial: Trial, unit: Unit, threshold: int, settings: Settings) -> Trial:
    found = findings_of(unit, threshold=threshold, slow_seconds=settings.slow_query_seconds)
    told = [told_of(finding, unit.name) for _, finding in found]
    trial.findings = merged(_kept(told, settings))
    return trial


def _kept(findings: list[Told], settings: Settings) -> list[Told]:
    """Return the findings that no pattern of the ignore list fits."""
    ignores = Ignores(settings.ignores)
    return [
        one
        for one in findings
        if not ignores.match(one.location, one.fingerprint, "".join(one.units[:1]))
    ]
