"""Runs several programs as one: prefixed output, restarts with back-off, an orderly end.

Each program runs under a guard (`guard.py`), so none outlives the supervisor however that dies,
and none sees a Ctrl-C that was meant for the supervisor.
"""

import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Self

from optimizer.operations import guard

CRASH_LIMIT = 5
SETTLED_SECONDS = 60.0  # who lived this long has not crashed in a row
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
TURN_SECONDS = 0.05
_COLOURS = (36, 32, 33, 35, 34)  # cyan, green, yellow, magenta, blue


class Stop(Exception):
    """The supervisor is to end: `code` is the exit code, the message the reason."""

    def __init__(self, reason: str, *, code: int) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Program:
    """What to run; it is killed when it has not ended `stop_seconds` after SIGTERM."""

    name: str
    command: Sequence[str | Path]
    stop_seconds: float = 10.0


@dataclass(slots=True)
class _Child:
    program: Program
    process: subprocess.Popen[bytes] | None = None
    reader: threading.Thread | None = None
    started_at: float = 0.0
    crashes: int = 0
    restart_at: float = 0.0


class Printer:
    """Writes whole lines, each after the name of who said it, coloured on a terminal.

    As JSON, what is an object already passes as it is, and all else becomes one.
    """

    def __init__(self, stream: IO[str], *, width: int = 8, as_json: bool = False) -> None:
        self._stream, self._width, self._as_json = stream, width, as_json
        self._coloured = stream.isatty()
        self._names: list[str] = []
        self._lock = threading.Lock()
        self.closed = False

    def say(self, name: str, text: str) -> None:
        with self._lock:
            if self._as_json:
                is_object = text.startswith('{"') and text.endswith("}")
                self._write(f"{text if is_object else _as_object(name, text)}\n")
                return
            if name not in self._names:
                self._names.append(name)
            prefix = f"{name:<{self._width}}|"
            if self._coloured:
                colour = _COLOURS[self._names.index(name) % len(_COLOURS)]
                prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
            self._write(f"{prefix} {text}\n")

    def show(self, text: str) -> None:
        """Write a block as it is."""
        with self._lock:
            self._write(f"{_as_object('up', text)}\n" if self._as_json else text)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:  # the programs must not wait for ever to say something
            self.closed = True


def _as_object(name: str, text: str) -> str:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = {"timestamp": now, "level": "info", "logger": name, "event": text.strip()}
    return json.dumps(line)


class Supervisor:
    """Keep programs running until a signal, or until one crashes five times in a row.

    A context manager: leaving it stops all, the last started first. A second signal kills all at
    once. `keep_open` are descriptors (a lock) held until the last guard has ended.
    """

    def __init__(
        self,
        *,
        env: Mapping[str, str] | None = None,
        keep_open: Sequence[int] = (),
        printer: Printer | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.printer = printer or Printer(sys.stdout)
        self._env, self._keep_open, self._clock = env, keep_open, clock
        self._children: list[_Child] = []
        self._task: subprocess.Popen[bytes] | None = None
        self._signals: list[int] = []

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup stays in force
                signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop_all()

    def start(self, program: Program) -> None:
        """Start a program and keep it running from now on."""
        child = _Child(program)
        self._children.append(child)
        self._spawn(child)

    def run(self, name: str, command: Sequence[str | Path]) -> tuple[int, str]:
        """Run a command to its end, watching the programs meanwhile.

        Its standard error is shown; returns its exit code and its standard output.
        """
        with tempfile.TemporaryFile() as output:
            process = self._task = self._guard(command, output=output, errors=subprocess.PIPE)
            reader = self._reader(name, process.stderr)
            self.until(lambda: process.poll() is not None)
            self._task = None
            guard.sweep(process)
            reader.join(1)
            output.seek(0)
            return process.returncode, output.read().decode()

    def until(self, condition: Callable[[], bool], *, seconds: float | None = None) -> bool:
        """Watch the programs until the condition holds; False after `seconds`. Raises Stop."""
        deadline = None if seconds is None else self._clock() + seconds
        while True:
            if self._signals:
                raise Stop(f"{signal.Signals(self._signals[0]).name}: stopping", code=0)
            if self.printer.closed:
                raise Stop("Nobody reads the output any more: stopping", code=1)
            for child in self._children:
                self._look_after(child)
            if condition():
                return True
            if deadline is not None and self._clock() > deadline:
                return False
            time.sleep(TURN_SECONDS)

    def _look_after(self, child: _Child) -> None:
        now = self._clock()
        if child.process is None:
            if now >= child.restart_at:
                self._spawn(child)
            return
        code = child.process.poll()
        if code is None:
            return
        self._clean_up(child)
        name = child.program.name
        child.crashes = 1 if now - child.started_at > SETTLED_SECONDS else child.crashes + 1
        if child.crashes >= CRASH_LIMIT:
            raise Stop(
                f"{name} crashed {CRASH_LIMIT} times in a row, last with exit code {code}; "
                "its last lines are above",
                code=1,
            )
        pause = min(FIRST_PAUSE_SECONDS * 2 ** (child.crashes - 1), LONGEST_PAUSE_SECONDS)
        child.restart_at = now + pause
        self.printer.say("up", f"{name} ended with exit code {code}; restarting in {pause:g} s")

    def _spawn(self, child: _Child) -> None:
        child.process = self._guard(child.program.command, output=subprocess.PIPE)
        child.started_at = self._clock()
        child.reader = self._reader(child.program.name, child.process.stdout)

    def _guard(
        self,
        command: Sequence[str | Path],
        *,
        output: int | IO[bytes],
        errors: int = subprocess.STDOUT,
    ) -> subprocess.Popen[bytes]:
        return guard.spawn(
            command, env=self._env, output=output, errors=errors, keep_open=self._keep_open
        )

    def _reader(self, name: str, stream: IO[bytes] | None) -> threading.Thread:
        def read() -> None:
            for line in stream or ():
                self.printer.say(name, line.decode(errors="replace").rstrip())

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        return reader

    def _clean_up(self, child: _Child) -> None:
        """Kill what an ended program left in its process group, and show its last lines."""
        if child.process is not None:
            guard.sweep(child.process)
            child.process.wait()
        if child.reader is not None:
            child.reader.join(1)
        child.process = child.reader = None

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self._signals.append(number)
        if len(self._signals) > 1:
            for process in (self._task, *(child.process for child in self._children)):
                if process is not None:
                    guard.sweep(process)
            raise SystemExit(130)

    def _stop_all(self) -> None:
        if self._task is not None:
            self._stop(self._task, "the preparation", 10.0)
        for child in reversed(self._children):
            if child.process is not None:
                self._stop(child.process, child.program.name, child.program.stop_seconds)
                self._clean_up(child)

    def _stop(self, process: subprocess.Popen[bytes], name: str, seconds: float) -> None:
        self.printer.say("up", f"stopping {name}")
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.printer.say("up", f"{name} did not stop within {seconds:g} s; killed")
        guard.sweep(process)
