"""The load balancer's live settings: rows -> what every process obeys."""

from collections import defaultdict

from optimizer.balancer.engine.settings import Backend as LiveBackend
from optimizer.balancer.engine.settings import Group as LiveGroup
from optimizer.balancer.engine.settings import Settings
from optimizer.balancer.models import Backend, BalancerSettings, Group
from optimizer.control.live import LiveSettings

_SHARED = tuple(name for name in Settings.__struct_fields__ if name != "groups")
_GROUP = tuple(name for name in LiveGroup.__struct_fields__ if name != "backends")
_BACKEND = LiveBackend.__struct_fields__


def load() -> Settings:
    """Read the rows."""
    row = BalancerSettings.load()
    backends: dict[int, list[LiveBackend]] = defaultdict(list)
    for one in Backend.objects.order_by("name"):
        backends[one.group_id].append(
            LiveBackend(**{name: getattr(one, name) for name in _BACKEND})
        )
    return Settings(
        **{name: getattr(row, name) for name in _SHARED},
        groups={one.name: live_group(one, backends[one.pk]) for one in Group.objects.all()},
    )


def live_group(row: Group, backends: list[LiveBackend]) -> LiveGroup:
    """Return a group's row as the engine takes it."""
    return LiveGroup(**{name: getattr(row, name) for name in _GROUP}, backends=tuple(backends))


balancer: LiveSettings[Settings] = LiveSettings("balancer", load=load, default=Settings())
