"""A group at work: ejection, probes, panic, priorities, zones, slow start, live changes."""

import threading
from typing import Any

import msgspec
import pytest

from optimizer.balancer.engine.call import Call
from optimizer.balancer.engine.endpoint import CLOSED, HALF_OPEN, OPEN
from optimizer.balancer.engine.events import Unavailable
from tests.balancer.case import Case, backends

pytestmark = [pytest.mark.any_database, pytest.mark.any_python]


def with_fields(index: int, members=None, **fields):
    members = list(members or backends(4))
    members[index] = msgspec.structs.replace(members[index], **fields)
    return members


def test_failures_in_a_row_eject_however_rare_they_are():
    case = Case(strategy="round_robin", consecutive_failures=3)
    for _ in range(3):
        assert case.state("b0") == CLOSED
        case.fail("b0")
        case.wait(3600)  # no interval forgets them
    assert case.state("b0") == HALF_OPEN  # its time is over by now
    assert [one.kind for one in case.group.news] == ["ejected"]


def test_a_success_between_them_ends_the_row():
    case = Case(consecutive_failures=3)
    for _ in range(10):
        case.fail("b0", 2)
        case.succeed("b0")
    assert case.state("b0") == CLOSED


def test_an_ejected_backend_gets_nothing_until_it_is_probed():
    case = Case(strategy="round_robin", ejection_seconds=30.0, probe_successes=2)
    case.fail("b0", 5)
    assert case.picks(100)["b0"] == 0
    case.wait(29)
    assert case.picks(100)["b0"] == 0
    case.wait(9)  # jitter adds a quarter at most
    assert case.state("b0") == HALF_OPEN
    probe = next(one for one in iter(case.group.begin, None) if one.name == "b0")
    assert "b0" not in {case.group.begin().name for _ in range(50)}  # one at a time
    case.group.done(probe, 0.01, failed=False)
    assert case.state("b0") == HALF_OPEN
    case.succeed("b0")
    assert case.state("b0") == CLOSED


def test_each_ejection_is_longer_up_to_a_bound():
    case = Case(ejection_seconds=10.0, max_ejection_seconds=50.0)
    lengths = []
    for _ in range(5):
        case.fail("b0", 5)
        assert case.state("b0") == OPEN
        lengths.append(case.group.endpoints["b0"].ejected_until - case.clock.now)
        case.wait(lengths[-1] + 0.1)
    for length, least in zip(lengths, (10, 20, 40, 50, 50), strict=True):
        assert least <= length <= least * 1.25
    assert (
        len(
            {
                round(length / least, 6)
                for length, least in zip(lengths, (10, 20, 40, 50, 50), strict=True)
            }
        )
        > 1
    )


def test_a_failed_probe_ejects_at_once_and_earlier_ones_are_forgotten_in_time():
    case = Case(max_ejection_seconds=100.0)
    case.fail("b0", 5)
    case.wait(40)
    case.fail("b0")
    assert case.group.endpoints["b0"].times_ejected == 2
    assert case.group.endpoints["b0"].reason == "failed probe"
    case.wait(80)
    case.succeed("b0", 2)
    assert case.state("b0") == CLOSED
    case.wait(101)
    assert case.group.endpoints["b0"].times_ejected == 0


def test_no_more_are_ejected_than_may_be():
    case = Case(4, max_ejected_percent=50, panic_percent=0)
    for name in ("b0", "b1", "b2", "b3"):
        case.fail(name, 20)
    assert [case.state(f"b{n}") for n in range(4)] == [OPEN, OPEN, CLOSED, CLOSED]


def test_one_of_two_may_be_ejected_and_one_alone_never():
    case = Case(2, max_ejected_percent=10)
    case.fail("b0", 5)
    assert case.state("b0") == OPEN
    alone = Case(1)
    alone.fail("b0", 50)
    assert alone.state("b0") == CLOSED


def test_a_low_success_rate_is_an_outlier():
    case = Case(5, outlier_requests=50, outlier_interval_seconds=10.0)
    for n in range(5):
        for _ in range(40):
            case.succeed(f"b{n}", 2 if n else 1)
            if n == 0:
                case.fail("b0")
    case.wait(10)
    assert [case.state(f"b{n}") for n in range(5)] == [OPEN, *[CLOSED] * 4]
    assert case.group.endpoints["b0"].reason == "success rate"


