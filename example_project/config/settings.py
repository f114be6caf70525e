"""Settings of Fernhill Coffee. Every variable read here is explained in .env.example."""

from pathlib import Path

import django
import environ

from config import sandbox

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
env.read_env(BASE_DIR / ".env")
env.ENVIRON = {name: value for name, value in env.ENVIRON.items() if value}  # an empty variable is not set
if "MIGMA_API_KEY" not in env.ENVIRON:
    env.ENVIRON = sandbox.VALUES | env.ENVIRON

DEBUG = env.bool("DEBUG", default=True)
SECRET_KEY = env("SECRET_KEY", default="for this machine only") if DEBUG else env("SECRET_KEY")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[])
ADMINS = env.list("ADMINS", default=[])
if django.VERSION < (6, 0):
    ADMINS = [("", address) for address in ADMINS]

DIRECT, QUEUE = "django_migma.backends.EmailBackend", "django_migma.backends.queue.EmailBackend"
BACKEND = QUEUE if env.bool("MIGMA_QUEUE", default=False) else DIRECT  # QUEUE: manage.py migma_deliver sends
FILES = "django.core.mail.backends.filebased.EmailBackend"
MIGMA = {
    "API_KEY": env("MIGMA_API_KEY"),
    "API_URL": env("MIGMA_API_URL", default=""),  # empty: Migma's own address
    "PROJECT_ID": env("MIGMA_PROJECT_ID"),
    "FROM_NAME": env("MIGMA_FROM_NAME"),
    "LAYOUT_EMAIL_ID": env("MIGMA_LAYOUT_EMAIL_ID"),  # carries mail with a body of its own, such as mail about errors
    "DELIVERY_LOG": True,  # a row for each mail, which the page of an order and the admin show
    "FALLBACK": "files" if django.VERSION >= (6, 1) else FILES,  # sends what Migma cannot carry: attachments
}
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env("DEFAULT_FROM_EMAIL")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "console": {"class": "logging.StreamHandler"},
        "admins": {"class": "django.utils.log.AdminEmailHandler", "level": "ERROR"},
    },
    "root": {"handlers": ["console", "admins"]},
    "loggers": {"django": {}},  # no handlers of its own beside the root's
}
MAIL_FOLDER = env("MAIL_FOLDER", default=str(BASE_DIR / "mail"))  # a site of yours names its mail server instead
if django.VERSION >= (6, 1):
    # Mail about errors is quiet: a failure to report one must not become another. And it waits for no worker.
    MAILERS = {"default": {"BACKEND": BACKEND}, "admins": {"BACKEND": DIRECT, "OPTIONS": {"fail_silently": True}}}
    MAILERS["files"] = {"BACKEND": FILES, "OPTIONS": {"file_path": MAIL_FOLDER}}
    LOGGING["handlers"]["admins"]["using"] = "admins"
else:
    EMAIL_BACKEND, EMAIL_FILE_PATH = BACKEND, MAIL_FOLDER

CONTRIB = ("admin", "auth", "contenttypes", "messages", "sessions", "staticfiles")
INSTALLED_APPS = ["shop", "django_migma", *(f"django.contrib.{name}" for name in CONTRIB)]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
CONTEXT = ["django.template.context_processors.request", "django.contrib.auth.context_processors.auth"]
CONTEXT += ["django.contrib.messages.context_processors.messages", "config.sandbox.inbox"]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": CONTEXT},
    }
]
ROOT_URLCONF = "config.urls"
STATIC_URL = "static/"
DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{BASE_DIR / 'db.sqlite3'}")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":  # as it has to be where a worker writes as well
    DATABASES["default"]["OPTIONS"] = {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL"}
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS = [{"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"}]
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "shop:home"
