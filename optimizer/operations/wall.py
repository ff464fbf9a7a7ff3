"""The outer wall: django-ratelimit by client address on the admin's login and the internal API.

It is coarse (a fixed window a minute) and meant for floods and guessing, not for bots: a call with
a valid key passes it without a trip to Redis unless an admin sets a rate for those too. While Redis
is away it lets pass, at once: it stands behind the same circuit breaker as everything else.
"""

from collections.abc import Callable
from typing import Any

import redis
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django_ratelimit.core import get_usage
from django_redis.exceptions import ConnectionInterrupted

from optimizer.control.bearer import identity_of
from optimizer.control.problems import Problem, respond
from optimizer.control.redis import RedisAway, call
from optimizer.operations.live import operations

INTERNAL = "/internal/"


def login_rate(group: str, request: HttpRequest) -> str | None:
    """Return the rate of tries to log in, as django-ratelimit reads it."""
    return _rate(operations.current().login_rate_per_minute)


def anonymous_rate(group: str, request: HttpRequest) -> str | None:
    """Return the rate of internal calls without a valid key."""
    return _rate(operations.current().anonymous_rate_per_minute)


def keyed_rate(group: str, request: HttpRequest) -> str | None:
    """Return the rate of internal calls with a valid key."""
    return _rate(operations.current().keyed_rate_per_minute)


def client_address(group: str, request: HttpRequest) -> str:
    """Return the address of who calls; proxies are believed only as far as an admin trusts them."""
    proxies = operations.current().trusted_proxy_count
    if proxies:
        hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",")]
        if len(hops) >= proxies and hops[-proxies]:
            return hops[-proxies]
    return str(request.META.get("REMOTE_ADDR", ""))


def _rate(per_minute: int) -> str | None:
    return f"{per_minute}/m" if per_minute else None


class WallMiddleware:
    """Answer 429 to an address that is over its rate: a page for people, problem+json for bots."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.login_path = reverse("admin:login")

    def __call__(self, request: HttpRequest) -> HttpResponse:
        group, rate = self._rule(request)
        if rate is not None:
            usage = _usage(request, group, rate)
            if usage is not None and usage["should_limit"]:
                return _refusal(request, usage, group)
        return self.get_response(request)

    def _rule(self, request: HttpRequest) -> tuple[str, Any]:
        if request.method == "POST" and request.path == self.login_path:
            return "login", login_rate
        if request.path.startswith(INTERNAL):
            if identity_of(request) is None:
                return "internal", anonymous_rate
            if operations.current().keyed_rate_per_minute:
                return "internal-keyed", keyed_rate
        return "", None


def _usage(request: HttpRequest, group: str, rate: Any) -> dict[str, Any] | None:
    def count(_: Any) -> dict[str, Any] | None:
        try:
            usage: dict[str, Any] | None = get_usage(
                request, group=group, key=client_address, rate=rate, increment=True
            )
        except ConnectionInterrupted as error:  # in the breaker's terms
            raise redis.ConnectionError(str(error)) from error
        return usage

    try:
        return call(count)
    except RedisAway:
        return None


def _refusal(request: HttpRequest, usage: dict[str, Any], group: str) -> HttpResponse:
    wait = max(1, usage["time_left"])
    headers = {
        "Retry-After": str(wait),
        "RateLimit-Policy": f'"wall-{group}";q={usage["limit"]};w=60',
        "RateLimit": f'"wall-{group}";r={max(0, usage["limit"] - usage["count"])};t={wait}',
    }
    if request.path.startswith(INTERNAL):
        return respond(
            Problem(
                429,
                "Too many calls from this address",
                type="outer-wall",
                detail=f"{usage['limit']} a minute are allowed; try again in {wait} s.",
                headers=headers,
                members={"violated-policies": [f"wall-{group}"]},
            )
        )
    response = render(request, "429.html", {"wait_seconds": wait}, status=429)
    for name, value in headers.items():
        response[name] = value
    return response
