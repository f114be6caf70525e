"""What viewers of the sandbox's inbox cost a site, and how soon they see its mail: ``python -m benchmarks.inbox``.

It needs a chromium, as the tests in a browser do. It prints its tables and writes them to docs/performance/inbox.rst;
a --quick one is only printed.
"""

import argparse
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser import chromium

from .processes import ROOT, Laboratory
from .report import described, table
from .results import figure, this_machine

PUBLISHED = ROOT / "docs" / "performance" / "inbox.rst"

KEY = "sk_test_sandbox_full"
RECEIPT = "665f1c2ab7d3e4f5a6b70002"
CONNECTIONS = 4
TABS = 12
PATIENCE = 120  # seconds for what the browser does and for an answer: a busy machine is slow, and no failure
COLUMNS = {"p50": "Median", "p95": "95 %", "p99": "99 %", "cpu": "CPU of the sandbox, % of a core"}
SEEN = """
window.seen = {};
const look = () => {
  for (const { textContent } of document.querySelectorAll("#list .what")) window.seen[textContent] ??= Date.now();
};
document.addEventListener("DOMContentLoaded", () => {
  new MutationObserver(look).observe(document.body, {childList: true, subtree: true, characterData: true});
});
"""
"""Notes in a page when each subject is first shown, in milliseconds since 1970."""


class Sender:
    """Sends mail over one connection that is kept."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

    def send(self, number: int) -> float:
        """Send the mail "Order <number>" and return the milliseconds until its answer. Raises if it is refused."""
        body = json.dumps({
            "recipientType": "email",
            "recipientEmail": f"customer-{number}@example.com",
            "from": "hello@fernhill.example",
            "fromName": "Fernhill Coffee",
            "subject": f"Order {number}",
            "emailId": RECEIPT,
            "variables": {"first_name": "Kim", "order_number": str(number), "total": "24.00"},
        })  # fmt: skip
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        headers |= {"Idempotency-Key": f"order-{number}"}
        began = time.perf_counter()
        self._connection.request("POST", "/v1/sending", body, headers)
        response = self._connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise RuntimeError(f"Mail {number} was answered with {response.status}: {answer.decode()}")
        return (time.perf_counter() - began) * 1000


def send_steadily(port: int, rate: float, seconds: float) -> list[float]:
    """Send at a steady rate, whatever the answers take; return the milliseconds that each took."""
    taken: list[float] = []

    def work(first: int) -> None:
        sender, began = Sender(port), time.perf_counter()
        for number in range(first, int(rate * seconds), CONNECTIONS):
            time.sleep(max(0, began + number / rate - time.perf_counter()))
            taken.append(sender.send(number))

    threads = [threading.Thread(target=work, args=(first,)) for first in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(taken) != int(rate * seconds):
        raise RuntimeError("A connection to the sandbox has failed; its error stands above.")
    return taken


@dataclass(frozen=True)
class RunningSandbox:
    """A sandbox in a process of its own."""

    port: int
    process_id: int

    def cpu_seconds(self) -> float:
        """What all its threads have used so far, user and system."""
        numbers = Path(f"/proc/{self.process_id}/stat").read_text().rpartition(")")[2].split()
        return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running_sandbox(laboratory: Laboratory) -> Iterator[RunningSandbox]:
    """Start a sandbox and stop it."""
    command = [sys.executable, "-P", "-m", "django_migma.sandbox", "--port", "0", "--quiet"]
    process = subprocess.Popen(command, env=laboratory.environment(), stdout=subprocess.PIPE, text=True)
    try:
        found = re.search(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline() if process.stdout else "")
        if not found:
            raise RuntimeError("The sandbox has not started; its error stands above.")
        yield RunningSandbox(int(found[1]), process.pid)
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def viewers(
    browser: Browser, sandbox: RunningSandbox, *, contexts: int = 1, tabs: int = 1
) -> Iterator[tuple[list[Page], list[str]]]:
    """Open the inbox in so many tabs of so many browsers, each of which has one stream of events.

    Yields the pages, and a list that grows by the address of each fetch of the list.
    """
    opened = [browser.new_context(base_url=f"http://127.0.0.1:{sandbox.port}") for _ in range(contexts)]
    pages, fetches = [], []
    for context in opened:
        context.set_default_timeout(PATIENCE * 1000)
        context.add_init_script(SEEN)
        for _ in range(tabs):
            pages.append(context.new_page())
            pages[-1].goto("/")
            pages[-1].wait_for_timeout(300)
            pages[-1].on("request", lambda request: "/_sandbox/list" in request.url and fetches.append(request.url))
    yield pages, fetches
    for context in opened:
        context.close()


def load(laboratory: Laboratory, port: int, rate: float, seconds: float) -> list[float]:
    """`send_steadily` in a process of its own."""
    command = [sys.executable, "-P", "-m", "benchmarks.inbox", "--load", str(port), str(rate), str(seconds)]
    done = subprocess.run(command, env=laboratory.environment(), stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One round: the `COLUMNS`, the fetches of the list a second, and the load average of the machine."""

    entry: str  # "watched" or "alone"
    round: int
    values: dict[str, float]
    scenario: str = "load"

    def value(self, metric: str) -> float:
        return self.values[metric]


