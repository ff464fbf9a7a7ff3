"""Cache what a function returns, or what a view answers."""

import functools
import hashlib
import inspect
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.core.cache import caches
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.translation import get_language, override

from caching.backends import TieredCache
from caching.engine.values import ATOMS
from caching.services import loads
from caching.services.engines import main_alias

Key = str | Callable[..., str]
Function = Callable[..., Any]
_NEVER_KEPT = ("no-store", "no-cache", "private")


def cached(
    namespace: str,
    *,
    key: Key | None = None,
    ttl: float | None = DEFAULT_TIMEOUT,
    tags: Sequence[str] | Callable[..., Sequence[str]] = (),
    using: str | None = None,
) -> Callable[[Function], Function]:
    """Cache a function, a coroutine function too, by the rules of a namespace.

    `key` is a format string over the arguments ("{user_id}:{page}") or a function of them; without
    one it is made of all arguments, which must be plain values then: a call with others, such as
    a method's `self`, raises TypeError. `ttl` is in seconds, None for ever; without one the
    namespace says. The decorated function has `key_for(…)`, `refresh(…)` (load now) and
    `forget(…)`.
    """

    def wrap(function: Function) -> Function:
        names = _Names(function, namespace, key)

        def options(given: Any, named: Any) -> tuple[TieredCache, str, Any]:
            cache = tiered(using)
            chosen = tags(*given, **named) if callable(tags) else tags
            return cache, names.key(cache, given, named), chosen

        def load(given: Any, named: Any, anew: bool = False) -> Any:
            cache, name, chosen = options(given, named)
            make = functools.partial(function, *given, **named)
            call = loads.aget_or_load if is_async else loads.get_or_load
            return call(cache, name, make, ttl, tags=chosen, anew=anew)

        is_async = iscoroutinefunction(function)

        @functools.wraps(function)
        def inner(*given: Any, **named: Any) -> Any:
            return load(given, named)

        outer: Any = markcoroutinefunction(inner) if is_async else inner
        outer.refresh = lambda *given, **named: load(given, named, anew=True)
        outer.key_for = lambda *given, **named: options(given, named)[1]
        outer.forget = lambda *given, **named: tiered(using).delete(options(given, named)[1])
        found: Function = outer
        return found

    return wrap


class _Names:
    """The keys of a function's results."""

    def __init__(self, function: Function, namespace: str, key: Key | None) -> None:
        self._namespace, self._key = namespace, key
        self._signature = inspect.signature(function)
        self._of = f"{function.__module__}.{function.__qualname__}"

    def key(self, cache: TieredCache, given: Any, named: Any) -> str:
        """Return the key, which begins with the namespace's prefix."""
        space = cache.tiers.spaces.by_name.get(self._namespace)
        prefix = space.settings.prefix if space is not None else f"{self._namespace}:"
        if callable(self._key):
            return f"{prefix}{self._key(*given, **named)}"
        bound = self._signature.bind(*given, **named)
        bound.apply_defaults()
        if self._key is not None:
            return prefix + self._key.format(**bound.arguments)
        for name, value in bound.arguments.items():
            if not _is_told_by_repr(value):
                raise TypeError(
                    f"{self._of}: no key can be made of the argument {name!r}, "
                    f"a {type(value).__name__}; give key=…"
                )
        told = f"{self._of}:{bound.arguments!r}".encode()
        return f"{prefix}{hashlib.blake2b(told, digest_size=16).hexdigest()}"


def _is_told_by_repr(value: object) -> bool:
    """Say whether no other value has this repr; many a class shows a name, or an address."""
    kind = type(value)
    if kind is dict:
        return all(_is_told_by_repr(part) for pair in value.items() for part in pair)  # type: ignore[attr-defined]
    if kind in (list, tuple, set, frozenset):
        return all(map(_is_told_by_repr, value))  # type: ignore[call-overload]
    return kind in ATOMS or isinstance(value, Enum)


class _NotKept(Exception):
    """A response that is for one request alone."""

    def __init__(self, request: HttpRequest, response: HttpResponseBase) -> None:
        super().__init__()
        self._request, self._response = request, response

    def of(self, request: HttpRequest) -> HttpResponseBase | None:
        """Return the response to its own request; who waited for this load must ask itself."""
        return self._response if request is self._request else None


