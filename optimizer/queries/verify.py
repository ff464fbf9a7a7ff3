"""Self-checks against the running system."""

from optimizer.control.redis import RedisAway
from optimizer.control.registry import Check
from optimizer.queries import selectors, watch
from optimizer.queries.models import Statement
from optimizer.queries.services import capture

_LATE_SECONDS = 300


def finds_a_loop() -> str:
    """A query in a loop is found, and one for all is not."""
    names = ("a", "b", "c")
    with watch() as looped:
        for name in names:
            Statement.objects.filter(fingerprint=f"verify-{name}").exists()
    with watch() as batched:
        list(Statement.objects.filter(fingerprint__in=[f"verify-{name}" for name in names]))
    if [one.kind for one in looped] != ["n_plus_one"] or batched:
        raise AssertionError(f"a loop gave {looped}, a batch gave {batched}")
    return "N+1 found, batch left alone"


def is_read_in_time() -> str:
    """What processes tell is stored by a worker."""
    try:
        _, late_seconds = selectors.waiting()
    except RedisAway as error:
        return f"not told: {error}"
    if late_seconds > _LATE_SECONDS:
        raise AssertionError(
            f"intervals wait since {late_seconds:.0f} seconds: do a worker and beat run?"
        )
    return f"oldest waits {late_seconds:.0f} s"


def has_no_errors() -> str:
    """The optimizer itself has not failed in this process."""
    if capture.errors:
        raise AssertionError(f"{capture.errors} errors of its own; see the log")
    return "none"


def ignores_what_exists() -> str:
    """Each pattern of the ignore list matches something."""
    unused = selectors.unused_patterns()
    return f"nothing matched so far: {', '.join(unused[:5])}" if unused else "all matched"


CHECKS = (
    Check("a query in a loop is found", finds_a_loop),
    Check("a worker stores what processes tell", is_read_in_time),
    Check("the optimizer itself does not fail", has_no_errors),
    Check("patterns of the ignore list match", ignores_what_exists),
)
