"""The frozen settings that workers and senders obey."""

import msgspec


class Job(msgspec.Struct, frozen=True):
    """A job as the engine takes it; the names are those of the admin's row."""

    id: int
    name: str
    enabled: bool = True
    priority: str = "normal"
    sink: str = "model"
    action: str = "upsert"
    model: str = ""
    keys: tuple[str, ...] = ()
    fields: dict[str, str | None] = {}
    sequence_field: str = ""
    skip_unchanged: bool = True
    handler: str = ""
    collection: str = ""
    url: str = ""
    one_request_each: bool = False
    timeout_seconds: float = 10.0
    ordered: bool = False
    flush_seconds: float = 1.0
    idle_seconds: float = 0.2
    flush_bytes: int = 4 * 1024**2
    chunk_items: int = 500
    adaptive: bool = True
    least_chunk_items: int = 50
    most_chunk_items: int = 5000
    target_seconds: float = 0.2
    max_attempts: int = 8
    backoff_seconds: float = 1.0
    max_backoff_seconds: float = 300.0
    lease_seconds: int = 120
    on_error: str = "skip"
    skip_limit: int = 1000
    high_water_items: int = 100_000
    low_water_items: int = 50_000
    high_water_seconds: float = 0.0
    past_high_water: str = "refuse"
    max_wait_seconds: float = 5.0
    callback_url: str = ""
    callback_task: str = ""
    only_in_runs: bool = False
    source: str = ""
    overlap: bool = False
    missed: str = "run"
    missed_after_seconds: int = 60
    schedule: str = "none"
    schedule_on: bool = True
    version: int = 0  # of the settings: what is remembered of a job is for one version

    @property
    def has_callback(self) -> bool:
        """Whether anybody wants to hear of it."""
        return bool(self.callback_url or self.callback_task)


class Settings(msgspec.Struct, frozen=True):
    """The component's settings."""

    enabled: bool = True
    drain_seconds: float = 10.0
    remember_keys_hours: int = 72
    keep_runs_days: int = 30
    jobs: dict[str, Job] = {}
