"""What a review holds, as it is kept in the database."""

from datetime import datetime
from typing import Any

import msgspec

from optimizer.control.recommendations import Place, Recommendation
from optimizer.operations.engine.effect import Verdict


class Change(msgspec.Struct, frozen=True):
    """A number before and now; None where nobody knows it. `detail` says on what it rests."""

    name: str
    component: str
    title: str
    unit: str
    before: float | None
    after: float | None
    percent: float | None
    verdict: Verdict
    detail: str = ""
    place: Place | None = None


class Advice(msgspec.Struct, frozen=True):
    """A component's recommendation; `since` is when a review first had it."""

    component: str
    of: Recommendation
    since: datetime


class Edit(msgspec.Struct, frozen=True):
    """A change of settings; `number` is its revision."""

    number: int
    at: datetime
    component: str
    actor: str
    reason: str


class Fired(msgspec.Struct, frozen=True):
    """An alert rule that fired."""

    name: str
    severity: str
    condition: str
    times: int
    seconds: float
    firing: bool


class Review(msgspec.Struct, frozen=True):
    """A whole review.

    `measured` is for the next one to compare with; `settled` are components and titles of what the
    one before recommended; `missing` are components that could not tell theirs.
    """

    begin: datetime
    end: datetime
    figures: list[Change] = []
    measures: list[Change] = []
    endpoints: list[Change] = []
    advice: list[Advice] = []
    settled: list[tuple[str, str]] = []
    edits: list[Edit] = []
    edit_count: int = 0
    alerts: list[Fired] = []
    missing: list[str] = []
    measured: dict[str, tuple[float, int]] = {}
    version: int = 1

    @property
    def changes(self) -> list[Change]:
        """Everything that was compared."""
        return [*self.figures, *self.measures, *self.endpoints]

    @property
    def worse(self) -> list[Change]:
        """What has become worse, by how much."""
        found = [one for one in self.changes if one.verdict == "worse"]
        return sorted(found, key=lambda one: -abs(one.percent or 1e9))

    @property
    def better(self) -> list[Change]:
        """What has become better, by how much."""
        found = [one for one in self.changes if one.verdict == "better"]
        return sorted(found, key=lambda one: -abs(one.percent or 1e9))

    @property
    def to_do(self) -> list[Advice]:
        """The recommendations that ask for something."""
        return [one for one in self.advice if not one.of.is_fine]

    def is_new(self, one: Advice) -> bool:
        """Say whether no earlier review had it."""
        return one.since == self.end


def plain(review: Review) -> Any:
    """Return a review as JSON-able data."""
    return msgspec.to_builtins(review)


def read(content: Any) -> Review:
    """Return a review from what `plain` made. Raises msgspec.ValidationError."""
    return msgspec.convert(content, Review)
