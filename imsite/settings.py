"""Read every setting of the service from its environment variable (README, "Settings").

Each variable has a default. The environment is read here and nowhere else. The messaging
application reads `IM` through `messaging.conf.settings()`.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from celery.schedules import crontab

from imsite.development_key import development_key
from imsite.environment import Environment
from imsite.logs import logging_config
from imsite.private_files import keep_private
from messaging.conf import Settings
from messaging.limits import MAX_FORM_BODY_BYTES
from messaging.links import TlsFiles, broker_url, complete_log_url, complete_redis_url
from messaging.ports.audit_runs import Scope
from messaging.schedules import Every

env = Environment()
BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(env.str("VAR_DIR", default=str(BASE_DIR / "var"))).resolve()
LOG_DIR = Path(env.str("LOG_DIR", default=str(BASE_DIR / "logs"))).resolve()

# --- the site -------------------------------------------------------------------------------

PRODUCTION = (
    env.choice("IM_ENV", ("development", "production"), default="development") == "production"
)
DEBUG = env.bool("IM_DEBUG", default=False)
UNSET_KEY = "unset"  # `messaging.checks` refuses it in production


def _key(variable: str) -> str:
    given = env.str(variable, default="") or (UNSET_KEY if PRODUCTION else "")
    return given or development_key(VAR_DIR / variable.lower())


SECRET_KEY = _key("IM_SECRET_KEY")
JWT_KEY = _key("IM_JWT_KEY")
ALLOWED_HOSTS = env.list("IM_ALLOWED_HOSTS", default=[] if PRODUCTION else ["*"])
CSRF_TRUSTED_ORIGINS = env.list("IM_CSRF_TRUSTED_ORIGINS", default=[])
ADMIN = env.bool("IM_ADMIN", default=True)
ADMIN_HOSTS = env.list("IM_ADMIN_HOSTS", default=[])
ROOT_URLCONF = "imsite.urls"
WSGI_APPLICATION = "imsite.wsgi.application"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "messaging",
    "bench",
]
MIDDLEWARE = [
    "imsite.page_policy.PagePolicy",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "imsite.admin_door.AdminDoor",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "messaging.admin.refusals.RefusalPages",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
APPEND_SLASH = False
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_FORM_BODY_BYTES
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [BASE_DIR / "messaging" / "locale"]
TIME_ZONE = env.str("IM_TIME_ZONE", default="UTC")
STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # WhiteNoise warns where it is missing
WHITENOISE_USE_FINDERS = not PRODUCTION
HTTPS = env.bool("IM_HTTPS", default=PRODUCTION)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = False  # the balancer in front ends TLS
SECURE_HSTS_SECONDS = env.int("IM_HSTS_SECONDS", default=3_600 if HTTPS else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.bool("IM_HSTS_INCLUDE_SUBDOMAINS", default=False)
SECURE_HSTS_PRELOAD = env.bool("IM_HSTS_PRELOAD", default=False)
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
TLS = TlsFiles(*(env.str(f"IM_TLS_{each}", default="") for each in ("CA", "CERT", "KEY")))

# --- the database ---------------------------------------------------------------------------

STORE_TIMEOUT_S = env.float("IM_STORE_TIMEOUT_S", default=5.0)
DATABASES = {
    "default": env.database(
        "IM_DATABASE_URL",
        ("mysql", "sqlite"),
        default=f"sqlite:///{quote(str(VAR_DIR / 'im.sqlite3'))}",
        tls=TLS,
    )
}
DATABASES["default"]["CONN_MAX_AGE"] = None
if DATABASES["default"]["ENGINE"] == "django.db.backends.mysql":
    DATABASES["default"] |= {
        "CONN_HEALTH_CHECKS": True,  # a ping a request; `database.threads` does without
        "OPTIONS": DATABASES["default"]["OPTIONS"]
        | {
            "charset": "utf8mb4",
            # The server must give up waiting for a lock before `read_timeout`. Otherwise, after
            # the client has gone, the server would wait on and keep the locks of the transaction.
            # A client that is frozen in a transaction keeps its locks, too. MariaDB alone has a
            # remedy, the idle timeout; MySQL reads the `/*M! */` part as a comment.
            "init_command": "SET sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION',"
            f" innodb_lock_wait_timeout={max(1, round(STORE_TIMEOUT_S) - 1)}"
            f" /*M!100300 , idle_transaction_timeout={2 * max(1, round(STORE_TIMEOUT_S))} */",
            "isolation_level": "read committed",
            "connect_timeout": max(1, round(STORE_TIMEOUT_S)),
            "read_timeout": max(1, round(STORE_TIMEOUT_S)),
            "write_timeout": max(1, round(STORE_TIMEOUT_S)),
        },
        "TEST": {"CHARSET": "utf8mb4", "COLLATION": "utf8mb4_bin"},
    }
else:
    if DATABASES["default"]["NAME"] != ":memory:":
        keep_private(Path(DATABASES["default"]["NAME"]))
    DATABASES["default"] |= {
        "OPTIONS": {
            "timeout": STORE_TIMEOUT_S,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL",
        },
        "TEST": {"NAME": VAR_DIR / "test.sqlite3"},
    }

# The numbers of processes, and of threads in a web process that run Django, are needed because each
# has database connections of its own, and `messaging.runtime.connections` adds these up.
DJANGO_THREADS = 16
PROCESSES = {
    "web": env.int("IM_WEB_PROCESSES", default=env.int("WEB_WORKERS", default=2)),
    "consumer": env.int("IM_CONSUMER_PROCESSES", default=env.int("CONSUMER_WORKERS", default=1)),
    "worker": env.int("IM_WORKER_PROCESSES", default=1),
}

# --- Redis, the log, Celery -----------------------------------------------------------------

REDIS_URL = complete_redis_url(
    "IM_REDIS_URL", env.str("IM_REDIS_URL", default="redis://127.0.0.1:6390/0"), TLS
)
EVENT_LOG_URL = complete_log_url(
    "IM_EVENT_LOG_URL", env.str("IM_EVENT_LOG_URL", default=REDIS_URL), TLS
)
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "site",
        "OPTIONS": {
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
            "SOCKET_TIMEOUT": 1,
            "SOCKET_CONNECT_TIMEOUT": 1,
            "IGNORE_EXCEPTIONS": True,  # the admin's sessions are in the database as well
        },
    }
}
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"  # not a cookie
SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"
CELERY_BROKER_URL = broker_url(
    "IM_CELERY_BROKER_URL", env.str("IM_CELERY_BROKER_URL", default=REDIS_URL), TLS
)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_timeout": 10, "socket_connect_timeout": 5}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TIMEZONE = TIME_ZONE
COMPENSATE_EVERY_S = env.float("IM_COMPENSATE_EVERY_S", default=60.0)
# A run that is missed may be missed, so no file has to remember past runs. Celery's default
# scheduler keeps such a file, and beat never starts again once a power cut has emptied the file.
CELERY_BEAT_SCHEDULER = "celery.beat:Scheduler"
CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "compensate": {
        "task": "messaging.compensate",
        "schedule": Every(COMPENSATE_EVERY_S),
        "options": {"expires": COMPENSATE_EVERY_S * 0.9},  # a backlog of ticks collapses into one
    }
}
if env.bool("IM_AUDIT_HOURLY", default=True):
    CELERY_BEAT_SCHEDULE["audit-hourly"] = {
        "task": "messaging.audit",
        "schedule": crontab(minute="47"),
        "args": (Scope.HOURLY.value,),
        "options": {"expires": 3_000},
    }
if env.bool("IM_AUDIT_NIGHTLY", default=True):
    CELERY_BEAT_SCHEDULE["audit-nightly"] = {
        "task": "messaging.audit",
        "schedule": crontab(hour="3", minute="17"),
        "args": (Scope.NIGHTLY.value,),
        "options": {"expires": 18_000},
    }
IM = env.typed(
    Settings,
    redis_url=REDIS_URL,
    event_log_url=EVENT_LOG_URL,
    trusted_proxies=env.networks("IM_TRUSTED_PROXIES"),
    datacenter_id=env.int("IM_DATACENTER_ID") if env.str("IM_DATACENTER_ID", "") else None,
    store_timeout_s=STORE_TIMEOUT_S,
    compensate_every_s=COMPENSATE_EVERY_S,
    metrics_dir=env.str("IM_METRICS_DIR", default=str(VAR_DIR / "run" / "metrics")),
)

# --- identity -------------------------------------------------------------------------------

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
AUTHENTICATION_BACKENDS = ["messaging.api.passwords.RatedBackend"]
PASSWORD_HASHERS = ["messaging.hashing.PlacedHasher"]  # no other: it would hash past the queue
SIMPLE_JWT = {
    "SIGNING_KEY": JWT_KEY,
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=env.int("IM_ACCESS_TOKEN_MINUTES", default=120)),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=env.int("IM_REFRESH_TOKEN_DAYS", default=14)),
    "TOKEN_OBTAIN_SERIALIZER": "messaging.api.identity.ObtainSerializer",
    "TOKEN_REFRESH_SERIALIZER": "messaging.api.identity.RefreshSerializer",
}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["messaging.api.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["messaging.api.drf.EnvelopeRenderer"],
    "DEFAULT_PARSER_CLASSES": ["messaging.api.drf.StrictJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "messaging.api.negotiation.JsonOnly",
    "DEFAULT_METADATA_CLASS": "messaging.api.negotiation.AllowedMethods",
    "EXCEPTION_HANDLER": "messaging.api.drf.handle_exception",
    "UNAUTHENTICATED_USER": None,
}

# --- logs -----------------------------------------------------------------------------------

LOGGING = logging_config(
    directory=LOG_DIR,
    level=env.choice(
        "IM_LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"), default="INFO"
    ),
    style=env.choice("IM_LOG_FORMAT", ("plain", "json"), default="plain"),
)

VARIABLES = frozenset(env.names)  # all that are read; `manage.py doctor` finds the misspelt ones
