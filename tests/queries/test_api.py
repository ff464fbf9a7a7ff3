"""The API: findings and their states, statistics, advice, and what bots outside Django tell."""

import json
from typing import Any

import hypothesis
import pytest
from django.utils import timezone
from hypothesis import strategies as st

from optimizer.control import keys
from optimizer.control.redis import call as redis_call
from optimizer.queries.engine.news import unpack
from optimizer.queries.engine.settings import Ignore, Settings
from optimizer.queries.live import queries
from optimizer.queries.models import Finding, IndexAdvice, Statement, Statistic
from optimizer.queries.services import collector, ingest, reporter
from optimizer.queries.services.reports import ALIAS, MAX_QUERIES

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]
BASE = "/internal/v1/queries"
BOOK = "SELECT * FROM book WHERE id = %s"


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(collector, "collector", collector.Collector())
    live(monkeypatch)


def live(monkeypatch, **changed):
    monkeypatch.setattr(queries, "_snapshot", Settings(**{"n_plus_one_threshold": 3, **changed}))


@pytest.fixture
def call(client):
    bearer = f"Bearer {keys.issue(name='bot', scopes=['queries'])[1]}"

    def send(method, path, body=None, *, status=200):
        answer = client.generic(
            method,
            f"{BASE}/{path}",
            b"" if body is None else json.dumps(body),
            content_type="application/json",
            headers={"Authorization": bearer},
        )
        assert answer.status_code == status, answer.content
        if status >= 400:
            assert answer["Content-Type"] == "application/problem+json"
        return answer.json()

    return send


def loop(number=3, /, sql=BOOK, **changed):
    """Return what a bot tells of a loop: a query for each of so many rows."""
    return [
        {"sql": sql, "seconds": 0.01, "location": "bot/shop.py:12", "parameters": [at], **changed}
        for at in range(number)
    ]


def told():
    """Carry over what was told."""
    assert reporter.flush()
    return ingest.read_all()


def report(call, given, **options):
    return call("POST", "report", {"unit": "/shop", "queries": given}, **options)


def test_a_loop_is_found_at_once_and_joins_the_findings_and_statistics(call):
    answer = report(call, loop(4))
    assert (answer["watched"], answer["queries"]) == (True, 4)
    (found,) = answer["findings"]
    assert found["kind"] == "n_plus_one"
    assert (found["location"], found["count"], found["sql"]) == ("bot/shop.py:12", 4, BOOK)
    assert found["suggestion"].startswith("One query for all")
    assert found["seconds"] == pytest.approx(0.04)
    assert not Finding.objects.exists()  # nothing is written in the call
    told()
    (stored,) = call("GET", "findings?state=open&kind=n_plus_one")["findings"]
    assert (stored["units"], stored["count"], stored["hits"]) == (["/shop"], 4, 1)
    assert stored["lost_seconds"] == pytest.approx(0.03)
    (cost,) = [
        one for one in call("GET", "stats?hours=1") if one["fingerprint"] == found["fingerprint"]
    ]
    assert (cost["calls"], cost["n_plus_one"], cost["distinct"]) == (4, 4, 4)
    assert cost["unit"] == "/shop"
    # It is never asked for its plan: no database of ours has this alias.
    assert Statement.objects.get(fingerprint=found["fingerprint"]).alias == ALIAS


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (loop(3), "n_plus_one"),
        (loop(2), None),
        (loop(3, parameters=None), "n_plus_one"),  # unknown
        (loop(1, parameters=None, count=3), "n_plus_one"),
        (loop(3, sql="SELECT 1", parameters=None), "duplicate"),
        (loop(3, sql="SELECT ':no' AS \"%s\"", parameters=None), "duplicate"),
        (loop(3, sql="SELECT a::int FROM b", parameters=None), "duplicate"),
        (loop(3, parameters=[7]), "duplicate"),
        (loop(1, count=3), "duplicate"),
        (loop(3, parameters=None, parameters_hash="same"), "duplicate"),
        (loop(3, sql="UPDATE book SET x = 1 WHERE id = %s"), "write_n_plus_one"),
        (loop(9, sql=f"{BOOK} LIMIT 10 OFFSET %s"), None),
        (loop(9, sql="SELECT * FROM book WHERE id IN (%s, %s)"), None),
        (loop(9, sql="INSERT INTO book VALUES (%s), (%s)"), None),
        (loop(9, sql="SAVEPOINT s"), None),
        (loop(9, sql=f"{BOOK} FOR UPDATE"), "review"),
        (loop(1, seconds=2), "slow"),
    ],
)
def test_the_rules_are_those_of_all_queries(call, given, kind):
    assert [one["kind"] for one in report(call, given)["findings"]] == ([kind] if kind else [])


def test_the_same_query_elsewhere_is_another_place(call):
    given = [{**one, "location": f"bot/shop.py:{at}"} for at, one in enumerate(loop(3))]
    assert report(call, given)["findings"] == []


def test_values_in_the_text_tell_queries_apart(call):
    given = [{"sql": f"SELECT * FROM book WHERE id = {at}", "seconds": 0} for at in range(3)]  # noqa: S608
    (found,) = report(call, given)["findings"]
    assert found["kind"] == "n_plus_one"


