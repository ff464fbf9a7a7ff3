import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.control.units import format_ago, format_amount, format_duration, parse_amount


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (200 * 1024**2, "bytes", "200 MB"),
        (1500, "bytes", "1500 B"),
        (10**6 + 1, "bytes", "1000001 B"),
        (0, "bytes", "0 B"),
        (300, "seconds", "5 min"),
        (5400, "seconds", "1 h 30 min"),
        (0.25, "seconds", "0.25 s"),
        (61.5, "seconds", "61.5 s"),
        (20, "tokens", "20 tokens"),
        (1, "tokens", "1 token"),
        (3, "", "3"),
        (None, "seconds", ""),
    ],
)
def test_an_amount_reads_in_the_largest_unit_that_keeps_it_exact(value, unit, text):
    assert format_amount(value, unit).replace("\u202f", "") == text


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("200 MB", "bytes", 200 * 1024**2),
        ("1 h 30 min", "seconds", 5400),
        ("90s", "seconds", 90),
        ("5m", "seconds", 300),
        ("0,5 s", "seconds", 0.5),
        ("-3", "seconds", -3),
        ("7 tokens", "tokens", 7),
        ("1 token", "tokens", 1),
        ("1\u202f000", "tokens", 1000),
    ],
)
def test_amounts_are_read_with_and_without_units(text, unit, value):
    assert float(parse_amount(text, unit)) == value


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("x", "bytes"),
        ("5 5", "seconds"),
        ("5 GB", "seconds"),
        ("", "bytes"),
        ("3 MB", "tokens"),
        ("-", "seconds"),
        ("5 3 s", "seconds"),
    ],
)
def test_what_is_no_amount_is_refused_with_the_units_allowed(text, unit):
    with pytest.raises(ValueError, match=f"number of {unit}"):
        parse_amount(text, unit)


@given(st.integers(0, 10**12), st.sampled_from(["bytes", "seconds", "tokens"]))
def test_what_is_shown_can_be_typed_back(value, unit):
    assert parse_amount(format_amount(value, unit), unit) == value


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0"),
        (-1, "0"),
        (1e-9, "0.001 µs"),
        (0.0009996, "1 ms"),
        (0.001234, "1.23 ms"),
        (0.9999, "1 s"),
        (12.345, "12.3 s"),
        (59.99, "1 min"),
        (3725.2, "1 h 2 min 5 s"),
    ],
)
def test_a_measured_time_has_three_digits(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0 s ago"),
        (59.9, "59 s ago"),
        (150, "2 min ago"),
        (86_399, "23 h ago"),
        (1e6, "11 d ago"),
    ],
)
def test_how_long_ago_is_told_in_the_largest_unit(seconds, text):
    assert format_ago(seconds) == text
