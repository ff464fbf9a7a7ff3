"""The cache's part of the client: the calls as they go over the wire, and who makes them.

Values are what JSON can say. Calls raise as the limiter's do: Unavailable when no answer came,
ApiError when the server refused; its `problem.type` is unknown-namespace, not-json …
"""

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import UNSET, UnsetType

from optimizer.client.protocol import CacheAway, Call, Problem

T = TypeVar("T")
Seconds = float | None | UnsetType  # None: for ever; UNSET: as the namespace says


class Entry(msgspec.Struct, frozen=True):
    """A value; `ttl_seconds` None is for ever, other Nones are known by Redis alone."""

    key: str
    value: Any
    tier: Literal["l1", "l2"]
    ttl_seconds: float | None
    age_seconds: float | None
    size_bytes: int | None


class Invalidated(msgspec.Struct, frozen=True):
    """How many values went, or would go; None where nobody counts.

    `waiting`: Redis is away, and is told before it is read again.
    """

    invalidated: int | None
    dry_run: bool
    waiting: bool


class _Store(msgspec.Struct, kw_only=True):
    namespace: str | UnsetType = UNSET
    value: Any = UNSET
    values: Mapping[str, Any] | UnsetType = UNSET
    ttl_seconds: Seconds = UNSET
    tags: Sequence[str] = ()


class _Many(msgspec.Struct):
    values: dict[str, Any]


class _Refused(msgspec.Struct):
    refused: list[str]


class _Deleted(msgspec.Struct):
    deleted: int | bool


_BASE = "/internal/v1/caching"
_encode = msgspec.json.Encoder().encode
_problem = msgspec.json.Decoder(Problem).decode


def _call(method: str, path: str, kind: type[T], document: Any = None) -> Call[T]:
    decode = msgspec.json.Decoder(kind).decode

    def read(status: int, body: bytes) -> T:
        if status not in (200, 202):
            raise msgspec.ValidationError
        return decode(body)

    sent = b"" if document is None else _encode(document)
    return Call(method, f"{_BASE}/{path}", sent, read, CacheAway)


def _path(namespace: str, key: str) -> str:
    # Dots too: what looks like the folder above would be taken for it on the way.
    return f"{quote(namespace, safe='')}/{quote(key, safe='').replace('.', '%2E')}"


def entry(namespace: str, key: str) -> Call[Entry | None]:
    found = _call("GET", _path(namespace, key), Entry)

    def read(status: int, body: bytes) -> Entry | None:
        if status == 404 and _problem(body).type == "cache-miss":
            return None
        return found.read(status, body)

    return Call("GET", found.path, b"", read, CacheAway)


def put(namespace: str, key: str, store: _Store) -> Call[None]:
    def read(status: int, body: bytes) -> None:
        if status not in (202, 204):
            raise msgspec.ValidationError

    return Call("PUT", f"{_BASE}/{_path(namespace, key)}", _encode(store), read, CacheAway)


def delete(namespace: str, key: str) -> Call[_Deleted]:
    return _call("DELETE", _path(namespace, key), _Deleted)


def get_many(namespace: str, keys: Iterable[str]) -> Call[_Many]:
    return _call("POST", "get-many", _Many, {"namespace": namespace, "keys": list(keys)})


def set_many(store: _Store) -> Call[_Refused]:
    return _call("POST", "set-many", _Refused, store)


def delete_many(namespace: str, keys: Iterable[str]) -> Call[_Deleted]:
    return _call("POST", "delete-many", _Deleted, {"namespace": namespace, "keys": list(keys)})


def invalidate(dry_run: bool, **target: Any) -> Call[Invalidated]:
    given = {name: value for name, value in target.items() if value is not None}
    return _call("POST", "invalidate", Invalidated, {**given, "dry_run": dry_run})


def stats() -> Call[dict[str, Any]]:
    return _call("GET", "stats", dict[str, Any])


class Send(Protocol):
    """Makes a call and returns its answer."""

    def __call__(self, call: Call[T]) -> T: ...


class AsyncSend(Protocol):
    """Makes a call from asyncio."""

    def __call__(self, call: Call[T]) -> Awaitable[T]: ...


