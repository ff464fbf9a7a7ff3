"""The self-checks on a button: a worker runs them, the page follows."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.response import TemplateResponse
from django.urls import reverse

from optimizer.control import registry
from optimizer.operations import verification, verifying

Base = dict[str, Any]


def show(request: HttpRequest, base: Base) -> HttpResponse:
    """Show the last run; a POST asks a worker for another."""
    if request.method == "POST":
        if not base["may_change"]:
            raise PermissionDenied
        try:
            verification.ask_for(request.user.get_username())
        except verification.NotSent as error:
            messages.error(
                request,
                f"No worker could be told: the broker (Redis) is away ({error})."
                " `manage.py verify_optimizations` runs the checks without one.",
            )
        return redirect("admin:operations_verification")
    context = {
        **base,
        "title": "Verification",
        "fragment_url": reverse("admin:operations_verification_fragment"),
        **_now(),
    }
    return TemplateResponse(request, "tuneup/operations_verification.html", context)


def fragment(request: HttpRequest, base: Base) -> HttpResponse:
    """Show what moves alone, for the page to refresh itself."""
    return render(request, "tuneup/operations_verification_now.html", {**base, **_now()})


def _now() -> dict[str, Any]:
    found = verification.last()
    if found is None:
        return {"count": len(verifying.checks())}
    outcomes = found["outcomes"]
    done, total = len(outcomes), found["total"] or len(verifying.checks())
    failed = [one for one in outcomes if not one["passed"]]
    titles = {one.name: one.title for one in registry.components()}
    groups: dict[str, list[dict[str, Any]]] = {}
    for one in outcomes:
        one = {**one, "took_ms": one["took_seconds"] * 1000}
        groups.setdefault(titles.get(one["component"], one["component"]), []).append(one)
    return {
        "count": total,
        "found": found,
        "done": done,
        "failed": failed,
        "passed": done - len(failed),
        "percent": round(100 * done / total) if total else 0,
        "groups": groups,
    }
