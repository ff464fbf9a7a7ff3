"""What the commands that measure have in common on the command line."""

import argparse
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

MOST_REQUESTS, MOST_CONNECTIONS = 1_000_000, 256


def add_load_arguments(parser: CommandParser) -> None:
    """Add --url, --key, --requests and --concurrency."""
    parser.add_argument("--url", default="", help="the server (default: that of `manage.py up`)")
    parser.add_argument(
        "--key", default="", help="an API key with the scope operations (default: one is made)"
    )
    parser.add_argument(
        "--requests",
        type=_whole(1, MOST_REQUESTS),
        default=400,
        metavar="N",
        help="to each endpoint",
    )
    parser.add_argument(
        "--concurrency",
        type=_whole(1, MOST_CONNECTIONS),
        default=2,
        metavar="C",
        help="connections at once",
    )


def url_of(options: dict[str, Any]) -> str:
    """Return the server's address without a slash at its end. Raises CommandError."""
    url: str = options["url"] or f"http://{settings.WEB_HOST}:{settings.WEB_PORT}"
    if not url.startswith(("http://", "https://")):
        raise CommandError(f"--url: {url} must begin with http:// or https://.")
    return url.rstrip("/")


def _whole(at_least: int, at_most: int) -> Any:
    def read(text: str) -> int:
        if not text.isdecimal() or not at_least <= int(text) <= at_most:
            raise argparse.ArgumentTypeError(
                f"must be a whole number from {at_least} to {at_most}, not {text!r}"
            )
        return int(text)

    return read
