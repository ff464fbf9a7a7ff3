"""Several processes: what each gathered is added up, a fork begins anew, a kill loses little."""

import pytest

from optimizer.queries.models import Finding, QueriesSettings, Statistic
from optimizer.queries.services import ingest
from tests.children import children
from tests.control.test_propagation import wait_until
from tests.library.filling import fill

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]

START_SECONDS = 30.0
LOOP = """
import os, sys, time
from django.core.management.base import BaseCommand
from django.db import connections
from optimizer.queries.live import queries
from optimizer.queries.services import reporter, watching
from tests.library.models import Book

queries.current()  # else the first units are watched by the defaults, which skip costly ones

def work():
    watched = watching.begin("loop", "task")
    # A file of the project's, as far as the optimizer can see.
    exec(compile("[book.author.name for book in Book.objects.all()]", "bot.py", "exec"), globals())
    watching.end(watched)
"""
STAYS = (
    LOOP
    + """
work()
print("worked")
time.sleep(60)
"""
)
FORKS = (
    LOOP
    + """
work()
connections.close_all()
child = os.fork()
work()
assert reporter.flush()
if child:
    os.waitpid(child, 0)
    print("done")
else:
    os._exit(0)
time.sleep(60)
"""
)
ENDS = (
    LOOP
    + """
work()
print("worked")
"""
)


def hits() -> int:
    ingest.read_all()
    return sum(Finding.objects.filter(kind="n_plus_one").values_list("hits", flat=True))


@pytest.fixture(autouse=True)
def everything():
    """All is watched, and told each second."""
    QueriesSettings(mode="all", flush_seconds=1).save()
    fill(3)


def test_processes_add_up_and_a_killed_one_loses_no_more_than_an_interval():
    with children(3, STAYS) as started:
        for child in started:
            child.read_until("worked", START_SECONDS)
        wait_until(lambda: hits() == 3)
    # All three were killed; what they had told is not lost, nor counted again.
    assert hits() == 3
    calls = sum(Statistic.objects.values_list("n_plus_one", flat=True))
    assert calls == sum(Finding.objects.filter(kind="n_plus_one").values_list("queries", flat=True))


def test_a_forked_child_does_not_tell_what_its_parent_counted():
    with children(1, FORKS) as (child,):
        child.read_until("done", START_SECONDS)
        assert hits() == 3  # the parent's two, the child's one


def test_a_process_that_ends_tells_the_rest():
    with children(1, ENDS) as (child,):
        child.read_until("worked", START_SECONDS)
        assert child.process.wait(20) == 0
    assert hits() == 1
