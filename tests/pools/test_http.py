"""Shared HTTP clients against a real server."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from optimizer.pools.engine.base import pools
from optimizer.pools.engine.leaks import Leak
from optimizer.pools.engine.limits import Limits
from optimizer.pools.services.http import HttpPool, http

pytestmark = pytest.mark.any_database


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    opened = 0

    def setup(self):
        type(self).opened += 1
        super().setup()

    def do_GET(self):
        time.sleep(0.01)
        body = b"well"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def address():
    Handler.opened = 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def pool(monkeypatch):
    monkeypatch.setattr(pools, "limits_of", lambda alias, kind: Limits(max_size=3))
    made = HttpPool("tried")
    yield made
    made._now.close()


def test_calls_share_connections_and_wait_when_all_are_in_use(pool, address):
    with ThreadPoolExecutor(12) as threads:
        found = list(threads.map(lambda _: pool.get(address).text, range(36)))
    totals = pool.statistics.totals()
    assert found == ["well"] * 36
    assert totals.acquired == 36 and totals.created == Handler.opened <= 3
    assert totals.queued > 0 and totals.connect_seconds > 0
    assert pool.gauges().size <= 3 and pool.gauges().in_use == 0


def test_a_caller_that_waits_in_vain_is_told(pool, address):
    pool.apply(Limits(max_size=1, acquire_timeout_seconds=0.02))
    with pool.stream("GET", address), pytest.raises(httpx.PoolTimeout, match="'tried'"):
        pool.get(address)
    assert pool.get(address).text == "well"


def test_limits_change_while_requests_run(pool, address):
    failed = []

    def call(_):
        try:
            assert pool.get(address).text == "well"
        except Exception as error:
            failed.append(error)

    with ThreadPoolExecutor(6) as threads:
        calls = [threads.submit(call, n) for n in range(60)]
        for size in (1, 5, 2, 3):
            pool.apply(Limits(max_size=size, generation=size))
            time.sleep(0.05)
        for one in calls:
            one.result()
    assert failed == [] and pool.statistics.acquired == 60
    assert pool.gauges().size <= 3


def test_an_address_that_nobody_listens_at_is_an_error_of_connecting(pool):
    with pytest.raises(httpx.ConnectError):
        pool.get("http://127.0.0.1:1/")
    assert pool.statistics.errors == 1 and pool.gauges().in_use == 0


def test_a_request_that_takes_too_long_is_told(pool, address, monkeypatch):
    leaks: list[Leak] = []
    monkeypatch.setattr(pools, "report", leaks.append)
    pool.apply(Limits(max_size=1, leak_threshold_seconds=0.01))
    with pool.stream("GET", address):
        time.sleep(0.03)
        pool.sweep()
        pool.sweep()
    assert len(leaks) == 1 and "test_http" in leaks[0].stack[0]


def test_a_target_has_one_pool_in_the_process():
    assert http("one") is http("one") is not http("two")
    assert {one.alias for one in pools.all()} >= {"one", "two"}


def test_a_child_has_connections_of_its_own(address):
    pool = http("forked")
    assert pool.get(address).text == "well" and Handler.opened == 1
    read, write = os.pipe()
    if not os.fork():
        os.write(write, pool.get(address).content)
        os._exit(0)
    os.wait()
    assert os.read(read, 10) == b"well" and Handler.opened == 2
    assert pool.get(address).text == "well" and Handler.opened == 2
    os.close(read)
    os.close(write)
