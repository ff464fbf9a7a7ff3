"""Six HTTP servers in one process: the first ten times slower, the second answers 503 at once.

Prints their ports as JSON, then serves until it is ended.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
USUAL_SECONDS, SLOW_SECONDS = 0.02, 0.2
COUNT = 6


def _server(number: int) -> Handler:
    mean = SLOW_SECONDS if number == 0 else USUAL_SECONDS
    status = b"503 Service Unavailable" if number == 1 else b"200 OK"
    answer = b"HTTP/1.1 %s\r\nContent-Length: 2\r\nX-Server: %d\r\n\r\nok" % (status, number)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                if number != 1:
                    await asyncio.sleep(random.expovariate(1 / mean))  # noqa: S311
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    return serve


async def main() -> None:
    servers = [await asyncio.start_server(_server(n), "127.0.0.1", 0) for n in range(COUNT)]
    print(json.dumps([one.sockets[0].getsockname()[1] for one in servers]), flush=True)
    await asyncio.gather(*(one.serve_forever() for one in servers))


if __name__ == "__main__":
    asyncio.run(main())