def test_threshold_and_ignore_list_are_the_live_ones(call, monkeypatch):
    live(monkeypatch, n_plus_one_threshold=5)
    assert report(call, loop(4))["findings"] == []
    assert len(report(call, loop(5))["findings"]) == 1
    for what, pattern in (("location", "bot/*"), ("unit", "/sh*")):
        live(monkeypatch, ignores=(Ignore(what, pattern),))
        assert report(call, loop(5))["findings"] == []
    live(monkeypatch, enabled=False)
    assert report(call, loop(5)) == {"watched": False, "queries": 0, "findings": []}


@pytest.mark.usefixtures("redis_away")
def test_without_redis_it_is_kept(call):
    assert len(report(call, loop(5))["findings"]) == 1
    assert not reporter.flush()
    kept = collector.collector.take()
    assert [one.location for one in kept.news.findings] == ["bot/shop.py:12"]


def test_parameters_go_nowhere(call):
    report(call, loop(3, parameters={"password": "swordfish"}))
    assert reporter.flush()
    entries: Any = redis_call(lambda r: r.xrange(reporter.STREAM))
    ((_, fields),) = entries
    assert "swordfish" not in str(unpack(fields[b"n"]))
    assert ingest.read_all() == 1
    assert not any("swordfish" in one.text + one.sql for one in Statement.objects.all())


@pytest.mark.parametrize(
    ("changed", "field", "says"),
    [
        ({"seconds": -1}, "queries.0.seconds", "greater than or equal to 0"),
        ({"seconds": 90_000}, "queries.0.seconds", "less than or equal to 86400"),
        ({"seconds": "1"}, "queries.0.seconds", "valid number"),
        ({"rows": 10**10}, "queries.0.rows", "less than or equal to 1000000000"),
        ({"count": 0}, "queries.0.count", "greater than or equal to 1"),
        ({"sql": ""}, "queries.0.sql", "at least 1 character"),
        ({"sql": "x" * 20_001}, "queries.0.sql", "at most 20000 characters"),
        ({"location": "x" * 301}, "queries.0.location", "at most 300 characters"),
        ({"parameters_hash": "a"}, "queries.0.parameters_hash", "not both"),
        ({"colour": "red"}, "queries.0.colour", "not permitted"),
    ],
)
def test_bad_fields_are_named_with_their_range(call, changed, field, says):
    (error,) = report(call, loop(1, **changed), status=422)["errors"]
    assert error["field"] == field
    assert says in error["message"]


def test_a_report_is_bounded(call):
    (error,) = report(call, loop(MAX_QUERIES + 1), status=422)["errors"]
    assert error["field"] == "queries"
    assert f"at most {MAX_QUERIES}" in error["message"]
    (error,) = report(call, loop(3, count=10_000), status=422)["errors"]
    assert "up to 20000, not 30000" in error["message"]
    assert len(report(call, loop(MAX_QUERIES))["findings"]) == 1
    report(call, loop(130, sql="x" * 20_000), status=413)  # no body is larger than all others


@pytest.mark.parametrize("nested", [300, 100_000])
def test_parameters_may_be_nested_as_deep_as_can_be_read(call, nested, client):
    text = json.dumps({"unit": "/shop", "queries": loop(3, parameters="HERE")})
    bearer = f"Bearer {keys.issue(name='deep', scopes=['queries'])[1]}"
    answer = client.generic(
        "POST",
        f"{BASE}/report",
        text.replace('"HERE"', "[" * nested + "]" * nested),
        content_type="application/json",
        headers={"Authorization": bearer},
    )
    assert answer.status_code == (200 if nested == 300 else 400)


@pytest.mark.parametrize(
    "text", ["%\x1b[0m\r\n", "/*" * 9000, "[a" * 9000, "'" * 9001, '"' * 19_999, "1e" * 9000]
)
def test_no_text_does_harm(call, text):
    call("POST", "report", {"unit": text[:200], "queries": loop(3, sql=text)})
    assert told() == 1


def test_what_is_no_text_is_refused(call):
    for text in ("\ud800", "\0"):
        report(call, loop(1, sql=text), status=400)


def make(**changed):
    now = timezone.now()
    number = Finding.objects.count()
    return Finding.objects.create(**{
        "kind": "n_plus_one", "fingerprint": "f" * 16, "location": f"shop/views.py:{number}",
        "digest": str(number), "sql": BOOK, "first_seen_at": now, "last_seen_at": now, **changed,
    })  # fmt: skip


def test_findings_are_ranked_filtered_and_paged(call):
    slow = make(kind="slow", lost_seconds=1)
    worst = make(lost_seconds=9)
    fixed = make(state="fixed", lost_seconds=5)

    def ids(query):
        answer = call("GET", f"findings{query}")
        return answer["total"], [one["id"] for one in answer["findings"]]

    assert ids("") == (3, [worst.pk, fixed.pk, slow.pk])
    assert ids("?limit=1&offset=1") == (3, [fixed.pk])
    assert ids("?state=open") == (2, [worst.pk, slow.pk])
    assert ids("?state=open&kind=slow") == (1, [slow.pk])
    assert ids("?offset=9") == (3, [])
    assert call("GET", f"findings/{worst.pk}")["location"] == worst.location
    assert call("GET", "findings/9999", status=404)["type"] == "unknown-finding"


