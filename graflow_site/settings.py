"""All settings of the site, read from the environment. docs/how-to/run-it.md lists the variables.

A wrong value stops the start with a message; what could only go wrong later is a system check of the room it
belongs to.
"""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from csp.constants import NONE, SELF, UNSAFE_INLINE

from engine.rest.conf import SPECTACULAR_SETTINGS as SPECTACULAR_SETTINGS
from graflow_site import env

# Loading makes a hundred thousand objects that all stay, and looking through them again and again for garbage is
# a quarter of the time of a start. `SiteConfig.ready` turns the collector on again.
gc.disable()

BASE_DIR = Path(__file__).resolve().parent.parent

# --- Where things are ---------------------------------------------------------------------------------------------

DATA_DIR = env.folder("GRAFLOW_DATA_DIR", BASE_DIR / "var")
_running = env.running(DATA_DIR)

HOST = env.text("HOST", "127.0.0.1")
PORT = env.number("PORT", 8000, least=1, most=65535)
PUBLIC_URL = env.text("PUBLIC_URL", f"http://{'localhost' if HOST in env.LOOPBACK_HOSTS else HOST}:{PORT}").rstrip("/")
_public = urlsplit(PUBLIC_URL)
_https = _public.scheme == "https"

# --- Safety -------------------------------------------------------------------------------------------------------

DEBUG = env.switch("DEBUG", False)
SECRET_KEY = env.secret_key(DATA_DIR)
# Names of this machine only, also when nobody else can reach it: a foreign page may point its own name here.
ALLOWED_HOSTS = env.names("ALLOWED_HOSTS", f"localhost,127.0.0.1,[::1],{_public.hostname or ''}")
env.refuse_unsafe(host=HOST, debug=DEBUG, key=SECRET_KEY, hosts=ALLOWED_HOSTS, public_url=PUBLIC_URL)

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SECURE_SSL_REDIRECT = _https
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]  # asked by machines beside the proxy
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _https else None
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if _https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = _https
SECURE_HSTS_PRELOAD = _https
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if _https else []

CONTENT_SECURITY_POLICY: dict[str, Any] = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF, UNSAFE_INLINE],  # the graph places its nodes by inline styles; scripts never are inline
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],  # sockets of the same origin are covered by it
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "object-src": [NONE],
        "require-trusted-types-for": ["'script'"],
    }
}

# --- People -------------------------------------------------------------------------------------------------------

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"

SESSION_COOKIE_AGE = 12 * 3600  # seconds after the login, whatever happens
SESSION_IDLE_SECONDS = 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = _https
SESSION_COOKIE_NAME = "__Host-sessionid" if _https else "sessionid"
CSRF_COOKIE_HTTPONLY = True  # scripts take the token from the page
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SECURE = _https
CSRF_COOKIE_NAME = "__Host-csrftoken" if _https else "csrftoken"

AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_CALLABLE = "engine.access.views.locked_out"
AXES_RESET_ON_SUCCESS = True
AXES_ENABLE_ACCESS_FAILURE_LOG = False  # the audit log holds them
AXES_VERBOSE = False

# --- Rooms --------------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_vite",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_filters",
    "csp",
    "axes",
    "engine.access",
    "engine.runs",
    "engine.workers",
    "engine.rest",
    "engine.live",
    "editor",
    "graflow_site",
]
MIDDLEWARE = [
    "engine.rest.middleware.ProblemMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "graflow_site.policies.ForeignScriptsMiddleware",  # inside the policy, which it changes
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "graflow_site.sessions.IdleMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "engine.access.middleware.AuditDoorMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "graflow_site.urls"
ASGI_APPLICATION = "graflow_site.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

GRAFLOW_TASK_MODULES = env.names("GRAFLOW_TASK_MODULES", "graflow_site.demo")
GRAFLOW_EXAMPLES = "graflow_site.demo.examples.EXAMPLES"
GRAFLOW_QUEUES = env.names("GRAFLOW_QUEUES", "")
GRAFLOW_RETENTION_DAYS = env.number("GRAFLOW_RETENTION_DAYS", 30, least=0, most=36_500)
GRAFLOW_ARCHIVE_DIR = DATA_DIR / "archive"
GRAFLOW_MAX_ACTIVE_RUNS = env.number("GRAFLOW_MAX_ACTIVE_RUNS", 10_000, least=1, most=10_000_000)
GRAFLOW_MAX_OPEN_ATTEMPTS = env.number("GRAFLOW_MAX_OPEN_ATTEMPTS", 50_000, least=1, most=10_000_000)
GRAFLOW_DISK_WARN_PERCENT = env.number("GRAFLOW_DISK_WARN_PERCENT", 10, least=0, most=99)
GRAFLOW_DISK_REFUSE_PERCENT = env.number(  # never before the warning
    "GRAFLOW_DISK_REFUSE_PERCENT", min(5, GRAFLOW_DISK_WARN_PERCENT or 5), least=0, most=GRAFLOW_DISK_WARN_PERCENT or 99
)
GRAFLOW_WORKERS = env.number("GRAFLOW_WORKERS", os.cpu_count() or 1, least=1, most=256)

# --- Pages and files ----------------------------------------------------------------------------------------------

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
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
DJANGO_VITE = {
    "default": {
        "manifest_path": BASE_DIR / "static" / "dist" / "manifest.json",
        "static_url_prefix": "dist",
    }
}
# Files are served from where they lie, so a start need not collect them. Vite's names carry a hash.
WHITENOISE_USE_FINDERS = True
WHITENOISE_ALLOW_ALL_ORIGINS = False
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_IMMUTABLE_FILE_TEST = r"^/static/dist/assets/.+-[0-9A-Za-z_-]{8}\.\w+$"

LANGUAGE_CODE = "en"
TIME_ZONE = env.zone("TIME_ZONE", "UTC")
USE_TZ = True
USE_I18N = False

MEGABYTE = 1024 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * MEGABYTE
FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * MEGABYTE
DATA_UPLOAD_MAX_NUMBER_FIELDS = 10_000

# --- API ----------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "engine.rest.authentication.TokenAuthentication",
        "engine.rest.authentication.BrowserAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["engine.rest.parsers.LimitedJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "engine.rest.problems.handle",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "NUM_PROXIES": 1 if _https else 0,
}

