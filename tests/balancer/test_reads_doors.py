"""Requests, tasks and transactions over a real replica that stands still, ends, or is promoted."""

import json
import time
from contextlib import contextmanager

from optimizer.balancer.models import Backend
from optimizer.balancer.services.reads import positions
from tests.balancer.replicas import standbys
from tests.balancer.test_reads_replicas import environment, pytestmark, seed
from tests.children import children
from tests.control.test_propagation import wait_until
from tests.library.models import Tag

__all__ = ["pytestmark"]
WAIT_SECONDS = 60.0

# Evaluates lines and answers in JSON.
SERVER = """
import json, sys
settings.ROOT_URLCONF = "tests.balancer.read_doors"
from django.contrib.auth.models import User
from django.core import checks
from django.db import connections, router, transaction
from django.test import Client
from optimizer.balancer import reads
from optimizer.balancer.services.reads import replicas
from optimizer.control import redis as access, watcher
from tests.balancer import read_doors
from tests.balancer.read_doors import found, look, rename
from tests.library.models import Tag
watcher.start("web")
def get(pk, client=None, **headers):
    return (client or Client()).get(f"/tag/{pk}/", headers=headers).json()
def post(pk, name, client=None, headers=None, **more):
    client = client or Client()
    return dict(client.post(f"/tag/{pk}/", {"name": name, **more}, headers=headers).headers)
def stream(pk, name):
    client = Client(headers={"X-Reader": name})
    return b"".join(client.get(f"/stream/{pk}/?name={name}")).decode()
def page():
    boss = Client()
    boss.force_login(User.objects.create_superuser("boss"))
    return boss.get("/admin/balancer/balancersettings/live/?group=replicas").content.decode()
def on_primary(step):
    with reads.primary():
        return step()
def within(name, *steps):
    with reads.reader(name):
        return [step() for step in steps][-1]
def raw(alias, sql):
    with connections[alias].cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []
def in_transaction(step):
    with transaction.atomic():
        return step()
print("ready")
for line in sys.stdin:
    try:
        print(json.dumps(eval(line)))
    except Exception as error:
        print(json.dumps(f"{type(error).__name__}: {error}"))
"""
WORKER = """
from celery.signals import worker_ready
from config.celery import app
import tests.balancer.read_doors
worker_ready.connect(lambda **_: print("ready"), weak=False)
app.worker_main(["worker", "--pool=solo", "--loglevel=error", "--without-mingle",
                 "--without-gossip", "--without-heartbeat"])
"""


class Server:
    def __init__(self, child):
        self.child = child
        child.read_until("ready", WAIT_SECONDS)

    def __call__(self, line):
        self.child.process.stdin.write(line + "\n")
        self.child.process.stdin.flush()
        said = self.child.read(WAIT_SECONDS)
        assert said is not None, line
        return json.loads(said)

    def until(self, line, wanted):
        deadline, answer = time.monotonic() + WAIT_SECONDS, None
        while time.monotonic() < deadline:
            if (answer := self(line)) == wanted:
                return
            assert "Error" not in answer, answer
            time.sleep(0.1)
        raise AssertionError(f"{line} is {answer}, not {wanted}")


@contextmanager
def served(redis, *, worker=False):
    redis.set(positions.WHOLE, "1")
    pk = Tag.objects.create(name="old").pk
    seed(["replica_1"], max_lag_seconds=600.0)
    with standbys(0.0) as (replica,):
        replica.caught_up()
        given = environment([replica])
        with children(1, SERVER, **given) as (one,), children(worker, WORKER, **given) as workers:
            server = Server(one)
            for child in workers:
                child.read_until("ready", WAIT_SECONDS)
            # The age of its data is known to who starts later once it has replayed a commit.
            Tag.objects.filter(pk=pk).update(name="old")
            replica.caught_up()
            server.until(f"get({pk})", {"name": "old", "alias": "replica_1"})
            yield server, replica, pk


