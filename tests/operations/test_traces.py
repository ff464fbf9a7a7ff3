"""Spans of one call in all its processes, at a real OTLP receiver; and a collector that is away."""

import gzip
import os
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from django.conf import settings
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from optimizer.control import keys
from optimizer.operations.embedded_redis import free_port
from tests.batches.jobs import make
from tests.children import children
from tests.library.models import Ledger
from tests.processes import program, worker

pytestmark = [
    pytest.mark.any_database,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis"),
]
QUICK = {"OTEL_BSP_SCHEDULE_DELAY": "100"}  # milliseconds
SERVER, CLIENT, PRODUCER, CONSUMER = (
    Span.SPAN_KIND_SERVER,
    Span.SPAN_KIND_CLIENT,
    Span.SPAN_KIND_PRODUCER,
    Span.SPAN_KIND_CONSUMER,
)


class Collector:
    """What came over OTLP/HTTP: spans with the role and process that sent them."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, str, Span]] = []
        self.url = ""

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            of = {one.key: one.value.string_value for one in resource.resource.attributes}
            assert of["service.name"] == "tuneup"
            self.spans += [
                (of["tuneup.role"], of["service.instance.id"], span)
                for scope in resource.scope_spans
                for span in scope.spans
            ]

    def find(self, kind: int, name: str) -> list[Span]:
        return [one for _, _, one in list(self.spans) if (one.kind, one.name) == (kind, name)]

    def served_in(self, trace_id: str) -> list[str]:
        ours = [one for _, _, one in list(self.spans) if one.trace_id.hex() == trace_id]
        return [one.name for one in ours if one.kind == SERVER]

    def of_trace(self, trace_id: bytes) -> set[tuple[str, int]]:
        return {(role, one.kind) for role, _, one in list(self.spans) if one.trace_id == trace_id}


@contextmanager
def collector():
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.take(gzip.decompress(body) if self.headers["Content-Encoding"] else body)
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.end_headers()

        def log_message(self, *_) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def web(folder, **environment):
    """Run granian with one process; give the program and a client with a key."""
    port = free_port()
    arguments = ("--interface", "wsgi", "--port", str(port), "--workers", "1")
    with program(
        "granian", *arguments, "config.wsgi:application", log=folder / "web.log", **environment
    ) as running:
        token = keys.issue(name="bot", scopes=["batches", "ratelimit"])[1]
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=60,
        ) as client:

            def answers() -> bool:
                try:
                    return client.get("/health").status_code == 200
                except httpx.TransportError:
                    return False

            running.wait_for(answers)
            yield running, client


def attributes(span: Span) -> dict[str, str]:
    return {one.key: one.value.string_value for one in span.attributes}


def test_a_call_and_what_a_worker_does_for_it_are_one_trace(tmp_path):
    make("ledger", handler="ledger", idle_seconds=0.05, flush_seconds=0.1)
    with ExitStack() as stack:
        found = stack.enter_context(collector())
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": found.url, **QUICK}
        running = stack.enter_context(worker(tmp_path, **traced))
        served, client = stack.enter_context(web(tmp_path, **traced))
        sent = client.post(
            "/internal/v1/batches/ledger/items",
            json={"item": {"n": 1}},
            headers={"X-Request-ID": "call-9"},
        )
        assert sent.status_code in (200, 202), sent.text
        checked = client.post("/internal/v1/ratelimit/check", json={"subject": "a"})
        running.wait_for(lambda: Ledger.objects.exists())
        drained = running.wait_for(lambda: found.find(CONSUMER, "run/batches.drain"))
        served.wait_for(lambda: found.find(SERVER, "POST internal/v1/ratelimit/check"))
        calls = served.wait_for(
            lambda: (
                found.find(SERVER, "POST internal/v1/batches/{job}/items")
                or [one for _, _, one in found.spans if "/items" in one.name]
            )
        )
        trace_id = calls[0].trace_id
        roles = {("web", SERVER), ("web", CLIENT), ("web", PRODUCER)}
        roles |= {("worker", CONSUMER), ("worker", CLIENT)}
        running.wait_for(lambda: roles <= found.of_trace(trace_id))
        lines = running.wait_for(lambda: running.lines(trace_id=trace_id.hex()))
    assert attributes(calls[0])["tuneup.request_id"] == "call-9"
    assert drained[0].trace_id == trace_id
    assert {line["request_id"] for line in lines} == {"call-9"}
    assert all(line["span_id"] for line in lines)
    # Heartbeats and polls of threads begin no traces.
    assert not [
        one.name for _, _, one in found.spans if one.kind == CLIENT and not one.parent_span_id
    ]
    fast = found.find(SERVER, "POST internal/v1/ratelimit/check")[0]
    assert attributes(fast)["tuneup.request_id"] == checked.headers["X-Request-ID"]
    assert len({process for _, process, _ in found.spans}) == 2


def test_a_trace_that_began_elsewhere_goes_on_before_django_and_in_it(tmp_path):
    parent = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
    with ExitStack() as stack:
        found = stack.enter_context(collector())
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": found.url, **QUICK}
        served, client = stack.enter_context(web(tmp_path, **traced))
        client.post("/internal/v1/ratelimit/check", json={"subject": "a"}, headers=parent)
        client.get("/internal/v1/batches", headers=parent)
        names = served.wait_for(lambda: (n := found.served_in("a" * 32)) and len(n) == 2 and n)
    assert names[0] == "POST internal/v1/ratelimit/check" and "batches" in names[1]


def test_a_collector_that_is_away_costs_spans_and_nothing_else(tmp_path):
    away = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", **QUICK}
    with web(tmp_path, **away) as (served, client):
        for _ in range(50):
            answer = client.post("/internal/v1/ratelimit/check", json={"subject": "a"})
            assert answer.status_code in (200, 429)
        served.wait_for(lambda: "opentelemetry" in served.text())  # it says so
        took_seconds = served.stop()
    assert took_seconds < 30
    assert len(served.text()) < 50_000  # and not for each span


ENDING = """
import time
from optimizer.operations import traces
traces.start("web")
from opentelemetry import trace
with trace.get_tracer("x").start_as_current_span("one"):
    pass
started = time.monotonic()
traces.stop()
print("ended", time.monotonic() - started < 10)
"""


def test_an_end_does_not_wait_for_a_collector_that_hangs():
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        url = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        with children(1, ENDING, OTEL_EXPORTER_OTLP_ENDPOINT=url) as [child]:
            child.read_until("ended True", 90)


LOADED = """
import sys
from config.wsgi import application
print("loaded", "opentelemetry.instrumentation" in sys.modules)
"""


@pytest.mark.parametrize(
    "environment",
    [{}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}],
)
def test_where_nobody_asks_nothing_of_it_is_set_up(environment):
    with children(1, LOADED, **environment) as [child]:
        child.read_until("loaded False", 90)


ABSENT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
"""


def test_without_the_packages_a_check_says_what_to_install_and_all_else_works(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(ABSENT)
    environment = {
        "PYTHONPATH": str(tmp_path),
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
    }
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        env={**os.environ, **environment},
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert "operations.W001" in done.stderr
    assert "python -m pip install -r requirements-otel.txt" in done.stderr
    with children(1, LOADED, **environment) as [child]:
        child.read_until("loaded False", 90)
