"""What the strategies do to a group with a slow backend and one that fails at once."""

import pytest

from optimizer.balancer.engine.settings import Group
from optimizer.balancer.engine.simulation import Model, exponential, simulate
from tests.balancer.case import backends

pytestmark = [pytest.mark.any_database, pytest.mark.any_python]
SETTINGS = Group("g", backends=backends(10), timeout_seconds=1.0)
HEALTHY = [Model(f"b{n}", 4, exponential(0.01)) for n in range(10)]
TROUBLED = [
    Model("b0", 4, exponential(0.1)),
    Model("b1", 4, exponential(0.001), failing=1.0),
    *HEALTHY[2:],
]


def run(models, strategy="p2c_ewma", settings=SETTINGS, seconds=30.0, **more):
    return simulate(
        settings, models, strategy=strategy, calls_per_second=2400, seconds=seconds, **more
    )


@pytest.mark.parametrize("callers", [1, 4])
def test_peak_ewma_with_ejection_loses_nothing(callers):
    well = run(HEALTHY, callers=callers)
    found = run(TROUBLED, callers=callers)
    assert found.error_ratio <= 0.0005
    assert found.shares["b0"] <= 0.005
    served = [share for name, share in found.shares.items() if name not in ("b0", "b1")]
    assert max(served) / (sum(served) / 8) <= 1.05
    assert found.p99_seconds <= 1.1 * well.p99_seconds * (1 + 0.5 * (callers > 1))


def test_without_ejection_least_connections_feeds_the_one_that_fails():
    import msgspec

    off = msgspec.structs.replace(
        SETTINGS,
        consecutive_failures=0,
        failure_percent=0,
        success_rate_stdev=0.0,
        latency_factor=0.0,
    )
    black_hole = run(TROUBLED, "least_connections", off, seconds=10.0)
    assert black_hole.shares["b1"] > 0.3
    assert run(TROUBLED, "p2c_ewma", off, seconds=10.0).error_ratio < 0.02


def test_a_simulation_is_the_same_again_with_its_seed():
    assert run(TROUBLED, seconds=5.0, seed=5) == run(TROUBLED, seconds=5.0, seed=5)
    assert run(TROUBLED, seconds=5.0, seed=5) != run(TROUBLED, seconds=5.0, seed=6)


def test_calls_past_the_time_out_are_errors():
    found = run([Model(f"b{n}", 1, lambda _: 2.0) for n in range(10)], seconds=5.0)
    assert found.error_ratio == pytest.approx(1.0, abs=0.01)
    assert found.p99_seconds == 0.0
