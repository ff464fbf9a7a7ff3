"""A line with gaps: what is not known is never drawn."""

import pytest

from optimizer.control.charts import HEIGHT, WIDTH, round_up
from optimizer.control.trends import Limit, Trend
from optimizer.control.units import format_measured

pytestmark = [pytest.mark.any_database, pytest.mark.any_python]


def trend(values, unit="", limits=(), spread=0.0):
    low = [None if one is None else one - spread for one in values]
    high = [None if one is None else one + spread for one in values]
    times = [60 * at for at in range(len(values))]
    return Trend("Load", unit, times, values, low, high, limits)


def test_the_line_is_apart_where_there_is_a_gap():
    drawn = trend([1.0, 2.0, None, None, 3.0, None])
    assert len(drawn.lines) == 2
    assert drawn.gaps == [("240.0", "240.0"), ("600.0", "120.0")]
    assert drawn.lines[1].split() == ["480.0,64.0", "540.0,64.0", "600.0,64.0"]  # 3 of 5
    assert drawn.summary == "Load: now no value, from 1 to 3, 2 gaps"
    assert drawn.bands == []


def test_the_band_is_between_the_bounds_and_within_the_scale():
    drawn = trend([4.0, 4.0], spread=3.0)
    assert drawn.top == 10
    heights = {point.split(",")[1] for point in drawn.bands[0].split()}
    assert heights == {f"{HEIGHT * (1 - 0.7):.1f}", f"{HEIGHT * (1 - 0.1):.1f}"}


def test_a_limit_far_above_does_not_flatten_the_line():
    near, far = Limit("near", 8.0, "wait"), Limit("far", 1000.0, "bad")
    drawn = trend([4.0], limits=[near, far])
    assert drawn.top == 10
    assert drawn.drawn_limits == [(near, f"{HEIGHT * 0.2:.1f}")]


def test_nothing_known_is_one_gap():
    drawn = trend([None, None])
    assert drawn.is_empty and drawn.lines == []
    assert drawn.gaps == [("0.0", f"{WIDTH}.0")]
    assert drawn.summary == "Load: nothing is known"
    assert trend([]).last == "no value"


@pytest.mark.parametrize(
    ("value", "top"),
    [(0, 1), (0.003, 0.005), (0.05, 0.05), (0.3, 0.5), (1, 1), (7, 10), (20, 20), (99.5, 100)],
)
def test_scales_end_at_a_round_number(value, top):
    assert round_up(value) == top


@pytest.mark.parametrize("power", range(-9, 12))
def test_no_scale_ends_below_its_values(power):
    for part in (1.0, 1.0000001, 1.9999999, 2.0, 4.999, 5.0, 9.9999999):
        value = part * 10.0**power
        assert value <= round_up(value) <= 2.6 * value


def test_measured_amounts_are_rounded_in_the_unit_that_suits():
    assert format_measured(1_234_567, "bytes") == "1.177 MB"
    assert format_measured(0.01234567, "seconds") == "12.3 ms"
    assert format_measured(12.34567, "%") == "12.35 %"
    assert format_measured(1_234_567.8, "items") == "1\u202f234\u202f568 items"
    assert format_measured(1, "items") == "1 item"
    assert trend([150e6], "bytes").scale == ("200 MB", "100 MB")
