"""How a case of the corpus is declared, and the fixes that it takes.

A case is ordinary code: `# <- here` marks the line that runs the query, `# <- queryset` the line
to change where that is another one. Both are looked for in the case's own function unless the
declaration names another function, class or template.
"""

import asyncio
import inspect
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib import admin
from django.db import connections
from django.template.loader import get_template
from django.test import Client, override_settings

F = TypeVar("F", bound=Callable[..., Any])
N_PLUS_ONE, WRITE, DUPLICATE, UNUSED = (
    "n_plus_one",
    "write_n_plus_one",
    "duplicate",
    "unused_eager_load",
)
REVIEW = "review"
NAMED = re.compile(r"(?:select_related|prefetch_related|Prefetch)\(([^()=]*)")
QUOTED = re.compile(r"[\"']([^\"']+)[\"']")


@dataclass(frozen=True)
class Fix:
    """A pattern of the suggestion's text, and the relation that it may name."""

    pattern: str
    path: str = ""

    def accepts(self, suggestion: str) -> bool:
        return re.search(self.pattern, suggestion, re.DOTALL) is not None


def _lookup(path: str, loaders: str) -> str:
    """Return the pattern of loading `path`, be it in one string or by nested Prefetch."""
    patterns = [rf"(?:{loaders})\([^()]*[\"']{path}[\"']"]
    parts = path.split("__")
    for cut in range(1, len(parts)):
        outer, inner = "__".join(parts[:cut]), "__".join(parts[cut:])
        patterns.append(
            rf"Prefetch\(\s*[\"']{outer}[\"'].*(?:select|prefetch)_related\(\s*[\"']{inner}[\"']"
        )
    return "|".join(patterns)


def join(path: str) -> Fix:
    """Take either loader, for a relation to one row."""
    return Fix(_lookup(path, "select_related|prefetch_related|Prefetch"), path)


def prefetch(path: str) -> Fix:
    """Take a prefetch, for a relation to many rows."""
    return Fix(_lookup(path, "prefetch_related|Prefetch"), path)


def narrowed(path: str) -> Fix:
    """Take a Prefetch with a queryset of its own: a plain prefetch would not be used."""
    return Fix(rf"Prefetch\(\s*[\"']{path}[\"']\s*,.*(?:queryset\s*=|\w+\.objects\b)", path)


def read_whole(path: str, prefetched: bool = False) -> Fix:
    """Take reading `.all()` in Python, with the prefetch unless that is there already."""
    lookup = "" if prefetched else f"(?=.*(?:{_lookup(path, 'prefetch_related|Prefetch')}))"
    return Fix(rf"^{lookup}.*\.{path.rpartition('__')[2]}\.all\(\)", path)


def annotated(expression: str, path: str = "") -> Fix:
    """Take an annotation with the named expressions, `Count|Sum`, over `path`."""
    over = rf"[^\n]*[\"']{path}(?:__\w+)?[\"']" if path else ""
    return Fix(rf"annotate\(.*\b(?:{expression})\({over}")


EXISTS = Fix(r"Exists\(|annotate\(.*Count\(")
BATCH = Fix(r"in_bulk\(|__in\s*=|\bIN \(|= ANY")  # one query for all keys
GROUPED = Fix(r"\.values\([^)]*\)\s*\.annotate\(|GROUP BY")
BULK_CREATE = Fix(r"bulk_create\(")
NOT_BY_KEY = r"(?!pk=|id=)[^\n]*\)"
BULK_UPDATE = Fix(
    r"bulk_update\(|__in\s*=[^\n]*\.update\(|(?:objects|\.all\(\)|queryset)\.update\("
    rf"|\.filter\({NOT_BY_KEY}\.update\("
)
BULK_DELETE = Fix(
    r"__in\s*=[^\n]*\.delete\(\)|(?:\.all\(\)|queryset)\.delete\(\)"
    rf"|\.filter\({NOT_BY_KEY}\.delete\(\)"
)
SQL_SET = Fix(r"\bIN \(|= ANY|JOIN|__in\s*=|in_bulk\(|GROUP BY")  # one statement for all rows
MANY = Fix(r"executemany|bulk_create\(|bulk_update\(|VALUES \([^)]*\), ?\(")


# Keeping the result: a variable, a cache, a cached_property.
ONCE = Fix(r"cache|once|memo|(?:outside|before) the loop|variable")


def dropped(path: str) -> Fix:
    """Take leaving out an eager load that nobody reads."""
    name = rf"(?:\w+__)*{path.rpartition('__')[2]}\b"
    removed = rf"(?i:(?:remove|drop|delete|without|unused)\b.*[\"'`]?{name})"
    return Fix(rf"{removed}|-\s*\.?(?:select|prefetch)_related\([^)]*{name}", path)


