"""One process of the benchmark of pools: Redis and HTTP; prints what it found as JSON."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import redis

from benchmarks.place import own_place
from benchmarks.table import in_turn

THREADS = 8


def main() -> None:
    """Measure and print; with `serve` be the HTTP server."""
    if sys.argv[1:] == ["serve"]:
        _serve()
        return
    with own_place() as place:
        found = {**_redis(place.url), **_dry(place.url)}
        server = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.pools_clients", "serve"], stdout=subprocess.PIPE
        )
        try:
            assert server.stdout is not None
            found |= _http(f"http://127.0.0.1:{int(server.stdout.readline())}/")
        finally:
            server.kill()
            server.wait()
    print(json.dumps(found))


def _rates(ways: dict[str, Callable[[], object]], calls: int, rounds: int) -> dict[str, float]:
    """Return each way's calls a second, medians of rounds in turn."""

    def rate(call: Callable[[], object]) -> float:
        def work() -> None:
            for _ in range(calls // THREADS):
                call()

        threads = [threading.Thread(target=work) for _ in range(THREADS)]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return calls / (time.perf_counter() - started)

    return in_turn(ways, rate, rounds=rounds)


def _redis(url: str) -> dict[str, float]:
    from optimizer.pools.engine.redis import ManagedPool

    plain = redis.Redis.from_url(url)
    blocking = redis.Redis(
        connection_pool=redis.BlockingConnectionPool.from_url(url, max_connections=THREADS)
    )
    managed = redis.Redis(connection_pool=ManagedPool.from_url(url, pool_alias="benchmark"))
    return _rates(
        {
            "redis_bare": plain.ping,
            "redis_blocking": blocking.ping,
            "redis": managed.ping,
        },
        4000,
        rounds=24,
    )


def _dry(url: str) -> dict[str, float]:
    """Return how many of 2,000 calls of 8 threads over 4 connections fail, bare and managed."""
    from optimizer.pools.engine.limits import Limits
    from optimizer.pools.engine.redis import ManagedPool

    bare = redis.Redis(connection_pool=redis.ConnectionPool.from_url(url, max_connections=4))
    pool = ManagedPool.from_url(url, pool_alias="dry")
    pool.apply(Limits(max_size=4))

    def failed(client: redis.Redis) -> int:
        def call(_: int) -> int:
            try:
                client.ping()
            except redis.ConnectionError:
                return 1
            return 0

        with ThreadPoolExecutor(THREADS) as threads:
            return sum(threads.map(call, range(2000)))

    return {"dry_bare": failed(bare), "dry": failed(redis.Redis(connection_pool=pool))}


def _http(address: str) -> dict[str, float]:
    from optimizer.pools import http

    bare, managed = httpx.Client(), http("benchmark")
    found = _rates(
        {"http_bare": lambda: bare.get(address), "http": lambda: managed.get(address)},
        1600,
        rounds=8,
    )
    bare.close()
    return found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else an answer in two parts waits for an acknowledgement

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: Any) -> None: ...


def _serve() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
