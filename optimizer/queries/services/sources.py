"""Where units come from beside requests: Celery's tasks and management commands."""

from collections.abc import Callable
from typing import Any

from celery.signals import task_postrun, task_prerun
from django.core.management.base import BaseCommand

from optimizer.queries.services import watching

# They serve or start others, whose work is watched by itself, or change the tables.
_NOT_WATCHED = frozenset(
    (
        "analyze_queries", "createcachetable", "dbshell", "flush", "makemigrations", "migrate",
        "prepare", "runserver", "settings", "shell", "sqlmigrate", "test", "testserver", "up",
    )
)  # fmt: skip
_tasks: dict[str, watching.Watched] = {}


def install() -> None:
    """Watch every task that a worker runs, and every command."""
    task_prerun.connect(_before_task, dispatch_uid="queries.sources")
    task_postrun.connect(_after_task, dispatch_uid="queries.sources")
    if not getattr(BaseCommand.execute, "_tuneup", False):
        BaseCommand.execute = _watched(BaseCommand.execute)  # type: ignore[method-assign]


def _before_task(task_id: str, task: Any, **_: Any) -> None:
    if task.name.startswith("queries."):  # its own would only speak of itself
        return
    watched = watching.begin(task.name, "task", is_long=True)
    if watched is not None:
        _tasks[task_id] = watched


def _after_task(task_id: str, **_: Any) -> None:
    watched = _tasks.pop(task_id, None)
    if watched is not None:
        watching.end(watched)


def _watched(execute: Callable[..., Any]) -> Callable[..., Any]:
    def watched_execute(self: BaseCommand, *given: Any, **named: Any) -> Any:
        name = type(self).__module__.rpartition(".")[2]
        if name in _NOT_WATCHED:
            return execute(self, *given, **named)
        watched = watching.begin(f"manage.py {name}", "command", is_long=True)
        try:
            return execute(self, *given, **named)
        finally:
            if watched is not None:
                watching.end(watched)

    watched_execute._tuneup = True  # type: ignore[attr-defined]
    return watched_execute
