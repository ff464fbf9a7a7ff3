"""Each host tells of its own processes, though hosts share a cache; workers can tell as well."""

import socket
import urllib.request

import pytest

from optimizer.operations import answers
from optimizer.operations.embedded_redis import free_port
from optimizer.operations.models import OperationsSettings
from tests.children import children

pytestmark = pytest.mark.any_database


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("redis")
def test_the_kept_metrics_of_one_host_are_not_told_by_another(monkeypatch, tmp_path):
    OperationsSettings(answer_age_seconds=60).save()
    here = answers.metrics_body()
    monkeypatch.setattr(answers, "exposition", lambda: b"of another moment")
    assert answers.metrics_body() == here
    monkeypatch.setattr(socket, "gethostname", lambda: "another-host")
    assert answers.metrics_body() == b"of another moment"
    monkeypatch.undo()
    assert answers.metrics_body() == here
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    assert answers.metrics_body() != here


SERVER = """
import os
from optimizer.operations import metrics
from optimizer.control.metrics import BREAKER_OPEN, BREAKER_OPENED
metrics.serve(int(os.environ["PORT"]))
BREAKER_OPENED.inc()
if (child := os.fork()) == 0:
    BREAKER_OPEN.set(1)
    BREAKER_OPENED.inc()
    print("counted")
    import time
    time.sleep(600)
input()
os.kill(child, 9)
os.waitpid(child, 0)
print("killed")
input()
"""


@pytest.mark.django_db(transaction=True)
def test_a_worker_serves_what_its_children_count_and_forgets_the_dead(tmp_path):
    port = free_port()

    def told(name: str) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))

    environment = {"PORT": str(port), "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    with children(1, SERVER, **environment) as (server,):
        server.read_until("counted", 60)
        assert told("tuneup_redis_circuit_breaker_opened_total") == 2
        assert told("tuneup_redis_circuit_breaker_open") == 1
        assert server.process.stdin is not None
        server.process.stdin.write("\n")
        server.process.stdin.flush()
        server.read_until("killed", 60)
        assert told("tuneup_redis_circuit_breaker_opened_total") == 2
        assert told("tuneup_redis_circuit_breaker_open") == 0
