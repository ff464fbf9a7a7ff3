"""Client processes of the rate limiter's benchmark, several for each contender."""

import json
import subprocess
import sys
from types import TracebackType
from typing import Any, Self


class Clients:
    """`processes` clients for each contender, ready to decide when told."""

    def __init__(self, what: str, contenders: list[str], processes: int, **job: Any) -> None:
        self._by_name = {
            name: [
                _start({"what": what, "contender": name, **job, **_own(job, number)})
                for number in range(processes)
            ]
            for name in contenders
        }

    def __enter__(self) -> Self:
        for client in self.all:
            assert client.stdout is not None
            assert client.stdout.readline() == "ready\n"
        return self

    @property
    def all(self) -> list[subprocess.Popen[str]]:
        return [client for clients in self._by_name.values() for client in clients]

    def start(self, name: str, seconds: float, key: str = "") -> None:
        """Let a contender's clients begin, on a key where the job asks for one."""
        for client in self._by_name[name]:
            assert client.stdin is not None
            client.stdin.write(f"{seconds} {key}\n")
            client.stdin.flush()

    def results(self, name: str) -> list[dict[str, Any]]:
        """Wait for what they tell."""
        told = []
        for client in self._by_name[name]:
            assert client.stdout is not None
            told.append(json.loads(client.stdout.readline()))
        return told

    def run(self, name: str, seconds: float) -> list[dict[str, Any]]:
        self.start(name, seconds)
        return self.results(name)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for client in self.all:
            client.kill()
            client.wait()


def _own(job: dict[str, Any], number: int) -> dict[str, Any]:
    """Return what differs between the clients: every second clock may be off."""
    off = job.get("clocks_off", 0.0)
    return {"clock_off": off if number % 2 else 0.0}


def _start(job: dict[str, Any]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.ratelimit_worker", json.dumps(job)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
