from collections.abc import Iterator

import pytest

from optimizer.control import live


@pytest.fixture(autouse=True)
def _fresh_process() -> Iterator[None]:
    """Let each test begin as a process that has read no settings yet."""
    live.forget_all()
    yield
    live.forget_all()
