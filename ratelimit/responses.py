"""A denial as an HTTP response: a page for people, problem+json for programs."""

import math

import msgspec
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from optimizer.control.problems import API_PATHS, Problem, respond
from ratelimit.answers import answer, refusal
from ratelimit.engine import Decision
from ratelimit.headers import fields


def wants_page(request: HttpRequest) -> bool:
    """Say whether a person reads the answer."""
    # A program that accepts anything is better served with a document.
    asks = "text/html" in request.headers.get("Accept", "")
    return asks and not request.path.startswith(API_PATHS)


def too_many(request: HttpRequest, decided: Decision) -> HttpResponse:
    """Return the response of a denied call."""
    code, title, kind, names = refusal((decided,))
    headers = fields((decided,))
    if not wants_page(request):
        document = msgspec.structs.asdict(answer(decided))
        members = {"violated-policies": names, **document}
        return respond(Problem(code, title, type=kind, headers=headers, members=members))
    wait = max(1, math.ceil(decided.retry_after_seconds))
    response = render(request, "429.html", {"wait_seconds": wait}, status=code)
    for name, value in headers.items():
        response[name] = value
    return response


def put_fields(response: HttpResponseBase, decided: Decision) -> HttpResponseBase:
    """Put the RateLimit fields on the response of an allowed call."""
    for name, value in fields((decided,)).items():
        response[name] = value
    return response
