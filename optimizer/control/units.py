"""Amounts with units, as people write and read them: "200 MB", "5 min", "1 h 30 min"."""

import re
from decimal import Decimal, InvalidOperation

# Bytes count in binary steps, as memory limits do.
_STEPS: dict[str, tuple[tuple[str, int], ...]] = {
    "bytes": (("GB", 1024**3), ("MB", 1024**2), ("kB", 1024), ("B", 1)),
    "seconds": (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)),
}
_ALIASES = {
    "byte": "b", "bytes": "b", "kib": "kb", "k": "kb", "mib": "mb", "gib": "gb", "g": "gb",
    "day": "d", "days": "d", "hour": "h", "hours": "h", "m": "min", "minute": "min",
    "minutes": "min", "sec": "s", "second": "s", "seconds": "s",
}  # fmt: skip
_LONGEST = 64  # characters; more is no amount
_PART = re.compile(r"\s*([0-9]+(?:[.,][0-9]+)?)\s*([A-Za-z]*)\s*")


def format_amount(value: float | int | None, unit: str) -> str:
    """Return `value` with its unit in the form people read: 209715200 bytes is "200 MB".

    An amount that a larger unit would round stays in the unit where it is exact.
    """
    if value is None:
        return ""
    if unit not in _STEPS:
        name = unit.removesuffix("s") if value == 1 else unit
        return f"{_plain(value)} {name}".rstrip()
    if value == 0:
        return f"0 {_STEPS[unit][-1][0]}"
    if unit == "seconds" and value == int(value) and value > 60:
        return _duration(int(value))
    for name, size in _STEPS[unit]:
        if abs(value) >= size and (value / size) == round(value / size, 2):
            return f"{_plain(value / size)} {name}"
    return f"{_plain(value)} {_STEPS[unit][-1][0]}"


def format_duration(seconds: float) -> str:
    """Return a measured time rounded to three digits: 0.001234 is "1.23 ms"."""
    if seconds <= 0:
        return "0"
    for name, size, next_size in (("µs", 1e-6, 1e-3), ("ms", 1e-3, 1.0), ("s", 1.0, 60.0)):
        number = float(f"{seconds / size:.3g}")
        if number * size < next_size:
            return f"{number:.10g} {name}"
    return _duration(round(seconds))


def format_measured(value: float, unit: str) -> str:
    """Return a measured amount rounded to four digits, in the unit that suits it: "1.177 MB"."""
    if unit == "seconds":
        return format_duration(value)
    if unit == "bytes":
        name, size = next(one for one in _STEPS["bytes"] if abs(value) >= one[1] or one[1] == 1)
        return f"{_plain(float(f'{value / size:.4g}'))} {name}"
    return format_amount(float(f"{value:.4g}") if abs(value) < 1e4 else round(value), unit)


def format_ago(seconds: float) -> str:
    """Return how long ago something was, in its largest unit: 150 seconds is "2 min ago"."""
    count = max(0, int(seconds))
    name, size = next(one for one in _STEPS["seconds"] if count >= one[1] or one[1] == 1)
    return f"{count // size} {name} ago"


def parse_amount(text: str, unit: str) -> Decimal:
    """Read an amount in `unit`: a plain number, or numbers with units ("1 h 30 min", "200 MB").

    Raises ValueError, with the units allowed, when the text is neither.
    """
    steps = {name.lower(): size for name, size in _STEPS.get(unit, ())}
    names = ", ".join(name for name, _ in _STEPS.get(unit, ()))
    hint = f"Write a number of {unit}" + (f", or one with a unit ({names})." if names else ".")
    total, position, first = Decimal(0), 0, True
    text = text.strip()
    if not text.strip("-") or len(text) > _LONGEST:
        raise ValueError(hint)
    sign = -1 if text.startswith("-") else 1
    text = text.removeprefix("-").replace("_", "").replace("\u202f", "")
    while position < len(text):
        match = _PART.match(text, position)
        if match is None:
            raise ValueError(hint)
        number, name = match.groups()
        key = name.lower()
        key = _ALIASES.get(key, key)
        if not key and (not first or match.end() != len(text)):
            raise ValueError(hint)
        if key and not steps.get(key) and name not in (unit, unit.removesuffix("s")):
            raise ValueError(hint)
        try:
            total += Decimal(number.replace(",", ".")) * (steps.get(key) or 1)
        except InvalidOperation as error:
            raise ValueError(hint) from error
        position, first = match.end(), False
    return sign * total


def _duration(seconds: int) -> str:
    parts = []
    for name, size in _STEPS["seconds"]:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts)


def _plain(value: float | int) -> str:
    if value == int(value):
        return f"{int(value):,}".replace(",", "\u202f")
    return f"{value:.9f}".rstrip("0")
