"""MongoDB's indexes agree with the rows: over a real wire server."""

import json
import threading
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pymongo
import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connections
from django.urls import reverse
from django.utils import timezone

from optimizer.control.models import Revision
from optimizer.operations.engine.index_drift import (
    DIFFERENT,
    EXTRA,
    MISSING,
    OK,
    IndexSpec,
    compare,
    read_progress,
)
from optimizer.operations.models import DocumentIndex
from optimizer.operations.models.document_indexes import key_text, parse_keys
from optimizer.operations.services import document_indexes, index_proposals, index_runs
from optimizer.queries.models import IndexAdvice
from tests.children import children

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


def configured(uri, name):
    """Settings of the alias `mongo`, as MONGODB_URI gives them."""
    given = {
        "ENGINE": "django_mongodb_backend",
        "HOST": uri,
        "NAME": name,
        "OPTIONS": {"serverSelectionTimeoutMS": 800},
    }
    return connections.configure_settings({"default": {}, "mongo": given})["mongo"]


@pytest.fixture
def database(mongo_url, monkeypatch):
    """The database of the alias `mongo`."""
    client: pymongo.MongoClient[Any] = pymongo.MongoClient(mongo_url)
    with client:
        client.drop_database("indexes_test")
        monkeypatch.setitem(connections.settings, "mongo", configured(mongo_url, "indexes_test"))
        yield client["indexes_test"]
        connections["mongo"].close_pool()  # type: ignore[attr-defined]
        del connections["mongo"]
        client.drop_database("indexes_test")


@pytest.fixture
def mongo_away(monkeypatch):
    away = configured("mongodb://127.0.0.1:1/", "gone")
    monkeypatch.setitem(connections.settings, "mongo", away)
    yield
    connections["mongo"].close_pool()  # type: ignore[attr-defined]
    del connections["mongo"]


def want(name, keys, collection="messages", **more):
    row = DocumentIndex(name=name, collection=collection, keys=keys, **more)
    row.full_clean()
    row.save()
    return row


def command(**options):
    out = StringIO()
    call_command("create_db_indexes", stdout=out, **options)
    return out.getvalue()


def there(database, collection="messages"):
    return {
        one["name"]: one for one in database[collection].list_indexes() if one["name"] != "_id_"
    }


def test_it_makes_every_kind_and_a_second_time_nothing(database):
    want("by_guild", "guild, -sent_at")
    want("once", "key", unique=True)
    want("few", "nick", sparse=True)
    want("open", "state", partial_filter={"state": {"$in": ["open", "new"]}})
    want("ttl", "sent_at", expire_after_seconds=3600)
    want("words", "name", collation={"locale": "en", "strength": 2})
    want("place", "place:2dsphere", collection="places")
    want("not_now", "x", enabled=False)
    with pytest.raises(CommandError, match="7 indexes not as wanted"):
        command(check=True)
    assert "7 indexes to be made, changed or dropped." in command(dry_run=True)
    assert there(database) == {}
    told = command()
    assert "7/7 indexes_test.places place: made." in told
    assert told.endswith("All are as wanted.\n")
    found = there(database)
    assert set(found) == {"by_guild", "once", "few", "open", "ttl", "words"}
    assert found["by_guild"]["key"].to_dict() == {"guild": 1, "sent_at": -1}
    assert found["once"]["unique"] and found["few"]["sparse"]
    assert found["open"]["partialFilterExpression"]["state"] == {"$in": ["open", "new"]}
    assert found["ttl"]["expireAfterSeconds"] == 3600
    assert found["words"]["collation"]["strength"] == 2
    assert command(check=True).endswith("All are as wanted.\n")
    assert "made" not in command()


def test_what_differs_is_changed_and_other_indexes_stay_unless_they_are_to_go(database):
    messages = database["messages"]
    messages.create_index([("sent_at", 1)], name="ttl", expireAfterSeconds=60)
    messages.create_index([("guild", 1)], name="by_guild")
    messages.create_index([("old", 1)], name="old")
    messages.create_index([("user", 1)], name="user_1")
    database["elsewhere"].create_index([("a", 1)], name="of_nobody")
    want("ttl", "sent_at", expire_after_seconds=120)
    want("by_guild", "guild, -sent_at")
    want("by_user", "user")  # there under another name
    told = command()
    for line in (
        "differs in expire_after_seconds",
        "differs in keys",
        "wanted as by_user",
        "ttl: changed",
        "by_guild: built anew",
    ):
        assert line in told, told
    found = there(database)
    assert found["ttl"]["expireAfterSeconds"] == 120
    assert list(found["by_guild"]["key"]) == ["guild", "sent_at"]
    assert set(found) == {"ttl", "by_guild", "old", "user_1"}
    assert "All are as wanted" in command(check=True)
    with pytest.raises(CommandError, match="1 index not as wanted"):
        command(check=True, drop_extra=True)
    assert "old: dropped" in command(drop_extra=True)
    assert set(there(database)) == {"ttl", "by_guild", "user_1"}
    assert set(there(database, "elsewhere")) == {"of_nobody"}


