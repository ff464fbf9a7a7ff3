"""Limits on Django views and Celery tasks, as decorators."""

import asyncio
import functools
import random
import time
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponseBase

from ratelimit.responses import put_fields, too_many
from ratelimit.services import limiter

Text = str | Callable[..., str]
Whole = int | Callable[..., int]


def user_or_address(request: HttpRequest) -> str:
    """Return the subject of a request: user:<key> of who is logged in, else ip:<address>."""
    user = getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        return f"user:{user.pk}"
    return f"ip:{request.META.get('REMOTE_ADDR', '')}"


def limited(
    scope: str = "", *, subject: Callable[[HttpRequest], str] = user_or_address, cost: Whole = 1
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Limit a view: past the limit it answers 429 (a page, or problem+json) without being called.

    `subject` and `cost` may be functions of the request. Behind a proxy give a `subject` of your
    own, for the address is the proxy's. A tier that lets wait makes the request wait.
    """

    def wrap(view: Callable[..., Any]) -> Callable[..., Any]:
        if iscoroutinefunction(view):

            @functools.wraps(view)
            async def ainner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
                tokens = cost(request) if callable(cost) else cost
                decided = await limiter.acheck(subject(request), tokens, scope)
                if not decided:
                    return too_many(request, decided)
                if decided.delay_seconds:
                    await asyncio.sleep(decided.delay_seconds)
                try:
                    return put_fields(await view(request, *args, **kwargs), decided)
                finally:
                    if decided.slot:
                        await limiter.arelease(subject(request), decided.slot, scope)

            return ainner

        @functools.wraps(view)
        def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            tokens = cost(request) if callable(cost) else cost
            with limiter.hold(subject(request), tokens, scope) as decided:
                if not decided:
                    return too_many(request, decided)
                if decided.delay_seconds:
                    time.sleep(decided.delay_seconds)
                return put_fields(view(request, *args, **kwargs), decided)

        return inner

    return wrap


def limited_task(
    scope: str = "", *, subject: Text, cost: Whole = 1
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Limit a Celery task that is bound (`bind=True`): past the limit it is tried again in time.

    `subject` and `cost` may be functions of the task's arguments (without the task itself). The
    retry comes when the tokens are there, with some jitter, however often that takes.
    """

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def inner(task: Any, *args: Any, **kwargs: Any) -> Any:
            who = subject(*args, **kwargs) if callable(subject) else subject
            tokens = cost(*args, **kwargs) if callable(cost) else cost
            with limiter.hold(who, tokens, scope) as decided:
                if not decided:
                    # Jitter, so that all who wait for one token do not come back in step.
                    wait = decided.retry_after_seconds * (1 + random.random() / 4)  # noqa: S311
                    raise task.retry(countdown=wait, max_retries=None)
                if decided.delay_seconds:
                    time.sleep(decided.delay_seconds)
                return function(task, *args, **kwargs)

        return inner

    return wrap
