"""Logging: one line an event to standard error, as text for people or JSON for collectors.

Every logger of the process ends in one handler, whoever made it: structlog's formatter takes the
records of the standard library too. All of it is plain data, so that granian can read it as JSON.
"""

import logging
import os
import re
import sys
from datetime import UTC, datetime
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from optimizer.control.masking import plain
from optimizer.control.origin import REQUEST_ID, current_origin

STYLES = ("text", "json")
_ROUTED = ("django", "django.server", "celery", "celery.task", "_granian", "granian.access")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
# What libraries hand along with a record beside its message, and no line needs.
_DROPPED = frozenset({"request", "data", "color_message", "taskName"})

structlog.configure(  # who uses structlog's own loggers gets the same lines
    processors=[
        structlog.stdlib.filter_by_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)


def logging_settings(*, level: str, style: str, access_log: bool = False) -> dict[str, Any]:
    """Return a `LOGGING` dictionary; `style` is "text" or "json"."""
    routed: dict[str, dict[str, Any]] = {
        name: {"handlers": [], "level": "NOTSET", "propagate": True} for name in _ROUTED
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": "config.logging.LineFormatter", "style": style}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                # Not sys.stderr: Celery puts a logger in its place.
                "stream": "ext://sys.__stderr__",
            },
        },
        "loggers": {
            **routed,
            # Else a line for each request, and several for each check-out.
            "psycopg.pool": {"level": "WARNING"},
            "httpx": {"level": "WARNING"},
            "tuneup.access": {"level": "INFO" if access_log else "WARNING"},
        },
        "root": {"handlers": ["stderr"], "level": level},
    }


class LineFormatter(structlog.stdlib.ProcessorFormatter):
    """Formats every record as one line of text or JSON; no record can make it fail."""

    def __init__(self, style: str, **_: Any) -> None:
        extra = structlog.stdlib.ExtraAdder()
        super().__init__(processors=_processors(style), foreign_pre_chain=[extra])

    def format(self, record: logging.LogRecord) -> str:
        try:
            return super().format(record)
        except Exception as error:  # arguments that do not fit, or cannot be shown
            mended = logging.makeLogRecord(record.__dict__)
            mended.msg = f"{plain(record.msg)} {plain(record.args)} [{type(error).__name__}]"
            mended.args = ()
            mended.__dict__.pop("_logger", None)  # its message is a text now
            return super().format(mended)


def _processors(style: str) -> list[Processor]:
    shared: list[Processor] = [
        _add_facts,
        structlog.contextvars.merge_contextvars,
        _add_origin,
        _add_trace,
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _make_plain,
    ]
    if style == "json":
        return [*shared, structlog.processors.JSONRenderer()]
    renderer = structlog.dev.ConsoleRenderer(
        colors=sys.stderr is not None and sys.stderr.isatty(),
        exception_formatter=structlog.dev.plain_traceback,
        sort_keys=False,
    )
    return [*shared, _keep_on_one_line, renderer]


def _add_facts(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Begin with what every line has, in a fixed order."""
    record: logging.LogRecord = event["_record"]
    head = {
        "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": event.pop("event"),
        "pid": os.getpid(),
    }
    if isinstance(event.get("stack_info"), str):  # it was taken where the line was written
        event["stack"] = event.pop("stack_info")
    return {**head, **event, **head}  # what is handed along takes no other's place


def _add_origin(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Say for which request and task it is, and which component speaks."""
    where = current_origin()
    # What is said from outside of it: by Celery of a task, by Django of a request.
    told = _mapping(getattr(event["_record"], "data", None))
    asked = _mapping(getattr(getattr(event["_record"], "request", None), "META", None))
    task = where.task or told.get("name") or ""
    facts = {
        "request_id": where.request_id or asked.get(REQUEST_ID),
        "task_id": where.task_id or told.get("id"),
        "task": task,
        "component": _component(event["logger"], str(task)),
    }
    for name in _DROPPED:
        event.pop(name, None)
    for name, fact in facts.items():
        if fact:
            event.setdefault(name, fact)
    return event


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _component(logger: str, task: str) -> str:
    # Not imported: a process that only logs, as granian's first, must make no metrics.
    registry = sys.modules.get("optimizer.control.registry")
    if registry is None:
        return ""
    names = {component.name for component in registry.components()}
    parts = logger.removeprefix("optimizer.").partition(".")
    return next((name for name in (parts[0], task.partition(".")[0]) if name in names), "")


def _add_trace(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Name the current span, so that a line is found from its trace and the other way round."""
    trace = sys.modules.get("opentelemetry.trace")  # not loaded: nothing can be traced
    if trace is not None:
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            event["trace_id"] = trace.format_trace_id(span.trace_id)
            event["span_id"] = trace.format_span_id(span.span_id)
    return event


def _make_plain(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    fields = plain(event)
    assert isinstance(fields, dict)  # noqa: S101  (for the type: a mapping stays one)
    return fields


def _keep_on_one_line(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Show line breaks and terminal codes as escapes: nobody forges a line."""
    event["event"] = _CONTROL.sub(
        lambda found: found[0].encode("unicode_escape").decode(), str(event["event"])
    )
    return event