def test_an_index_that_cannot_be_built_leaves_the_old_one(database):
    database["messages"].insert_many({"user": 1} for _ in range(3))
    database["messages"].create_index([("user", 1)], name="by_user")
    want("by_user", "user", unique=True)
    want("other", "guild")
    out = StringIO()
    with pytest.raises(CommandError, match="1 of 2 indexes could not be made"):
        call_command("create_db_indexes", stdout=out)
    assert "the old one is back" in out.getvalue()
    assert "duplicate key" in out.getvalue()
    found = there(database)
    assert set(found) == {"by_user", "other"}
    assert "unique" not in found["by_user"]


def test_indexes_of_a_model_of_django_are_never_dropped(database, monkeypatch):
    monkeypatch.setattr(document_indexes, "_collections_of_models", lambda: {"messages"})
    database["messages"].create_index([("a", 1)], name="of_a_migration")
    want("by_guild", "guild")
    assert "of a Django model, stays" in command(drop_extra=True)
    assert set(there(database)) == {"of_a_migration", "by_guild"}


def test_another_database_is_looked_after_too(database):
    want("by_guild", "guild", database="indexes_other")
    command()
    other = database.client["indexes_other"]
    assert set(there(other)) == {"by_guild"}
    database.client.drop_database("indexes_other")


MAKE = """
import sys
import pymongo
from django.db import connections
from django.core.management import call_command
print("ready")
sys.stdin.readline()
for _ in range(5):
    call_command("create_db_indexes", verbosity=0)
print("done")
"""


def test_several_at_once_end_with_what_is_wanted(database, mongo_url):
    database["messages"].create_index([("guild", 1)], name="by_guild")
    want("by_guild", "guild, -sent_at")
    for number in range(6):
        want(f"n{number}", f"field{number}")
    environment = {"MONGODB_URI": mongo_url, "MONGODB_DATABASE": "indexes_test"}
    with children(3, MAKE, **environment) as started:
        for child in started:
            child.read_until("ready", 60)
        for child in started:
            child.say("go")
        for child in started:
            child.read_until("done", 120)
    assert "All are as wanted" in command(check=True)


def test_without_mongodb_nothing_is_to_do():
    want("by_guild", "guild")
    for options in ({}, {"check": True}, {"dry_run": True}):
        assert command(**options) == (
            "MONGODB_URI is not set, so there is no MongoDB. Nothing is to do.\n"
        )


@pytest.mark.usefixtures("mongo_away")
def test_mongodb_away_has_an_exit_code_of_its_own():
    want("by_guild", "guild")
    with pytest.raises(CommandError, match="MongoDB is away: ServerSelectionTimeout") as caught:
        command(check=True)
    assert caught.value.returncode == 2
    assert index_runs.work().state == "failed"


def test_the_options_exclude_each_other(database):
    with pytest.raises(CommandError, match="not both"):
        command(check=True, dry_run=True)
    assert "No document index is wanted" in command()


# --- How indexes are compared -----------------------------------------------------------------


def document(name, key, **more):
    return {"v": 2, "name": name, "key": key, **more}


def test_what_a_server_fills_in_is_no_difference():
    full = {"locale": "en", "strength": 2, "caseLevel": False, "version": "57.1"}
    wanted = IndexSpec("a", (("name", 1),), collation={"locale": "en", "strength": 2})
    (same,) = compare([wanted], [document("a", {"name": 1.0}, collation=full)])
    assert same.kind == OK
    (other,) = compare([wanted], [document("a", {"name": 1}, collation={**full, "strength": 3})])
    assert (other.kind, other.differs) == (DIFFERENT, ("collation",))
    text = document(
        "t", {"guild": 1, "_fts": "text", "_ftsx": 1}, weights={"body": 1, "title": 1},
        textIndexVersion=3,
    )  # fmt: skip
    wanted = IndexSpec("t", (("guild", 1), ("title", "text"), ("body", "text")))
    assert [one.kind for one in compare([wanted], [text])] == [OK]


