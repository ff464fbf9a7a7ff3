"""What servers said is not kept from one test to the next."""

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _ask_servers_anew() -> Iterator[None]:
    from optimizer.pools.services import servers

    servers.forget()
    yield
    servers.forget()
