"""Patterns of keys: `*` stands for anything, `?` for one character; nothing else is special."""

import re
from dataclasses import dataclass

MAX_PATTERN_LENGTH = 250
MAX_STARS = 4


class BadPattern(ValueError):
    """A pattern that cannot be used; says what is allowed."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A glob; `literal` is what comes before the first special character."""

    text: str
    literal: str
    match: re.Pattern[str]

    @property
    def is_prefix(self) -> bool:
        """Whether all that begins with the literal fits."""
        return self.text == f"{self.literal}*"


def parse(text: str) -> Pattern:
    """Return the pattern. Raises BadPattern."""
    if not 1 <= len(text) <= MAX_PATTERN_LENGTH:
        raise BadPattern(f"must have 1 to {MAX_PATTERN_LENGTH} characters")
    if text.count("*") > MAX_STARS:  # each one multiplies the time to say no
        raise BadPattern(f"must have at most {MAX_STARS} stars")
    while "**" in text:
        text = text.replace("**", "*")
    parts = [{"*": ".*", "?": "."}.get(one) or re.escape(one) for one in text]
    literal = re.split(r"[*?]", text, maxsplit=1)[0]
    return Pattern(text, literal, re.compile("".join(parts), re.DOTALL))
