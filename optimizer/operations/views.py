"""/health, /ready, /metrics, /api/ and /api/overview."""

import ipaddress
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from optimizer.control import registry
from optimizer.control.bearer import identity_of
from optimizer.control.problems import Problem, respond
from optimizer.operations import answers, health
from optimizer.operations.live import operations
from optimizer.operations.wall import client_address

SCOPE = "operations"


@require_safe
@never_cache
def alive(request: HttpRequest) -> HttpResponse:
    """Say that this process answers; touch nothing else, so that one outage restarts nobody."""
    return JsonResponse({"status": health.UP})


@require_safe
@never_cache
def ready(request: HttpRequest) -> HttpResponse:
    """Say whether traffic may come; what is wrong is told to holders of a key alone."""
    status, results = health.readiness()
    document: dict[str, Any] = {"status": status}
    if _may_see(request):
        document["checks"] = {
            one.name: {
                "status": health.UP if not one.error else health.DOWN,
                "critical": one.critical,
                "took_seconds": round(one.took_seconds, 6),
                **({"error": one.error} if one.error else {}),
            }
            for one in results
        }
    if status == health.DOWN:
        # In a problem "status" is the HTTP status.
        document["readiness"] = document.pop("status")
        return respond(Problem(503, "A critical part is away", type="not-ready", members=document))
    return JsonResponse(document)


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """Return all processes' metrics to a key or an allowed network."""
    near = is_near(request.META) and is_allowed(client_address("metrics", request))
    if not (near or _may_see(request)):
        return _no_key("Send a key with the scope operations, or come from an allowed network.")
    return HttpResponse(answers.metrics_body(), content_type=CONTENT_TYPE_LATEST)


@require_safe
@never_cache
def api_root(request: HttpRequest) -> HttpResponse:
    """Return what each component says of itself; without a key only their names."""
    detailed = _may_see(request)
    return JsonResponse(
        {
            "components": {
                one.name: {
                    "title": one.title,
                    "settings": "stale" if one.live.error else "live",
                    **({"status": one.status()} if detailed else {}),
                }
                for one in registry.components()
            }
        }
    )


@require_safe
@never_cache
def overview(request: HttpRequest) -> HttpResponse:
    """Return what a dashboard polls: every component's state, the processes, the last changes."""
    if not _may_see(request):
        return _no_key("Send a key with the scope operations.")
    return HttpResponse(answers.overview_body(), content_type=answers.JSON)


def is_near(environ: Mapping[str, Any]) -> bool:
    """Say whether a call's address can be told.

    Behind a proxy that no admin has told of, everybody seems to come from the proxy's network.
    """
    if operations.current().trusted_proxy_count:
        return True
    return "HTTP_X_FORWARDED_FOR" not in environ and "HTTP_FORWARDED" not in environ


def is_allowed(address: str) -> bool:
    """Say whether an address may read the metrics without a key."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(
        found.version == network.version and found in network
        for network in operations.current().metrics_allowed_networks
    )


def _may_see(request: HttpRequest) -> bool:
    identity = identity_of(request)
    return identity is not None and identity.may(SCOPE)


def _no_key(detail: str) -> HttpResponse:
    return respond(
        Problem(
            401,
            "No valid key",
            type="invalid-key",
            detail=detail,
            headers={"WWW-Authenticate": "Bearer"},
        )
    )
