"""``manage.py migma_deliver``: its limits, its exit status, what it shows, and how signals end it."""

import io
import signal
import threading
import time
from collections import Counter

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from django_migma.conf import has_mailers
from django_migma.management import output
from django_migma.models import Delivery
from tests.api.clocks import until
from tests.api.servers import Server, silence, whole
from tests.conftest import our_mailer
from tests.delivery.rows import waiting
from tests.delivery.site import Site

pytestmark = pytest.mark.django_db
YES = {"success": True, "data": {"id": "m1", "status": "queued", "provider": "migma"}}
NAME = "default" if has_mailers() else "EMAIL_BACKEND"
DOWN = (503, {"success": False, "error": "Down"})


def slowly(exchange):
    """Accept after a while."""
    time.sleep(0.05)
    whole(YES)(exchange)


PATIENT = {"TIMEOUT": (30, 120)}
"""For processes that may be held up: no request is given up, and made again, meanwhile."""


class Terminal(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self):
        return True


def deliver(*arguments, stdout=None, **options):
    """Run the command; return what it printed."""
    stdout = stdout or io.StringIO()
    call_command("migma_deliver", *arguments, stdout=stdout, **options)
    return stdout.getvalue()


def test_once_delivers_what_is_due_and_ends(accepting):
    """It says for whom it delivers, and what became of the mail."""
    waiting(3)
    before = signal.getsignal(signal.SIGTERM)
    first, *_, last = deliver("--once").splitlines()
    assert first == f"Delivering for {NAME} (16 in flight). Ctrl-C ends in order, twice at once."
    assert last == "Done: 3 accepted."
    assert signal.getsignal(signal.SIGTERM) is before


def test_nothing_to_do_is_said(accepting):
    """In so many words."""
    assert deliver("--once").endswith("Done: nothing.\n")


def test_once_says_by_its_status_that_a_pause_has_left_rows(wire):
    """Cron and monitoring can tell this from a worker that is done, and from a broken one."""
    waiting(2)
    wire.answers(DOWN)
    with pytest.raises(CommandError, match="its mailer pauses") as caught:
        deliver("--once")
    assert caught.value.returncode == 3


@pytest.mark.parametrize(
    ("arguments", "left"), [(["--max", "2"], 3), (["--max", "9", "--idle", "0"], 0), (["--batch", "1", "--once"], 0)]
)
def test_limits_end_it(accepting, arguments, left):
    """Those of a run, and of what is in hand."""
    waiting(5)
    deliver(*arguments)
    assert Delivery.objects.filter(status="waiting").count() == left


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--max", "0"], "--max: invalid number '0': give a whole number above 0"),
        (["--batch", "x"], "--batch: invalid number 'x': give a whole number above 0"),
        *((["--idle", text], f"--idle: invalid time '{text}': give seconds") for text in ("soon", "nan", "-1")),
    ],
)
def test_limits_that_are_none_are_refused(arguments, problem):
    """Before anything is done, saying what would be one."""
    with pytest.raises(CommandError, match=problem):
        deliver("=".join(arguments))


def test_without_a_mailer_of_ours_it_ends():
    """With status 1, and what to set."""
    locmem = "django.core.mail.backends.locmem.EmailBackend"
    with override_settings(**our_mailer(backend=locmem)), pytest.raises(CommandError) as caught:
        deliver("--once")
    assert caught.value.returncode == 1
    assert str(caught.value) == (
        "No mailer uses Migma. Give one the backend django_migma.backends.queue.EmailBackend."
    )


def test_settings_with_which_nothing_can_be_sent_end_it(mailer, migma):
    """With status 1, and the name of the setting."""
    migma(API_KEY=None)
    with pytest.raises(CommandError, match="API_KEY") as caught:
        deliver("--once")
    assert caught.value.returncode == 1


@pytest.mark.parametrize("arguments", [["--once"], []])
def test_without_a_table_it_says_what_to_do(mailer, no_deliveries_table, arguments):
    """The error may not be one that time heals."""
    with pytest.raises(
        CommandError, match=r"The table of deliveries cannot be used .* run manage.py migrate"
    ) as caught:
        deliver(*arguments)
    assert caught.value.returncode == 1


def test_a_terminal_shows_one_line_that_is_written_anew(accepting):
    """And ends it before the summary."""
    waiting(2)
    text = deliver("--once", stdout=Terminal())
    assert "\r1 accepted; 0 in hand\x1b[K" in text
    assert text.endswith("\nDone: 2 accepted.\n")


