"""The sweep of every second tier: a bounded part at a time, never two at once."""

from caching.engine.namespace import DEFAULT
from caching.engine.remote import Away, Remote
from caching.engine.sweeping import Swept, sweep
from caching.models import Namespace
from caching.services.engines import all_engines

MOST_NAMES = 100_000
MOST_SECONDS = 5.0


def sweep_all(most_names: int = MOST_NAMES, most_seconds: float = MOST_SECONDS) -> dict[str, Swept]:
    """Sweep so many names for so long at most in each second tier; return what was done, by alias.

    Redis away is no error: the next run does it. Raises DatabaseError.
    """
    # From the database: a namespace that is not among them is put out of reach.
    spaces = {DEFAULT, *Namespace.objects.values_list("name", flat=True)}
    return {
        engine.alias: _sweep(engine.remote, spaces, most_names, most_seconds)
        for engine in all_engines()
    }


def _sweep(remote: Remote, spaces: set[str], most_names: int, most_seconds: float) -> Swept:
    try:
        return sweep(remote, spaces, most_names, most_seconds)
    except Away:
        return Swept(away=True)
