"""Watches for new revisions."""


def start(role: str) -> None:
    """Start this process's watcher thread once."""
