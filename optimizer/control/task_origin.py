"""A task carries the request id of the call that asked for it, and works under that.

A task that no request asked for, as one of beat's, has its own id as request id; so have the
tasks that it sends in turn.
"""

from dataclasses import replace
from typing import Any

from celery.signals import before_task_publish, task_postrun, task_prerun

from optimizer.control.origin import Origin, current_origin, enter, leave, new_request_id

HEADER = "tuneup_request_id"


@before_task_publish.connect
def _send(headers: dict[str, Any] | None = None, **_: Any) -> None:
    if headers is not None and (request_id := current_origin().request_id):
        headers[HEADER] = request_id


@task_prerun.connect
def _begin(task_id: str, task: Any, **_: Any) -> None:
    request, here = task.request, current_origin()
    if request.is_eager:  # in the process of who asked, who stays the one who does it
        where = replace(here, request_id=here.request_id or new_request_id(task_id))
    else:
        given = request.get(HEADER) or task_id
        where = Origin(channel="worker", request_id=new_request_id(str(given)))
    request.origin_token = enter(replace(where, task_id=task_id, task=task.name))


@task_postrun.connect
def _end(task: Any, **_: Any) -> None:
    if (token := task.request.get("origin_token")) is not None:
        leave(token)
