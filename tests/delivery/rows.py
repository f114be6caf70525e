"""Rows of the queue, made by hand."""

import datetime as dt
import hashlib
import itertools
import json

from django_migma.conf import has_mailers
from django_migma.models import Delivery

LONG_AGO = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_numbers = itertools.count(1)


def payload(number):
    """The body of one request."""
    return json.dumps(
        {
            "recipientType": "email",
            "recipientEmail": f"reader{number}@example.org",
            "from": "shop@example.com",
            "fromName": "Shop",
            "subject": f"Mail {number}",
            "emailId": "665f1c2ab7d3e4f5a6b70001",
        }
    )


def row(**fields):
    """A row that waits, not saved."""
    number = next(_numbers)
    values = {
        "alias": "default" if has_mailers() else "",
        "idempotency_key": hashlib.sha256(str(number).encode()).hexdigest(),
        "recipient": f"reader{number}@example.org",
        "subject": f"Mail {number}",
        "payload": payload(number),
        "due_at": LONG_AGO,
    }
    return Delivery(**values | fields)


def waiting(count=1, **fields):
    """So many rows that wait."""
    return Delivery.objects.bulk_create([row(**fields) for _ in range(count)])


YES = (200, {"success": True, "data": {"id": "m1", "status": "queued", "provider": "migma"}})
