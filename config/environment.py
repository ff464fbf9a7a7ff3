"""Reads environment variables; a value that cannot be is refused by name, with what is allowed."""

import logging
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0", ""})
_DATABASES = {
    "sqlite": "django.db.backends.sqlite3",
    "postgres": "django.db.backends.postgresql",
    "postgresql": "django.db.backends.postgresql",
}


class Environment(environ.Env):  # type: ignore[misc]
    """The environment and the `.env` file; every reader raises ImproperlyConfigured."""

    def whole(self, name: str, *, default: int, at_least: int, at_most: int) -> int:
        """Return a whole number within its range."""
        return int(self._number(name, int, default, at_least, at_most))

    def seconds(self, name: str, *, default: float, at_least: float, at_most: float) -> float:
        """Return a number of seconds within its range."""
        return float(self._number(name, float, default, at_least, at_most))

    def switch(self, name: str, *, default: bool) -> bool:
        """Return true or false."""
        text = self.str(name, default="true" if default else "false").strip().lower()
        if text not in _TRUE | _FALSE:
            raise _refused(name, "true or false", text)
        return text in _TRUE

    def folder(self, name: str, *, default: Path) -> Path:
        """Return a folder; one that is given is made where it is missing."""
        given: str = self.str(name, default="")
        if not given:
            return default
        try:
            Path(given).mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise _refused(name, f"a folder to write in ({error.strerror})", given) from error
        return Path(given)

    def choice(self, name: str, *, default: str, of: tuple[str, ...]) -> str:
        """Return one of several words."""
        text: str = self.str(name, default=default)
        if text not in of:
            raise _refused(name, f"one of {', '.join(of)}", text)
        return text

    def log_level(self, name: str, *, default: str) -> str:
        """Return the name of a logging level."""
        return self.choice(name, default=default, of=tuple(logging.getLevelNamesMapping()))

    def redis_url(self, name: str, *, default: str) -> str:
        """Return the address of a Redis."""
        url: str = self.str(name, default="") or default
        # Passwords are part of it, so the address itself is not repeated.
        if _scheme(url) not in ("redis", "rediss", "unix", "redis+cluster", "redis+sentinel"):
            raise _refused(
                name,
                "like redis://:password@host:6379/0 (or rediss://, unix://,"
                " redis+cluster://host:6379, redis+sentinel://host:26379,host:26379/service/0)",
            )
        return url

    def http_url(self, name: str, *, default: str) -> str:
        """Return the address of a service that speaks HTTP, or nothing."""
        url: str = self.str(name, default=default)
        if url and (_scheme(url) not in ("http", "https") or not urlsplit(url).hostname):
            raise _refused(name, "like http://host:4318")  # it may hold a password
        return url

    def database_url(self, name: str, *, default: str) -> dict[str, Any]:
        """Return Django's settings of a SQLite or PostgreSQL database."""
        url: str = self.str(name, default="") or default
        if _scheme(url) not in _DATABASES:
            raise _refused(
                name, "like postgres://user:password@host:5432/name or sqlite:///file.sqlite3"
            )
        found: dict[str, Any] = self.db_url_config(url)
        return found | {"ENGINE": _DATABASES[_scheme(url)]}

    def database_urls(self, name: str) -> list[dict[str, Any]]:
        """Return Django's settings of several PostgreSQL databases, listed with commas."""
        urls = [url.strip() for url in self.str(name, default="").split(",") if url.strip()]
        for url in urls:
            if not _scheme(url).startswith("postgres"):
                raise _refused(name, "like postgres://user:password@host:5432/name, with commas")
        return [self.db_url_config(url) | {"ENGINE": _DATABASES["postgres"]} for url in urls]

    def mail_url(self, name: str) -> dict[str, Any]:
        """Return Django's settings of a mail server, none where it is unset."""
        url: str = self.str(name, default="")
        if not url:
            return {}
        if _scheme(url) not in self.EMAIL_SCHEMES:
            raise _refused(name, "like smtp+tls://user:password@host:587 or consolemail://")
        return dict(self.email_url_config(url))

    def _number(
        self, name: str, kind: type, default: float, at_least: float, at_most: float
    ) -> float:
        text = self.str(name, default=str(default))
        try:
            number: float = kind(text)
        except ValueError:
            number = float("nan")
        if not at_least <= number <= at_most:
            noun = "a whole number" if kind is int else "a number"
            raise _refused(name, f"{noun} from {at_least:g} to {at_most:g}", text)
        return number


def _scheme(url: str) -> str:
    try:
        parts = urlsplit(url)
        if "," not in parts.netloc:  # several Sentinels
            parts.port  # noqa: B018  (read for its check)
    except ValueError:
        return ""
    return parts.scheme


def _refused(name: str, allowed: str, text: str | None = None) -> ImproperlyConfigured:
    given = "" if text is None else f", not {text!r}"
    return ImproperlyConfigured(f"The environment variable {name} must be {allowed}{given}.")