def test_only_a_time_to_live_can_be_changed_in_place():
    there = [document("a", {"at": 1}, expireAfterSeconds=60), document("b", {"at": -1})]
    ttl = IndexSpec("a", (("at", 1),), expire_after_seconds=90)
    none = IndexSpec("a", (("at", 1),))
    assert compare([ttl], there)[0].only_expires_differently
    assert not compare([none], there)[0].only_expires_differently  # collMod cannot take it away
    assert [one.kind for one in compare([], there)] == [EXTRA, EXTRA]
    assert compare([IndexSpec("c", (("at", 1),))], [])[0].kind == MISSING


def test_unused_is_what_every_server_has_counted_for_a_week():
    now = datetime(2026, 11, 30, tzinfo=UTC)
    long_ago, lately = now - timedelta(days=8), (now - timedelta(days=1)).replace(tzinfo=None)

    def counted(name, ops, since):
        return {"name": name, "accesses": {"ops": ops, "since": since}}

    there = [document(name, {name: 1}) for name in "abcde"]
    there.append(document("f", {"f": 1}, unique=True))
    told = [counted("a", 0, long_ago), counted("b", 3, long_ago), counted("c", 0, lately)]
    told += [counted("d", 0, long_ago), counted("d", 1, long_ago), counted("e", 0, None)]
    told.append(counted("f", 0, long_ago))
    unused = [one.name for one in compare([], there, told, now) if one.is_unused]
    assert unused == ["a"]


def test_the_progress_of_a_build_is_read_from_the_operations():
    running = [
        {
            "ns": "bot.messages",
            "command": {"find": "messages"},
            "progress": {"done": 1, "total": 2},
        },
        {
            "ns": "bot.messages",
            "command": {"createIndexes": "messages", "$db": "bot"},
            "msg": "Index Build: scanning collection",
            "progress": {"done": 250, "total": 1000},
        },
    ]
    found = read_progress(running, "bot.messages")
    assert (found.done, found.total) == (250, 1000)
    assert read_progress(running, "bot.other").total == 0
    assert read_progress(running, "shop.messages").total == 0


@pytest.mark.parametrize(
    "text", ["guild", "guild, -sent_at", "body:text, guild", "user:hashed", "a.b.c", "place:2d"]
)
def test_keys_are_read_as_they_are_written(text):
    assert key_text(parse_keys(text)) == text


@pytest.mark.parametrize(
    ("changed", "field", "says"),
    [
        ({"keys": "a,,b"}, "keys", "'' is no field"),
        ({"keys": "a, a"}, "keys", "named twice"),
        ({"keys": "$a"}, "keys", "is no field"),
        ({"keys": "a:fulltext"}, "keys", "none of text, hashed"),
        ({"keys": "_id"}, "keys", "Every collection"),
        ({"keys": ",".join(f"f{n}" for n in range(33))}, "keys", "At most 32"),
        ({"keys": "a,b", "expire_after_seconds": 5}, "expire_after_seconds", "exactly one field"),
        ({"expire_after_seconds": -1}, "expire_after_seconds", "between"),
        ({"partial_filter": []}, "partial_filter", "JSON object"),
        ({"partial_filter": {"a": 1}, "sparse": True}, "sparse", "both sparse and partial"),
        ({"collation": {"strength": 2}}, "collation", "with a locale"),
        ({"collation": {"locale": "en", "size": 2}}, "collation", "no option size"),
        ({"keys": "a:hashed", "unique": True}, "unique", "can be unique"),
        ({"collection": "system.users"}, "collection", "name of a collection"),
        ({"database": "a/b"}, "database", "name of a MongoDB database"),
        ({"name": "a b"}, "name", "without spaces"),
    ],
)
def test_a_bad_row_is_refused_by_its_field(changed, field, says):
    given = {"name": "n", "collection": "c", "keys": "a"} | changed
    with pytest.raises(ValidationError) as caught:
        want(**given)
    assert says in " ".join(caught.value.message_dict[field])


def test_two_rows_that_want_the_same_are_refused():
    first = want("first", "guild,-sent_at")
    assert first.keys == "guild, -sent_at"
    with pytest.raises(ValidationError, match="first wants the same"):
        want("second", "guild, -sent_at")
    want("second", "guild, -sent_at", partial_filter={"a": 1})
    want("third", "guild, -sent_at", enabled=False)
    first.full_clean()


# --- Proposals and the page -------------------------------------------------------------------


def advice(number=0, table="indexes_test.messages", **more):
    given = {
        "fingerprint": f"{number:016}", "alias": "mongodb", "table": table,
        "columns": ["guild", "-sent_at"], "digest": f"{number:032}", "statement": "x",
        "reason": "messages has 3,000 documents", "checked_at": timezone.now(), **more,
    }  # fmt: skip
    return IndexAdvice.objects.create(**given)


