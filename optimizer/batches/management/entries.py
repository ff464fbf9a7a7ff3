"""Items from JSON lines."""

from collections.abc import Iterator
from typing import Any, BinaryIO

import msgspec

from optimizer.batches.services.submitting import Entry


class BadLine(Exception):
    """A line that is no item, by its number."""

    def __init__(self, number: int, says: str) -> None:
        super().__init__(f"line {number}: {says}")


def read(file: BinaryIO, key: str, order: str) -> Iterator[tuple[int, Entry]]:
    """Yield the items of a file, one a line, with the numbers of their lines.

    `key` and `order` name the fields of the items that are their keys; "" is none. Raises BadLine.
    """
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            item = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadLine(number, f"is no JSON: {error}") from error
        yield number, Entry(item, _field(item, key, number), _field(item, order, number))


def _field(item: Any, name: str, number: int) -> str:
    if not name:
        return ""
    value = item.get(name) if isinstance(item, dict) else None
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise BadLine(number, f"has no text or whole number in the field {name!r}")
    return str(value)
