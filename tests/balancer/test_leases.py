"""Picks over the API: leases that are reported here, elsewhere, twice, too late, or never."""

import json

import pytest

from optimizer.balancer import balancer
from optimizer.balancer.services.leases import LeaseOver, Leases, Report, UnknownLease
from optimizer.control import keys
from optimizer.control.redis import RedisAway
from tests.balancer.case import make
from tests.children import children
from tests.control.test_propagation import START_SECONDS, wait_until

pytestmark = pytest.mark.any_database

TWO = ("http://127.0.0.1:9001", "http://127.0.0.1:9002")
HOLDER = """
import sys, time
from optimizer.balancer import balancer
from optimizer.balancer.services.leases import leases
from optimizer.control import watcher
watcher.start("web")
given = leases.pick("api")
print(given.lease)
one = balancer.group("api").endpoints[given.backend]
while one.in_flight:
    time.sleep(0.01)
print(f"{one.successes} {one.failures} {one.dropped} {one.total_seconds:.1f}")
"""


def endpoint_of(lease):
    return balancer.group("api").endpoints[lease.backend]


@pytest.mark.django_db
def test_a_lease_is_under_way_until_it_is_reported():
    make("api", *TWO)
    leases = Leases()
    given = leases.pick("api")
    one = endpoint_of(given)
    assert (one.in_flight, given.address in TWO, given.expires_in_seconds) == (1, True, 30.0)
    assert leases.report("api", Report(given.lease, ok=False, seconds=0.25))
    assert (one.in_flight, one.failures, one.total_seconds) == (0, 1, 0.25)
    with pytest.raises(UnknownLease, match="reported already"):
        leases.report("api", Report(given.lease, ok=True))
    assert one.successes == 0


@pytest.mark.django_db
@pytest.mark.usefixtures("redis")
def test_a_lease_that_nobody_reports_ends_and_counts_as_unreported():
    make("api", *TWO, lease_seconds=0.1)
    leases = Leases()
    given = leases.pick("api")
    one = endpoint_of(given)

    def is_over():
        leases.tick()
        return not one.in_flight

    wait_until(is_over, 20)
    assert (one.dropped, one.successes, one.failures, leases.count) == (1, 0, 0, 0)
    with pytest.raises(LeaseOver):
        leases.report("api", Report(given.lease, ok=True))


@pytest.mark.django_db
def test_a_lease_of_another_group_or_of_nobody_is_unknown():
    make("api", *TWO)
    leases = Leases()
    given = leases.pick("api").lease
    for group, lease in (("other", given), ("api", "nonsense"), ("api", given[:-1] + "x")):
        with pytest.raises(UnknownLease, match="no such lease"):
            leases.report(group, Report(lease, ok=True))


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("redis")
def test_a_report_reaches_the_process_that_gave_the_lease():
    make("api", *TWO)
    with children(1, HOLDER) as [holder]:
        lease = holder.read(START_SECONDS)
        assert lease is not None
        here = Leases()
        assert not here.report("api", Report(lease, ok=True, seconds=2.0))
        holder.read_until("1 0 0 2.0", 20)


@pytest.mark.django_db
@pytest.mark.usefixtures("redis_away")
def test_without_redis_the_own_leases_work_and_others_are_refused():
    make("api", *TWO)
    here, other = Leases(), Leases()
    given, foreign = here.pick("api"), other.pick("api")
    assert here.report("api", Report(given.lease, ok=True))
    with pytest.raises(RedisAway):
        here.report("api", Report(foreign.lease, ok=True))


class Caller:
    """The API with a key."""

    def __init__(self, client):
        self._client = client
        keys.issue(name="bot", token=f"tu_balancer_{'x' * 43}")

    def post(self, path, document):
        return self._client.post(
            f"/internal/v1/balancer/{path}",
            json.dumps(document),
            content_type="application/json",
            headers={"Authorization": f"Bearer tu_balancer_{'x' * 43}"},
        )

    def get(self, path):
        return self._client.get(
            f"/internal/v1/balancer{path}",
            headers={"Authorization": f"Bearer tu_balancer_{'x' * 43}"},
        )


@pytest.fixture
def api(client, db):
    return Caller(client)


@pytest.mark.usefixtures("redis")
def test_pick_and_report_over_http(api):
    make("api", *TWO, strategy="maglev")
    picked = [api.post("api/pick", {"key": "user:42"}) for _ in range(5)]
    assert {one.status_code for one in picked} == {200}
    assert len({one.json()["backend"] for one in picked}) == 1
    lease = picked[0].json()["lease"]
    assert api.post("api/report", {"lease": lease, "ok": True}).status_code == 204
    again = api.post("api/report", {"lease": lease, "ok": True})
    assert (again.status_code, again.json()["type"]) == (404, "unknown-lease")


@pytest.mark.usefixtures("redis")
@pytest.mark.parametrize(
    ("path", "document", "status", "says"),
    [
        ("nope/pick", {}, 404, "unknown-group"),
        ("api/pick", {"key": 3}, 422, "key"),
        ("api/pick", {"key": "x" * 513}, 422, "key"),
        ("api/pick", {"kye": ""}, 422, "kye"),
        ("api/report", {"lease": "x", "ok": True}, 404, "unknown-lease"),
        ("api/report", {"ok": True}, 422, "lease"),
        ("api/report", {"lease": "x", "ok": "yes"}, 422, "ok"),
        ("api/report", {"lease": "x", "ok": True, "seconds": -1}, 422, "seconds"),
        ("empty/pick", {}, 503, "no-backend"),
        ("full/pick", {}, 503, "group-full"),
        ("api/calls", {"calls": [{"backend": "api-0", "buckets": {"999": 1}}]}, 422, "Buckets"),
    ],
)
def test_what_is_wrong_is_told(api, path, document, status, says):
    make("api", *TWO)
    make("empty")
    make("full", TWO[0])
    from optimizer.balancer.models import Backend

    Backend.objects.filter(name="full-0").update(max_in_flight=1)
    if path == "full/pick":
        assert api.post(path, {}).status_code == 200
    answer = api.post(path, document)
    assert answer.status_code == status
    assert says in answer.content.decode()
    assert answer["Content-Type"] == "application/problem+json"
    if status == 503:
        assert answer["Retry-After"] == "1"


@pytest.mark.usefixtures("redis")
def test_a_client_gets_a_snapshot_and_its_calls_are_counted(api):
    make("api", *TWO)
    found = api.get("/api").json()
    assert [one["name"] for one in found["settings"]["backends"]] == ["api-0", "api-1"]
    calls = [{"backend": "api-0", "ok": 3, "failed": 1, "seconds": 0.5, "buckets": {"90": 4}}]
    sent = {
        "calls": [*calls, {"backend": "gone", "ok": 1}],
        "ejected": [{"backend": "api-0", "reason": "consecutive failures"}],
    }
    assert api.post("api/calls", sent).json() == {"counted": 1}
    assert list(api.get("/api").json()["ejected"]) == ["api-0"]
    [group] = api.get("").json()
    assert [one["state"] for one in group["backends"]] == ["ejected", "in use"]
