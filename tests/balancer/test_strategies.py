"""Each strategy alone: shares by weight, loads, latencies, limits."""

import msgspec
import pytest

from optimizer.balancer.engine.events import Unavailable
from optimizer.balancer.engine.strategies import STRATEGIES
from optimizer.balancer.models import StrategyName
from tests.balancer.case import Case, backends

pytestmark = [pytest.mark.any_database, pytest.mark.any_python]
WEIGHED = ["random", "weighted_round_robin", "least_connections", "p2c", "p2c_ewma"]


def weighted(*weights: int):
    return [
        msgspec.structs.replace(one, weight=weight)
        for one, weight in zip(backends(len(weights)), weights, strict=True)
    ]


def test_admins_choose_among_the_engines_strategies():
    assert set(StrategyName.values) == set(STRATEGIES)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_spreads_calls_over_equal_backends(strategy):
    picks = Case(4, strategy=strategy, ring_points=4_000).picks(8000)
    assert all(1600 <= count <= 2400 for count in picks.values()), picks


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_serves_one_backend_and_keeps_its_limit(strategy):
    case = Case(members=backends(1, max_in_flight=2), strategy=strategy)
    held = [case.group.begin(b"a"), case.group.begin()]
    with pytest.raises(Unavailable, match="as many calls under way as they may") as raised:
        case.group.begin(b"a")
    assert raised.value.full
    case.group.done(held[0], 0.1, failed=False)
    assert case.group.begin(b"a").name == "b0"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_full_backend_sheds_to_the_others(strategy):
    case = Case(members=backends(3, max_in_flight=4), strategy=strategy)
    for _ in range(12):
        case.group.begin(b"always the same")
    assert [one.in_flight for one in case.group.endpoints.values()] == [4, 4, 4]


@pytest.mark.parametrize("strategy", WEIGHED)
def test_shares_follow_weights(strategy):
    case = Case(members=weighted(1, 2, 5), strategy=strategy)
    under_way = [case.group.begin() for _ in range(800)]
    counts = [sum(one.name == name for one in under_way) for name in ("b0", "b1", "b2")]
    assert counts == pytest.approx([100, 200, 500], abs=45)


@pytest.mark.parametrize("strategy", ["p2c", "p2c_ewma"])
def test_a_heavy_backend_of_many_gets_its_share_of_two_choices(strategy):
    case = Case(members=weighted(*[1] * 9, 11), strategy=strategy)
    under_way = [case.group.begin() for _ in range(2000)]
    assert sum(one.name == "b9" for one in under_way) == pytest.approx(1100, abs=120)


def test_round_robin_takes_turns():
    case = Case(3, strategy="round_robin")
    names = [case.group.begin().name for _ in range(6)]
    assert names[:3] == names[3:]
    assert len(set(names)) == 3


def test_the_weighted_turn_is_smooth():
    case = Case(members=weighted(5, 1, 1), strategy="weighted_round_robin")
    names = [case.group.begin().name for _ in range(700)]
    assert names.count("b0") == pytest.approx(500, abs=2)
    longest = max(len(run) for run in "".join("a" if n == "b0" else " " for n in names).split())
    assert longest <= 4  # plain weighted turns would have five in a row


def test_least_connections_takes_the_one_with_fewest():
    case = Case(3, strategy="least_connections")
    case.group.endpoints["b0"].in_flight = 3
    case.group.endpoints["b1"].in_flight = 2
    assert [case.group.begin().name for _ in range(2)] == ["b2", "b2"]


def test_two_choices_avoid_the_busiest():
    case = Case(5, strategy="p2c")
    case.group.endpoints["b0"].in_flight = 1000
    assert case.picks(2000)["b0"] == 0


def test_peak_ewma_avoids_what_is_slow_and_comes_back_to_it():
    case = Case(5, strategy="p2c_ewma", latency_factor=0.0)
    slow = {"b0": 1.0}
    for _ in range(300):
        case.play(1, seconds=lambda name: slow.get(name, 0.01))
        case.clock.now += 0.001
    assert case.group.endpoints["b0"].picks == 1
    for _ in range(600):  # a minute: what was slow then may be quick now
        case.play(1)
        case.clock.now += 0.1
    assert case.group.endpoints["b0"].picks > 20


def test_a_failure_costs_the_time_out():
    case = Case(5, strategy="p2c_ewma", timeout_seconds=2.0, consecutive_failures=0)
    case.play(500, failing=("b1",), seconds=lambda name: 0.0001 if name == "b1" else 0.02)
    assert case.group.endpoints["b1"].picks == 1
    assert case.group.endpoints["b1"].ewma == pytest.approx(2.0, rel=0.01)


def test_least_connections_is_a_black_hole_without_ejection_and_none_with_it():
    """Why failures must be looked at: the one that fails at once has nothing under way."""

    def share(**settings):
        case = Case(5, strategy="least_connections", **settings)
        for name in ("b1", "b2", "b3", "b4"):
            case.group.endpoints[name].in_flight = 1
        case.play(200, failing=("b0",))
        return case.group.endpoints["b0"].picks / 200

    assert share(consecutive_failures=0, failure_percent=0, success_rate_stdev=0.0) == 1.0
    assert share() == 5 / 200
