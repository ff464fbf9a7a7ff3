"""What all tasks of an asyncio loop ask in one of its turns, asked of Redis in a script or two."""

import asyncio
from typing import Any

from optimizer.control.redis import post
from ratelimit.engine import buckets
from ratelimit.engine.accounts import Account
from ratelimit.services.questions import DECIDE, plain_ask

# Halves, so that Redis decides one while the tasks of the other go on; never so few that a script
# costs more than what it decides, nor so many that it holds Redis up.
_FEWEST, _MOST = 8, 100

Numbers = tuple[int, ...]
Asked = list[tuple[Account, "asyncio.Future[Numbers]"]]


class Turns:
    """The questions of each loop's turn that is being gathered."""

    def __init__(self) -> None:
        self._gathering: dict[asyncio.AbstractEventLoop, Asked] = {}

    def ask(self, account: Account) -> "asyncio.Future[Numbers]":
        """Return a future of what a plain bucket is told for one token.

        It raises RedisAway, and redis.NoScriptError after Redis was restarted.
        """
        loop = asyncio.get_running_loop()
        asked = self._gathering.get(loop)
        if asked is None:
            asked = self._gathering[loop] = []
            loop.call_soon(self._send, loop)
        future: asyncio.Future[Numbers] = loop.create_future()
        asked.append((account, future))
        return future

    def _send(self, loop: asyncio.AbstractEventLoop) -> None:
        asked = self._gathering.pop(loop)
        size = min(_MOST, max(_FEWEST, (len(asked) + 1) // 2))
        for start in range(0, len(asked), size):
            part = _Part(asked[start : start + size])
            post(part.command(), part)

    def forget(self) -> None:
        """Drop what the parent's loops were gathering, after a fork."""
        self._gathering.clear()


class _Part:
    """What one script decides; it is told the reply."""

    __slots__ = ("asked",)

    def __init__(self, asked: Asked) -> None:
        self.asked = asked

    def command(self) -> bytes:
        if len(self.asked) == 1 and (packed := self.asked[0][0].plain) is not None:
            return packed
        keys, arguments = buckets.plain_question([plain_ask(account) for account, _ in self.asked])
        return DECIDE.packed(keys, *arguments)

    def done(self) -> bool:
        return False

    def set_result(self, reply: Any) -> None:
        for (_, future), told in zip(self.asked, buckets.numbers(reply), strict=True):
            if not future.done():  # its task was cancelled
                future.set_result(told)

    def set_exception(self, error: BaseException) -> None:
        for _, future in self.asked:
            if not future.done():
                future.set_exception(type(error)(*error.args))  # each raises one of its own
