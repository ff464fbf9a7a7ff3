"""The cache's live settings: rows -> what the engine takes."""

from caching.engine.copies import Settings
from caching.engine.namespace import Namespace as LiveNamespace
from caching.models import CachingSettings, Namespace
from optimizer.control.live import LiveSettings

_SHARED = tuple(name for name in Settings.__struct_fields__ if name != "namespaces")
_OWN = LiveNamespace.__struct_fields__


def load() -> Settings:
    """Read the rows."""
    row = CachingSettings.load()
    return Settings(
        **{name: getattr(row, name) for name in _SHARED},
        namespaces=tuple(
            LiveNamespace(**{name: getattr(one, name) for name in _OWN})
            for one in Namespace.objects.all()
        ),
    )


caching: LiveSettings[Settings] = LiveSettings("caching", load=load, default=Settings())
