"""The cache over HTTP: values that are JSON, by namespace and key."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from django.core.cache.backends.base import DEFAULT_TIMEOUT, InvalidCacheKey
from django.http import HttpRequest
from ninja import Field, Path, Router, Schema, Status

from caching import selectors
from caching.answers import document, why_not_json
from caching.engine.remote import Away
from caching.live import caching
from caching.services import entries, targets
from caching.services.entries import MAX_KEY_LENGTH, MAX_KEYS, BadArgument, UnknownNamespace
from caching.services.invalidation import MAX_TAG_LENGTH, MAX_TAGS, BadTag
from optimizer.control.problems import Problem

router = Router()
T = TypeVar("T")

MAX_TTL_SECONDS = 366 * 86_400
NamespaceName = Annotated[str, Field(min_length=1, max_length=32, examples=["user"])]
NamespacePath = Annotated[str, Path(min_length=1, max_length=32)]
Key = Annotated[str, Field(min_length=1, max_length=MAX_KEY_LENGTH, examples=["42:profile"])]
KeyPath = Annotated[str, Path(min_length=1, max_length=MAX_KEY_LENGTH)]
Keys = Annotated[list[Key], Field(min_length=1, max_length=MAX_KEYS)]
Tag = Annotated[str, Field(min_length=1, max_length=MAX_TAG_LENGTH, examples=["guild:7"])]


class Strict(Schema):
    """A body without unknown fields or guessed types."""

    model_config = {"extra": "forbid", "strict": True}


class StoreIn(Strict):
    """For how long, and what it can be invalidated by."""

    # No default is shown: null keeps for ever, absent is the namespace's own time to live.
    ttl_seconds: float | None = Field(default_factory=lambda: None, gt=0, le=MAX_TTL_SECONDS)
    tags: list[Tag] = Field(default=[], max_length=MAX_TAGS)

    @property
    def timeout(self) -> Any:
        """What Django's cache calls it."""
        given = "ttl_seconds" in self.model_fields_set
        return self.ttl_seconds if given else DEFAULT_TIMEOUT


class PutIn(StoreIn):
    """What to store."""

    value: Any


class KeysIn(Strict):
    """Which keys of a namespace."""

    namespace: NamespaceName
    keys: Keys


class SetManyIn(StoreIn):
    """What to store in a namespace, by key."""

    namespace: NamespaceName
    values: dict[Key, Any] = Field(min_length=1, max_length=MAX_KEYS)


class InvalidateIn(Strict):
    """A tag; or a namespace: some of its keys, those that fit a pattern (* and ?), or all of it."""

    namespace: NamespaceName | None = None
    keys: Keys | None = None
    pattern: str | None = Field(default=None, examples=["42:*"])
    tag: str | None = Field(default=None, examples=["guild:7"])
    dry_run: bool = False


class ValueOut(Schema):
    """A value; `ttl_seconds` null is for ever, other nulls are known by Redis alone."""

    key: str
    value: Any
    tier: str
    ttl_seconds: float | None
    age_seconds: float | None
    size_bytes: int | None


class WaitingOut(Schema):
    """Whether Redis is away: it is told what has changed before it is read again."""

    waiting: bool


class DeletedOut(WaitingOut):
    """Whether there was a value."""

    deleted: bool


class DeletedManyOut(WaitingOut):
    """How many values there were."""

    deleted: int


class ValuesOut(Schema):
    """What is there, what is not, and what is there but is no JSON."""

    values: dict[str, Any]
    missing: list[str]
    not_json: list[str]


class RefusedOut(WaitingOut):
    """The keys whose values are too large; nothing is left under them."""

    refused: list[str]


class InvalidatedOut(WaitingOut):
    """How many values; null where nobody counts."""

    invalidated: int | None
    dry_run: bool


@router.get("/stats", response=dict[str, Any], summary="What was counted")
def stats(request: HttpRequest) -> Any:
    """Tell hits, misses, loads and the like of each namespace."""
    return selectors.stats()


@router.post("/get-many", response=ValuesOut, summary="Read many values")
def get_many(request: HttpRequest, payload: KeysIn) -> Any:
    """Answer what is there; the copies of this process first, then Redis in one trip."""
    found = _try(entries.get_many, payload.namespace, payload.keys)
    foreign = [key for key, value in found.items() if why_not_json(value)]
    return {
        "values": {key: value for key, value in found.items() if key not in foreign},
        "missing": [key for key in dict.fromkeys(payload.keys) if key not in found],
        "not_json": foreign,
    }


