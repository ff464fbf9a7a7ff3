"""Positions in PostgreSQL's write-ahead log, the LSN: text such as 16/B374D848, as whole numbers.

A standby has replayed a commit when `pg_last_wal_replay_lsn()` is at or past what
`pg_current_wal_insert_lsn()` said on the primary after the commit.
"""

_PAGE_BYTES = 8192
# The longest page header; the shortest record that begins in a page ends further on.
_HEADER_BYTES = 40
_DIGITS = 16
LAST = 2**64 - 1


def parse(text: str) -> int:
    """Return the position that PostgreSQL writes as two hexadecimal numbers. Raises ValueError."""
    high, slash, low = text.partition("/")
    if not slash:
        raise ValueError(f"{text!r} is no position in a write-ahead log")
    return (int(high, 16) << 32) + int(low, 16)


def end_of_records(position: int) -> int:
    """Return where the last record ends, if the position is where the next one would begin.

    After a page's last record the primary says where the next page's header ends, a standby where
    the page ends: without this an idle standby would seem to be behind for ever.
    """
    offset = position % _PAGE_BYTES
    return position - offset if offset <= _HEADER_BYTES else position


def to_key(position: int) -> str:
    """Return a position as text that sorts as positions do."""
    return f"{position:0{_DIGITS}x}"


def from_key(text: str) -> int | None:
    """Return the position of such a text, None where it is none."""
    if len(text) != _DIGITS or not text.isalnum() or not text.isascii():
        return None
    try:
        return int(text, 16)
    except ValueError:
        return None
