"""The pages of pools."""

import pytest
from django.urls import reverse
from django.utils.http import urlencode

from optimizer.pools.engine.leaks import Leak
from optimizer.pools.models import PooledConnection
from optimizer.pools.services import leaks, operating, reporter, seeds
from optimizer.pools.services.servers import Server
from tests.batches.admin_rows import staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]
HTML = "<script>alert(1)</script>"


@pytest.fixture
def rows():
    seeds.seed()
    reporter.report()
    return {one.alias: one for one in PooledConnection.objects.all()}


def url(name, *args, **query):
    return f"{reverse(f'admin:pools_{name}', args=args)}?{urlencode(query)}"


def text_of(client, address):
    answer = client.get(address)
    assert answer.status_code == 200, (address, answer.status_code)
    return answer.content.decode()


def save(client, row, **changed):
    address = url("pooledconnection_change", row.pk)
    form = client.get(address).context["adminform"].form
    given = {name: form[name].value() for name in form.fields} | changed
    return client.post(address, {name: one for name, one in given.items() if one is not None})


def pages(rows):
    return [
        url("live"), url("live_fragment"), url("pooledconnection_changelist"),
        url("pooledconnection_add"), url("poolssettings_change", 1),
        *(url(f"pooledconnection_{name}", one.alias)
          for one in rows.values() for name in ("status", "fragment")),
        *(url("pooledconnection_change", one.pk) for one in rows.values()),
    ]  # fmt: skip


def test_every_page_is_shown(admin_client, rows):
    for address in pages(rows):
        text_of(admin_client, address)


@pytest.mark.usefixtures("redis_away")
def test_every_page_is_shown_while_redis_is_away(admin_client, rows):
    for address in pages(rows):
        text_of(admin_client, address)
    assert "Redis is away" in text_of(admin_client, url("live"))


def test_pages_are_for_those_who_may(client, rows):
    for address in pages(rows):
        assert client.get(address).status_code == 302
    viewer = staff(client, "view_pooledconnection", "view_poolssettings")
    for address in pages(rows):
        expected = 403 if address.startswith(reverse("admin:pools_pooledconnection_add")) else 200
        assert viewer.get(address).status_code == expected
    assert "Replace all" not in text_of(viewer, url("pooledconnection_status", "redis"))
    done = viewer.post(url("pooledconnection_act", "redis"), {"action": "recycle"})
    assert done.status_code == 403
    rows["redis"].refresh_from_db()
    assert rows["redis"].generation == 0


def test_a_pool_that_is_not_there_is_404(admin_client):
    assert admin_client.get(url("pooledconnection_status", "nothing")).status_code == 404


@pytest.mark.parametrize("action", ["recycle", "suspend", "resume", "apply"])
def test_buttons_do_what_they_say(admin_client, rows, action):
    address = url("pooledconnection_act", "redis")
    assert admin_client.get(address).status_code == 405
    answer = admin_client.post(address, {"action": action}, follow=True)
    assert answer.status_code == 200
    before, row = rows["redis"], PooledConnection.objects.get(alias="redis")
    changed = {
        "recycle": row.generation == before.generation + 1,
        "suspend": row.suspended_until is not None,
        "resume": row.suspended_until is None,
        "apply": f"max_size is {row.max_size}" in answer.content.decode(),
    }
    assert changed[action]


def test_the_list_replaces_connections(admin_client, rows):
    chosen = [one.pk for one in rows.values()]
    form = {"action": "recycle", "_selected_action": chosen}
    admin_client.post(url("pooledconnection_changelist"), form, follow=True)
    assert set(PooledConnection.objects.values_list("generation", flat=True)) == {1}


def test_a_leak_is_shown_with_its_stack_and_no_html_of_it(admin_client, rows):
    leaks.report(Leak("redis", 75.0, 1, (f"bot.py:7 {HTML}",), True))
    reporter.report()
    for address in (url("live"), url("pooledconnection_status", "redis")):
        text = text_of(admin_client, address)
        assert "bot.py:7" in text and "1 min 15 s" in text and HTML not in text
    assert "bot.py:7" not in text_of(admin_client, url("pooledconnection_status", "cache"))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"min_size": "9", "max_size": "3"}, "Must be between 0 and max_size, 3"),
        ({"max_size": "0"}, "Must be between 1 connection and 1 000 connections"),
        ({"kind": "http"}, "Must not be the name of a database or of a Redis pool"),
        ({"kind": "mongodb"}, "Must be an alias of DATABASES"),
        ({"alias": "x"}, "Must be one of redis, cache"),
        ({"acquire_timeout_seconds": "never"}, "Write a number of seconds"),
        ({"leak_threshold_seconds": "1"}, "between 2 s and 1 d"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(admin_client, rows, changed, says):
    answer = save(admin_client, rows["redis"], **changed)
    assert answer.status_code == 200
    assert says in answer.content.decode().replace("\u202f", " ")
    rows["redis"].refresh_from_db()
    assert (rows["redis"].max_size, rows["redis"].kind) == (50, "redis")


def test_what_the_server_would_surely_refuse_is_refused(admin_client, rows, monkeypatch):
    monkeypatch.setattr(operating, "server_of", lambda alias, kind: Server(43, 3, 5))
    text = save(admin_client, rows["redis"], max_size="41").content.decode()
    assert "Must be at most 40" in text
    assert save(admin_client, rows["redis"], max_size="40").status_code == 302
    monkeypatch.setattr(operating, "processes_of", lambda alias: 5)
    text = save(admin_client, rows["redis"], min_size="9").content.decode()
    assert "Must be at most 8: the server takes 40 of 5 processes" in text


def test_more_than_a_part_of_the_server_is_warned_of(admin_client, rows, monkeypatch):
    from optimizer.pools.selectors import overview

    monkeypatch.setattr(overview, "server_of", lambda alias, kind: Server(60, 3, 5))
    reporter.report()
    assert "all processes together may open" in text_of(admin_client, url("live"))


def test_the_limits_of_sqlite_say_that_there_is_no_pool(admin_client, rows):
    if rows["default"].kind != "sqlite":
        pytest.skip("it is about SQLite's row")
    assert "SQLite has no pool" in text_of(
        admin_client, url("pooledconnection_change", rows["default"].pk)
    )
    assert "no pool" in text_of(admin_client, url("pooledconnection_status", "default"))