def test_elsewhere_lines_come_once_a_second_at_most(accepting, monkeypatch):
    """A log stays readable. The second is an hour here, which is over for nobody."""
    monkeypatch.setattr(output, "SECONDS_BETWEEN_LINES", 3600.0)
    waiting(100)
    assert len(deliver("--once").splitlines()) == 3


def test_quiet_means_quiet(accepting):
    """For cron."""
    waiting()
    assert deliver("--once", verbosity=0) == ""


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A site with its tables."""
    return Site(tmp_path_factory.mktemp("template"), "http://127.0.0.1:9/v1")


@pytest.fixture
def serve():
    """Start a server with these answers."""
    servers = []

    def start(*answers):
        servers.append(Server(*answers))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(tmp_path, template, serve, number):
    """What no thread has begun is given back, what is in flight is marked, and the status is 0."""
    is_told = threading.Event()

    def answer(exchange):
        if len(server.received) > 100:
            is_told.wait(60)
        slowly(exchange)

    server = serve(answer)
    site = Site(tmp_path, server.url, template, **PATIENT)
    site.insert(1000)
    process = site.start()
    until(lambda: len(server.received) > 100)
    process.send_signal(number)
    is_told.set()
    out, err = process.communicate(timeout=60)  # less than a request may take: it waits for answers, not for time
    assert (process.returncode, err) == (0, "")
    rows = site.rows()
    assert rows == {("accepted", 1): len(server.received), ("waiting", 0): 1000 - len(server.received)}
    assert f"Done: {len(server.received)} accepted" in out


def test_the_second_signal_ends_it_at_once(tmp_path, template, serve):
    """The row in flight comes back after its lease."""
    server = serve(silence)
    site = Site(tmp_path, server.url, template, **PATIENT)
    site.insert(1)
    process = site.start()
    until(lambda: server.received)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert process.poll() is None
    # A signal that comes before the one before was seen makes one of both.
    until(lambda: process.send_signal(signal.SIGTERM) or process.poll() is not None)
    process.communicate()
    assert process.returncode == -signal.SIGTERM
    assert site.rows() == {("sending", 1): 1}


def test_two_workers_post_each_row_once(tmp_path, template, serve):
    """On one file, each with threads of its own."""

    def wait_for_the_other(exchange):
        until(lambda: len(server.received) > 1)  # the first request of each worker goes alone
        slowly(exchange)

    server = serve(wait_for_the_other, slowly)
    site = Site(tmp_path, server.url, template, **PATIENT)
    workers = [site.start() for _ in range(2)]
    for worker in workers:
        assert worker.stdout.readline().startswith("Delivering")
    site.insert(300)
    until(lambda: len(server.received) >= 300)
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
    outputs = [worker.communicate(timeout=120) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], outputs
    assert site.rows() == {("accepted", 1): 300}
    keys = Counter(received.headers["Idempotency-Key"] for received in server.received)
    assert set(keys.values()) == {1}
    assert all("accepted" in out for out, _ in outputs)


TWO_THREADS = """
import threading
from django_migma.delivery.deliverer import Deliverer
results = []
def work():
    results.append(Deliverer().run(idle=0).counts)
threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(sum(counts.get("accepted", 0) for counts in results), len(results))
"""


def test_two_workers_in_one_process_post_each_row_once(tmp_path, template, serve):
    """Each thread has a connection of its own."""
    server = serve(slowly)
    site = Site(tmp_path, server.url, template, **PATIENT)
    site.insert(100)
    assert site.run(TWO_THREADS) == "100 2\n"
    assert len(server.received) == 100


IN_A_THREAD = """
import threading
from django.core.management import call_command
thread = threading.Thread(target=call_command, args=("migma_deliver", "--once"))
thread.start()
thread.join()
"""


def test_it_may_run_in_any_thread(tmp_path, template, serve):
    """Where signals cannot be handled."""
    site = Site(tmp_path, serve(slowly).url, template, **PATIENT)
    site.insert(2)
    assert site.run(IN_A_THREAD).endswith("Done: 2 accepted.\n")


FORK = """
import os, warnings
from django_migma.delivery.deliverer import Deliverer
from django.db import connections
deliverer = Deliverer()
deliverer.run(idle=0, max_count=5)
connections.close_all()
warnings.filterwarnings("ignore", "This process .* is multi-threaded")  # its threads may still be on their way out
if not (child := os.fork()):
    print(dict(deliverer.run(idle=0).counts), flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""


def test_a_deliverer_works_after_a_fork(tmp_path, template, serve):
    """As in a prefork worker that has used it before."""
    server = serve(slowly)
    site = Site(tmp_path, server.url, template, **PATIENT)
    site.insert(10)
    assert site.run(FORK) == "{'accepted': 5}\n"
    assert len(server.received) == 10
