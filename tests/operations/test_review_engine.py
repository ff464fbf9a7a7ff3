"""What a review calls worse, and when one is due."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.operations.engine.effect import cliffs_delta, judge, verdict
from optimizer.operations.engine.review_times import SPANS, WEEKDAYS, last_due, next_due
from tests.operations.review_case import NOW

pytestmark = [pytest.mark.any_database, pytest.mark.any_python]
VALUES = st.lists(st.floats(0, 1e6), max_size=30)


# What is worse


@given(VALUES, VALUES)
def test_the_effect_has_a_side_and_bounds(before, after):
    delta = cliffs_delta(before, after)
    assert -1 <= delta <= 1
    assert delta == pytest.approx(-cliffs_delta(after, before))
    pairs = [(b, a) for b in before for a in after]
    if pairs:
        assert delta == pytest.approx(sum((a > b) - (a < b) for b, a in pairs) / len(pairs))


@pytest.mark.parametrize(
    "before, after, better, says",
    [
        ([10] * 24, [13] * 24, "less", "worse"),
        ([10] * 24, [13] * 24, "more", "better"),
        ([10] * 24, [7] * 24, "less", "better"),
        ([10] * 24, [13] * 24, "", "same"),
        ([10] * 24, [11] * 24, "less", "same"),  # not by a fifth
        ([0] * 24, [1] * 24, "less", "worse"),  # from nothing there is no per cent
        ([1] * 24, [0] * 24, "less", "better"),
        ([0] * 24, [0] * 24, "less", "same"),
        ([10] * 24, [10] * 20 + [90] * 4, "less", "same"),  # a few bad hours alone
        ([10] * 5, [90] * 24, "less", "unknown"),
        ([10] * 24, [], "less", "unknown"),
    ],
)
def test_worse_is_where_hours_and_mean_have_moved(before, after, better, says):
    assert verdict(before, after, better=better, least_percent=20.0) == says


def test_two_numbers_are_judged_by_their_distance():
    assert judge(1.0, 1.19, better="less", least_percent=20) == "same"
    assert judge(1.0, 1.3, better="less", least_percent=20) == "worse"


# When one is due


@pytest.mark.parametrize(
    "every, now, last, following",
    [
        ("weekly", "2026-11-30 06:05", "2026-11-30 06:00", "2026-12-07 06:00"),
        ("weekly", "2026-11-30 05:55", "2026-11-23 06:00", "2026-11-30 06:00"),
        ("weekly", "2026-12-02 00:00", "2026-11-30 06:00", "2026-12-07 06:00"),
        ("daily", "2026-11-30 05:55", "2026-11-29 06:00", "2026-11-30 06:00"),
        ("daily", "2026-11-30 06:00", "2026-11-30 06:00", "2026-12-01 06:00"),
        ("monthly", "2026-11-30 06:05", "2026-11-01 06:00", "2026-12-01 06:00"),
        ("monthly", "2027-01-01 05:00", "2026-12-01 06:00", "2027-01-01 06:00"),
        ("monthly", "2027-01-31 05:00", "2027-01-01 06:00", "2027-02-01 06:00"),
    ],
)
def test_it_is_due_at_its_hour(every, now, last, following):
    def moment(text):
        return datetime.strptime(f"{text} +0000", "%Y-%m-%d %H:%M %z")

    assert last_due(every, "monday", 6, moment(now)) == moment(last)
    assert next_due(every, "monday", 6, moment(now)) == moment(following)


@given(
    st.sampled_from(list(SPANS)),
    st.sampled_from(WEEKDAYS),
    st.integers(0, 23),
    st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)),
)
def test_now_lies_between_the_last_and_the_next(every, weekday, hour, now):
    last, following = last_due(every, weekday, hour, now), next_due(every, weekday, hour, now)
    assert last is not None and following is not None
    assert last <= now < following
    assert following - last <= timedelta(days=31)
    if every == "weekly":
        assert WEEKDAYS[last.weekday()] == WEEKDAYS[following.weekday()] == weekday


def test_never_is_never():
    assert last_due("never", "monday", 6, NOW) is next_due("never", "monday", 6, NOW) is None
