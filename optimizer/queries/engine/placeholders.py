"""Parameters of a statement as Django sends it, put as the database's own."""

import re
from collections.abc import Callable

# In a quoted text or name "%s" is no parameter: the statement was sent without any.
_PARAMETER = re.compile(
    r"""(?P<quoted>'(?:[^']|'')*'|"(?:[^"]|"")*")|%(?:s|\((?P<name>\w+)\)s|%)""",
)


def question_marks(sql: str) -> tuple[str, int]:
    """Return the statement with `?` for each parameter, and how many there are."""
    count = 0

    def mark(_: str | None) -> str:
        nonlocal count
        count += 1
        return "?"

    return _replaced(sql, mark), count


def numbered(sql: str) -> tuple[str, int]:
    """Return the statement with `$1`, `$2` … for its parameters, and how many there are."""
    count = 0
    named: dict[str, int] = {}

    def number(name: str | None) -> str:
        nonlocal count
        if name in named:
            return f"${named[name]}"
        count += 1
        if name is not None:
            named[name] = count
        return f"${count}"

    return _replaced(sql, number), count


def _replaced(sql: str, parameter: Callable[[str | None], str]) -> str:
    def replace(match: "re.Match[str]") -> str:
        if match["quoted"] is not None:
            return match["quoted"].replace("%%", "%")
        return "%" if match[0] == "%%" else parameter(match["name"])

    return _PARAMETER.sub(replace, sql)