def test_backends_that_fail_alike_are_no_outliers():
    case = Case(5, outlier_requests=50, consecutive_failures=0)
    for n in range(5):
        case.succeed(f"b{n}", 99 - n % 2)
        case.fail(f"b{n}", 1 + n % 2)
    case.wait(10)
    assert {case.state(f"b{n}") for n in range(5)} == {CLOSED}


def test_one_failure_among_few_calls_is_chance():
    case = Case(5, outlier_requests=50)
    for n in range(5):
        case.succeed(f"b{n}", 60)
    case.fail("b0")
    case.wait(10)
    assert case.state("b0") == CLOSED


def test_most_calls_failing_is_an_outlier_though_never_in_a_row():
    case = Case(5, success_rate_stdev=0.0, failure_percent=75)
    for n in range(5):
        for _ in range(20):
            case.succeed(f"b{n}")
            if n == 0:
                case.fail("b0", 4)
            else:
                case.succeed(f"b{n}", 4)
    case.wait(10)
    assert case.group.endpoints["b0"].reason == "failure percentage"


def test_a_slow_backend_is_an_outlier():
    case = Case(5, latency_factor=5.0)
    for n in range(5):
        case.succeed(f"b{n}", 60, seconds=0.1 if n == 0 else 0.01)
    case.wait(10)
    assert case.group.endpoints["b0"].reason == "latency"


def test_few_requests_are_not_judged_but_add_up_over_intervals():
    case = Case(5, latency_factor=5.0, outlier_requests=50)
    for _ in range(3):
        assert case.state("b0") == CLOSED
        for n in range(5):
            case.succeed(f"b{n}", 20, seconds=0.1 if n == 0 else 0.01)
        case.wait(10)
    assert case.state("b0") == OPEN


def in_panic(case):
    return case.group.available.panic


def test_panic_uses_all_and_calm_comes_back():
    case = Case(4, strategy="round_robin", panic_percent=50)
    for name in ("b0", "b1", "b2"):
        case.group.checked(name, False)
    assert in_panic(case)
    assert all(case.picks(400).values())
    case.group.checked("b2", True)
    assert not in_panic(case)
    assert case.picks(400)["b0"] == 0
    assert [one.kind for one in case.group.news] == ["panic", "calm"]


def test_without_panic_nobody_healthy_is_an_error():
    case = Case(2, panic_percent=0)
    for name in ("b0", "b1"):
        case.group.checked(name, False)
    with pytest.raises(Unavailable, match="none of its backends is healthy") as raised:
        case.group.begin()
    assert not raised.value.full


def test_a_group_without_backends_and_one_that_drains_say_so():
    case = Case(members=backends(2))
    case.update(backends=())
    with pytest.raises(Unavailable, match="has no backends"):
        case.group.begin()
    case.update(backends=backends(2, draining=True))
    with pytest.raises(Unavailable, match="disabled or draining"):
        case.group.begin()


def test_the_second_priority_serves_when_too_few_of_the_first_are_healthy():
    members = with_fields(3, with_fields(2, priority=1), priority=1)
    case = Case(members=members, strategy="round_robin", panic_percent=60)
    assert case.picks(100) == {"b0": 50, "b1": 50, "b2": 0, "b3": 0}
    case.group.checked("b0", False)
    assert case.picks(100) == {"b0": 0, "b1": 0, "b2": 50, "b3": 50}
    case.group.checked("b0", True)
    assert case.picks(100)["b2"] == 0


def test_the_own_zone_is_preferred_while_it_is_well():
    members = with_fields(1, with_fields(0, zone="a"), zone="a")
    case = Case(
        members=members, zone="a", zone_aware=True, strategy="round_robin", panic_percent=60
    )
    assert case.picks(100) == {"b0": 50, "b1": 50, "b2": 0, "b3": 0}
    case.group.checked("b0", False)
    assert case.picks(90) == {"b0": 0, "b1": 30, "b2": 30, "b3": 30}


def test_a_replica_that_lags_takes_no_reads():
    case = Case(3, kind="database", strategy="round_robin", max_lag_seconds=2.0)
    case.group.lagging("b0", 3.0)
    assert case.picks(100)["b0"] == 0
    case.group.lagging("b0", 1.0)
    assert case.picks(90)["b0"] == 30