@router.post("/set-many", response={200: RefusedOut, 202: RefusedOut}, summary="Store many values")
def set_many(request: HttpRequest, payload: SetManyIn) -> Any:
    """Store values for the same time; 202 while Redis is away, which is told later."""
    for key, value in payload.values.items():
        _check(f"values.{key}", value)
    refused = _try(
        entries.put_many, payload.namespace, payload.values, payload.timeout, payload.tags
    )
    return _told({"refused": refused})


@router.post(
    "/delete-many", response={200: DeletedManyOut, 202: DeletedManyOut}, summary="Delete many keys"
)
def delete_many(request: HttpRequest, payload: KeysIn) -> Any:
    """Delete keys; 202 while Redis is away, which is told later."""
    return _told({"deleted": _try(entries.delete_many, payload.namespace, payload.keys)})


@router.post(
    "/invalidate",
    response={200: InvalidatedOut, 202: InvalidatedOut},
    summary="Invalidate by keys, pattern, tag or namespace",
)
def invalidate(request: HttpRequest, payload: InvalidateIn) -> Any:
    """Invalidate in Redis and in every process; 202 while Redis is away, which is told later.

    With `dry_run` it is only counted, some of it expired perhaps.
    """
    given = _try(targets.Target, payload.namespace, payload.keys, payload.pattern, payload.tag)
    if payload.dry_run:
        count = _try(targets.count, given)
        return Status(200, {"invalidated": count, "dry_run": True, "waiting": False})
    done = _try(targets.invalidate, given)
    answer = {"invalidated": done.count, "dry_run": False, "waiting": done.waiting}
    return Status(202 if done.waiting else 200, answer)


@router.get("/{namespace}/{path:key}", response=ValueOut, summary="Read a value")
def get(request: HttpRequest, namespace: NamespacePath, key: KeyPath) -> Any:
    """Answer a value and what is known of it; 404 where there is none, 409 where it is no JSON."""
    found = _try(entries.get, namespace, key)
    if found is None:
        raise Problem(404, "There is no such value", type="cache-miss")
    why = why_not_json(found.value)
    if why:
        raise Problem(
            409,
            "The value is no JSON",
            type="not-json",
            detail=f"A Python program has stored {why} there; only Python can read it.",
        )
    return document(key, found)


@router.put(
    "/{namespace}/{path:key}", response={204: None, 202: WaitingOut}, summary="Store a value"
)
def put(request: HttpRequest, namespace: NamespacePath, key: KeyPath, payload: PutIn) -> Any:
    """Store a value; 202 while Redis is away, which then forgets the older one."""
    _check("value", payload.value)
    if not _try(entries.put, namespace, key, payload.value, payload.timeout, payload.tags):
        most = caching.current().max_value_bytes
        raise Problem.from_fields({"value": [f"It may have up to {most} bytes, as stored."]})
    return Status(202, {"waiting": True}) if entries.is_waiting() else Status(204, None)


@router.delete(
    "/{namespace}/{path:key}", response={200: DeletedOut, 202: DeletedOut}, summary="Delete a value"
)
def delete(request: HttpRequest, namespace: NamespacePath, key: KeyPath) -> Any:
    """Delete a value and tell whether there was one; 202 while Redis is away."""
    return _told({"deleted": _try(entries.delete, namespace, key)})


def _told(answer: dict[str, Any]) -> Status[Any]:
    waiting = entries.is_waiting()
    return Status(202 if waiting else 200, {**answer, "waiting": waiting})


def _check(field: str, value: Any) -> None:
    why = why_not_json(value)
    if why:
        raise Problem.from_fields({field: [f"It must not have {why}."]})


def _try(function: Callable[..., T], *arguments: Any) -> T:
    """Call a service; what it cannot take, and Redis away, become problems."""
    try:
        return function(*arguments)
    except UnknownNamespace as error:
        raise Problem(
            404,
            "No such namespace",
            type="unknown-namespace",
            detail=str(error),
            members={"known": list(error.known)},
        ) from error
    except BadArgument as error:
        raise Problem.from_fields({error.field: [str(error)]}) from error
    except BadTag as error:
        raise Problem.from_fields({"tags": [f"{error}."]}) from error
    except InvalidCacheKey as error:
        raise Problem.from_fields({"key": [str(error)]}) from error
    except Away as error:
        raise Problem(
            503,
            "Redis is away",
            type="temporary-reduced-capacity",
            detail="What only Redis knows cannot be counted now; all else goes on.",
            headers={"Retry-After": "1"},
        ) from error
