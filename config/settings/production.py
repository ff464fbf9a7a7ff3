"""Settings behind a TLS proxy.

`manage.py check --deploy --fail-level WARNING` is clean with deploy/production.env.
"""

from config.settings.base import *  # noqa: F403
from config.settings.base import ENVIRONMENT_NAME, env

ENVIRONMENT_NAME = ENVIRONMENT_NAME or "production"

SECURE_SSL_REDIRECT = env.switch("SECURE_SSL_REDIRECT", default=True)
SECURE_REDIRECT_EXEMPT = [r"^health$", r"^ready$", r"^metrics$"]  # probes come over plain HTTP
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = env.whole(
    "SECURE_HSTS_SECONDS", default=31_536_000, at_least=0, at_most=63_072_000
)
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
