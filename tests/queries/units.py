"""Units as tests begin them."""

from optimizer.queries.services import watching


def begin(name: str = "unit", kind: str = "task") -> watching.Watched:
    """Begin a unit that is surely watched."""
    found = watching.begin(name, kind)
    assert found is not None
    return found
