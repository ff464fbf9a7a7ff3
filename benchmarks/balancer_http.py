"""Real calls to six servers, one slow and one answering 503: by HAProxy, and by the balancer.

Prints, as JSON, what each contender's calls came to. They take turns, as the machine drifts.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from benchmarks.place import own_place
from optimizer.operations import guard
from optimizer.operations.embedded_redis import free_port

THREADS, ROUNDS, ROUND_SECONDS = 16, 5, 5.0
WARM_UP_SECONDS = 5.0
_CONFIG = """
global
    maxconn 2000
    stats socket {folder}/haproxy.sock
defaults
    mode http
    timeout connect 1s
    timeout client 10s
    timeout server 10s
    option redispatch
    retries 2
"""
_PART = """
listen {name}
    bind 127.0.0.1:{port}
    balance {balance}
"""
_LINE = "    server s{n} 127.0.0.1:{port} check inter 2s fall 3 rise 2{more}\n"
_OBSERVE = " observe layer7 error-limit 10 on-error mark-down"

Call = Callable[["Connections"], tuple[int, int]]


class Connections:
    """A thread's kept connections, by port."""

    def __init__(self) -> None:
        self._open: dict[int, HTTPConnection] = {}

    def get(self, port: int) -> tuple[int, int]:
        """Return the status and which server answered."""
        known = self._open.get(port)
        if known is None:
            known = self._open[port] = HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            known.request("GET", "/x")
            answer = known.getresponse()
            answer.read()
        except (OSError, HTTPException):
            self._open.pop(port).close()
            raise
        return answer.status, int(answer.headers.get("X-Server", "-1"))


@dataclass
class Tally:
    """What the calls of one contender came to."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    errors: int = 0
    slow: int = 0

    def told(self) -> dict[str, float]:
        self.latencies.sort()
        count = len(self.latencies)
        return {
            "calls": count,
            "seconds": self.seconds,
            "errors": self.errors,
            "slow": self.slow,
            "p50_seconds": self.latencies[count // 2],
            "p99_seconds": self.latencies[int(0.99 * count)],
        }


def play(call: Call, seconds: float, tally: Tally | None) -> None:
    """Have the threads call for so long."""
    until = time.monotonic() + seconds
    lock = threading.Lock()

    def work() -> None:
        connections = Connections()
        latencies, errors, slow = [], 0, 0
        while (began := time.monotonic()) < until:
            try:
                status, server = call(connections)
            except (OSError, HTTPException):
                status, server = 0, -1
            latencies.append(time.monotonic() - began)
            errors += status != 200
            slow += server == 0
        with lock:
            if tally is not None:
                tally.latencies += latencies
                tally.errors += errors
                tally.slow += slow

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if tally is not None:
        tally.seconds += seconds


@contextmanager
def servers() -> Iterator[list[int]]:
    """Start the six servers; give their ports."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.balancer_servers"], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


@contextmanager
def haproxy(folder: Path, ports: list[int]) -> Iterator[dict[str, int]]:
    """Start HAProxy over the servers; give the port of each way to balance."""
    ways = {"haproxy_roundrobin": ("roundrobin", ""), "haproxy": ("leastconn", _OBSERVE)}
    own, text = {}, _CONFIG.format(folder=folder)
    for name, (balance, more) in ways.items():
        own[name] = free_port()
        text += _PART.format(name=name, port=own[name], balance=balance)
        text += "".join(_LINE.format(n=n, port=port, more=more) for n, port in enumerate(ports))
    path = folder / "haproxy.cfg"
    path.write_text(text)
    with (folder / "haproxy.log").open("wb") as log:
        process = guard.spawn(["haproxy", "-db", "-f", str(path)], output=log)
        try:
            time.sleep(1)
            if process.poll() is not None:
                raise SystemExit((folder / "haproxy.log").read_text())
            yield own
        finally:
            guard.sweep(process)


def through(port: int) -> Call:
    """Return a call by a proxy."""
    return lambda connections: connections.get(port)


def in_process(ports: list[int]) -> Call:
    """Return a call by the balancer, with rows, Redis and the ticker as in any process."""
    from optimizer.balancer import balancer
    from optimizer.balancer.models import Backend, Group
    from optimizer.control import watcher
    from optimizer.control.revisions import change

    with change("balancer"):
        group = Group.objects.create(name="api", timeout_seconds=1.0)
        for n, port in enumerate(ports):
            Backend.objects.create(group=group, name=f"s{n}", address=f"http://127.0.0.1:{port}")
    watcher.start("command")
    port_of = {f"s{n}": port for n, port in enumerate(ports)}

    def call(connections: Connections) -> tuple[int, int]:
        with balancer.acquire("api") as backend:
            status, server = connections.get(port_of[backend.name])
            if status >= 500:
                backend.fail()
            return status, server

    return call


def main() -> None:
    """Print what came of it."""
    with ExitStack() as stack:
        place = stack.enter_context(own_place())
        ports = stack.enter_context(servers())
        proxies = stack.enter_context(haproxy(place.folder, ports))
        contenders = {name: through(port) for name, port in proxies.items()}
        contenders["tuneup"] = in_process(ports)
        tallies = {name: Tally() for name in contenders}
        for call in contenders.values():
            play(call, WARM_UP_SECONDS, None)
        for _ in range(ROUNDS):
            for name, call in contenders.items():
                play(call, ROUND_SECONDS, tallies[name])
        print(json.dumps({name: tally.told() for name, tally in tallies.items()}))


if __name__ == "__main__":
    main()
