"""The frozen limits that a pool obeys."""

import msgspec


class Limits(msgspec.Struct, frozen=True):
    """What an admin sets for one pool; the names are those of the admin's row.

    `generation` grows when all connections are to be replaced; `suspended_until` is in seconds
    since the epoch, 0 for not suspended.
    """

    min_size: int = 1
    max_size: int = 8
    acquire_timeout_seconds: float = 5.0
    idle_timeout_seconds: float = 300.0
    max_lifetime_seconds: float = 1800.0
    lifetime_jitter_percent: int = 10
    check_after_idle_seconds: float = 0.5
    leak_threshold_seconds: float = 60.0
    generation: int = 0
    suspended_until: float = 0.0


class Settings(msgspec.Struct, frozen=True):
    """The component's settings; pools without a row have the defaults of their kind."""

    sample_stacks: int = 100
    warn_percent: int = 80
    pools: dict[str, Limits] = {}
