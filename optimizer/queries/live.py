"""The query optimizer's live settings: rows -> what the running code takes."""

from optimizer.control.live import LiveSettings
from optimizer.queries.engine.settings import Ignore, Settings
from optimizer.queries.models import IgnoreRule, QueriesSettings

_SHARED = tuple(name for name in Settings.__struct_fields__ if name != "ignores")


def load() -> Settings:
    """Read the rows."""
    row = QueriesSettings.load()
    return Settings(
        **{name: getattr(row, name) for name in _SHARED},
        ignores=tuple(Ignore(one.what, one.pattern) for one in IgnoreRule.objects.all()),
    )


queries: LiveSettings[Settings] = LiveSettings("queries", load=load, default=Settings())