def test_a_state_is_set(call):
    finding = make()
    path = f"findings/{finding.pk}/state"
    assert call("POST", path, {"state": "fixed"})["fixed_at"]
    assert call("GET", f"findings/{finding.pk}")["state"] == "fixed"
    opened = call("POST", path, {"state": "open"})
    assert (opened["state"], opened["fixed_at"]) == ("open", None)
    (error,) = call("POST", path, {"state": "gone"}, status=422)["errors"]
    assert error["field"] == "state"
    assert "'open', 'ignored' or 'fixed'" in error["message"]
    call("POST", "findings/9999/state", {"state": "open"}, status=404)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("findings?state=gone", "state"),
        ("findings?kind=gone", "kind"),
        ("findings?limit=101", "limit"),
        ("findings?limit=0", "limit"),
        ("findings?offset=-1", "offset"),
        ("findings/0", "finding_id"),
        ("findings/9223372036854775808", "finding_id"),
        ("stats?hours=0", "hours"),
        ("stats?hours=2161", "hours"),
        ("stats?order=name", "order"),
        ("recommendations?hours=x", "hours"),
    ],
)
def test_bad_queries_are_named(call, path, field):
    (error,) = call("GET", path, status=422)["errors"]
    assert error["field"] == field


def test_what_to_cache_and_what_to_index(call):
    assert call("GET", "recommendations?hours=1") == {"cache": [], "indexes": []}
    report(call, loop(1, count=500, seconds=0.02, rows=1))
    told()
    IndexAdvice.objects.create(
        fingerprint="f" * 16, table="book", columns=["author_id"], digest="1",
        statement="CREATE INDEX …", reason="It is read as a whole.", checked_at=timezone.now(),
    )  # fmt: skip
    answer = call("GET", "recommendations?hours=1")
    (cache,) = [one for one in answer["cache"] if one["cost"]["unit"] == "/shop"]
    assert cache["verdict"] == "memoise"
    assert cache["cost"]["calls"] == 500
    (index,) = answer["indexes"]
    assert (index["columns"], index["state"]) == (["author_id"], "open")
    assert Statistic.objects.filter(unit="/shop").get().rows == 500


def test_another_scope_and_no_key_are_refused(client):
    other = keys.issue(name="other", scopes=["caching"])[1]
    for path in ("findings", "stats", "recommendations"):
        assert client.get(f"{BASE}/{path}").status_code == 401
        answer = client.get(f"{BASE}/{path}", headers={"Authorization": f"Bearer {other}"})
        assert answer.json()["type"] == "missing-scope"


_FRAGMENTS = ("SELECT * FROM a", "INSERT INTO a VALUES (", "%s", "'", '"', "/*", " WHERE x IN (",
              "LIMIT 1", "[a", "\x1b", "É", "--", "::int", ")", "UPDATE a SET b = ?")  # fmt: skip
_letters = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)
_texts = st.lists(st.one_of(st.sampled_from(_FRAGMENTS), _letters), max_size=8).map("".join)
_sent = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63), st.floats(-1e9, 1e9), _texts),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=6,
)
_valid = st.fixed_dictionaries(
    {"sql": _texts.map(lambda text: text or "SELECT 1"), "seconds": st.floats(0, 86_400)},
    optional={
        "rows": st.integers(0, 10**9),
        "location": _texts,
        "count": st.integers(1, 30),
        "parameters": _sent,
    },
)
_numbers = st.one_of(st.floats(), st.integers(), st.integers(10**25, 10**26), st.booleans())
_wild = st.dictionaries(
    st.sampled_from(["sql", "seconds", "rows", "location", "count", "parameters_hash", "other"]),
    st.one_of(_numbers, _sent, st.integers(0, 10)),
)


@pytest.mark.parametrize(
    ("one", "statuses"), [(_valid, {200}), (_valid | _wild, {200, 400, 422})], ids=["valid", "wild"]
)
def test_no_report_fails_and_what_is_taken_can_be_stored(client, one, statuses):
    bearer = f"Bearer {keys.issue(name='any', scopes=['queries'])[1]}"

    @hypothesis.settings(max_examples=50, deadline=None, database=None)
    @hypothesis.given(st.lists(one, min_size=1, max_size=6), st.integers(1, 4), _texts)
    def send(told, repeated, unit):
        answer = client.post(
            f"{BASE}/report",
            json.dumps({"unit": unit or "/shop", "queries": told * repeated}),
            content_type="application/json",
            headers={"Authorization": bearer},
        )
        assert answer.status_code in statuses, answer.content
        if answer.status_code == 200:
            assert answer.json()["queries"] == sum(one.get("count", 1) for one in told) * repeated
            assert reporter.flush()
            ingest.read_all()

    send()
