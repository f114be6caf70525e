"""A process that sends, forks and sends again: ``python -m tests.api.forked http://127.0.0.1:8026/v1``.

No ``if`` parts parent and child: the coverage of a child does not see frames that were running when it was born.
"""

from __future__ import annotations

import json
import os
import sys

from django_migma.api import MigmaClient
from tests.api.examples import send_request

client = MigmaClient("sk_test", api_url=sys.argv[1], timeout=60, retry_deadline=60)
client.send(send_request(subject="before the fork"))
child = os.fork()
status = os.waitpid(child, 0)[1] if child else None
result = client.send(send_request(subject="in the parent" if child else "in the child"))
print(json.dumps({"child": not child, "status": status, "attempts": result.attempts}))  # noqa: T201
