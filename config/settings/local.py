"""Settings of `manage.py up` and `manage.py` on one machine: nothing needs to be set."""

import secrets

from django.core.exceptions import ImproperlyConfigured

from config.settings.base import *  # noqa: F403
from config.settings.base import ALLOWED_HOSTS, ENVIRONMENT_NAME, SECRET_KEY, VAR_DIR


def _secret_key() -> str:
    """Return this installation's secret key, made on first use and kept in the var folder."""
    path = VAR_DIR / "secret-key"
    try:
        VAR_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            path.chmod(0o600)
            file.write(secrets.token_urlsafe(50))
    except FileExistsError:
        pass
    except OSError as error:
        raise ImproperlyConfigured(
            f"TUNEUP_VAR_DIR must be a folder to write in: {error}"
        ) from error
    return path.read_text(encoding="utf-8")


SECRET_KEY = SECRET_KEY or _secret_key()
ENVIRONMENT_NAME = ENVIRONMENT_NAME or "local"
ALLOWED_HOSTS = ALLOWED_HOSTS or ["localhost", "127.0.0.1", "[::1]"]