def measure_load(laboratory: Laboratory, browser: Browser, chosen: argparse.Namespace) -> Iterator[Run]:
    """The API with and without two viewers, in rounds that take turns."""
    for number in range(chosen.rounds):
        for entry, contexts in [("watched", 2), ("alone", 0)][:: 1 if number % 2 else -1]:
            with (
                running_sandbox(laboratory) as sandbox,
                viewers(browser, sandbox, contexts=contexts) as (pages, fetches),
            ):
                before = sandbox.cpu_seconds()
                cuts = statistics.quantiles(load(laboratory, sandbox.port, chosen.rate, chosen.seconds), n=100)
                cpu = (sandbox.cpu_seconds() - before) / chosen.seconds * 100
                for page in pages:
                    page.wait_for_timeout(100)  # meanwhile the requests are counted
            values = {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "cpu": cpu}
            values |= {"fetches": len(fetches) / chosen.seconds, "load": os.getloadavg()[0]}
            run = Run(entry=entry, round=number, values=values)
            print(run, file=sys.stderr)
            yield run


def measure_delay(laboratory: Laboratory, browser: Browser, mails: int) -> list[float]:
    """Milliseconds from each send until each of many tabs shows the mail."""
    with running_sandbox(laboratory) as sandbox, viewers(browser, sandbox, tabs=TABS) as (pages, _):
        sender, sent = Sender(sandbox.port), {}
        for number in range(1000, 1000 + mails):
            sent[f"Order {number}"] = time.time() * 1000
            sender.send(number)
            pages[0].wait_for_timeout(700)
        for page in pages:
            page.wait_for_function("last => window.seen[last]", arg=list(sent)[-1])
        seen = [page.evaluate("window.seen") for page in pages]
    return [found[subject] - began for found in seen for subject, began in sent.items()]


def measure_burst(laboratory: Laboratory, browser: Browser, mails: int = 300) -> dict[str, float]:
    """So many mails as quickly as one connection takes them: seconds, and fetches of the list by one tab."""
    with running_sandbox(laboratory) as sandbox, viewers(browser, sandbox) as ([page], fetches):
        sender, began = Sender(sandbox.port), time.time()
        for number in range(1000, 1000 + mails):
            sender.send(number)
        ended, last = time.time(), f"Order {999 + mails}"
        page.wait_for_function("last => window.seen[last]", arg=last)
        shown = page.evaluate("last => window.seen[last]", last) / 1000
        return {"mails": mails, "seconds": ended - began, "fetches": len(fetches), "behind": shown - ended}


def document(
    chosen: argparse.Namespace, runs: Sequence[Run], delays: Sequence[float], burst: dict[str, float]
) -> str:
    """The tables."""
    busy, lists = (figure(runs, "load", "watched", metric) for metric in ("load", "fetches"))
    rows = [
        [title, *(str(figure(runs, "load", entry, metric)) for metric in COLUMNS)]
        for title, entry in (("Two viewers", "watched"), ("Nobody", "alone"))
    ]
    ratios = [str(figure(runs, "load", "watched", metric, against="alone")) for metric in COLUMNS]
    header = ["Who looks", *COLUMNS.values()]
    title = (
        f"{chosen.rate:g} mails a second for {chosen.seconds:g} s, {chosen.rounds} rounds: answers of the API, in ms"
    )
    one_browser = {
        f"A mail is shown in each of {TABS} tabs after, median": f"{statistics.median(delays):.0f} ms",
        "The same, 95 %": f"{statistics.quantiles(delays, n=100)[94]:.0f} ms",
        "The same, at most": f"{max(delays):.0f} ms",
        "300 mails in a row: took": f"{burst['seconds']:.2f} s",
        "Lists that a tab fetched for them": f"{burst['fetches']:.0f}",
        "The last was shown so long after its answer": f"{burst['behind'] * 1000:.0f} ms",
    }
    introduction = (
        f"{described(this_machine(ROOT))} Load average of the machine: {busy}. Medians, smallest and largest value "
        f"in brackets. Both viewers together fetched {lists} lists a second.\n"
    )
    return "\n".join([
        introduction,
        table(title, header, rows),
        table("The same: ratio within a round", header, [["Two viewers to nobody", *ratios]]),
        table("One browser", ["What", "Measured"], [list(row) for row in one_browser.items()]),
    ])  # fmt: skip


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inbox", description=__doc__)
    parser.add_argument("--rounds", type=int, help="with and without viewers each (default: 10)")
    parser.add_argument("--seconds", type=float, help="of each (default: 12)")
    parser.add_argument("--rate", type=float, default=200, help="mails a second (default: 200)")
    parser.add_argument("--quick", action="store_true", help="two rounds of three seconds: a rough idea")
    parser.add_argument("--output", type=Path, help="file (default: docs/performance/inbox.rst; none with --quick)")
    parser.add_argument("--load", nargs=3, type=float, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    chosen.rounds = chosen.rounds or (2 if chosen.quick else 10)
    chosen.seconds = chosen.seconds or (3 if chosen.quick else 12)
    chosen.output = chosen.output or (None if chosen.quick else PUBLISHED)
    return chosen


def main(arguments: Sequence[str] | None = None) -> int:
    """0 once everything was sent and shown, whatever it took."""
    chosen = _options(arguments)
    if chosen.load:
        port, rate, seconds = chosen.load
        json.dump(send_steadily(int(port), rate, seconds), sys.stdout)
        return 0
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        laboratory = Laboratory(Path(folder), {"": ROOT})
        with playwright.chromium.launch(executable_path=chromium.path(), timeout=PATIENCE * 1000) as browser:
            delays = measure_delay(laboratory, browser, mails=3 if chosen.quick else 20)
            burst = measure_burst(laboratory, browser)
            runs = list(measure_load(laboratory, browser, chosen))
    tables = document(chosen, runs, delays, burst)
    print(tables)
    if chosen.output:
        chosen.output.write_text(tables)
    return 0


if __name__ == "__main__":
    sys.exit(main())
