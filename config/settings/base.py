"""Settings shared by every environment; each environment variable is read here and nowhere else.

Unset means the embedded default (SQLite and the supervised Redis of `manage.py up`);
`.env.example` lists every variable with its meaning.
"""

from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from kombu import Queue
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.broker import broker_of
from config.csp import STRICT_POLICY
from config.environment import Environment
from config.logging import STYLES, logging_settings
from config.replicas import replicas_of
from config.settings.beat import SCHEDULE
from config.settings.unfold import UNFOLD  # noqa: F401
from optimizer.control.redis_urls import is_cluster, sentinels

BASE_DIR = Path(__file__).resolve().parents[2]
env = Environment()
if (BASE_DIR / ".env").is_file():
    env.read_env(BASE_DIR / ".env")

VAR_DIR = Path(env.str("TUNEUP_VAR_DIR", default=str(BASE_DIR / "var")))


def _read_var(name: str, default: str) -> str:
    """Return what `manage.py up` wrote into the var folder, so that other commands join it."""
    path = VAR_DIR / name
    return path.read_text(encoding="utf-8").strip() if path.is_file() else default


SECRET_KEY = env.str("SECRET_KEY", default="")
SECRET_KEY_FALLBACKS: list[str] = env.list("SECRET_KEY_FALLBACKS", default=[])  # former ones
DEBUG = env.switch("DEBUG", default=False)
ENVIRONMENT_NAME = env.str("TUNEUP_ENVIRONMENT", default="")  # shown on every admin page
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=[])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "optimizer.control",  # before unfold: its templates win
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_celery_beat",
    "ninja",  # serves the API docs' scripts from here, not from another host
    "csp",
    "caching",
    "ratelimit",
    "optimizer.queries",
    "optimizer.batches",
    "optimizer.pools",
    "optimizer.balancer",
    "optimizer.operations",
]

