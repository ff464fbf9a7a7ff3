"""What one component needs of another, as a Protocol; the settings name who provides it.

Components do not import each other, so that each can be had without the others.
"""

from contextlib import AbstractContextManager
from typing import Protocol

from django.conf import settings
from django.utils.module_loading import import_string


class Backend(Protocol):
    """One of a group's backends, for one call."""

    @property
    def address(self) -> str:
        """Where to call it."""

    def fail(self) -> None:
        """Count the call as failed though nothing was raised."""


class Backends(Protocol):
    """Who picks a backend for a call: times it, and counts what is raised as a failure."""

    def acquire(self, group: str, key: str = "") -> AbstractContextManager[Backend]:
        """Raises LookupError for an unknown group, ConnectionError where no backend is left."""


def backends() -> Backends:
    """Return who picks backends in this process."""
    found: Backends = import_string(settings.BACKENDS)
    return found
