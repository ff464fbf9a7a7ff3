import json
from typing import Any

import pytest
from django.core.cache import cache as default_cache
from django.core.management import call_command
from django.core.management.base import CommandError

from caching.services import warmers

cache: Any = default_cache  # a TieredCache, which takes more than Django's types say
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis", "users")]


@pytest.fixture
def run(capsys):
    def command(*arguments):
        call_command("cache", *arguments)
        return capsys.readouterr().out

    return command


@pytest.fixture
def warmer(monkeypatch):
    monkeypatch.setattr(warmers, "_warmers", {})

    @warmers.warms("fine")
    def fine():
        cache.set("user:1", "warm")

    @warmers.warms("broken")
    def broken():
        raise ZeroDivisionError("no divisor")


def test_stats_are_for_people_or_for_programs(run):
    cache.get("user:1")
    assert json.loads(run("stats", "--json"))["namespaces"]["user"]["misses"] > 0
    told = run("stats")
    assert "  user:\n" in told
    assert "    misses: " in told


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (["--namespace", "user", "--key", "1", "--key", "2"], ["3"]),
        (["--namespace", "user", "--pattern", "?"], []),
        (["--tag", "odd"], ["2"]),
        (["--namespace", "user"], []),
    ],
)
def test_an_invalidation_says_what_it_does(run, options, left):
    for key in "123":
        cache.set(f"user:{key}", key, tags=["odd"] if int(key) % 2 else [])
    gone = 3 - len(left)
    assert run("invalidate", *options, "--dry-run") == f"{gone} value(s) would go.\n"
    assert len(cache.get_many(["user:1", "user:2", "user:3"])) == 3
    whole = options == ["--namespace", "user"]
    told = "all of it" if whole else f"{gone} value(s)"
    assert run("invalidate", *options) == f"{told} invalidated.\n"
    assert list(cache.get_many(["user:1", "user:2", "user:3"]).values()) == left


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "--namespace: Give a namespace"),
        (["--key", "1"], "--namespace: Give a namespace"),
        (["--namespace", "no"], "--namespace: .*Known: default, user"),
        (["--namespace", "user", "--key", ""], "--key: .*1 to 800"),
        (["--namespace", "user", "--pattern", "*****"], "--pattern: .*4 stars"),
        (["--namespace", "user", "--tag", "t"], "--namespace: Must not be given"),
        (["--tag", "\n"], "--tag: .*1 to 100 printable"),
    ],
)
@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]])
def test_what_cannot_be_invalidated_is_told(run, options, says, dry_run):
    with pytest.raises(CommandError, match=says):
        run("invalidate", *options, *dry_run)


@pytest.mark.usefixtures("cache_away")
@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]])
def test_while_redis_is_away_nothing_is_claimed(run, dry_run):
    with pytest.raises(CommandError, match="Redis is away"):
        run("invalidate", "--namespace", "user", *dry_run)


@pytest.mark.usefixtures("warmer")
def test_warmers_are_listed_and_run(run):
    assert run("warm", "--list") == "broken\nfine\n"
    assert run("warm", "fine").startswith("fine: done (")
    assert cache.get("user:1") == "warm"


@pytest.mark.usefixtures("warmer")
def test_a_warmer_that_fails_keeps_none_from_running_and_is_told(run, capsys):
    with pytest.raises(CommandError, match="1 of 2") as caught:
        run("warm", "--all")
    assert caught.value.returncode == 1
    assert "broken: failed: ZeroDivisionError: no divisor" in capsys.readouterr().out
    assert cache.get("user:1") == "warm"


@pytest.mark.usefixtures("warmer")
@pytest.mark.parametrize(
    ("names", "says"), [([], "--all or --list"), (["fine", "no"], "no warmer 'no'.*broken, fine")]
)
def test_no_warmer_is_run_where_the_names_are_wrong(run, names, says):
    with pytest.raises(CommandError, match=says):
        run("warm", *names)
    assert cache.get("user:1") is None
