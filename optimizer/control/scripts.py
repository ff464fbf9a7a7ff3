"""Lua scripts by their digest, sent the short way; loaded again when Redis has lost them."""

import hashlib
from typing import Any

from redis.exceptions import NoScriptError

from optimizer.control.link import Link
from optimizer.control.redis import link as shared_link
from optimizer.control.wire import Part, pack


class Script:
    """A Lua script; every key it touches is given as a key, so it runs on Redis Cluster too.

    `link` leads to the Redis it runs in, the shared one unless another is given.
    """

    def __init__(self, text: str, link: Link = shared_link) -> None:
        self._text, self._link = text.encode(), link
        self._digest = hashlib.sha1(self._text, usedforsecurity=False).hexdigest().encode()

    def packed(self, keys: tuple[Part, ...], *arguments: Part) -> bytes:
        """Return the call as it goes over the wire, to be sent again and again."""
        return pack("EVALSHA", self._digest, len(keys), *keys, *arguments)

    def run(self, keys: tuple[Part, ...], *arguments: Part) -> Any:
        """Run it and return its reply. Raises RedisAway and redis.ResponseError."""
        execute = self._link.execute
        try:
            return execute("EVALSHA", self._digest, len(keys), *keys, *arguments)
        except NoScriptError:  # Redis was restarted: EVAL loads the script again
            return execute("EVAL", self._text, len(keys), *keys, *arguments)

    async def arun(self, keys: tuple[Part, ...], *arguments: Part) -> Any:
        """Run it from asyncio and return its reply; raises as `run` does."""
        execute = self._link.aexecute
        try:
            return await execute("EVALSHA", self._digest, len(keys), *keys, *arguments)
        except NoScriptError:
            return await execute("EVAL", self._text, len(keys), *keys, *arguments)
