"""Document indexes: what is wanted, how it stands on the server, what is proposed."""

import time
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.response import TemplateResponse

from optimizer.control.redis import RedisAway
from optimizer.operations.models import DocumentIndex
from optimizer.operations.services import document_indexes, index_proposals, index_runs
from optimizer.operations.services.document_indexes import Found, MongoAway, NoMongo, says_of

_COLOURS = {"ok": "ok", "missing": "bad", "different": "wait", "extra": "quiet"}
_SILENT_SECONDS = 120.0
Base = dict[str, Any]


def page(request: HttpRequest, base: Base) -> HttpResponse:
    """Show the page; what moves is in the fragment."""
    context = {
        **base,
        "title": "Document indexes",
        "may_change": _may_change(request),
        "proposed": index_proposals.proposed(),
        **_overview(),
    }
    return TemplateResponse(request, "tuneup/operations_indexes.html", context)


def fragment(request: HttpRequest, base: Base) -> HttpResponse:
    """Show how the indexes stand alone, for the page to refresh itself."""
    return render(request, "tuneup/operations_indexes_now.html", _overview())


def act(request: HttpRequest, base: Base) -> HttpResponse:
    """Ask a worker to make the indexes, or accept a proposal; then show the page again."""
    if request.method != "POST" or not _may_change(request):
        raise PermissionDenied
    if "make" in request.POST:
        _ask(request)
    else:
        _accept(request)
    return redirect("admin:operations_indexes")


def _ask(request: HttpRequest) -> None:
    try:
        index_runs.ask()
        messages.success(request, "A worker makes the indexes; this page shows how far it is.")
    except index_runs.BrokerAway:
        messages.error(request, "No worker can be asked now: Redis or the broker is away.")


def _accept(request: HttpRequest) -> None:
    component, _, number = request.POST.get("accept", "").partition(":")
    try:
        row = index_proposals.accept(component, number)
        messages.success(request, f"{row.name} is wanted now; make the indexes when it suits.")
    except index_proposals.Settled as error:
        messages.error(request, str(error))


def _may_change(request: HttpRequest) -> bool:
    return request.user.has_perm("operations.add_documentindex")


def _overview() -> dict[str, Any]:
    found: dict[str, Any] = {"no_mongo": False, "away": "", "indexes": [], "wrong": 0}
    try:
        every = document_indexes.survey()
        rows = dict(DocumentIndex.objects.values_list("name", "pk"))
        found["indexes"] = [_index(one, rows) for one in every]
        found["wrong"] = len(document_indexes.to_do(every, drop_extra=False))
    except NoMongo:
        found["no_mongo"] = True
    except MongoAway as error:
        found["away"] = str(error)
    try:
        run = index_runs.last()
    except RedisAway:
        run = None
    if run is not None:
        is_over = run.state in ("done", "failed")
        found["run"] = run
        found["is_silent"] = not is_over and time.time() - run.told_at > _SILENT_SECONDS
    return found


def _index(one: Found, rows: dict[str, int]) -> dict[str, Any]:
    wanted = one.drift.wanted
    return {
        "of": one,
        "colour": _COLOURS[one.drift.kind],
        "says": says_of(one),
        "pk": rows.get(wanted.name) if wanted is not None else None,
    }
