"""What processes share, on a real Redis Cluster."""

import json

import pytest

from tests.balancer.case import make
from tests.children import children
from tests.ratelimit.test_topologies import cluster  # noqa: F401  (a fixture)

pytestmark = pytest.mark.any_database

SHARE = """
import json
from optimizer.balancer import balancer
from optimizer.balancer.selectors.shared import overview
from optimizer.balancer.services import leases, reporter, sharing
from optimizer.balancer.services.leases import Leases, Report

group = balancer.group("api")
one = group.endpoints["api-0"]
for _ in range(5):
    one.in_flight += 1
    group.done(one, 0.001, failed=True)
sync = sharing.Sync()
for _ in range(10):
    sync.tick()
here, there = Leases(), Leases()
there.report("api", Report(here.pick("api").lease, ok=True))
here.tick()
reporter.reporter.report()
print(json.dumps({
    "ejected": [name for name in sharing.read().ejections],
    "events": [event.kind for event in sharing.events()],
    "reported": sum(end.successes for end in group.endpoints.values()),
    "seen": len(reporter.views()),
    "states": [end.state for end in overview()[0].backends],
}))
input()
"""


@pytest.mark.django_db(transaction=True)
def test_on_a_cluster_everything_is_shared(cluster, redis, settings):  # noqa: F811
    make("api", *(f"http://127.0.0.1:{port}" for port in (9001, 9002, 9003)))
    environment = {"REDIS_URL": cluster, "CACHE_REDIS_URL": settings.REDIS_URL}
    with children(1, SHARE, REDIS_TIMEOUT_SECONDS="5", **environment) as (child,):
        line = child.read(60)
    assert line is not None
    assert json.loads(line) == {
        "ejected": ["api/api-0"],
        "events": ["ejected"],
        "reported": 1,
        "seen": 1,
        "states": ["ejected", "in use", "in use"],
    }
