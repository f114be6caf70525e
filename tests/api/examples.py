"""What most tests of the client start from: an API key, an address without a server, and a good request."""

from __future__ import annotations

import json
from typing import Any

from django_migma.api import MigmaClient, SendRequest
from tests.api.clocks import FakeClock

KEY = "sk_live_do_not_show_me"
URL = "https://api.migma.test/v1"
SENDING = f"{URL}/sending"
EMAIL_ID = "665f1c2ab7d3e4f5a6b70001"
ACCEPTED = {"success": True, "data": {"id": "m1", "status": "queued", "provider": "migma"}}


def send_request(**changes: Any) -> SendRequest:
    """A good send to one address."""
    fields = {
        "recipient_email": "ada@example.org",
        "from_email": "shop@example.com",
        "from_name": "Example Shop",
        "subject": "Hello",
        "email_id": EMAIL_ID,
    }
    return SendRequest(**(fields | changes))


def client(url: str = URL, key: str = KEY, **options: Any) -> MigmaClient:
    """A client whose waits take no time, unless a clock is given. A busy machine has 20 s for each answer."""
    return MigmaClient(key, api_url=url, **({"clock": FakeClock(), "timeout": 20} | options))


def refusal(text: str = "no", **more: Any) -> dict[str, Any]:
    """An error envelope of Migma's."""
    return {"success": False, "error": text, **more}


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()
