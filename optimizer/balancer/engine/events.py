"""What a group tells of itself: events for people, and the error of a pick."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a backend, or to the group where `backend` is empty.

    `kind` is ejected, returned, panic or calm.
    """

    backend: str
    kind: str
    reason: str = ""
    detail: str = ""
    seconds: float = 0.0
    times: int = 0


class Unavailable(ConnectionError):
    """No backend of the group can take the call; with `full` they are only busy."""

    def __init__(self, group: str, says: str, *, full: bool = False) -> None:
        super().__init__(f"group {group!r}: {says}")
        self.group, self.says, self.full = group, says, full