def cached_view(
    namespace: str,
    *,
    ttl: float | None = DEFAULT_TIMEOUT,
    vary: Callable[[HttpRequest], str] | None = None,
    tags: Sequence[str] = (),
    using: str | None = None,
) -> Callable[[Function], Function]:
    """Cache a view's answers to GET and HEAD, by address, language and user.

    `vary` gives what else makes an answer another; without it, one that varies by another header
    is not kept. Nor is what is not 200, is streamed, sets a cookie, varies by cookie, holds a CSRF
    token, comes with a changed session, or says private, no-cache or no-store.
    """

    def key_of(cache: TieredCache, request: HttpRequest, user: Any) -> str:
        told = "\n".join(
            (
                request.method or "",
                request.build_absolute_uri(),
                get_language() or "",
                str(user.pk) if user is not None and user.is_authenticated else "",
                vary(request) if vary is not None else "",
            )
        )
        space = cache.tiers.spaces.by_name.get(namespace)
        prefix = space.settings.prefix if space is not None else f"{namespace}:"
        return f"{prefix}{hashlib.blake2b(told.encode(), digest_size=16).hexdigest()}"

    def wrap(view: Function) -> Function:
        @functools.wraps(view)
        def inner(request: HttpRequest, *given: Any, **named: Any) -> HttpResponseBase:
            if request.method not in ("GET", "HEAD"):
                return view(request, *given, **named)  # type: ignore[no-any-return]

            language = get_language()

            def make() -> Any:
                with override(language):  # perhaps in another thread
                    response = view(request, *given, **named)
                    if hasattr(response, "render"):
                        response = response.render()
                return _parts(request, response, by_headers=vary is not None)

            cache = tiered(using)
            key = key_of(cache, request, getattr(request, "user", None))
            try:
                kept = loads.get_or_load(cache, key, make, ttl, tags=tags)
            except _NotKept as answer:
                own = answer.of(request)
                return own if own is not None else view(request, *given, **named)
            return _response(kept)

        @functools.wraps(view)
        async def ainner(request: HttpRequest, *given: Any, **named: Any) -> HttpResponseBase:
            if request.method not in ("GET", "HEAD"):
                return await view(request, *given, **named)  # type: ignore[no-any-return]

            async def make() -> Any:
                response = await view(request, *given, **named)
                if hasattr(response, "render"):
                    response = await sync_to_async(response.render)()
                return _parts(request, response, by_headers=vary is not None)

            cache = tiered(using)
            key = key_of(cache, request, await _user(request))
            try:
                kept = await loads.aget_or_load(cache, key, make, ttl, tags=tags)
            except _NotKept as answer:
                own = answer.of(request)
                return own if own is not None else await view(request, *given, **named)
            return _response(kept)

        return ainner if iscoroutinefunction(view) else inner

    return wrap


def tiered(using: str | None = None) -> TieredCache:
    """Return a tiered cache by its alias; without one, the default. Raises TypeError."""
    cache = caches[using or main_alias()]
    if not isinstance(cache, TieredCache):
        raise TypeError(f"The cache {using!r} is not a caching.backends.TieredCache.")
    return cache


async def _user(request: HttpRequest) -> Any:
    if hasattr(request, "auser"):  # the other one asks the database when it is first looked at
        return await request.auser()
    return getattr(request, "user", None)


def _parts(request: HttpRequest, response: HttpResponseBase, by_headers: bool) -> tuple[Any, ...]:
    """Return what is kept of a response. Raises _NotKept."""
    if not _is_for_others(request, response, by_headers):
        raise _NotKept(request, response)
    headers = tuple((name, str(value)) for name, value in response.items())
    return headers, response.content  # type: ignore[attr-defined]


def _is_for_others(request: HttpRequest, response: HttpResponseBase, by_headers: bool) -> bool:
    """Say whether who has the same key may be given a response; `by_headers`: the key has them."""
    control = response.get("Cache-Control", "").lower()
    varies = {one.strip().lower() for one in response.get("Vary", "").split(",")}
    varies -= {"", "accept-language"}  # the key has the language
    return not (
        response.streaming
        or response.status_code != 200
        or response.cookies
        or varies & {"cookie", "*"}
        or (varies and not by_headers)
        or any(word in control for word in _NEVER_KEPT)
        # What middleware makes a cookie of after the view.
        or request.META.get("CSRF_COOKIE_NEEDS_UPDATE")
        or getattr(getattr(request, "session", None), "modified", False)
    )


def _response(kept: tuple[Any, ...]) -> HttpResponse:
    headers, content = kept
    response = HttpResponse(content)
    for name, value in headers:
        response[name] = value
    return response
