"""The frozen settings that a group's engine obeys."""

import sys

import msgspec

UNBOUNDED = sys.maxsize


class Backend(msgspec.Struct, frozen=True):
    """One backend; `max_in_flight` 0 sets no limit."""

    name: str
    address: str
    weight: int = 1
    zone: str = ""
    priority: int = 0
    enabled: bool = True
    draining: bool = False
    max_in_flight: int = 0


class Group(msgspec.Struct, frozen=True):
    """A group of backends and how calls are distributed; the names are those of the admin's row."""

    name: str
    kind: str = "http"
    strategy: str = "p2c_ewma"
    decay_seconds: float = 10.0
    table_size: int = 65_537
    ring_points: int = 400
    bounded_load_percent: int = 125
    zone_aware: bool = False
    timeout_seconds: float = 5.0
    connect_timeout_seconds: float = 1.0
    max_attempts: int = 2
    retry_percent: int = 20
    retries_per_second: int = 3
    hedge_percentile: int = 0
    lease_seconds: float = 30.0
    max_lag_seconds: float = 10.0
    consecutive_failures: int = 5
    outlier_interval_seconds: float = 10.0
    outlier_requests: int = 50
    outlier_backends: int = 3
    success_rate_stdev: float = 1.9
    failure_percent: int = 85
    latency_factor: float = 5.0
    ejection_seconds: float = 30.0
    max_ejection_seconds: float = 300.0
    max_ejected_percent: int = 50
    probe_successes: int = 2
    panic_percent: int = 50
    slow_start_seconds: float = 10.0
    check_kind: str = "none"
    check_path: str = "/"
    check_status: str = "200-399"
    check_body: str = ""
    check_interval_seconds: float = 2.0
    check_timeout_seconds: float = 1.0
    check_fall: int = 3
    check_rise: int = 2
    backends: tuple[Backend, ...] = ()


DEFAULT_NETWORKS = "127.0.0.0/8, ::1, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7"

# Who has logged out, or lost a permission, is not to be taken in by a replica that lags.
DEFAULT_PRIMARY_APPS = "admin, auth, contenttypes, django_celery_beat, sessions"


class Settings(msgspec.Struct, frozen=True):
    """The component's settings."""

    ejects: bool = True
    forwards: bool = True
    allowed_addresses: str = DEFAULT_NETWORKS
    max_body_bytes: int = 8 * 1024**2
    primary_apps: str = DEFAULT_PRIMARY_APPS
    groups: dict[str, Group] = {}