def test_whoever_wrote_reads_it_and_others_read_the_replica(redis):
    old = {"name": "old", "alias": "replica_1"}
    with served(redis, worker=True) as (server, replica, pk):
        replica.pause()

        # bots, by header or key
        after = server(f"post({pk}, 'a', headers={{'X-Reader': 'a'}})")["X-Read-After"]
        assert server(f"get({pk}, **{{'X-Reader': 'a'}})") == {"name": "a", "alias": "default"}
        assert server(f"get({pk}, **{{'X-Reader': 'b'}})") == old
        assert server(f"get({pk})") == old
        assert server(f"get({pk}, **{{'X-Read-After': '{after}'}})")["alias"] == "default"
        assert server(f"get({pk}, **{{'X-Read-After': 'what?'}})")["alias"] == "default"
        key = "{'Authorization': 'Bearer tu_abcdefgh_%s'}"
        server(f"post({pk}, 'k', headers={key % 'one'})")
        assert server(f"get({pk}, **{key % 'another'})")["name"] == "k"
        assert server(f"get({pk}, **{key.replace('abcd', 'efgh') % 'one'})") == old

        # browsers, by cookie; and by session where the cookie is lost
        server("globals().update(browser=Client())")
        assert server(f"get({pk}, browser)") == old
        server(f"post({pk}, 'c', browser)")
        assert server(f"get({pk}, browser)") == {"name": "c", "alias": "default"}
        server(f"post({pk}, 's', browser, session='1')")
        server("browser.cookies.pop('tuneup_read_after') and None")
        assert server("list(browser.cookies)") == ["sessionid"]
        assert server(f"get({pk}, browser)") == {"name": "s", "alias": "default"}
        assert server(f"stream({pk}, 'st')") == "writing "
        assert server(f"get({pk}, **{{'X-Reader': 'st'}})") == {"name": "st", "alias": "default"}

        # transactions, locks, statements of one's own, and who asks for the primary
        assert server(f"within('', lambda: found({pk}))") == old
        assert server(f"found({pk})")["alias"] == "default"  # nobody is known to read
        assert server(f"within('', lambda: in_transaction(lambda: found({pk})))")["name"] == "st"
        locked = f"Tag.objects.select_for_update().get(pk={pk})._state.db"
        assert server(f"within('', lambda: in_transaction(lambda: {locked}))") == "default"
        assert server(f"within('', lambda: {locked})").startswith("TransactionManagementError")
        sql = f"UPDATE library_tag SET name = 'raw' WHERE id = {pk}"  # noqa: S608
        assert server(f"within('r', lambda: raw('default', \"{sql}\"), lambda: found({pk}))") == {
            "name": "raw",
            "alias": "default",
        }
        assert server(f"within('r', lambda: found({pk}))")["name"] == "raw"
        assert server(f"within('', lambda: on_primary(lambda: found({pk})))")["alias"] == "default"
        # a relation may span the primary and its replicas, a migration goes to the primary alone
        assert server(f"router.allow_relation(Tag.objects.using('replica_1').get(pk={pk}), Tag())")
        assert server("router.allow_migrate('replica_1', 'library')") is False
        # what the replica does not have yet
        server("raw('default', 'CREATE TABLE only_here AS SELECT 7 AS one')")
        assert server("raw('replica_1', 'SELECT one FROM only_here')") == [[7]]
        assert server("raw('replica_1', 'SELECT 1 FROM nowhere')").startswith("ProgrammingError")
        server("raw('default', 'DROP TABLE only_here')")

        # tasks read for whom they were sent by
        def told(sent):
            server(f"{sent} and None")
            found = redis.blpop("answer", WAIT_SECONDS)
            assert found is not None
            return json.loads(found[1])

        send = f"look.delay({pk}, 'answer')"
        wait_until(
            lambda: told(f"within('', lambda: {send})") == old, WAIT_SECONDS
        )  # the worker looks at the replica once it is asked
        assert told(send)["alias"] == "default"
        write = f"Tag.objects.filter(pk={pk}).update(name='t')"
        assert told(f"within('t', lambda: {write}, lambda: {send})") == {
            "name": "t",
            "alias": "default",
        }
        assert told(f"within('w', lambda: rename.delay({pk}, 'w', 'answer'))")["name"] == "w"
        server.until(f"get({pk}, **{{'X-Reader': 'other'}})", old)
        server.until(f"within('w', lambda: found({pk}))", {"name": "w", "alias": "default"})

        # what an admin drains takes no reads; what has caught up takes all
        Backend.objects.filter(name="replica-1").update(draining=True)
        server.until(f"get({pk})['alias']", "default")
        Backend.objects.filter(name="replica-1").update(draining=False)
        server.until(f"get({pk})['alias']", "replica_1")
        replica.resume()
        server.until(f"within('w', lambda: found({pk}))", {"name": "w", "alias": "replica_1"})


def test_a_replica_that_ends_comes_back_or_is_promoted_and_a_redis_that_is_away(redis):
    with served(redis) as (server, replica, pk):
        # Redis
        url = server("settings.REDIS_URL")
        server("setattr(settings, 'REDIS_URL', 'redis://127.0.0.1:1/0') or access.forget()")
        assert server(f"within('bot', lambda: found({pk}))")["alias"] == "default"
        assert server(f"within('', lambda: found({pk}))")["alias"] == "replica_1"
        server(f"setattr(settings, 'REDIS_URL', '{url}') or access.forget()")

        # the replica ends: statements on open connections are answered by the primary
        several = "[one._state.db for one in Tag.objects.using('replica_1').iterator()]"
        assert server(several) == ["replica_1"]
        replica.kill()
        time.sleep(1.0)  # its processes see that the postmaster is gone
        assert server(several) == ["replica_1"]  # Django's name for where it was sent
        for _ in range(20):
            assert server(f"get({pk})")["name"] == "old"
        assert server(f"get({pk})")["alias"] == "default"
        assert server("replicas.known.by_alias['replica_1'].says") != ""
        replica.start()
        server.until(f"get({pk})['alias']", "replica_1")

        page = server("page()")
        for text in (
            "Database reads in the last hour",
            "Why reads went to the primary",
            "replica_1:",
        ):
            assert text in page

        # it is promoted: what it has is no longer the primary's
        replica.ask("SELECT pg_promote()")
        server.until(f"get({pk})['alias']", "default")
        server.until("replicas.known.by_alias['replica_1'].says", "it is no standby")
        said = server("[one.id for one in checks.run_checks(databases=['default'])]")
        assert "balancer.W003" in said
