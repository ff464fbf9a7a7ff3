"""The pages: the group with its backends, what goes on, what if; and the buttons."""

import time

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.urls import reverse

from optimizer.balancer import balancer
from optimizer.balancer.models import Backend, Group
from optimizer.balancer.services import reporter, sharing
from optimizer.control.models import Revision
from tests.balancer.case import make

pytestmark = pytest.mark.django_db
FOUR = tuple(f"http://127.0.0.1:{port}" for port in (9001, 9002, 9003, 9004))
LIVE, WHAT_IF = "admin:balancer_live", "admin:balancer_what_if"


@pytest.fixture
def played(redis, monkeypatch):
    """Calls of a group whose first backend is slow and whose second fails."""
    make("api", *FOUR, strategy="round_robin", timeout_seconds=1.0)
    group = balancer.group("api")
    for _ in range(400):
        endpoint = group.begin()
        seconds = 0.1 if endpoint.name == "api-0" else 0.01
        group.done(endpoint, seconds, failed=endpoint.name == "api-1")
    for _ in range(10):
        sharing.sync.tick()
    with monkeypatch.context() as earlier:  # the slot of now is not shown before it is over
        for one in (reporter.series, reporter.latencies):
            earlier.setattr(one, "_clock", lambda: time.time() - 10)
        reporter.Reporter().report()
    return group


def test_the_live_page_shows_each_backend_and_the_last_events(admin_client, played):
    page = admin_client.get(reverse(LIVE)).content.decode()
    for text in ("api-0", "http://127.0.0.1:9001", "ejected", "consecutive failures", "5 in a row"):
        assert text in page
    assert "3 of 4" in page
    fragment = admin_client.get(reverse("admin:balancer_live_fragment") + "?group=api")
    assert fragment.status_code == 200
    assert b"Put back" in fragment.content


def test_a_backend_is_put_back_drained_and_undrained(admin_client, played):
    def act(action):
        document = {"group": "api", "backend": "api-1", "action": action}
        return admin_client.post(reverse("admin:balancer_act"), document, follow=True)

    assert b"gets calls again within a second" in act("put-back").content
    assert sharing.read().ejection("api/api-1") is None
    act("drain")
    assert Backend.objects.get(name="api-1").draining
    assert Revision.objects.latest("number").reason == "Drain api-1"
    act("undrain")
    assert not Backend.objects.get(name="api-1").draining
    act("disable")
    assert not Backend.objects.get(name="api-1").enabled
    assert b"no such backend" in act("explode").content
    assert admin_client.get(reverse("admin:balancer_act")).status_code == 405


def test_who_may_only_look_has_no_buttons(client, played):
    user = User.objects.create_user("watcher", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_balancersettings"))
    client.force_login(user)
    assert b"Put back" not in client.get(reverse(LIVE)).content
    document = {"group": "api", "backend": "api-1", "action": "drain"}
    assert client.post(reverse("admin:balancer_act"), document).status_code == 403
    user.user_permissions.clear()
    assert client.get(reverse(LIVE)).status_code == 403
    assert client.get(reverse(WHAT_IF)).status_code == 403


def test_what_if_compares_all_strategies(admin_client, played):
    page = admin_client.get(reverse(WHAT_IF), {"group": "api", "times": "2"}).content.decode()
    assert "drawn from 400 recorded ones" in page
    assert page.count('aria-label="p99"') == 10
    assert "in use" in page
    without = {"group": "api", "times": "1", "without": "api-1"}
    assert admin_client.get(reverse(WHAT_IF), without).status_code == 200


@pytest.mark.usefixtures("redis")
@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"group": "api", "times": "x"}, "times must be a number"),
        ({"group": "api", "times": "99"}, "times must be above 0 and at most 10"),
        ({"group": "api", "times": "nan"}, "times must be above 0"),
        ({"group": "nope"}, "no group"),
        ({"group": "api", "without": "nope"}, "without must name backends in use"),
        ({"group": "api"}, "No call of this group was recorded"),
    ],
)
def test_what_if_tells_what_it_cannot_do(admin_client, query, says):
    make("api", *FOUR)
    assert says in admin_client.get(reverse(WHAT_IF), query).content.decode()


@pytest.mark.usefixtures("redis_away")
def test_the_pages_without_redis(admin_client):
    make("api", *FOUR)
    assert b"Redis is away" in admin_client.get(reverse(LIVE)).content
    assert b"Redis is away" in admin_client.get(reverse(WHAT_IF), {"group": "api"}).content


@pytest.mark.usefixtures("redis")
def test_the_pages_without_groups(admin_client):
    assert b"There is no group yet" in admin_client.get(reverse(LIVE)).content
    assert admin_client.get(reverse(WHAT_IF)).status_code == 200


def test_a_group_is_made_with_its_backends_in_one_revision(admin_client):
    from django.forms.models import model_to_dict

    fields = {name: value for name, value in model_to_dict(Group()).items() if value is not None}
    fields = {name: value for name, value in fields.items() if value is not False}
    rows = {
        "backends-TOTAL_FORMS": "2",
        "backends-INITIAL_FORMS": "0",
        "backends-0-name": "one",
        "backends-0-address": "http://10.0.0.1",
        "backends-0-weight": "1",
        "backends-0-priority": "0",
        "backends-0-max_in_flight": "0",
        "backends-0-enabled": "on",
        "backends-1-name": "two",
        "backends-1-address": "http://169.254.169.254",
        "backends-1-weight": "3",
        "backends-1-priority": "0",
        "backends-1-max_in_flight": "0",
        "backends-1-enabled": "on",
    }
    document = {**fields, "name": "web", **rows}
    url = reverse("admin:balancer_group_add")
    refused = admin_client.post(url, document)
    assert b"169.254.169.254 is not in the allowed networks" in refused.content
    assert not Group.objects.exists()
    before = Revision.objects.count()
    document["backends-1-address"] = "http://10.0.0.2"
    assert admin_client.post(url, document).status_code == 302
    assert [one.name for one in Backend.objects.all()] == ["one", "two"]
    assert Revision.objects.count() == before + 1
    assert b"2" in admin_client.get(reverse("admin:balancer_group_changelist")).content


def test_the_command_tells_simulates_and_puts_back(played, capsys):
    call_command("balancer", "status", "api")
    told = capsys.readouterr().out
    assert "api (round_robin)" in told
    assert "ejected" in told
    call_command("balancer", "simulate", "--group", "api", "--calls", "500")
    told = capsys.readouterr().out
    assert "round_robin *" in told
    assert told.count("%") == 10
    call_command("balancer", "put-back", "api", "api-1")
    assert sharing.read().ejection("api/api-1") is None


@pytest.mark.usefixtures("redis")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["status", "nope"], "no group 'nope'"),
        (["simulate", "--group", "nope"], "no group 'nope'"),
        (["simulate", "--group", "api"], "no calls in the last hour"),
        (["simulate", "--group", "api", "--calls", "1"], "calls must be between 100 and"),
        (["put-back", "api", "nope"], "no backend 'nope'"),
    ],
)
def test_the_command_tells_what_is_wrong(arguments, says):
    make("api", *FOUR)
    with pytest.raises(CommandError, match=says):
        call_command("balancer", *arguments)
