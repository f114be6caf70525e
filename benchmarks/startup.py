"""Start-up times. As a module of its own process: ``python -m benchmarks.startup``, JSON in, JSON out.

Nothing is imported here that what is measured might import.
"""

import importlib
import json
import sys
import time

SCENARIO = "startup"
DJANGOS_OWN = ("django.core.mail", "django.core.mail.backends.base", "django.core.mail.backends.smtp")
SITE = ("django.contrib.contenttypes", "django.contrib.auth")
ENTRIES = {
    "import-migma": {"module": "django_migma.backends"},
    "import-anymail": {"module": "anymail.backends.resend"},
    "setup": {"apps": SITE},
    "setup-migma": {"apps": (*SITE, "django_migma")},
    "setup-anymail": {"apps": (*SITE, "anymail")},
}
TITLES = {
    "import-migma": "import django_migma.backends",
    "import-anymail": "import anymail.backends.resend",
    "setup": "django.setup() with Django's contenttypes and auth",
    "setup-migma": "the same with django_migma",
    "setup-anymail": "the same with anymail",
}


def main() -> None:
    """Measure one import after Django's own mail modules, or one ``django.setup()``."""
    question = json.load(sys.stdin)
    if "module" in question:
        for name in DJANGOS_OWN:
            importlib.import_module(name)
        began = time.perf_counter()
        importlib.import_module(question["module"])
    else:
        django, conf = importlib.import_module("django"), importlib.import_module("django.conf")
        conf.settings.configure(SECRET_KEY="benchmark", USE_TZ=True, INSTALLED_APPS=question["apps"])
        began = time.perf_counter()
        django.setup()
    json.dump({"seconds": time.perf_counter() - began}, sys.stdout)


if __name__ == "__main__":
    main()
