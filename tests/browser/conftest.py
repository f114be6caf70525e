"""A browser, a running site, and signed-in users."""

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from playwright.sync_api import expect, sync_playwright

from django_migma.sandbox.server import Sandbox
from django_migma.testing import sandbox as running_sandbox

from . import live
from .chromium import path_or_skip
from .live import database_on_disk, live_site

WINDOW = {"width": 1280, "height": 800}
PATIENCE = 120_000  # milliseconds to wait for something to appear on a page; a busy machine needed more than 30 s
PASSWORD = "a long enough one"

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="package")
def chromium():
    """A running browser."""
    executable = path_or_skip()
    with pytest.MonkeyPatch.context() as patch:
        # Playwright's event loop runs in this thread, in which Django then wants no query.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        with sync_playwright() as playwright, playwright.chromium.launch(executable_path=executable) as browser:
            yield browser


@pytest.fixture(scope="package")
def site(chromium, django_db_setup, django_db_blocker, tmp_path_factory):
    """The address of the test project's site."""
    path = tmp_path_factory.mktemp("site") / "db.sqlite3"
    with django_db_blocker.unblock(), database_on_disk(path), live_site() as address:
        yield address


@pytest.fixture
def sandbox(site, transactional_db):
    """A sandbox for the site's mail. It knows the senders and ids of its own account only."""
    with running_sandbox(any_id=False) as running:
        yield running


@pytest.fixture
def inbox():
    """A sandbox that is looked at in the browser and has no site."""
    with Sandbox() as running:
        yield running


@pytest.fixture
def new_page(chromium):
    """Open a page with cookies of its own. Takes Playwright's options for a context."""
    contexts, errors = [], []

    def make(address, **options):
        # A transition between two pages that a busy machine draws too late counts as a failed script.
        context = chromium.new_context(base_url=address, viewport=WINDOW, reduced_motion="reduce", **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        context.on("weberror", lambda error: errors.append(error))  # noqa: PLW0108 - it wants a function of its own
        return context.new_page()

    yield make
    for context in contexts:
        context.close()
    assert not [str(error.error) for error in errors], "a script on a page failed"


@pytest.fixture
def visit(new_page, site, transactional_db):
    """Open a page that is signed in to the site as this user."""

    def make(user, **options):
        page = new_page(site, **options)
        client = Client()
        client.force_login(user)
        page.context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": site}])
        return page

    return make


@pytest.fixture
def admin(transactional_db):
    """A superuser."""
    return User.objects.create_superuser("ada", "ada@example.org", PASSWORD)


@pytest.fixture
def colleague(transactional_db):
    """Make a staff user with these permissions."""

    def make(*codenames):
        user = User.objects.create_user("bo", "bo@example.org", PASSWORD, is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        return user

    return make


@pytest.fixture
def stored_email(transactional_db):
    """Make a stored email with this HTML."""

    def make(html, **fields):
        from django_migma.models import StoredEmail

        return StoredEmail.objects.create(email_id="f" * 24, title="Made here", html=html, **fields)

    return make


@pytest.fixture
def elsewhere():
    """Another server, with the paths that were requested in ``asked``."""
    with live.elsewhere() as server:
        yield server
