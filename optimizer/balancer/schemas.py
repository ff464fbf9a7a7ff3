"""What the balancer's API takes and answers."""

from typing import Annotated, Any, Literal

from ninja import Field, Schema
from pydantic import AfterValidator

from optimizer.balancer.engine.histogram import BUCKETS
from optimizer.balancer.services.balancing import MAX_KEY_LENGTH
from optimizer.balancer.services.leases import MAX_LEASE_LENGTH

_MOST = 10**9
_MOST_SECONDS = 86_400.0
Count = Annotated[int, Field(ge=0, le=_MOST)]
Seconds = Annotated[float, Field(ge=0, le=_MOST_SECONDS, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=48)]
Key = Annotated[str, Field(max_length=MAX_KEY_LENGTH, examples=["user:42"])]


class Strict(Schema):
    """A body without unknown fields or guessed types."""

    model_config = {"extra": "forbid", "strict": True}


class PickIn(Strict):
    """For whom a backend is picked; the same key leads to the same one, if the group is sticky."""

    key: Key = ""


class LeaseOut(Schema):
    """A backend to call; report the lease afterwards."""

    lease: str
    backend: str
    address: str
    expires_in_seconds: float


class CallReportIn(Strict):
    """How the call went; without `seconds` the time since the pick counts."""

    lease: str = Field(min_length=1, max_length=MAX_LEASE_LENGTH)
    ok: bool
    seconds: Seconds | None = None


def _are_buckets(found: dict[int, int]) -> dict[int, int]:
    for bucket in found:
        if not 0 <= bucket < BUCKETS:
            raise ValueError(f"Buckets must be from 0 to {BUCKETS - 1}.")
    return found


class CountedIn(Strict):
    """The calls of one backend since the last report; `buckets` are of the latency histogram."""

    backend: Name
    ok: Count = 0
    failed: Count = 0
    unreported: Count = 0
    seconds: Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)] = 0.0
    buckets: Annotated[
        dict[Annotated[int, Field(strict=False)], Count], AfterValidator(_are_buckets)
    ] = Field(default={}, max_length=BUCKETS)


class EjectedIn(Strict):
    """A backend that the client ejected."""

    backend: Name
    reason: Literal[
        "consecutive failures", "success rate", "failure percentage", "latency", "failed probe"
    ]
    detail: str = Field(default="", max_length=200)


class CallsIn(Strict):
    """What a client that picks by itself has done."""

    calls: list[CountedIn] = Field(default=[], max_length=1000)
    ejected: list[EjectedIn] = Field(default=[], max_length=100)


class CallsOut(Schema):
    """How many backends were counted; those that are gone were not."""

    counted: int


class BackendOut(Schema):
    """A backend as this process sees it."""

    name: str
    address: str
    state: Literal["in use", "ejected", "probed", "unhealthy", "draining", "disabled", "lagging"]
    reason: str
    weight: int
    in_flight: int
    ewma_seconds: float
    picks: int
    failures: int


class GroupOut(Schema):
    """A group as this process sees it."""

    name: str
    kind: str
    strategy: str
    panic: bool
    backends: list[BackendOut]


class EjectionOut(Schema):
    """An ejection in force."""

    seconds: float
    times: int
    reason: str


class SnapshotOut(Schema):
    """All that a client needs to pick by itself."""

    settings: dict[str, Any]
    ejects: bool
    unhealthy: list[str]
    ejected: dict[str, EjectionOut]
