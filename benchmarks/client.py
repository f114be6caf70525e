"""One measurement in a process of its own: ``python -m benchmarks.client``, JSON in, JSON out."""

import gc
import importlib
import json
import re
import socket
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

MAIL_MODULES = ("django.core.mail", "django.core.mail.backends.base", "django.core.mail.backends.smtp")


def send(*, contender, shape, messages, warm_up, origin, port):
    """Send so many messages. CPU is that of this process with all its threads."""
    from . import contenders  # noqa: PLC0415 - `start` times what this imports

    settings = contenders.CONTENDERS[contender].settings
    _set_up(DEFAULT_FROM_EMAIL=contenders.SENDER, **(settings(origin, port) if settings else {}))
    contenders.prepare(contender, shape, warm_up, port)()
    prepared = contenders.prepare(contender, shape, messages, port)
    gc.collect()
    with suppress(OSError):  # let the peak be what is resident now, where the kernel can do that
        Path("/proc/self/clear_refs").write_text("5")
    resident, cpu, began = _peak_memory(), time.process_time(), time.perf_counter()
    result = {"accepted": prepared()}
    result |= {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu}
    return result | {
        "memory_growth": max(0, _peak_memory() - resident)
    }  # the kernel counts in batches: it may shrink


def start(*, what):
    """Import a module after Django's own mail modules, or call ``django.setup()`` with these apps."""
    if isinstance(what, list):
        return {"seconds": _set_up(INSTALLED_APPS=what)}
    for name in MAIL_MODULES:
        importlib.import_module(name)
    began = time.perf_counter()
    importlib.import_module(what)
    return {"seconds": time.perf_counter() - began}


def load(*, port, connections, seconds):
    """Send one request on each connection, read all answers, and so on: what the stub can take."""
    body = b'{"template": "' + b"x" * 1800 + b'"}'
    request = b"POST /v1/sending HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    with ExitStack() as stack:
        opened = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 60)) for _ in range(connections)]
        began, sent = time.perf_counter(), 0
        while (passed := time.perf_counter() - began) < seconds:
            for each in opened:
                each.sendall(request)
            for each in opened:
                each.recv(65536)  # an answer leaves in one piece, and is far smaller
            sent += len(opened)
    return {"rate": sent / passed}


def _set_up(**settings):
    """The seconds that ``django.setup()`` takes."""
    django, conf = importlib.import_module("django"), importlib.import_module("django.conf")
    conf.settings.configure(SECRET_KEY="benchmark", USE_TZ=True, **settings)
    began = time.perf_counter()
    django.setup()
    return time.perf_counter() - began


def _peak_memory():
    """In bytes, on Linux. In getrusage a child would start with its parent's figure."""
    status = Path("/proc/self/status")
    return int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1]) * 1024 if status.exists() else 0


if __name__ == "__main__":
    question = json.load(sys.stdin)
    json.dump({"send": send, "start": start, "load": load}[question.pop("measure")](**question), sys.stdout)