# --- Database -----------------------------------------------------------------------------------------------------

DATABASE_URL = env.text("DATABASE_URL", _running.get("DATABASE_URL", "sqlite:///graflow.sqlite3"))
DATABASES = {"default": env.database(DATABASE_URL, DATA_DIR)}
_disk_folders = [DATA_DIR]
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    _disk_folders.append(Path(DATABASES["default"]["NAME"]).parent)
    DATABASES["default"]["OPTIONS"] = {
        # Transactions begin as writers: one that reads first and writes later fails at once when others write.
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        # FULL: NORMAL may lose the last commits when the power goes.
        "init_command": (
            "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;PRAGMA foreign_keys=ON;PRAGMA mmap_size=134217728"
        ),
    }
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}  # on disk: other processes open it too
else:
    DATABASES["default"]["CONN_MAX_AGE"] = 60
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    DATABASES["default"]["OPTIONS"].setdefault("connect_timeout", 5)
    DATABASES["default"]["OPTIONS"].setdefault(
        "options",
        "-c lock_timeout=5s -c statement_timeout=15s -c idle_in_transaction_session_timeout=10s -c plan_cache_mode=force_generic_plan",
    )

GRAFLOW_DISK_FOLDERS = env.existing("GRAFLOW_DISK_FOLDERS", _disk_folders)

# --- Redis: the wire to the workers, hints to browsers, rates ------------------------------------------------------

# The default points at nothing: without `manage.py up` or REDIS_URL there is no Redis, and that is said at once.
REDIS_URL = env.redis(env.text("REDIS_URL", _running.get("REDIS_URL", f"unix://{DATA_DIR}/redis.sock?db=0")))
REDIS_SECONDS = 1.0  # a Redis that hangs must not hang a page
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "graflow"},
    }
}
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        # A database of its own: emptying a cache empties its database, which must not be the workers' queue.
        "LOCATION": env.redis(REDIS_URL, step=1),
        "KEY_PREFIX": "graflow",
        "OPTIONS": {"socket_timeout": REDIS_SECONDS, "socket_connect_timeout": REDIS_SECONDS},
    }
}

CELERY_IMPORTS = ["engine.workers.jobs"]
CELERY_BROKER_URL = env.celery_broker(REDIS_URL)
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = False  # a lost job is found in the database; late acknowledgement would repeat or lose more
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_TIME_LIMIT = 15 * 60  # seconds
CELERY_TASK_SOFT_TIME_LIMIT = 15 * 60 - 10
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_DISABLE_PREFETCH = True  # a job taken beside a long one would wait for it while other workers idle
CELERY_DB_REUSE_MAX = 500  # jobs per database connection; Celery would open a new one for each
CELERY_WORKER_MAX_TASKS_PER_CHILD = 500
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 512 * 1024  # KiB
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 10
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_timeout": 5,
    "socket_connect_timeout": 3,
    "socket_keepalive": True,
    "visibility_timeout": 3600,
}
CELERY_TIMEZONE = "UTC"
CELERY_ENABLE_UTC = True

# --- What workflows may call ---------------------------------------------------------------------------------------

GRAFLOW_HTTP_HOSTS = env.hosts("GRAFLOW_HTTP_HOSTS")
GRAFLOW_HTTP_PORTS = env.ports("GRAFLOW_HTTP_PORTS", "80,443")
GRAFLOW_HTTP_ALLOW_PRIVATE = env.networks("GRAFLOW_HTTP_ALLOW_PRIVATE")
GRAFLOW_OWN_NAMES = sorted(
    {name for name in (_public.hostname, urlsplit(REDIS_URL).hostname, DATABASES["default"].get("HOST")) if name}
)
GRAFLOW_WEBHOOK_SECRET = env.text("GRAFLOW_WEBHOOK_SECRET", "")
GRAFLOW_WEBHOOKS = env.targets("GRAFLOW_WEBHOOKS", secret=GRAFLOW_WEBHOOK_SECRET)

# --- Mail and logs ------------------------------------------------------------------------------------------------

DEFAULT_FROM_EMAIL = "graflow@localhost"
globals().update(env.email(env.text("EMAIL_URL", ""), DATA_DIR))
SERVER_EMAIL = DEFAULT_FROM_EMAIL

LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "{asctime} {levelname:7} {name}: {message}", "style": "{"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        "django": {"handlers": [], "level": LOG_LEVEL, "propagate": True},
        "django.server": {"handlers": [], "level": "WARNING", "propagate": True},
        # Refused requests are answers, not incidents.
        "django.security.DisallowedHost": {"level": "ERROR", "propagate": True},
        "axes": {"level": "WARNING"},
        "celery.redirected": {"level": "WARNING"},
        # What becomes of an attempt stands in its run's history, not in two lines per message.
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        "kombu": {"level": "WARNING"},
        "daphne": {"level": "WARNING"},
    },
}
