"""The kernel's own live settings: how to follow the others, and which API keys are good."""

from datetime import datetime

import msgspec

from optimizer.control.live import LiveSettings
from optimizer.control.models import ApiKey, ControlSettings


class Key(msgspec.Struct, frozen=True):
    """An API key as the hot path needs it."""

    name: str
    prefix: str
    digest: str
    scopes: frozenset[str]
    expires_at: datetime | None


class Control(msgspec.Struct, frozen=True):
    """The kernel's settings; keys by prefix, those switched off left out."""

    poll_interval_seconds: float = 5.0
    process_expiry_seconds: int = 30
    keys: dict[str, Key] = {}


def load() -> Control:
    """Read the kernel's rows."""
    row = ControlSettings.load()
    return Control(
        poll_interval_seconds=row.poll_interval_seconds,
        process_expiry_seconds=row.process_expiry_seconds,
        keys={
            key.prefix: Key(
                name=key.name,
                prefix=key.prefix,
                digest=key.digest,
                scopes=frozenset(key.scopes),
                expires_at=key.expires_at,
            )
            for key in ApiKey.objects.filter(active=True)
        },
    )


control: LiveSettings[Control] = LiveSettings("control", load=load, default=Control())
