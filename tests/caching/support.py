"""What the cache's tests share: waiting, agents in other processes, a Redis that may fail."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from redis import Redis

from caching.services.engines import Engine, engine_of
from optimizer.operations import embedded_redis, guard
from tests.children import Child, children

# Answers each line, an expression or statements, with what it gives as JSON.
AGENT = """
import json, sys, threading, time
from django.core.cache import cache, caches
from django.db import transaction
from caching.engine.reading import MISSING
from caching.services import invalidation
from caching.services.engines import engine_of
engine = engine_of("redis")
tiers, line = engine.cache, engine.cache.line
engine.ready()
counted = []
def load(value, seconds=0.0):
    def make():
        counted.append(value)
        time.sleep(seconds)
        return value
    return make
def l1(key):
    entry = tiers.peek(cache.name_of(key))
    return None if entry is None or time.monotonic() >= entry.expires else entry.get()
print("ready")
for text in sys.stdin:
    try:
        try:
            code = compile(json.loads(text), "<asked>", "eval")
        except SyntaxError:
            exec(json.loads(text), globals())
            result = None
        else:
            result = eval(code, globals())
    except Exception as error:
        result = f"raised {type(error).__name__}: {error}"
    print(json.dumps(result))
"""


def eventually(condition: Callable[[], Any], within_seconds: float = 20.0) -> None:
    """Wait until it is true. Raises AssertionError."""
    deadline = time.monotonic() + within_seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.005)


def hearing() -> Engine:
    """Return this process's engine once it hears the news, so that copies are kept."""
    engine = engine_of("redis")
    engine.ready()
    eventually(lambda: engine.cache.line.connected)
    return engine


class Agent:
    """Another process with a cache."""

    def __init__(self, child: Child) -> None:
        self.child = child

    def tell(self, code: str) -> None:
        """Let it begin; `answer` waits for it."""
        pipe = self.child.process.stdin
        assert pipe is not None
        pipe.write(json.dumps(code) + "\n")
        pipe.flush()

    def answer(self, within_seconds: float = 30.0) -> Any:
        line = self.child.read(within_seconds)
        assert line is not None, "the agent does not answer"
        return json.loads(line)

    def ask(self, code: str, within_seconds: float = 30.0) -> Any:
        """Run an expression (or statements) there; return what it gives."""
        self.tell(code)
        return self.answer(within_seconds)


@contextmanager
def agents(count: int, **environment: str) -> Iterator[list[Agent]]:
    """Run agents that hear the news."""
    with children(count, AGENT, **environment) as started:
        found = [Agent(one) for one in started]
        for one in started:
            one.read_until("ready", 60)
        for agent in found:
            eventually(lambda agent=agent: agent.ask("line.connected"))  # type: ignore[misc]
        yield found


class Server:
    """A Redis of its own, which may be killed, stopped and started again with what it held."""

    def __init__(self, folder: Path) -> None:
        self._redis = embedded_redis.configure(folder, embedded_redis.find_server())
        # The same database number: it is part of all names.
        self.url = (
            urlsplit(self._redis.url)._replace(path=urlsplit(settings.REDIS_URL).path).geturl()
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._pid = 0

    def start(self) -> None:
        self._process = guard.spawn(self._redis.command, output=subprocess.DEVNULL)
        eventually(lambda: embedded_redis.answers(self.url))
        with self.client() as client:
            self._pid = client.info("server")["process_id"]

    def client(self) -> Redis:
        return Redis.from_url(self.url)

    def kill(self) -> None:
        """End it as a crash does."""
        os.kill(self._pid, signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def hang(self) -> None:
        """Let it answer nobody, and close nothing."""
        os.kill(self._pid, signal.SIGSTOP)

    def wake(self) -> None:
        os.kill(self._pid, signal.SIGCONT)

    def close(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            guard.sweep(self._process)
            self._process.wait()


@contextmanager
def server(folder: Path) -> Iterator[Server]:
    one = Server(folder / "own-redis")
    one.start()
    try:
        yield one
    finally:
        one.close()