def test_what_is_accepted_becomes_a_row_once(database):
    row = advice()
    advice(1, alias="default", table="shop_book")
    (one,) = index_proposals.proposed()
    assert (one.component.name, one.keys_text) == ("queries", "guild, -sent_at")
    made: list[Any] = []

    def accept() -> None:
        try:
            made.append(index_proposals.accept("queries", str(row.pk)).name)
        except index_proposals.Settled:
            made.append("")
        finally:
            connections["default"].close()

    threads = [threading.Thread(target=accept) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == ["", "", "", "messages_guild_1_sent_at_-1"]
    wanted = DocumentIndex.objects.get()
    assert (wanted.database, wanted.source) == ("", "advice")
    row.refresh_from_db()
    assert row.state == "fixed"
    assert Revision.objects.filter(reason="Proposed by queries").exists()
    command()
    assert set(there(database)) == {wanted.name}
    wanted.enabled = False
    wanted.save()
    again = advice(2)  # the same, for another query
    assert index_proposals.accept("queries", str(again.pk)) == wanted
    assert DocumentIndex.objects.get().enabled
    for component, number in (("queries", "9" * 30), ("ratelimit", "1"), ("nobody", "1")):
        with pytest.raises(index_proposals.Settled):
            index_proposals.accept(component, number)


def test_a_name_that_is_taken_gets_a_number():
    want("messages_guild_1_sent_at_-1", "other")
    row = advice(table="elsewhere.messages")
    made = index_proposals.accept("queries", str(row.pk))
    assert (made.name, made.database) == ("messages_guild_1_sent_at_-1_2", "elsewhere")


def url(name):
    return reverse(f"admin:operations_{name}")


def test_the_page_shows_drift_accepts_and_lets_a_worker_make_it(database, admin_client, settings):
    row = advice(reason="<script>x</script>")
    page = admin_client.get(url("indexes")).content.decode()
    assert "indexes_test.messages (guild, -sent_at)" in page
    assert "<script>x" not in page
    page = admin_client.post(
        url("indexes_act"), {"accept": f"queries:{row.pk}"}, follow=True
    ).content.decode()
    assert "messages_guild_1_sent_at_-1 is wanted now" in page
    assert "1 not as wanted" in page
    assert "missing" in page
    run = index_runs.work()
    assert (run.state, run.number, run.percent) == ("done", 1, 100)
    page = admin_client.get(url("indexes_fragment")).content.decode()
    assert "as wanted" in page
    assert "1 of 1" in page
    page = admin_client.post(url("indexes_act"), {"accept": "queries:1x"}, follow=True)
    assert "settled in the meantime" in page.content.decode()


ASK = """
from optimizer.operations.services import index_runs
try:
    index_runs.ask()
except index_runs.BrokerAway:
    print("away", index_runs.last().errors[0])
"""


def test_without_a_broker_nobody_is_asked_and_it_is_told():
    with children(1, ASK, CELERY_BROKER_URL="redis://127.0.0.1:1/0") as (child,):
        child.read_until("away no worker could be asked", 60)


@pytest.mark.usefixtures("redis_away")
def test_while_redis_is_away_the_button_says_so_at_once(admin_client):
    page = admin_client.post(url("indexes_act"), {"make": "1"}, follow=True)
    assert "No worker can be asked now" in page.content.decode()


@pytest.mark.usefixtures("mongo_away")
def test_the_page_stands_while_mongodb_is_away(admin_client):
    want("by_guild", "guild")
    assert "MongoDB is away: ServerSelection" in admin_client.get(url("indexes")).content.decode()


def test_who_may_only_look_makes_nothing(client, django_user_model, database):
    from django.contrib.auth.models import Permission

    viewer = django_user_model.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename="view_operationssettings"))
    client.force_login(viewer)
    page = client.get(url("indexes"))
    assert page.status_code == 200
    assert "Make the database agree" not in page.content.decode()
    assert client.post(url("indexes_act"), {"make": "1"}).status_code == 403
    assert client.get(url("indexes_act")).status_code == 403
    assert index_runs.last() is None


def test_a_run_under_way_is_shown_with_its_documents(admin_client):
    run = index_runs.Run(
        state="running", number=1, total=2, name="big", build_done=500, build_total=1000
    )
    index_runs._tell(run)
    assert run.percent == 75
    page = admin_client.get(url("indexes_fragment")).content.decode()
    assert "1 of 2: big, 500 of 1\u202f000 documents" in page
    run.told_at -= 500
    from optimizer.control.redis import call

    told = {name: getattr(run, name) for name in run.__dataclass_fields__}
    call(lambda r: r.set(index_runs._KEY, json.dumps(told)))
    assert "is a worker there?" in admin_client.get(url("indexes_fragment")).content.decode()
