"""What a query looks like, whatever its values: the key of statistics and findings.

Values, lists of values and rows of values are folded, so `IN (1, 2)` and `IN (1, 2, 3)` are one.
What tells a loop from a batch (pages, lists, many rows) is read from the text at the same time.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

MAX_TEXT_LENGTH = 20_000  # characters that are looked at
_MEMO_SIZE = 4096

_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)|--[^\n]*", re.DOTALL)
_VALUE = re.compile(
    r"""
    (?P<quoted>"(?:[^"]|"")*"|`[^`]*`|\[[A-Za-z_][^\]]{0,127}\])  # a name stays
    | '(?:[^']|'')*'(?:::\w+(?:\[\])?)?                      # a text
    | %s|%\(\w+\)s|\$\d+|:\w+\b|\?                            # a parameter
    | (?<![\w.])-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b           # a number
    """,
    re.VERBOSE,
)
_SPACE = re.compile(r"\s+")
_LIST = re.compile(r"\(\s*\?(?:\s*,\s*\?)+\s*\)")
_ROWS = re.compile(r"(\((?:[^()]|\([^()]*\))*\))(?:\s*,\s*\((?:[^()]|\([^()]*\))*\))+")
_TABLE = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE)\s+(\"[^\"]+\"|`[^`]+`|[\w.]+)", re.IGNORECASE)
_KEYS = re.compile(r"\((\(\?\+?\))(?:, \1)+\)")  # of rows: IN ((?), (?))
_ALTERNATIVES = re.compile(r"(?<![\w\"`])((?:[\w\"`]+\.)?[\w\"`]+ = \?)(?: OR \1)+")
_IN_LIST = re.compile(r"\bIN \(\?\+\)|= ANY\s*\(|= \? OR\+", re.IGNORECASE)
# From where the last one ended: the column that is compared is the one that is ordered by.
_BEYOND_KEY = re.compile(
    r"(?P<where>WHERE )?\(?(?<![\w\"`])(?P<column>[\w\"`]+(?:\.[\w\"`]+)?) [<>]=? \?\)?"
    r"(?P<rest>.{0,2000}?) ORDER BY (?P=column)(?![\w\"`.])",
    re.IGNORECASE,
)
_CONTROL = re.compile(
    r"(SAVEPOINT|RELEASE|ROLLBACK|BEGIN|COMMIT|START|SET|SHOW|PRAGMA|DECLARE|FETCH|CLOSE|MOVE|LISTEN|"
    r"EXPLAIN|VACUUM|ANALYZE|CREATE|ALTER|DROP|LOCK|DISCARD|RESET|NOTIFY)\b",
    re.IGNORECASE,
)
_VOLATILE = re.compile(
    r"\b(RANDOM|RAND|NOW|CLOCK_TIMESTAMP|STATEMENT_TIMESTAMP|CURRENT_(?:TIMESTAMP|DATE|TIME)|"
    r"GEN_RANDOM_UUID|NEXTVAL)\b",
    re.IGNORECASE,
)


class Verb(StrEnum):
    """What a statement does."""

    SELECT = "SELECT"
    INSERT = "INSERT"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    CONTROL = "CONTROL"
    OTHER = "OTHER"


@dataclass(frozen=True, slots=True)
class Shape:
    """A text's fingerprint, and what its text tells of how it is used."""

    fingerprint: str
    text: str
    verb: Verb
    tables: tuple[str, ...]
    is_batch: bool  # a list of values, or rows of them: one statement for many
    is_page: bool  # a window of a result: LIMIT with OFFSET, or beyond a key
    is_locking: bool
    is_volatile: bool
    values: int = 0  # a hash of the text, where it has values in itself; the same everywhere

    @property
    def is_write(self) -> bool:
        return self.verb in (Verb.INSERT, Verb.UPDATE, Verb.DELETE)


_memo: dict[str, Shape] = {}


def shape_of(sql: str) -> Shape:
    """Return the shape of a statement, remembered by its text."""
    found = _memo.get(sql)
    if found is None:
        if len(_memo) >= _MEMO_SIZE:  # raw SQL with values in it has no end of texts
            _memo.clear()
        found = _memo[sql] = _read(sql)
    return found


def normalised(sql: str) -> str:
    """Return the statement without its values."""
    text = _COMMENT.sub(" ", sql[:MAX_TEXT_LENGTH])
    text = _VALUE.sub(lambda match: match["quoted"] or "?", text)
    text = _SPACE.sub(" ", text).strip().rstrip(";")
    text = _KEYS.sub("(?+)", _LIST.sub("(?+)", text))
    text = _ALTERNATIVES.sub(r"\1 OR+", text)
    head, values, rows = text.partition(" VALUES ")
    return head + values + _ROWS.sub(r"\1+", rows) if values else text


def _read(sql: str) -> Shape:
    text = normalised(sql)
    verb = _verb(text)
    upper = text.upper()
    many_rows = verb is Verb.INSERT and bool(
        re.search(r"\)\+", text.partition(" VALUES ")[2]) or "UNNEST(" in upper
    )
    return Shape(
        blake2b(text.encode(errors="replace"), digest_size=8).hexdigest(),
        text,
        verb,
        tuple(dict.fromkeys(one.strip('"`') for one in _TABLE.findall(text))),
        is_batch=bool(_IN_LIST.search(text)) or many_rows,
        is_page=" OFFSET " in upper or _is_beyond_key(text, sql),
        is_locking=" FOR UPDATE" in upper or " FOR SHARE" in upper or " FOR NO KEY" in upper,
        is_volatile=bool(_VOLATILE.search(text)),
        values=_hash_of_text(sql),
    )


def _hash_of_text(sql: str) -> int:
    has_values = any(
        not match["quoted"] and match[0][0] not in "%$:?" for match in _VALUE.finditer(sql)
    )
    digest = blake2b(sql.encode(errors="replace"), digest_size=7).digest() if has_values else b""
    return int.from_bytes(digest, "big")


def _is_beyond_key(text: str, sql: str) -> bool:
    """Say whether it reads on from a key: so many rows, or all that have come since."""
    found = _BEYOND_KEY.search(text)
    if found is None or re.search(r"\bLIMIT 1\b", sql):
        return False
    return bool(found["where"] and not found["rest"]) or " LIMIT " in text.upper()


def _verb(text: str) -> Verb:
    if _CONTROL.match(text):
        return Verb.CONTROL
    word = text.lstrip("( ").split(" ", 1)[0].upper()
    if word == "WITH":
        found = re.search(r"\)\s*(SELECT|INSERT|UPDATE|DELETE)\b", text, re.IGNORECASE)
        word = found[1].upper() if found else "SELECT"
    try:
        return Verb(word)
    except ValueError:
        return Verb.OTHER
