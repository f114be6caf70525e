"""Fixtures for all tests: our backend back in place of Django's in-memory one, and a faked wire beneath it."""

import json
import os
import signal

import django
import hypothesis
import pytest
import responses
from django.db import connection as database

from django_migma.api.connections import close_pools
from tests import services

# A suite that was started in the background ignores Ctrl-C, and processes that it starts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Time is judged nowhere: 200 ms for an example, and a second for making up some, pass on a busy machine.
hypothesis.settings.register_profile("tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("tests")

BACKEND = "django_migma.backends.EmailBackend"
QUEUE = "django_migma.backends.queue.EmailBackend"
SENDING = "http://127.0.0.1:9/v1/sending"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """One more than there are cores: many tests wait for a server that takes its time."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Let one worker run the tests of a file that share a browser, and one all that share the example's site.

    Not by marks: xdist 3.8 does not see groups under pytest 9. These larger groups begin first, as xdist has it.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            path, _, _test = nodeid.partition("::")
            folder = path.split("/")[1]
            return {"browser": path, "example": folder}.get(folder, nodeid)

    return Scheduling(config, log)


def our_mailer(options=None, backend=BACKEND):
    """The setting that makes ours the default mailer. Options exist under MAILERS only."""
    if django.VERSION >= (6, 1):
        return {"MAILERS": {"default": {"BACKEND": backend, "OPTIONS": options or {}}}}
    return {"EMAIL_BACKEND": backend}


class Wire:
    """What went out, and what comes back. Fakes HTTP below our code, by `responses`."""

    def __init__(self, mock):
        self.mock = mock

    def answers(self, *answers, url=SENDING):
        """Answer with these in turn, the last one for ever: a status and a body, or an exception."""
        for answer in answers:
            if isinstance(answer, Exception):
                self.mock.post(url, body=answer)
            else:
                status, body, *headers = answer
                content = {"json": body} if isinstance(body, dict) else {"body": body}
                self.mock.post(url, status=status, headers=headers[0] if headers else None, **content)

    def accepts(self, **data):
        """Accept everything."""
        self.answers((200, {"success": True, "data": {"id": "m1", "status": "queued", "provider": "migma", **data}}))

    @property
    def bodies(self):
        return [json.loads(call.request.body) for call in self.mock.calls]

    @property
    def body(self):
        [body] = self.bodies
        return body

    @property
    def keys(self):
        return [call.request.headers["Idempotency-Key"] for call in self.mock.calls]


@pytest.fixture
def mailer(settings):
    """Our backend as the default mailer.

    By the same means as `migma`: a fixture that began before it ends after it, and ``override_settings`` would then
    bring back what another one has taken away.
    """
    for name, value in our_mailer().items():
        setattr(settings, name, value)


@pytest.fixture
def wire(mailer):
    """Our backend over a faked wire that has no answer yet, with no memory of earlier tests."""
    close_pools()
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield Wire(mock)
    close_pools()


@pytest.fixture
def accepting(wire):
    """The same, accepting everything."""
    wire.accepts()
    return wire


@pytest.fixture
def migma(settings):
    """Set keys of MIGMA: ``migma(FROM_NAME="Shop")``; None takes one away."""

    def change(**keys):
        merged = settings.MIGMA | keys
        settings.MIGMA = {name: value for name, value in merged.items() if value is not None}

    return change


@pytest.fixture
def connection():
    """Make the default mailer, with keywords where it is made by hand."""

    def make(**options):
        from django_migma.backends import EmailBackend

        return EmailBackend(alias="default", **options) if django.VERSION >= (6, 1) else EmailBackend(**options)

    return make


@pytest.fixture
def no_table(transactional_db):
    """A database without migrations."""
    from django_migma.models import StoredEmail

    with database.schema_editor() as editor:
        editor.delete_model(StoredEmail)
    yield
    with database.schema_editor() as editor:
        editor.create_model(StoredEmail)


@pytest.fixture
def no_deliveries_table(transactional_db):
    """A database in which the migration with the table of deliveries has not run."""
    from django_migma.models import Delivery

    with database.schema_editor() as editor:
        editor.delete_model(Delivery)
    yield
    with database.schema_editor() as editor:
        editor.create_model(Delivery)


@pytest.fixture(scope="session")
def postgresql():
    """A PostgreSQL server of this run, for tests that need one whatever the project's database is."""
    with services.postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def redis():
    """A Redis server of this run."""
    with services.redis() as server:
        yield server
