"""What reads and writes in a process with replicas: pages, streams, tasks; each tells its alias."""

import json
from typing import Any

from celery import shared_task
from django.conf import settings
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.urls import path
from redis import Redis

from config.urls import urlpatterns as project_urls
from tests.library.models import Tag


def tag(request: HttpRequest, pk: int) -> JsonResponse:
    if name := request.POST.get("name"):
        Tag.objects.filter(pk=pk).update(name=name)
        if "session" in request.POST:
            request.session["seen"] = name
        return JsonResponse({"name": name})
    return JsonResponse(found(pk))


def stream(request: HttpRequest, pk: int) -> StreamingHttpResponse:
    def parts() -> Any:
        yield "writing "
        Tag.objects.filter(pk=pk).update(name=request.GET["name"])

    return StreamingHttpResponse(parts())


def found(pk: int) -> dict[str, str | None]:
    """Return a tag's name, and where it was read."""
    one = Tag.objects.get(pk=pk)
    return {"name": one.name, "alias": one._state.db}


@shared_task
def look(pk: int, answer: str) -> None:
    _answer(answer, found(pk))


@shared_task
def rename(pk: int, name: str, answer: str) -> None:
    Tag.objects.filter(pk=pk).update(name=name)
    _answer(answer, {"name": name})


def _answer(key: str, what: Any) -> None:
    with Redis.from_url(settings.REDIS_URL) as redis:
        redis.rpush(key, json.dumps(what))


urlpatterns = [path("tag/<int:pk>/", tag), path("stream/<int:pk>/", stream), *project_urls]
