"""How a case of the MongoDB corpus is declared: a function of a database, and its fixed twin.

`# <- here` marks the line that asks, in the case's own function unless the declaration names
another.
"""

import asyncio
import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from bson import ObjectId
from pymongo import AsyncMongoClient, MongoClient
from pymongo.monitoring import CommandListener

from tests.queries.case import marked

F = TypeVar("F", bound=Callable[..., Any])
N_PLUS_ONE, WRITE, DUPLICATE, REVIEW = "n_plus_one", "write_n_plus_one", "duplicate", "review"
DATABASE = "library"


@dataclass(frozen=True)
class MongoCase:
    """`kind` is what must be found; "" of a healthy one. `accepted` is no mistake there."""

    kind: str
    run: Callable[[Any], Any]
    twin: Callable[[Any], Any] | None = None
    fix: str = ""  # a pattern of the suggestion
    accepted: frozenset[str] = frozenset()
    here: Any = None

    @property
    def name(self) -> str:
        return f"{self.run.__module__.rpartition('.')[2]}.{self.run.__name__}"

    @cached_property
    def lines(self) -> list[str]:
        """Return the places that are right, as `path:line`."""
        return marked(self.here or self.run, "<- here")

    def fixed_by(self, suggestion: str) -> bool:
        return re.search(self.fix, suggestion) is not None


CASES: list[MongoCase] = []


def fixes(
    broken: Callable[[Any], Any], fix: str, kind: str = N_PLUS_ONE, here: Any = None
) -> Callable[[F], F]:
    """Declare the decorated function to be the fixed twin of `broken`."""

    def declare(twin: F) -> F:
        CASES.append(MongoCase(kind, broken, twin, fix, here=here))
        return twin

    return declare


def healthy(*accepted: str) -> Callable[[F], F]:
    """Declare the decorated function to be in order; `accepted` kinds are no mistake."""

    def declare(function: F) -> F:
        CASES.append(MongoCase("", function, accepted=frozenset(accepted)))
        return function

    return declare


class Counting(CommandListener):
    """Counts what a client sends, without the optimizer."""

    def __init__(self) -> None:
        self.count = 0

    def started(self, event: Any) -> None:
        self.count += event.command_name not in ("endSessions", "hello")

    def succeeded(self, event: Any) -> None: ...

    def failed(self, event: Any) -> None: ...


@contextmanager
def nothing() -> Iterator[list[Any]]:
    yield []


def run_case(
    url: str,
    function: Callable[[Any], Any],
    watch: Callable[[], Any] = nothing,
    *,
    rows: int = 6,
) -> tuple[Any, list[Any], int]:
    """Run on fresh documents; return the result, the findings, and how much was sent."""
    with MongoClient[dict[str, Any]](url) as own:
        fill(own[DATABASE], rows)
    counting = Counting()
    if inspect.iscoroutinefunction(function):

        async def main() -> tuple[Any, list[Any]]:
            other: AsyncMongoClient[dict[str, Any]]
            other = AsyncMongoClient(url, event_listeners=[counting])
            with watch() as found:
                result = await function(other[DATABASE])
            await other.close()
            return result, found

        result, found = asyncio.run(main())
    else:
        client: MongoClient[dict[str, Any]]
        with MongoClient(url, event_listeners=[counting]) as client, watch() as found:
            result = function(client[DATABASE])
    return result, found, counting.count


def fill(db: Any, count: int) -> None:
    """Give the database `count` authors with two books each, and what belongs to them."""
    for name in ("publishers", "authors", "books", "queue", "nodes", "log"):
        db[name].delete_many({})
    publishers = [{"_id": ObjectId(), "name": f"publisher {n}"} for n in range(count)]
    authors = [
        {"_id": ObjectId(), "name": f"author {n}", "publisher_id": publishers[n]["_id"]}
        for n in range(count)
    ]
    books = [
        {
            "_id": ObjectId(),
            "title": f"book {n}",
            "author_id": authors[n // 2]["_id"],
            "year": 1990 + n,
            "genre": ("novel", "essay")[n % 2],
        }
        for n in range(2 * count)
    ]
    db.publishers.insert_many(publishers)
    db.authors.insert_many(authors)
    db.books.insert_many(books)
    db.queue.insert_many([{"number": n, "status": "new"} for n in range(count)])
    db.nodes.insert_many(
        [{"_id": f"n{n}", "parent": f"n{n - 1}" if n else None} for n in range(count)]
    )
