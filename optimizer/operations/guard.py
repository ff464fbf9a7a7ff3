"""Runs one command that must not outlive its parent: no signal is needed, so `kill -9` is covered.

The parent holds the write end of the guard's standard input. When that pipe closes, for whatever
reason, the guard stops the command and then its whole process group. Standard library only, and
run by path in isolated mode, so a guard costs little and starts at once.
"""

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

ORPHAN_GRACE_SECONDS = 5.0


def spawn(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    output: int | IO[bytes] | None = None,
    errors: int | IO[bytes] | None = subprocess.STDOUT,
    keep_open: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a command under a guard, in a session of its own.

    The guard's pid is the process group's id; SIGTERM to the guard reaches the command alone.
    `output` and `errors` are as `Popen`'s; `keep_open` are descriptors held while the guard lives.
    """
    return subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, *map(str, command)],
        env=env,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=errors,
        pass_fds=tuple(keep_open),
        start_new_session=True,
    )


def sweep(guard: subprocess.Popen[bytes]) -> None:
    """Kill whatever is left of a guard's process group."""
    try:
        os.killpg(guard.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # macOS says EPERM for a group of zombies
        return


def _stop_when_orphaned(child: "subprocess.Popen[bytes]") -> None:
    os.read(sys.stdin.fileno(), 1)
    child.terminate()
    try:
        child.wait(ORPHAN_GRACE_SECONDS)
    finally:
        os.killpg(0, signal.SIGKILL)


def main(command: Sequence[str]) -> int:
    """Run the command to its end and return its exit code, 128 + n after signal n."""
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        return 127
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    threading.Thread(target=_stop_when_orphaned, args=(child,), daemon=True).start()
    code = child.wait()
    if select.select([sys.stdin], [], [], 0)[0]:  # the parent went first: leave nobody behind
        os.killpg(0, signal.SIGKILL)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
