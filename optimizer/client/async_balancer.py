"""The load balancer's part of the client, from asyncio: as `balancer`, with a task of its own."""

import asyncio

from optimizer.client import balancing
from optimizer.client.balancing import DEFAULT_REFRESH_SECONDS, Acquired, View
from optimizer.client.cache import AsyncSend
from optimizer.client.protocol import TuneupError


class AsyncBalancer:
    """The load balancer: `client.balancer`."""

    def __init__(self, send: AsyncSend, refresh_seconds: float = DEFAULT_REFRESH_SECONDS) -> None:
        self._send, self._refresh_seconds = send, refresh_seconds
        self._lock, self._views = asyncio.Lock(), dict[str, View]()
        self._task: asyncio.Task[None] | None = None
        self.last_error: TuneupError | None = None

    async def acquire(self, group: str, key: str | bytes = "") -> Acquired:
        """Return a backend for a `with` block, which is timed and counted.

            with await tuneup.balancer.acquire("api", key="user:42") as backend:
                ...

        Raises as the one for threads; a cancelled block counts as neither good nor failed.
        """
        view = self._views.get(group)
        if view is None:
            view = await self._first(group)
        return view.acquire(key)

    async def refresh(self) -> None:
        """Tell how calls went, and fetch what the server knows, now. Raises as all calls do."""
        for group, view in list(self._views.items()):
            report = view.report()
            if report is not None:
                await self._send(balancing.tell(group, report))
                view.sent()
            view.take(await self._send(balancing.fetch(group)))

    async def aclose(self) -> None:
        """Tell how the last calls went, and stop refreshing."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        await self._turn()

    async def _first(self, group: str) -> View:
        async with self._lock:
            view = self._views.get(group)
            if view is None:
                view = self._views[group] = View(await self._send(balancing.fetch(group)))
            if self._task is None:
                self._task = asyncio.create_task(self._follow(), name="tuneup-balancer")
            return view

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._refresh_seconds)
            await self._turn()

    async def _turn(self) -> None:
        try:
            await self.refresh()
            self.last_error = None
        except TuneupError as error:
            self.last_error = error  # the next turn tries again; picks go on meanwhile