Place = Callable[..., Any] | property | str | None  # whose source has the mark; str: a template


@dataclass(frozen=True)
class Case:
    name: str
    kinds: tuple[str, ...]  # what may be found, the first as a rule; of a healthy one: nothing
    run: Callable[[], object]
    twin: Callable[[], object] | None = None
    fixes: tuple[Fix, ...] = ()
    accepted: frozenset[str] = frozenset()  # further kinds that are no mistake here
    here: Place = None
    queryset: Place = None
    committed: bool = False  # other connections must see the rows
    growth: int = 0  # queries that a healthy one may take more for twice the rows

    @property
    def healthy(self) -> bool:
        return not self.kinds

    @cached_property
    def lines(self) -> list[str]:
        """Return the places that are right, as `path:line`."""
        return marked(self.here or self.run, "<- here")

    @cached_property
    def change(self) -> list[str]:
        """Return the lines of the queryset to change; the query's own where none is marked."""
        return marked(self.queryset or self.run, "<- queryset") or self.lines

    def fixed_by(self, suggestion: str) -> bool:
        return any(fix.accepts(suggestion) for fix in self.fixes)

    def wrong_relations(self, suggestion: str) -> set[str]:
        """Return the relations that a suggestion names and that are none of this case."""
        named = {one for text in NAMED.findall(suggestion) for one in QUOTED.findall(text)}
        named -= self.kept
        right = [fix.path for fix in self.fixes if fix.path]
        parts = {path[len(lead) :] for path in right for lead in _leads(path)}
        return {one for one in named if not any(f"{p}__".startswith(f"{one}__") for p in parts)}

    @cached_property
    def kept(self) -> set[str]:
        """Return what the queryset's line loads already: a suggestion may repeat it."""
        found: set[str] = set()
        for place in self.change:
            name, _, number = place.rpartition(":")
            path = settings.BASE_DIR / name
            if path.is_file():  # else it is a template
                found |= set(QUOTED.findall(path.read_text().splitlines()[int(number) - 1]))
        return found


def _leads(path: str) -> list[str]:
    """Return what may stand before a nested lookup: "", "books__" of "books__tags"."""
    parts = path.split("__")
    return ["".join(f"{part}__" for part in parts[:cut]) for cut in range(len(parts))]


def marked(place: Any, mark: str) -> list[str]:
    if isinstance(place, str):
        path = Path(get_template(place).origin.name)  # type: ignore[attr-defined]
        name, first, lines = place, 1, path.read_text().splitlines()
    else:
        function: Any = place.fget if isinstance(place, property) else place
        place = inspect.unwrap(function)
        lines, first = inspect.getsourcelines(place)
        file = inspect.getsourcefile(place)
        assert file is not None
        name = str(Path(file).relative_to(settings.BASE_DIR))
    return [f"{name}:{first + i}" for i, line in enumerate(lines) if mark in line]


CASES: list[Case] = []


def _name(function: Callable[..., Any]) -> str:
    return f"{function.__module__.rpartition('.')[2]}.{function.__name__}"


def fixes(
    broken: Callable[[], object],
    *right: Fix,
    kinds: tuple[str, ...] = (N_PLUS_ONE,),
    **more: Any,
) -> Callable[[F], F]:
    """Declare the decorated function to be the fixed twin of `broken`."""

    def declare(twin: F) -> F:
        CASES.append(Case(_name(broken), kinds, broken, twin, right, **more))
        return twin

    return declare


def healthy(*accepted: str, **more: Any) -> Callable[[F], F]:
    """Declare the decorated function to be in order; `accepted` kinds are no mistake."""

    def declare(function: F) -> F:
        CASES.append(Case(_name(function), (), function, accepted=frozenset(accepted), **more))
        return function

    return declare


ADMIN_TEMPLATES = Path(admin.__file__).parent / "templates"
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]


def get(path: str, client: Client | None = None) -> str:
    """Return the page at `path` of the library's site, with Django's own admin templates."""
    templates = [{**settings.TEMPLATES[0], "DIRS": [ADMIN_TEMPLATES]}]
    urls = "tests.library.urls"
    with override_settings(ROOT_URLCONF=urls, MIDDLEWARE=MIDDLEWARE, TEMPLATES=templates):
        response = (client or Client()).get(path)
    assert response.status_code == 200, response.status_code
    return " ".join(response.content.decode().split())


def run_loop(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run in an event loop of its own, as a bot's main does, and close what it opened."""

    async def main() -> Any:
        try:
            return await coroutine
        finally:
            await sync_to_async(connections.close_all)()

    return asyncio.run(main())
