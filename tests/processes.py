"""Scripts in a Python of their own: for forks, signals and the end of an interpreter."""

import subprocess
import sys
import textwrap
from pathlib import Path

PROLOGUE = """
    import signal, sys, threading, time
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job is started with it ignored
    import django
    from django.conf import settings
    sys.path.insert(0, {root!r})
    from tests import settings as base
    values = {{name: getattr(base, name) for name in dir(base) if name.isupper()}}
    values["MIGMA"] = dict(values["MIGMA"], **{migma!r})
    settings.configure(**values)
    django.setup()
    from django.core import mail
    from django_migma.message import MigmaMessage
    from django_migma.backends import EmailBackend
    def message():
        return MigmaMessage("s", to=["r@example.org"], template_id="665f1c2ab7d3e4f5a6b70001")
"""


def run(script, *, warnings="error", **migma):
    """Run a script in a Python of its own, with this suite's settings and our backend."""
    root = str(Path.cwd())
    code = textwrap.dedent(PROLOGUE).format(root=root, migma=migma) + textwrap.dedent(script)
    return subprocess.run(
        [sys.executable, "-W", warnings, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
