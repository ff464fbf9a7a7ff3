"""What admins may write, the documents, the first rows, the self-checks, the system check."""

import pytest
from django.core.exceptions import ValidationError
from django.test import override_settings

from optimizer.balancer import live, verify
from optimizer.balancer.checks import beat_checks_backends
from optimizer.balancer.models import Backend, BalancerSettings, Group
from optimizer.balancer.services.seeds import seed
from optimizer.control.documents import apply_document, export_document
from tests.balancer.case import make

pytestmark = pytest.mark.django_db


def refused(row):
    with pytest.raises(ValidationError) as raised:
        row.full_clean()
    return {name: " ".join(says) for name, says in raised.value.message_dict.items()}


@pytest.mark.parametrize(
    ("kind", "address", "says"),
    [
        ("http", "http://169.254.169.254/latest", "not in the allowed networks"),
        ("http", "http://8.8.8.8", "not in the allowed networks"),
        ("http", "http://[::ffff:8.8.8.8]:80", "not in the allowed networks"),
        ("http", "http://2130706433/", "cannot be resolved|not allowed"),
        ("http", "http://user:pw@10.0.0.1", "must be like http://"),
        ("http", "http://10.0.0.1/?x=1", "must be like http://"),
        ("http", "http://10.0.0.1/a/../b", "must be like http://"),
        ("http", "ftp://10.0.0.1", "must be like http://"),
        ("http", "10.0.0.1:80", "must be like http://"),
        ("http", "http://10.0.0.1:99999", "must be like http://"),
        ("http", "http://no.such.name.invalid", "cannot be resolved"),
        ("tcp", "10.0.0.1", "must be like 10.0.0.5:5432"),
        ("tcp", "10.0.0.1:80/x", "must be like 10.0.0.5:5432"),
        ("redis", "http://10.0.0.1", "must be like redis://"),
        ("database", "nowhere", "must be an alias of DATABASES: default"),
    ],
)
def test_bad_addresses_are_refused(kind, address, says):
    import re

    row = make("g", kind=kind)
    if address.startswith("http://2130706433"):
        # The system reads it as 127.0.0.1, which is allowed: it leads where it leads.
        BalancerSettings(allowed_addresses="10.0.0.0/8").save()
    told = refused(Backend(group=row, name="b", address=address))
    assert list(told) == ["address"]
    assert re.search(says, told["address"], re.IGNORECASE)


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        ("http", "http://10.0.0.1"),
        ("http", "https://192.168.1.1:8443/base"),
        ("http", "http://[::1]:80"),
        ("http", "http://localhost:8000"),
        ("tcp", "127.0.0.1:5432"),
        ("tcp", "[::1]:5432"),
        ("redis", "redis://:secret@127.0.0.1:6379/0"),
        ("database", "default"),
    ],
)
def test_good_addresses_are_taken(kind, address):
    Backend(group=make("g", kind=kind), name="b", address=address).full_clean()


def test_a_name_that_is_listed_may_lead_anywhere(monkeypatch):
    monkeypatch.setattr("optimizer.balancer.models.backends.resolve", lambda _: ["93.184.216.34"])
    row = make("g")
    for host, is_good in (
        ("api.example.com", True),
        ("x.example.org", True),
        ("example.net", False),
    ):
        BalancerSettings(allowed_addresses="10.0.0.0/8, api.example.com, *.example.org").save()
        backend = Backend(group=row, name="b", address=f"https://{host}")
        if is_good:
            backend.full_clean()
        else:
            assert "leads to 93.184.216.34" in refused(backend)["address"]


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"table_size": 65_536}, "table_size"),
        ({"ejection_seconds": 60.0, "max_ejection_seconds": 30.0}, "max_ejection_seconds"),
        ({"check_kind": "redis"}, "check_kind"),
        ({"check_status": "2xx"}, "check_status"),
        ({"check_path": "up"}, "check_path"),
        ({"strategy": "best"}, "strategy"),
        ({"name": "Has Spaces"}, "name"),
        ({"bounded_load_percent": 100}, "bounded_load_percent"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
    ],
)
def test_bad_groups_are_refused(fields, name):
    assert name in refused(Group(**{"name": "g", **fields}))


def test_the_kind_stays_while_there_are_backends():
    row = make("g", "http://10.0.0.1")
    row.kind = "tcp"
    assert "has backends" in refused(row)["kind"]


def test_a_bad_allow_list_is_refused():
    told = refused(BalancerSettings(allowed_addresses="10.0.0.0/99, fine.example"))
    assert "'10.0.0.0/99' is neither a network nor a host name" in told["allowed_addresses"]


def test_an_address_is_once_in_a_group_and_a_name_once_in_all():
    one = make("g", "http://10.0.0.1")
    assert "address already" in str(
        refused(Backend(group=one, name="x", address="http://10.0.0.1"))
    )
    other = make("h")
    assert "name" in refused(Backend(group=other, name="g-0", address="http://10.0.0.2"))


def test_groups_travel_as_documents():
    make("api", "http://10.0.0.1", "http://10.0.0.2", strategy="maglev")
    exported = export_document(["balancer"])
    Group.objects.all().delete()
    apply_document(exported)
    assert export_document(["balancer"]) == exported
    loaded = live.load()
    assert loaded.groups["api"].strategy == "maglev"
    assert [one.address for one in loaded.groups["api"].backends] == [
        "http://10.0.0.1",
        "http://10.0.0.2",
    ]


def test_the_first_rows_are_an_example_once():
    seed()
    seed()
    assert [one.name for one in Backend.objects.all()] == ["example-1"]


@pytest.mark.usefixtures("redis")
@pytest.mark.parametrize("check", verify.CHECKS, ids=lambda one: one.name)
def test_the_self_checks_pass(check):
    assert check.run()


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("build_table", lambda *_: [0] * 7),
        ("DEFAULT_NETWORKS", "0.0.0.0/0"),
    ],
)
def test_the_self_checks_can_fail(name, broken, monkeypatch):
    monkeypatch.setattr(verify, name, broken)
    with pytest.raises(AssertionError):
        {
            "build_table": verify.agrees_with_envoy,
            "DEFAULT_NETWORKS": verify.refuses_addresses_outside,
        }[name]()


def test_beat_must_know_the_checks():
    assert beat_checks_backends() == []
    with override_settings(CELERY_BEAT_SCHEDULE={}):
        assert [one.id for one in beat_checks_backends()] == ["balancer.W001"]
