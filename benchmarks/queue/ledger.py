"""The servers of the queue's benchmark, which write down each mail: ``python -m benchmarks.queue.ledger http 0.05``.

They print their port, then one line for each line that they read, a JSON object: ``{"ask": "entries"}`` asks for the
ledger, ``{"ask": "count"}`` for how many requests were accepted, and ``{"rule": ...}`` begins a new ledger. The rule
is how they answer:

- ``accept``: after the delay.
- ``refuse``: at once, 503 without ``Retry-After``.
- ``ignore``: never.
- ``limit``: at most ``per_second`` in each second, the others get 429 and ``Retry-After: retry_after``.

Times are those of `time.monotonic`, which all processes of a machine share.
"""

import json
import re
import sys
import time
from collections import Counter

from benchmarks.servers import RESPONSES, HttpStub, SmtpSink, response, run, serve

_RECIPIENT = re.compile(rb"customer-(\d+)@")
_BUSY = response("503 Service Unavailable", {"success": False, "error": "Busy", "code": "UNAVAILABLE"})
_ACCEPTED = RESPONSES[b"POST", b"/v1/sending"]


class Ledger:
    """Who was sent what, when: ``[seconds, number of the recipient, whether it was accepted]`` each."""

    def __init__(self):
        self.begin({"rule": "accept"})

    def begin(self, rule):
        """Forget everything, and follow another rule."""
        self.rule, self.entries, self.second, self.accepted = rule, [], Counter(), 0

    def ask(self, line):
        """Answer a line of standard input."""
        order = json.loads(line)
        if "rule" in order:
            self.begin(order)
        if order.get("ask") == "entries":
            return {"entries": self.entries, "server_cpu_seconds": time.process_time()}
        return {"accepted": self.accepted}

    def take(self, content, connection, accepted):
        """Write one mail down and answer it as the rule says."""
        now = time.monotonic()
        answer = self.answer(now, accepted)
        self.entries.append([now, int(_RECIPIENT.search(content)[1]), answer is accepted])
        if answer is accepted:
            self.accepted += 1
            connection.accept(answer)
        elif answer:
            connection.transport.write(answer)

    def answer(self, now, accepted):
        """What the rule says: an answer, or nothing at all."""
        match self.rule["rule"]:
            case "refuse":
                return _BUSY
            case "ignore":
                return b""
            case "limit":
                self.second[int(now)] += 1
                if self.second[int(now)] > self.rule["per_second"]:
                    error = {"success": False, "error": "Rate limit exceeded", "code": "RATE_LIMIT_EXCEEDED"}
                    return response("429 Too Many Requests", error, **{"Retry-After": self.rule["retry_after"]})
        return accepted


class HttpLedger(HttpStub):
    """Migma's sending request."""

    def take(self, request):
        """Write the recipient of one request down."""
        ledger.take(request, self, _ACCEPTED)


class SmtpLedger(SmtpSink):
    """Any mail."""

    def take(self, mail):
        """Write the recipient of one mail down."""
        ledger.take(mail, self, b"250 OK\r\n")


if __name__ == "__main__":
    kind, delay = sys.argv[1], float(sys.argv[2])
    ledger, counts = Ledger(), Counter()
    protocol = {"http": HttpLedger, "smtp": SmtpLedger}[kind]
    run(serve(lambda: protocol(counts, delay), ledger.ask), has_delays=delay)
