"""What components recommend and measure for a review, in a form that is kept and shown later."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Better = Literal["more", "less", ""]  # "" is neither


@dataclass(frozen=True, slots=True)
class Place:
    """A page of the admin: `url_name` is reversed with `args`; `query` comes after it."""

    url_name: str
    args: tuple[str | int, ...] = ()
    query: str = ""


@dataclass(frozen=True, slots=True)
class Button:
    """What does as recommended: a POST of `fields` to a page that asks for its own permission."""

    title: str
    place: Place
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bar:
    """One of several choices beside one another, in per cent."""

    label: str
    percent: float
    kind: Literal["now", "advised", "other"] = "other"


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Something worth doing, with the evidence.

    `id` is the component's own name for it: with the same one it is the same as in the last review.
    `is_fine` says that all is well as it is, where that is worth telling.
    """

    id: str
    title: str
    reason: str
    place: Place
    button: Button | None = None
    bars: tuple[Bar, ...] = ()
    is_fine: bool = False


@dataclass(frozen=True, slots=True)
class Measure:
    """A number over a span of time that the next review is compared with.

    `count` is how many calls it was measured on; `name` is the component's own and stays.
    """

    name: str
    title: str
    unit: str
    value: float
    better: Better
    count: int
    place: Place | None = None
