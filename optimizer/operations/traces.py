"""OpenTelemetry: spans of requests, tasks, queries and calls, where a collector is named.

Without `OTEL_EXPORTER_OTLP_ENDPOINT` nothing is instrumented. Spans wait in a bounded queue and
a thread sends them, so a collector that is away costs spans, and no request waits. Beat is not
traced: a periodic task begins its trace in the worker.
"""

import importlib.util
import logging
import os
import threading
from collections.abc import Callable, Iterable
from importlib import import_module
from multiprocessing.util import Finalize
from typing import Any

from celery import current_app
from django.conf import settings

from optimizer.operations.fast_path import FastPath
from optimizer.operations.metrics import METHODS

INSTALL = "python -m pip install -r requirements-otel.txt"
_SHUTDOWN_SECONDS = 2.0
_INSTRUMENTED = {
    "django": "DjangoInstrumentor",
    "celery": "CeleryInstrumentor",
    "psycopg": "PsycopgInstrumentor",
    "sqlite3": "SQLite3Instrumentor",
    "redis": "RedisInstrumentor",
    "httpx": "HTTPXClientInstrumentor",
}
_NEEDED = (
    "opentelemetry.sdk.trace",
    "opentelemetry.exporter.otlp.proto.http",
    *(f"opentelemetry.instrumentation.{name}" for name in _INSTRUMENTED),
)
logger = logging.getLogger(__name__)
Application = Callable[[dict[str, Any], Any], Iterable[bytes]]
_provider: Any = None


def missing_packages() -> list[str]:
    """Return the modules that exporting needs and that are not installed."""
    return [name for name in _NEEDED if not _is_there(name)]


def start(role: str) -> None:
    """Trace this process where the environment asks for it; `role` is web or worker.

    To be called once in each process, after it has been forked.
    """
    global _provider
    if not settings.EXPORT_TRACES or _provider is not None:
        return
    if missing := missing_packages():
        logger.warning("Traces are not exported, for want of %s: %s", ", ".join(missing), INSTALL)
        return
    from opentelemetry import trace

    current_app.loader.import_default_modules()  # Celery's instrumentation asks for known tasks
    _provider = _new_provider(role)
    trace.set_tracer_provider(_provider)
    for name, instrumentor in _INSTRUMENTED.items():
        hooks = {"response_hook": _note_request} if name == "django" else {}
        module = import_module(f"opentelemetry.instrumentation.{name}")
        getattr(module, instrumentor)().instrument(tracer_provider=_provider, **hooks)
    # Children of multiprocessing, as granian's workers are, end without atexit.
    Finalize(None, stop, exitpriority=1)


def stop() -> None:
    """Send what waits, for a short time, and end."""
    global _provider
    provider, _provider = _provider, None
    if provider is not None:
        # The SDK would wait for a collector that hangs for as long as 30 seconds.
        ending = threading.Thread(target=provider.shutdown, daemon=True)
        ending.start()
        ending.join(_SHUTDOWN_SECONDS)


def of_calls(fast_path: FastPath) -> Application:
    """Return the application with a span around each call that may not reach Django."""
    if _provider is None:
        return fast_path
    from opentelemetry import propagate, trace

    tracer, paths = trace.get_tracer(__name__), fast_path.paths

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if path not in paths:
            return fast_path(environ, start_response)
        headers = {
            name[5:].replace("_", "-").lower(): value
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        with tracer.start_as_current_span(
            f"{method if method in METHODS else 'HTTP'} {path[1:]}",
            context=propagate.extract(headers),
            kind=trace.SpanKind.SERVER,
            attributes={"http.request.method": method, "http.route": path[1:], "url.path": path},
        ) as span:

            def started(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
                span.set_attribute("http.response.status_code", int(status[:3]))
                span.set_attribute("tuneup.request_id", dict(headers).get("X-Request-ID", ""))
                return start_response(status, headers, *more)

            return fast_path(environ, started)

    return application


def _new_provider(role: str) -> Any:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from optimizer.operations.sampling import WithinWork

    resource = Resource.create(
        {
            "service.name": settings.OTEL_SERVICE_NAME,
            "service.instance.id": str(os.getpid()),
            "tuneup.role": role,
        }
    )
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.sampler = WithinWork(provider.sampler)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _note_request(span: Any, _: Any, response: Any) -> None:
    if span.is_recording():
        span.set_attribute("tuneup.request_id", response.get("X-Request-ID", ""))


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of a package that is not there itself
        return False