MIDDLEWARE = [
    "optimizer.control.origin.OriginMiddleware",  # first: every response carries its request id
    "optimizer.queries.middleware.watch_queries",
    "optimizer.operations.metrics.MetricsMiddleware",
    "optimizer.operations.query_count.QueryCountMiddleware",
    "optimizer.control.problems.ProblemMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.csp.PolicyMiddleware",
    "optimizer.operations.wall.WallMiddleware",
    "optimizer.balancer.middleware.balance_reads",  # outside of sessions, which read and write
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- Database -------------------------------------------------------------------------------
DATABASES = {
    "default": env.database_url("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'tuneup.sqlite3'}")
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 10,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
elif env.switch("DATABASE_POOL", default=True):
    # A pool in each process, whose limits admins change; these serve until the rows are read.
    DATABASES["default"]["ENGINE"] = "optimizer.pools.backends.postgresql"
    DATABASES["default"]["CONN_MAX_AGE"] = 0
    DATABASES["default"].setdefault("OPTIONS", {})["pool"] = {"min_size": 1, "max_size": 8}
    DATABASES["default"]["OPTIONS"].setdefault("connect_timeout", 5)
else:  # behind pgbouncer, which pools by itself
    DATABASES["default"]["CONN_MAX_AGE"] = env.whole(
        "DATABASE_CONN_MAX_AGE_SECONDS", default=60, at_least=0, at_most=86_400
    )
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASE_ROUTERS: list[str] = []

_replicas = replicas_of(DATABASES["default"], env.database_urls("DATABASE_REPLICA_URLS"))
DATABASES |= _replicas
DATABASE_REPLICAS = tuple(_replicas)

MONGODB_URI = env.str("MONGODB_URI", default="")
if MONGODB_URI:
    DATABASES["mongo"] = {
        "ENGINE": "optimizer.pools.backends.mongodb",
        "HOST": MONGODB_URI,
        "NAME": env.str("MONGODB_DATABASE", default="bot"),
        "OPTIONS": {
            "serverSelectionTimeoutMS": env.whole(
                "MONGODB_TIMEOUT_MS", default=800, at_least=1, at_most=60_000
            ),
            "maxPoolSize": env.whole(
                "MONGODB_MAX_POOL_SIZE", default=20, at_least=1, at_most=1_000
            ),
            "minPoolSize": env.whole("MONGODB_MIN_POOL_SIZE", default=0, at_least=0, at_most=1_000),
            "maxIdleTimeMS": env.whole(
                "MONGODB_MAX_IDLE_MS", default=60_000, at_least=0, at_most=86_400_000
            ),
            "waitQueueTimeoutMS": env.whole(
                "MONGODB_WAIT_QUEUE_TIMEOUT_MS", default=800, at_least=1, at_most=60_000
            ),
        },
    }
    DATABASE_ROUTERS += [
        "config.routers.MongoAppsRouter",
        "django_mongodb_backend.routers.MongoRouter",
    ]
MONGODB_APPS = env.list("MONGODB_APPS", default=[])  # labels of apps whose models live there
if DATABASE_REPLICAS:
    DATABASE_ROUTERS += ["optimizer.balancer.router.ReadRouter"]  # last: it answers for the rest

# --- Redis ----------------------------------------------------------------------------------
REDIS_IS_GIVEN = env.str("REDIS_URL", default="") != ""  # else `manage.py up` runs one
REDIS_URL = env.redis_url("REDIS_URL", default=_read_var("redis/url", "redis://127.0.0.1:6379/0"))
REDIS_TIMEOUT_SECONDS = env.seconds(
    "REDIS_TIMEOUT_SECONDS", default=0.25, at_least=0.01, at_most=60
)


# A cluster serves everything but the caches and the queue, which then need one of their own.
CACHE_REDIS_URL = env.redis_url("CACHE_REDIS_URL", default=REDIS_URL)
if is_cluster(CACHE_REDIS_URL):
    raise ImproperlyConfigured(
        "The environment variable CACHE_REDIS_URL must be a Redis without cluster mode: neither"
        " django-redis nor Celery can use a cluster."
    )
# A pool that waits when it is dry, and whose size admins change; the kernel's client uses it too.
REDIS_POOL_CLASS = "optimizer.pools.engine.redis.ManagedPool"
REDIS_SENTINEL_POOL_CLASS = "optimizer.pools.engine.redis.ManagedSentinelPool"


def _redis_cache(prefix: str) -> dict[str, object]:
    budget = {
        "SOCKET_CONNECT_TIMEOUT": REDIS_TIMEOUT_SECONDS,
        "SOCKET_TIMEOUT": REDIS_TIMEOUT_SECONDS,
        "CONNECTION_POOL_CLASS": REDIS_POOL_CLASS,
        # A retry would double the time budget.
        "CONNECTION_POOL_KWARGS": {"retry": Retry(NoBackoff(), 0), "pool_alias": "cache"},
    }
    cache = {"BACKEND": "django_redis.cache.RedisCache", "KEY_PREFIX": prefix}
    watched = sentinels(CACHE_REDIS_URL)
    if watched is None:
        return {**cache, "LOCATION": CACHE_REDIS_URL, "OPTIONS": budget}
    options = {
        "CLIENT_CLASS": "django_redis.client.SentinelClient",
        "CONNECTION_FACTORY": "django_redis.pool.SentinelConnectionFactory",
        "SENTINELS": watched.hosts,
        "PASSWORD": watched.password,
        **budget,
        "CONNECTION_POOL_CLASS": REDIS_SENTINEL_POOL_CLASS,
    }
    location = f"redis://{watched.service}/{watched.db}"
    return {**cache, "LOCATION": location, "OPTIONS": options}


CACHES = {
    "default": {"BACKEND": "caching.backends.TieredCache", "LOCATION": "redis"},
    "redis": _redis_cache("tuneup:cache"),  # the second tier of the default cache
    "wall": _redis_cache("tuneup:wall"),
}
RATELIMIT_USE_CACHE = "wall"

# --- Celery ---------------------------------------------------------------------------------
CELERY_BROKER_URL, CELERY_BROKER_TRANSPORT_OPTIONS = broker_of(
    env.str("CELERY_BROKER_URL", default=CACHE_REDIS_URL)
)
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BEAT_SCHEDULE = SCHEDULE
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "tuneup"
CELERY_TASK_QUEUES = [
    Queue(name) for name in ("tuneup-high", CELERY_TASK_DEFAULT_QUEUE, "tuneup-low")
]
# A task whose worker was lost runs again, and no worker holds more than it works at.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TIMEZONE = "UTC"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True

# --- The processes, and what components have of each other -----------------------------------
WATCH_LIVE_SETTINGS = True  # a thread a process follows the revisions; tests switch it off
BACKENDS = "optimizer.balancer.balancer"  # picks a backend for balancer:// addresses

# --- Mail -----------------------------------------------------------------------------------
EMAIL_URL = env.str("EMAIL_URL", default="")  # "": alerts cannot be sent by mail
_mail = env.mail_url("EMAIL_URL")
EMAIL_BACKEND = _mail.get("EMAIL_BACKEND", "django.core.mail.backends.console.EmailBackend")
EMAIL_HOST, EMAIL_PORT = _mail.get("EMAIL_HOST", "localhost"), _mail.get("EMAIL_PORT") or 25
EMAIL_HOST_USER = _mail.get("EMAIL_HOST_USER") or ""
EMAIL_HOST_PASSWORD = _mail.get("EMAIL_HOST_PASSWORD") or ""
EMAIL_USE_TLS, EMAIL_USE_SSL = _mail.get("EMAIL_USE_TLS", False), _mail.get("EMAIL_USE_SSL", False)
EMAIL_FILE_PATH = _mail.get("EMAIL_FILE_PATH") or None
EMAIL_TIMEOUT = 5  # seconds
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="tuneup@localhost")

# --- manage.py up, prepare and test -----------------------------------------------------------
WEB_HOST = env.str("WEB_HOST", default="127.0.0.1")
WEB_PORT = env.whole("WEB_PORT", default=8000, at_least=1, at_most=65_535)
WEB_WORKERS = env.whole("WEB_WORKERS", default=2, at_least=1, at_most=64)
WEB_THREADS = env.whole(
    "WEB_THREADS", default=4, at_least=1, at_most=256
)  # of each worker: requests at once
CELERY_CONCURRENCY = env.whole("CELERY_CONCURRENCY", default=2, at_least=1, at_most=64)
# Workers and beat serve their metrics there; 0: the web processes of their host do it.
CELERY_METRICS_PORT = env.whole("CELERY_METRICS_PORT", default=0, at_least=0, at_most=65_535)
# The metrics library looks for the folder as soon as the apps are loaded.
METRICS_DIR = env.folder("PROMETHEUS_MULTIPROC_DIR", default=VAR_DIR / "metrics")
# Baselines are kept there; beside the code, so that they can be compared between versions.
METRICS_HISTORY_DIR = Path(env.str("TUNEUP_METRICS_DIR", default=str(BASE_DIR / ".metrics")))
ADMIN_USERNAME = env.str("ADMIN_USERNAME", default="admin")
ADMIN_PASSWORD = env.str("ADMIN_PASSWORD", default="")  # "": a random one, printed once
FIRST_API_KEY = env.str("TUNEUP_API_KEY", default="")  # "": a random one, printed once
WEBHOOK_SECRET = env.str("WEBHOOK_SECRET", default="")  # "": messages are not signed
BALANCER_ZONE = env.str("TUNEUP_ZONE", default="")  # where this process stands
CI = env.switch("CI", default=False)  # every service the tests can use must be there

# --- Web ------------------------------------------------------------------------------------
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024**2  # bytes of a request's body

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
CONTENT_SECURITY_POLICY = {"DIRECTIVES": STRICT_POLICY}
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_SAMESITE = "Lax"

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"

LOGIN_URL, LOGIN_REDIRECT_URL = "admin:login", "admin:index"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

# --- Logs and traces --------------------------------------------------------------------------
LOG_FORMAT = env.choice("LOG_FORMAT", default="text", of=STYLES)
LOGGING = logging_settings(
    level=env.log_level("LOG_LEVEL", default="INFO"),
    style=LOG_FORMAT,
    access_log=env.switch("ACCESS_LOG", default=False),
)
# OpenTelemetry's own variables: its SDK reads these and all the others of its specification.
EXPORT_TRACES = env.http_url("OTEL_EXPORTER_OTLP_ENDPOINT", default="") != "" and not env.switch(
    "OTEL_SDK_DISABLED", default=False
)
env.choice("OTEL_EXPORTER_OTLP_PROTOCOL", default="http/protobuf", of=("http/protobuf",))
OTEL_SERVICE_NAME = env.str("OTEL_SERVICE_NAME", default="tuneup")
