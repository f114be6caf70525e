"""What a site's own process does: ``python -m benchmarks.queue.client``, JSON in, JSON out.

Times are those of `time.monotonic`, as in the ledger.
"""

import importlib
import json
import re
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import django
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection, send_mail
from django.core.management import call_command
from django.db import OperationalError, connection, transaction

from benchmarks.messages import SENDER, order

from .contenders import CONTENDERS

_STORED_EMAIL = "665f1c2ab7d3e4f5a6b70001"


def migrate():
    """Make the tables."""
    call_command("migrate", verbosity=0)
    connection.close()  # so that the file has all of it, and nobody uses the database


def enqueue(*, shape, count, first=0):
    """Enqueue mail in one go: ``single`` (text, one call each), ``text``, ``stored``, or ``html`` (and text)."""
    enqueue_all = _prepare(shape, range(first, first + count))
    cpu, began = time.process_time(), time.monotonic()
    enqueue_all()
    ended = time.monotonic()
    return {"seconds": ended - began, "cpu_seconds": time.process_time() - cpu, "ended": ended}


def _prepare(shape, numbers):
    orders = [order(number) for number in numbers]
    if shape != "html":
        orders = [(subject, text, "", to) for subject, text, _, to in orders]
    enqueues = CONTENDERS[settings.SITE["contender"]].enqueues
    if enqueues in {"tasks", "celery"}:
        return (_tasks if enqueues == "tasks" else _celery)(orders)  # one call each, whatever the shape
    if shape == "single":
        return lambda: [send_mail(subject, text, SENDER, [to]) for subject, text, _, to in orders]
    return _post_office(orders) if enqueues == "post_office" else _mail(shape, orders)


def _mail(shape, orders):
    messages = [_message(shape, *order) for order in orders]
    return lambda: _connection().send_messages(messages)


def _message(shape, subject, text, html, to):
    message = EmailMultiAlternatives(subject, text, SENDER, [to])
    if html:
        message.attach_alternative(html, "text/html")
    if shape == "stored":
        message.template_id = _STORED_EMAIL
        message.merge_global_data = {"first_name": "Ada", "order": subject, "total": "24.90"}
    return message


def _connection():
    if hasattr(settings, "MAILERS"):
        from django.core.mail import mailers  # noqa: PLC0415 - Django before 6.1 has none

        return mailers.default
    return get_connection()


def _post_office(orders):
    from post_office import mail  # noqa: PLC0415 - on its own sites

    wanted = [
        {"recipients": [to], "sender": SENDER, "subject": subject, "message": text}
        | ({"html_message": html} if html else {})
        for subject, text, html, to in orders
    ]
    return lambda: mail.send_many(wanted)


def _tasks(orders):
    from .tasks import send_by_tasks  # noqa: PLC0415 - on its own sites

    return lambda: [send_by_tasks.enqueue(*order) for order in orders]


def _celery(orders):
    from .tasks import send_by_celery  # noqa: PLC0415 - on its own sites

    return lambda: [send_by_celery.delay(*order) for order in orders]


def trickle(*, count, seconds, first):
    """Send mail one by one, evenly over some seconds. Returns when each was committed."""
    committed, began = {}, time.monotonic()
    for number in range(count):
        time.sleep(max(0, began + seconds * number / count - time.monotonic()))
        subject, text, _, to = order(first + number)
        send_mail(subject, text, SENDER, [to])
        committed[first + number] = time.monotonic()
    return {"committed": committed}


def web(*, rate, seconds, threads, first):
    """Send from a site's threads, in transactions that read before they write: seconds of each, and errors."""
    durations, errors = [], []

    def visit(offset):
        count = int(rate * seconds / threads)
        began = time.monotonic() + offset / rate
        for number in range(count):
            time.sleep(max(0, began + number * threads / rate - time.monotonic()))
            start = time.perf_counter()
            try:
                _view(first + number * threads + offset)
            except OperationalError as error:
                errors.append(str(error))
            durations.append(time.perf_counter() - start)
        connection.close()

    workers = [threading.Thread(target=visit, args=[offset]) for offset in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return {"durations": durations, "errors": len(errors)}


def _view(number):
    from django.contrib.auth.models import User  # noqa: PLC0415 - models need the site

    subject, text, _, to = order(number)
    with transaction.atomic():
        User.objects.filter(username=to).exists()
        send_mail(subject, text, SENDER, [to])


def states():
    """How many deliveries of our queue have each status, are in doubt, and have had an attempt that counts."""
    from django_migma.models.delivery import Delivery  # noqa: PLC0415 - on its own sites

    rows = Delivery.objects.values_list("status", flat=True)
    in_doubt = Delivery.objects.filter(in_doubt=True).count()
    attempted = Delivery.objects.filter(attempts__gt=0).count()
    return {"statuses": Counter(rows), "in_doubt": in_doubt, "attempted": attempted}


def prune(*, rows):
    """Remove so many finished deliveries with ``migma_prune``."""
    import datetime as dt  # noqa: PLC0415 - for this measurement

    from django.utils import timezone  # noqa: PLC0415 - for this measurement

    from django_migma.models.delivery import Delivery  # noqa: PLC0415 - on its own sites

    past = timezone.now() - dt.timedelta(days=40)
    values = {"status": "accepted", "created_at": past, "finished_at": past, "subject": "Your order at Lumen Bikes"}
    for start in range(0, rows, 5000):
        Delivery.objects.bulk_create(
            Delivery(idempotency_key=f"{number:064x}", recipient=f"customer-{number}@example.com", **values)
            for number in range(start, min(rows, start + 5000))
        )
    Path("/proc/self/clear_refs").write_text("5")
    memory, began = _peak_memory(), time.monotonic()
    call_command("migma_prune", days=30, verbosity=0)
    seconds = time.monotonic() - began
    return {"seconds": seconds, "memory_growth": max(0, _peak_memory() - memory), "left": Delivery.objects.count()}


def _peak_memory():
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024


if __name__ == "__main__":
    django.setup()
    if CONTENDERS[settings.SITE["contender"]].needs_redis:
        importlib.import_module("benchmarks.queue.tasks")  # a site's package imports its Celery application
    question = json.load(sys.stdin)
    measure = {
        "migrate": migrate,
        "enqueue": enqueue,
        "trickle": trickle,
        "web": web,
        "states": states,
        "prune": prune,
    }
    json.dump(measure[question.pop("measure")](**question), sys.stdout)