class Cache:
    """The cache, from threads: `client.cache`. Keys come behind their namespace's prefix."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def get(self, namespace: str, key: str, default: Any = None) -> Any:
        """Return a value, or `default` where there is none."""
        found = self.entry(namespace, key)
        return default if found is None else found.value

    def entry(self, namespace: str, key: str) -> Entry | None:
        """Return a value with its time to live, age, size and tier; None where there is none."""
        return self._send(entry(namespace, key))

    def set(
        self,
        namespace: str,
        key: str,
        value: Any,
        *,
        ttl_seconds: Seconds = UNSET,
        tags: Sequence[str] = (),
    ) -> None:
        """Store a value, for the namespace's time to live or `ttl_seconds` (None: for ever)."""
        self._send(put(namespace, key, _Store(value=value, ttl_seconds=ttl_seconds, tags=tags)))

    def delete(self, namespace: str, key: str) -> bool:
        """Delete a value; say whether there was one."""
        return bool(self._send(delete(namespace, key)).deleted)

    def get_many(self, namespace: str, keys: Iterable[str]) -> dict[str, Any]:
        """Return the values of up to 1000 keys, as far as they are there and JSON."""
        return self._send(get_many(namespace, keys)).values

    def set_many(
        self,
        namespace: str,
        values: Mapping[str, Any],
        *,
        ttl_seconds: Seconds = UNSET,
        tags: Sequence[str] = (),
    ) -> list[str]:
        """Store up to 1000 values as `set` does; return the keys of those that are too large."""
        store = _Store(namespace=namespace, values=values, ttl_seconds=ttl_seconds, tags=tags)
        return self._send(set_many(store)).refused

    def delete_many(self, namespace: str, keys: Iterable[str]) -> int:
        """Delete up to 1000 values; return how many there were."""
        return int(self._send(delete_many(namespace, keys)).deleted)

    def invalidate(
        self,
        *,
        namespace: str | None = None,
        keys: Sequence[str] | None = None,
        pattern: str | None = None,
        tag: str | None = None,
        dry_run: bool = False,
    ) -> Invalidated:
        """Invalidate a tag; or of a namespace keys, what fits a pattern (* and ?), or all.

        With `dry_run` it is only counted; raises CacheAway while that cannot be done.
        """
        target = {"namespace": namespace, "keys": keys, "pattern": pattern, "tag": tag}
        return self._send(invalidate(dry_run, **target))

    def stats(self) -> dict[str, Any]:
        """Return what the answering process has counted."""
        return self._send(stats())


class AsyncCache:
    """The cache, from asyncio; the same calls as `Cache` has."""

    def __init__(self, send: AsyncSend) -> None:
        self._send = send

    async def get(self, namespace: str, key: str, default: Any = None) -> Any:
        """Return a value, or `default` where there is none."""
        found = await self.entry(namespace, key)
        return default if found is None else found.value

    async def entry(self, namespace: str, key: str) -> Entry | None:
        """Return a value with its time to live, age, size and tier; None where there is none."""
        return await self._send(entry(namespace, key))

    async def set(
        self,
        namespace: str,
        key: str,
        value: Any,
        *,
        ttl_seconds: Seconds = UNSET,
        tags: Sequence[str] = (),
    ) -> None:
        """Store a value, for the namespace's time to live or `ttl_seconds` (None: for ever)."""
        store = _Store(value=value, ttl_seconds=ttl_seconds, tags=tags)
        await self._send(put(namespace, key, store))

    async def delete(self, namespace: str, key: str) -> bool:
        """Delete a value; say whether there was one."""
        return bool((await self._send(delete(namespace, key))).deleted)

    async def get_many(self, namespace: str, keys: Iterable[str]) -> dict[str, Any]:
        """Return the values of up to 1000 keys, as far as they are there and JSON."""
        return (await self._send(get_many(namespace, keys))).values

    async def set_many(
        self,
        namespace: str,
        values: Mapping[str, Any],
        *,
        ttl_seconds: Seconds = UNSET,
        tags: Sequence[str] = (),
    ) -> list[str]:
        """Store up to 1000 values as `set` does; return the keys of those that are too large."""
        store = _Store(namespace=namespace, values=values, ttl_seconds=ttl_seconds, tags=tags)
        return (await self._send(set_many(store))).refused

    async def delete_many(self, namespace: str, keys: Iterable[str]) -> int:
        """Delete up to 1000 values; return how many there were."""
        return int((await self._send(delete_many(namespace, keys))).deleted)

    async def invalidate(
        self,
        *,
        namespace: str | None = None,
        keys: Sequence[str] | None = None,
        pattern: str | None = None,
        tag: str | None = None,
        dry_run: bool = False,
    ) -> Invalidated:
        """Invalidate as `Cache.invalidate` does."""
        target = {"namespace": namespace, "keys": keys, "pattern": pattern, "tag": tag}
        return await self._send(invalidate(dry_run, **target))

    async def stats(self) -> dict[str, Any]:
        """Return what the answering process has counted."""
        return await self._send(stats())
