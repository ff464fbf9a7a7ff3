"""Secrets that have come into a text are made unreadable, so that a log can be shown."""

import re
from collections.abc import Mapping
from functools import lru_cache

MASK = "***"
_NAMES = (
    r"password|passwd|passphrase|secret|secret[_-]?key|signature|token|access[_-]?token"
    r"|refresh[_-]?token|csrf(?:middleware)?token|api[_-]?key|sessionid"
)
# A field of such a name has nothing to show.
_SECRET_FIELD = re.compile(
    rf"(?:.*[_.-])?(?:{_NAMES}|pwd|authorization|cookie|set-cookie)", re.IGNORECASE
)
_RULES = (
    # A key's prefix is no secret, and tells whose it is.
    (re.compile(r"\btu_([A-Za-z0-9]{8})_[A-Za-z0-9_-]+"), rf"tu_\1_{MASK}"),
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=_-]+"), f"whsec_{MASK}"),
    (re.compile(r"(://[^\s/:@?#]*:)[^\s/?#]*@"), rf"\1{MASK}@"),
    (
        re.compile(
            r"""\b((?:proxy-)?authorization["']?\s*[:=]\s*["']?)(?:(\w+)\s+)?[^\s"',;}]+""",
            re.IGNORECASE,
        ),
        rf"\1\2 {MASK}",
    ),
    (re.compile(r"\b(bearer)\s+(?!\*)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1 {MASK}"),
    # password=x and "password": "x", in query strings, connection strings, JSON and reprs.
    (
        re.compile(
            rf"""(?<![A-Za-z])((?:{_NAMES}|pwd)["']?\s*=\s*["']?)[^\s"',;&}}\])]+""", re.IGNORECASE
        ),
        rf"\1{MASK}",
    ),
    (
        re.compile(
            rf"""(?<![A-Za-z])((?:{_NAMES}|pwd)(["'])\s*:\s*(["']))(?:(?!\3)[^\\]|\\.)*""",
            re.IGNORECASE | re.DOTALL,
        ),
        rf"\1{MASK}",
    ),
)
# What one of the rules needs; most texts have none of it and are looked at once.
_HINT = re.compile(r"tu_|whsec_|://|=|[\"']\s*:|authorization|bearer", re.IGNORECASE)
_LONGEST = 16_384  # characters of one text
_MOST = 200  # entries of one collection
_DEEPEST = 6


def mask(text: str) -> str:
    """Return the text without API keys, passwords and tokens, cut in its middle where very long."""
    if _HINT.search(text):
        for pattern, replacement in _RULES:
            text = pattern.sub(replacement, text)
    if len(text) > _LONGEST:
        half = _LONGEST // 2
        text = f"{text[:half]} ... {len(text) - _LONGEST} characters ... {text[-half:]}"
    return text


@lru_cache(maxsize=1024)
def is_secret(name: str) -> bool:
    """Say whether a field of this name holds a secret."""
    return _SECRET_FIELD.fullmatch(name) is not None


def plain(value: object, *, depth: int = 0) -> object:
    """Return the value as JSON can hold it, masked: what it cannot hold becomes its repr.

    Never raises, ends on cycles, and is bounded in depth and length.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return mask(str(value))
    if isinstance(value, int) and abs(value) < 2**63:
        return int(value)
    if isinstance(value, float) and value - value == 0:  # finite
        return float(value)
    if depth < _DEEPEST:
        if isinstance(value, Mapping):
            return _plain_mapping(value, depth + 1)
        if isinstance(value, list | tuple | set | frozenset):
            return [
                plain(one, depth=depth + 1) for one, _ in zip(value, range(_MOST), strict=False)
            ]
    return mask(_repr(value))


def _plain_mapping(value: Mapping[object, object], depth: int) -> dict[str, object]:
    fields: dict[str, object] = {}
    for (key, one), _ in zip(value.items(), range(_MOST), strict=False):
        name = key if isinstance(key, str) else _repr(key)
        fields[mask(name)] = MASK if is_secret(name) else plain(one, depth=depth)
    return fields


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # anybody's code; the line says so
        return f"<{type(value).__name__} without a repr: {type(error).__name__}>"
