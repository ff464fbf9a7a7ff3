"""`manage.py analyze_queries`: what it runs, how it shows it, and how it ends."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.core.management.base import BaseCommand
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path
from django.utils import timezone

import config.urls
from optimizer.queries.engine.formats import Told, as_github, as_table, one_line
from optimizer.queries.engine.settings import Ignore, Settings
from optimizer.queries.live import queries
from optimizer.queries.models import Finding
from optimizer.queries.services import collector
from tests.children import database_url
from tests.library.filling import fill
from tests.library.models import Book
from tests.queries import small_project

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]
HERE = "tests/queries/test_analyze_command.py"


def loop():
    return [book.author.name for book in Book.objects.all()]


def noisy(request, number):
    print("noise of the view")  # noqa: T201
    os.write(1, b"noise of a library\n")
    return HttpResponse(str(loop()))


def streamed(request):
    return StreamingHttpResponse(str(book.author) for book in Book.objects.all())


def fails(request):
    loop()
    raise ValueError("it is broken")


def who(request):
    request.session["seen"] = True
    return HttpResponse(status=200 if request.user.get_username() == "ada" else 403)


def redirects(request):
    return HttpResponse(status=302, headers={"Location": "/login"})


urlpatterns = [
    path("noisy/<int:number>", noisy),
    path("streamed", streamed),
    path("fails", fails),
    path("who", who),
    path("redirects", redirects),
    *config.urls.urlpatterns,
]


class Noisy(BaseCommand):
    def add_arguments(self, parser):
        parser.add_argument("--fail", action="store_true")

    def handle(self, **options):
        self.stdout.write("noise of the command")
        loop()
        if options["fail"]:
            raise CommandError("it cannot be done")


@pytest.fixture(autouse=True)
def rows(monkeypatch, settings):
    monkeypatch.setattr(queries, "_snapshot", Settings(n_plus_one_threshold=3))
    monkeypatch.setattr(collector, "collector", collector.Collector())
    settings.ROOT_URLCONF = __name__
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"
    fill(3)


@pytest.fixture
def noisy_command(monkeypatch):
    from django.core import management

    known = management.get_commands()
    monkeypatch.setattr(management, "get_commands", lambda: {**known, "noisy": Noisy()})


def analyze(*arguments, **options):
    """Return what the command says to programs."""
    out = io.StringIO()
    call_command("analyze_queries", "--format=json", *arguments, stdout=out, **options)
    return json.loads(out.getvalue())


def test_an_address(capfd):
    document = analyze("--url", "/noisy/7")
    assert (document["version"], document["error"]) == (1, None)
    assert document["source"] == {"kind": "url", "name": "/noisy/7"}
    (found,) = document["findings"]
    assert (found["kind"], found["path"]) == ("n_plus_one", HERE)
    assert found["location"] == f"{HERE}:{found['line']}"
    assert found["units"] == ["GET /noisy/<int:number>"]
    assert found["count"] == Book.objects.count()
    assert 'select_related("author")' in found["suggestion"]
    assert set(found) == {
        "kind", "location", "path", "line", "suggestion", "queryset_location", "count",
        "lost_seconds", "sql", "fingerprint", "units",
    }  # fmt: skip
    out, err = capfd.readouterr()
    assert out == ""
    assert "noise of the view\n" in err
    assert "noise of a library\n" in err
    assert collector.collector.take().is_empty  # it is no traffic


def test_a_response_is_read_to_its_end():
    assert len(analyze("--url", "/streamed")["findings"]) == 1


def test_what_fails_still_shows_what_was_found(capfd):
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(CommandError, match="ValueError: it is broken") as caught:
        call_command(
            "analyze_queries", "--fail", "--format=json", "--url=/fails", stdout=out, stderr=err
        )
    assert caught.value.returncode == 2
    document = json.loads(out.getvalue())
    assert document["error"] == "ValueError: it is broken"
    assert [one["kind"] for one in document["findings"]] == ["n_plus_one"]
    assert "in fails" in err.getvalue()
    with pytest.raises(CommandError, match="/missing answered 404"):
        analyze("--url=/missing")


def test_a_redirect_is_told():
    err = io.StringIO()
    assert analyze("--url=/redirects", stderr=err)["findings"] == []
    assert err.getvalue() == "/redirects leads to /login.\n"


def test_as_a_user_without_a_trace():
    user = get_user_model().objects.create_user("ada")
    with pytest.raises(CommandError, match="answered 403"):
        analyze("--url=/who")
    analyze("--url=/who", "--user=ada")
    assert not Session.objects.exists()
    user.refresh_from_db()
    assert user.last_login is None
    user.is_active = False
    user.save()
    for name, says in (("ada", "is not active"), ("bob", "no user 'bob'")):
        with pytest.raises(CommandError, match=says) as caught:
            analyze("--url=/who", f"--user={name}")
        assert caught.value.returncode == 2


@pytest.mark.usefixtures("noisy_command")
def test_a_command(capfd):
    document = analyze("--command", "noisy")
    assert document["source"] == {"kind": "command", "name": "noisy"}
    assert [one["units"] for one in document["findings"]] == [["manage.py noisy"]]
    out, err = capfd.readouterr()
    assert out == ""
    assert "noise of the command\n" in err
    with pytest.raises(CommandError, match="it cannot be done"):
        analyze("--command", "noisy", "--fail")  # it is the command's own


@pytest.mark.any_database
def test_tests(tmp_path, monkeypatch, capfd):
    test = "from shop import queries\n\ndef test_{}(books):\n    queries.names()\n"
    twice = test.format("one") + test.format("two").partition("\n")[2]
    small_project.write(tmp_path, test_shop=twice)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    document = analyze("--test", "test_shop.py")
    (found,) = document["findings"]
    assert (found["location"], found["count"]) == ("shop/queries.py:4", 3)
    assert found["units"] == ["test_shop.py::test_one", "test_shop.py::test_two"]
    out, err = capfd.readouterr()
    assert out == ""
    assert "2 passed" in err
    with pytest.raises(CommandError, match="code 4"):
        analyze("--test", "test_missing.py")


def test_threshold_and_ignore_list(monkeypatch):
    count = Book.objects.count()
    assert len(analyze("--url=/noisy/1", f"--threshold={count}")["findings"]) == 1
    assert analyze("--url=/noisy/1", f"--threshold={count + 1}")["findings"] == []
    for ignore in (Ignore("location", "tests/queries/*"), Ignore("unit", "GET /noisy/*")):
        monkeypatch.setattr(queries, "_snapshot", Settings(ignores=(ignore,)))
        assert analyze("--url=/noisy/1")["findings"] == []


def test_the_open_findings_of_the_database():
    now = timezone.now()
    for number, state in enumerate(["open", "fixed", "ignored", "open"]):
        Finding.objects.create(
            kind="slow", location=f"a.py:{number}", digest=str(number), state=state, sql="SELECT 1",
            count=number, lost_seconds=number, units=["u"], first_seen_at=now, last_seen_at=now,
        )  # fmt: skip
    document = analyze()
    assert document["source"] == {"kind": "database", "name": ""}
    assert [one["location"] for one in document["findings"]] == ["a.py:3", "a.py:0"]
    assert document["findings"][0]["lost_seconds"] == 3
    out = io.StringIO()
    with pytest.raises(SystemExit) as caught:
        call_command("analyze_queries", "--fail", stdout=out)
    assert caught.value.code == 1
    Finding.objects.update(state="fixed")
    call_command("analyze_queries", "--fail", stdout=out)
    assert out.getvalue().endswith("No findings.\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--threshold=1"],
        ["--threshold=1001"],
        ["--user=ada"],
        ["--url=no/slash"],
        ["--command"],
        ["--command", "no_such_command"],
        ["--url=/x", "--test=y"],
        ["--format=xml"],
    ],
)
def test_wrong_usage(arguments):
    with pytest.raises(CommandError) as caught:
        call_command("analyze_queries", *arguments)
    if arguments[0] not in ("--format=xml", "--url=/x"):  # argparse's own, which exits with 2
        assert caught.value.returncode == 2


def test_exit_codes_and_clean_output_of_a_process():
    code = (
        "print('noise'); from tests.library.models import Book; "
        "[one.author.name for one in Book.objects.all()]"
    )
    environment = {**os.environ, "DATABASE_URL": database_url()}

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "manage.py", "analyze_queries", *arguments],
            cwd=Path(django_settings.BASE_DIR),
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    done = run("--fail", "--format=json", "--threshold=2", "--command", "shell", "-c", code)
    assert done.returncode == 1, done.stderr
    assert [one["kind"] for one in json.loads(done.stdout)["findings"]] == ["n_plus_one"]
    assert "noise" in done.stderr
    done = run("--format=github", "--command", "shell", "-c", "import sys; sys.exit(3)")
    assert (done.returncode, done.stdout) == (2, "")
    assert "ended with 3" in done.stderr
    assert run("--url=/x", "--test=y").returncode == 2


HARM = Told(
    "n_plus_one",
    "shop/a,b.py:12",
    'select_related("author")  # 100 %\r\nsecond line',
    "",
    3,
    0.25,
    "SELECT\n  1::int \x1b[31m",
    "f" * 16,
    ["GET /"],
)


def test_github_annotations_are_escaped():
    assert as_github([HARM]) == (
        "::warning file=shop/a%2Cb.py,line=12,title=n_plus_one (3 queries)::"
        'select_related("author")  # 100 %25%0D%0Asecond line%0ASELECT 1::int ?[31m'
    )
    nowhere = as_github([Told("slow", "", "x", "", 1, 0.5, "SELECT 1", "f")])
    assert nowhere == "::warning title=slow (1 queries)::x%0ASELECT 1"


def test_the_table_stays_a_table():
    lines = as_table([HARM]).splitlines()
    assert [one.split() for one in lines[:2]] == [
        ["KIND", "COUNT", "LOST", "s", "WHERE"],
        ["n_plus_one", "3", "0.2500", "shop/a,b.py:12"],
    ]
    assert lines[2:] == [
        '    fix: select_related("author") # 100 % second line',
        "    SQL: SELECT 1::int ?[31m",
        "    in GET /",
    ]
    assert one_line("a" * 9, 5) == "aaaa…"
