"""Logging: one line an event to standard error, as text for people or JSON for collectors."""

from typing import Any


def logging_settings(*, level: str, style: str) -> dict[str, Any]:
    """Return a `LOGGING` dictionary; `style` is "text" or "json"."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request_id": {"()": "optimizer.control.origin.RequestIdFilter"}},
        "formatters": {
            "text": {"format": "%(asctime)s %(levelname)-7s %(name)s [%(request_id)s] %(message)s"},
            "json": {
                "()": "pythonjsonlogger.json.JsonFormatter",
                "format": "%(asctime)s %(levelname)s %(name)s %(request_id)s %(message)s",
            },
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": style,
                "filters": ["request_id"],
            },
        },
        # Else a line for each request, and several for each check-out.
        "loggers": {"httpx": {"level": "WARNING"}, "psycopg.pool": {"level": "WARNING"}},
        "root": {"handlers": ["stderr"], "level": level},
    }
