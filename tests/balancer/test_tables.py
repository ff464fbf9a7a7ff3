"""Hash tables: Envoy's published ones, how even they are, and what moves when a backend leaves."""

from collections import Counter, deque
from random import Random

import msgspec
import pytest

from optimizer.balancer.engine.strategies.maglev import build_table
from optimizer.balancer.engine.strategies.ring_hash import build_ring, counts_of
from tests.balancer.case import Case, backends

pytestmark = [pytest.mark.any_database, pytest.mark.any_python]
HOSTS = [f"127.0.0.1:{port}" for port in range(90, 96)]
KEYS = [b"user:%d" % n for n in range(100_000)]


def test_the_maglev_table_is_envoys():
    """What Envoy's own tests expect of these hosts."""
    assert list(build_table(HOSTS, [1.0] * 6, 7)) == [2, 4, 0, 1, 5, 0, 3]
    weighted = build_table(HOSTS[:2], [1 / 3, 2 / 3], 17)
    assert list(weighted) == [1, 0, 0, 1, 0, 1, 1, 0, 1, 1, 1, 1, 1, 0, 1, 0, 1]
    assert build_table(HOSTS[:2], [1.0, 2.0], 17) == weighted


def test_the_ring_is_envoys():
    points, owners = build_ring(HOSTS, [2] * 6)
    assert list(points) == [
        833437586790550860,
        928266305478181108,
        1033482794131418490,
        3551244743356806947,
        3851675632748031481,
        5583722120771150861,
        6311230543546372928,
        7700377290971790572,
        13144177310400110813,
        13444792449719432967,
        15516499411664133160,
        16117243373044804889,
    ]
    assert list(owners) == [4, 2, 0, 5, 3, 1, 1, 3, 5, 2, 4, 0]


def test_a_heavier_host_has_more_points_on_the_ring_up_to_a_bound():
    assert counts_of([1, 3], 25) == [25, 75]
    assert counts_of([1, 999], 10_000) == [1000, 999_000]


def test_a_table_of_more_than_a_byte_of_hosts_is_whole():
    hosts = [f"10.0.{n // 250}.{n % 250}:80" for n in range(300)]
    counts = Counter(build_table(hosts, [1.0] * 300, 65_537))
    assert len(counts) == 300
    assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize(
    ("strategy", "most_uneven", "most_needless"),
    [("maglev", 1.04, 0.002), ("rendezvous", 1.04, 0.0), ("ring_hash", 1.25, 0.0)],
)
def test_keys_are_even_and_stay_when_another_backend_leaves(strategy, most_uneven, most_needless):
    case = Case(10, strategy=strategy)
    before = [owner_of(case, key) for key in KEYS]
    counts = Counter(before)
    assert max(counts.values()) / (len(KEYS) / 10) <= most_uneven
    members = [one for one in case.settings.backends if one.name != "b3"]
    case.update(backends=tuple(members))
    after = [owner_of(case, key) for key in KEYS]
    moved = sum(a != b for a, b in zip(before, after, strict=True) if a != "b3")
    assert moved / len(KEYS) <= most_needless
    assert "b3" not in after


def owner_of(case: Case, key: bytes) -> str:
    endpoint = case.group.begin(key)
    case.group.drop(endpoint)
    return endpoint.name


@pytest.mark.parametrize("strategy", ["maglev", "ring_hash", "rendezvous", "bounded_load"])
def test_the_order_of_the_rows_moves_no_key(strategy):
    members = backends(5)
    one, other = (Case(members=order, strategy=strategy) for order in (members, members[::-1]))
    for key in KEYS[:500]:
        assert owner_of(one, key) == owner_of(other, key)


@pytest.mark.parametrize("strategy", ["maglev", "ring_hash", "rendezvous", "bounded_load"])
def test_a_key_leads_to_its_backend_again_and_weights_count(strategy):
    members = [
        msgspec.structs.replace(one, weight=1 + (one.name == "b0") * 3) for one in backends(4)
    ]
    case = Case(members=members, strategy=strategy, ring_points=4_000)
    owners = {key: owner_of(case, key) for key in KEYS[:7000]}
    assert all(owner_of(case, key) == owner for key, owner in owners.items())
    share = Counter(owners.values())["b0"] / len(owners)
    assert share == pytest.approx(4 / 7, abs=0.04)


def test_hot_keys_are_spread_by_bounded_load():
    """Zipf 1.1 keys, 200 calls under way: no backend is picked much above the mean."""
    case, random = Case(10, strategy="bounded_load"), Random(3)  # noqa: S311
    weights = [1 / rank**1.1 for rank in range(1, 10_001)]
    under_way: deque = deque()
    for at in random.choices(range(10_000), weights, k=30_000):
        under_way.append(case.group.begin(KEYS[at]))
        if len(under_way) > 200:
            case.group.done(under_way.popleft(), 0.01, failed=False)
    picks = [one.picks for one in case.group.endpoints.values()]
    assert max(picks) / (sum(picks) / 10) <= 1.25