def test_who_comes_back_starts_slowly():
    case = Case(2, strategy="weighted_round_robin", slow_start_seconds=100.0, panic_percent=0)
    case.group.checked("b0", False)
    case.group.checked("b0", True)
    shares = []
    for _ in range(4):
        shares.append(case.picks(1000)["b0"])
        case.wait(33.4)
    assert shares[0] == pytest.approx(91, abs=10)
    assert shares == sorted(shares)
    assert shares[3] == pytest.approx(500, abs=10)


def test_weights_and_drain_change_at_once_and_what_is_known_stays():
    case = Case(3, strategy="weighted_round_robin")
    case.play(30, seconds=0.5)
    held = case.group.begin()
    members = with_fields(0, backends(3), weight=8)
    case.update(backends=tuple(members))
    assert case.picks(1000)["b0"] == pytest.approx(800, abs=5)
    case.update(backends=tuple(with_fields(0, backends(3), draining=True)))
    assert case.picks(100)["b0"] == 0
    assert case.group.endpoints["b1"].ewma > 0.4
    case.group.done(held, 0.1, failed=False)
    assert sum(one.in_flight for one in case.group.endpoints.values()) == 0


def test_another_address_is_another_backend():
    case = Case(3)
    case.fail("b0", 5)
    case.update(backends=tuple(with_fields(0, backends(3), address="10.0.0.99:80")))
    assert case.state("b0") == CLOSED
    assert case.group.endpoints["b0"].failures == 0


def test_the_kill_switch_puts_all_back():
    case = Case(4)
    case.fail("b0", 5)
    case.group.update(case.settings, ejects=False)
    assert case.state("b0") == CLOSED
    case.fail("b0", 50)
    assert case.state("b0") == CLOSED


def test_a_table_is_built_in_the_background_and_serves_nobody_who_is_ejected():
    waiting: list[Any] = []
    case = Case(4, strategy="maglev")
    case.group.chooser.background = waiting.append
    case.fail("b0", 5)
    assert len(waiting) == 1  # not built yet
    assert case.picks(500)["b0"] == 0
    case.wait(40)
    case.succeed("b0", 2)
    assert len(waiting) >= 2
    waiting.pop()()  # the newest wish counts, older ones are left
    table = case.group.chooser.strategy
    waiting.pop(0)()
    assert case.group.chooser.strategy is table
    assert case.picks(500)["b0"] > 50


def test_a_call_is_timed_and_its_errors_are_failures():
    case = Case(1)
    endpoint = case.group.endpoints["b0"]
    with Call(case.group, b"") as backend:
        assert (backend.name, backend.address) == ("b0", "10.0.0.0:80")
        assert endpoint.in_flight == 1
        case.clock.now += 0.25
    assert endpoint.ewma == pytest.approx(0.25)
    with pytest.raises(ValueError), Call(case.group, b""):  # noqa: PT011 (any will do)
        raise ValueError
    with Call(case.group, b"") as backend:
        backend.fail()
    with pytest.raises(KeyboardInterrupt), Call(case.group, b""):
        raise KeyboardInterrupt
    found = (endpoint.successes, endpoint.failures, endpoint.dropped, endpoint.in_flight)
    assert found == (1, 2, 1, 0)


def test_the_retry_budget_is_a_share_of_the_calls_and_some_besides():
    case = Case(2, retry_percent=20, retries_per_second=1)
    case.play(100)
    granted = sum(case.group.may_retry() for _ in range(1000))
    assert granted == 20 + 10
    for _ in range(3):
        case.wait(6)
    assert sum(case.group.may_retry() for _ in range(1000)) == 10


def test_many_threads_leave_nothing_under_way():
    case = Case(5, strategy="p2c_ewma")

    def work(failing):
        for _ in range(3000):
            endpoint = case.group.begin()
            case.group.done(endpoint, 0.01, failed=failing)

    threads = [threading.Thread(target=work, args=(n == 0,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ends = case.group.endpoints.values()
    assert [one.in_flight for one in ends] == [0] * 5
    assert sum(one.picks for one in ends) == 18_000
    assert sum(one.successes + one.failures for one in ends) == 18_000
