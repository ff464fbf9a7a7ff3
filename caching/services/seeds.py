"""The cache's first rows."""

from caching.engine.namespace import DEFAULT
from caching.models import CachingSettings, Namespace
from optimizer.control.revisions import change


def seed() -> None:
    """Write the settings and the namespace of all other keys where there are none yet."""
    if Namespace.objects.exists() or CachingSettings.objects.exists():
        return
    with change("caching", reason="First namespace"):
        CachingSettings.load().save()
        row = Namespace(name=DEFAULT)
        row.full_clean()
        row.save()
