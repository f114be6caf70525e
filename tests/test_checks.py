"""System checks: each is raised where it should be, with its hint, and not where it should not."""

from __future__ import annotations

import logging
import sys
import warnings

import django
import pytest
from django.conf import settings
from django.core.checks import Tags, run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connections
from django.test import override_settings

from django_migma.backends import EmailBackend
from django_migma.checks import TAG
from tests.conftest import QUEUE

BACKEND = "django_migma.backends.EmailBackend"
HAS_MAILERS = django.VERSION >= (6, 1)
ID = "665f1c2ab7d3e4f5a6b70001"
GOOD = {"API_KEY": "sk_live_1", "FROM_EMAIL": "Shop <shop@example.com>", "LAYOUT_EMAIL_ID": ID}

needs_mailers = pytest.mark.skipif(not HAS_MAILERS, reason="options of a mailer came with MAILERS in Django 6.1")


class Subclass(EmailBackend):
    """A site's own backend."""


IMMEDIATE = "django.tasks.backends.immediate.ImmediateBackend"
NOT_A_CLASS = EmailBackend.send_messages


def ours(migma, *, backend=BACKEND, **aliases):
    """Our backend in place with these settings; ``aliases`` are further mailers with these options."""
    if not HAS_MAILERS:
        return override_settings(MIGMA=migma, EMAIL_BACKEND=backend)
    mailers = {alias: {"BACKEND": backend, "OPTIONS": options} for alias, options in aliases.items()}
    return override_settings(MIGMA=migma, MAILERS={"default": {"BACKEND": backend}} | mailers)


def found(*, deploy=False):
    """The messages of all checks, as pairs of id and text."""
    return [(message.id, message.msg) for message in run_checks(tags=[TAG], include_deployment_checks=deploy)]


def messages(migma, *, deploy=False, **aliases):
    with ours(migma, **aliases):
        return run_checks(tags=[TAG], include_deployment_checks=deploy)


@pytest.mark.parametrize("deploy", [False, True])
def test_good_settings_raise_nothing(deploy):
    assert messages(GOOD, deploy=deploy) == []


@pytest.mark.django_db  # Django asks the database whether it has JSON
def test_the_checks_have_a_tag_of_their_own():
    """``manage.py check --tag migma`` runs them alone, and plain ``check`` runs them too."""
    assert TAG == "migma"
    assert TAG not in vars(Tags).values()
    with ours({}):
        assert {message.id for message in run_checks()} >= {"migma.W001"}


MISSING = "contains white space (a line break at its end is the usual cause: strip it)"
HTTP = "sends the API key unencrypted: use https, or set ALLOW_HTTP for a sandbox in a trusted network"
CASES = [
    ("E001", {"API_KYE": 1}, "MIGMA has the unknown key 'API_KYE'.", "Did you mean 'API_KEY'?"),
    ("E001", {"timeout": 1}, "MIGMA has the unknown key 'timeout'.", "Did you mean 'TIMEOUT'?"),
    ("E001", {7: 1}, "MIGMA has the unknown key 7.", "Known are ALLOW_HTTP, API_KEY, "),
    (
        "E002",
        {"API_KEY": "sk_live_1\n"},
        f"MIGMA['API_KEY'] {MISSING}.",
        "Copy the key from Migma's dashboard again; .strip() what you read from a file.",
    ),
    (
        "E003",
        {"PROVIDER_TYPE": "smtp"},
        "MIGMA['PROVIDER_TYPE'] must be one of ses, resend, sendgrid, mailgun, migma, not 'smtp'.",
        "Leave it out to let Migma choose, unless you connected a provider of your own there.",
    ),
    (
        "E004",
        {"API_URL": "http://sandbox:8026"},
        f"MIGMA['API_URL'] {HTTP}.",
        "Leave API_URL out to talk to Migma; a sandbox on this machine may use http.",
    ),
    (
        "E004",
        {"API_URL": 7},
        "MIGMA['API_URL'] must be a string, not int.",
        "Leave API_URL out to talk to Migma; a sandbox on this machine may use http.",
    ),
    (
        "E005",
        {"PROJECT_ID": "p/1"},
        "MIGMA['PROJECT_ID'] must be the id of a Migma project (letters and digits, 100 at most), not 'p/1'.",
        "Copy the id from Migma's dashboard or API.",
    ),
    (
        "E005",
        {"LAYOUT_EMAIL_ID": "layout"},
        "MIGMA['LAYOUT_EMAIL_ID'] must be the id of a stored email, 24 hex digits, not 'layout'.",
        "Copy the id from Migma's dashboard or API.",
    ),
    (
        "E011",
        {"STORED_EMAILS": ["welcome"]},
        "MIGMA['STORED_EMAILS'] must be a dict of stored emails by key, not ['welcome'].",
        "Write STORED_EMAILS = {'welcome': '665f1c2ab7d3e4f5a6b70001'}.",
    ),
    (
        "E011",
        {"STORED_EMAILS": {"welcome": "welcome"}},
        (
            "MIGMA['STORED_EMAILS'] must give 'welcome' Migma's id of an email, 24 hex digits, or a dict with "
            "email_id, not 'welcome'."
        ),
        "Copy the id from Migma.",
    ),
    (
        "E011",
        {"STORED_EMAILS": {"welcome": ID, "receipt": {"email_id": ID, "default_variable": {}}}},
        "MIGMA['STORED_EMAILS'] has the unknown field 'default_variable' in 'receipt'.",
        "Did you mean 'default_variables'?",
    ),
    (
        "E006",
        {"MAX_RETRIES": "4"},
        "MIGMA['MAX_RETRIES'] must be a whole number from 0, not '4'.",
        "The default is 4.",
    ),
    (
        "E006",
        {"FROM_NAME": "Shop\nBcc: eve@example.com"},
        "MIGMA['FROM_NAME'] contains a line break or another control character.",
        "The default is None.",
    ),
    (
        "E006",
        {"REPLY_TO": "nobody"},
        "MIGMA['REPLY_TO'] must be one address, such as hello@example.com or Example <hello@example.com>.",
        "The default is None.",
    ),
    (
        "E009",
        {"IGNORE_UNSUPPORTED_FEATURES": ["tags", "atachments"]},
        "MIGMA['IGNORE_UNSUPPORTED_FEATURES'] names the unknown feature 'atachments'.",
        "Did you mean 'attachments'?",
    ),
    (
        "E009",
        {"IGNORE_UNSUPPORTED_FEATURES": ["header:X-Foo"]},
        "MIGMA['IGNORE_UNSUPPORTED_FEATURES'] names the unknown feature 'header:X-Foo'.",
        "Did you mean 'headers:X-Foo'?",
    ),
    (
        "E009",
        {"IGNORE_UNSUPPORTED_FEATURES": ("tags:orders",)},
        "MIGMA['IGNORE_UNSUPPORTED_FEATURES'] names the unknown feature 'tags:orders'.",
        "Did you mean 'tags'?",
    ),
    (
        "E009",
        {"IGNORE_UNSUPPORTED_FEATURES": ["headers:"]},
        "MIGMA['IGNORE_UNSUPPORTED_FEATURES'] names the unknown feature 'headers:'.",
        "Did you mean 'headers'?",
    ),
    (
        "E009",
        {"IGNORE_UNSUPPORTED_FEATURES": ["X-Foo"]},
        "MIGMA['IGNORE_UNSUPPORTED_FEATURES'] names the unknown feature 'X-Foo'.",
        "Known are alternatives, attachments, content_subtype, envelope_sender, headers, ",
    ),
    (
        "E009",
        {"IGNORE_UNSUPPORTED_FEATURES": ["body"]},
        "MIGMA['IGNORE_UNSUPPORTED_FEATURES'] names 'body', which cannot be dropped.",
        "Set MIGMA['LAYOUT_EMAIL_ID'] to a stored email that wraps such mail, or MIGMA['PROJECT_ID'] to send it ",
    ),
    (
        "E010",
        {"FALLBACK": "default" if HAS_MAILERS else BACKEND},
        f"MIGMA['FALLBACK'] names {('default' if HAS_MAILERS else BACKEND)!r}, which sends through Migma too.",
        "Name one that sends by other means, such as SMTP.",
    ),
    (
        "W001",
        {"API_KEY": ""},
        "There is no API key for Migma; sending will fail.",
        "Set MIGMA['API_KEY'], for instance from an environment variable.",
    ),
    (
        "W002",
        {"FROM_EMAIL": "shop@example.com"},
        "Readers will see the bare address as the sender's name.",
        "Set MIGMA['FROM_NAME'], or write the sender as 'Example <hello@example.com>'.",
    ),
    (
        "W003",
        {"LAYOUT_EMAIL_ID": None},
        "Migma has no way to send mail with a body of its own.",
        "Set MIGMA['LAYOUT_EMAIL_ID'], 'PROJECT_ID' or 'FALLBACK', or silence this if all mail has a template_id.",
    ),
    (
        "W004",
        {"FROM_EMAIL": "Shop <webmaster@localhost>"},
        "Mail would be sent from webmaster@localhost.",
        "Set DEFAULT_FROM_EMAIL or MIGMA['FROM_EMAIL'] to an address of a domain verified at Migma.",
    ),
    (
        "W005",
        {"ALLOW_HTTP": True},
        "ALLOW_HTTP lets the API key travel unencrypted.",
        "Use it for a sandbox in a neighbouring container only.",
    ),
]


@pytest.mark.parametrize(("number", "change", "text", "hint"), CASES)
def test_a_faulty_setting_is_reported_with_its_place_and_what_to_do(number, change, text, hint):
    """That message and no other."""
    [message] = messages(GOOD | change)
    assert (message.id, message.msg) == (f"migma.{number}", text)
    assert message.hint == hint or (hint.endswith(" ") and message.hint.startswith(hint))
    assert message.is_serious() is number.startswith("E")


DEPLOY = [
    (
        "E007",
        {"API_KEY": None},
        "A deployed site needs an API key for Migma.",
        "Set MIGMA['API_KEY'] in the environment that sends mail.",
    ),
    ("E008", {"ALLOW_HTTP": True}, "A deployed site must not send its API key unencrypted.", "Remove ALLOW_HTTP."),
    (
        "W006",
        {"API_URL": "http://127.0.0.1:8026/v1"},
        "API_URL is a sandbox on this machine (http://127.0.0.1:8026/v1).",
        "Remove API_URL from the deployed settings.",
    ),
    (
        "W007",
        {"REDIRECT_TO": "test@example.com"},
        "All mail is redirected to one address by REDIRECT_TO.",
        "Right for staging; remove REDIRECT_TO in production.",
    ),
]


@pytest.mark.parametrize(("number", "change", "text", "hint"), DEPLOY)
def test_what_only_matters_on_a_deployed_site_is_reported_there_only(number, change, text, hint):
    here, there = messages(GOOD | change), messages(GOOD | change, deploy=True)
    assert f"migma.{number}" not in {message.id for message in here}
    [message] = [message for message in there if message not in here]
    assert (message.id, message.msg, message.hint) == (f"migma.{number}", text, hint)
    assert message.is_serious() is number.startswith("E")


def test_the_tables_hold_every_check():
    ids = {f"{kind}{number:03}" for kind, last in (("E", 11), ("W", 8)) for number in range(1, last + 1)}
    assert {number for number, *_ in CASES + DEPLOY} == ids - {"W008"}  # which has tests of its own below


@pytest.mark.parametrize(
    "change",
    [
        {"API_KEY": lambda: pytest.fail("called")},
        {"FROM_EMAIL": "shop@example.com", "FROM_NAME": "Shop"},
        {"LAYOUT_EMAIL_ID": "", "PROJECT_ID": "p1"},
        {"API_URL": "http://localhost:8026/v1"},
        {"API_URL": "https://api.example/v1"},
        {"ALLOW_HTTP": False},
        {"TIMEOUT": [1, 2], "IGNORE_UNSUPPORTED_FEATURES": ["tags", "headers", "headers:X-Foo"]},
        {"IGNORE_UNSUPPORTED_FEATURES": True},
        {"REDIRECT_TO": "test@example.com"},
        {"PROVIDER_TYPE": None},
    ],
)
def test_usable_settings_are_not_reported(change):
    """A callable key is not called."""
    assert messages(GOOD | change) == []


@needs_mailers
@pytest.mark.parametrize("options", [{}, {"layout_email_id": "", "fallback": "smtp"}])
def test_a_fallback_that_can_be_used_is_not_reported(options):
    """It is also a way for mail with a body of its own."""
    with ours(GOOD | {"LAYOUT_EMAIL_ID": None, "FALLBACK": "smtp"}):
        mailers = settings.MAILERS | {"smtp": {}, "news": {"BACKEND": BACKEND, "OPTIONS": options}}
        with override_settings(MAILERS=mailers):
            assert found() == []


@needs_mailers
def test_a_fallback_that_is_missing_is_reported_at_its_mailer():
    reported = messages(GOOD, news={"fallback": "defualt"})
    assert [(message.id, message.msg, message.hint) for message in reported] == [
        (
            "migma.E010",
            "MAILERS['news'] OPTIONS['fallback'] names the mailer 'defualt', which is not in MAILERS.",
            "Did you mean 'default'?",
        )
    ]


@pytest.mark.parametrize("name", ["IGNORE_UNSUPPORTED_FEATURES", "FALLBACK"])
def test_a_value_of_a_wrong_kind_is_reported_once(name):
    assert [message.id for message in messages(GOOD | {name: 7})] == ["migma.E006"]


def test_a_broken_address_is_no_sandbox():
    """It is reported once, as an error."""
    assert [message.id for message in messages(GOOD | {"API_URL": "nonsense"}, deploy=True)] == ["migma.E004"]


@pytest.mark.parametrize(
    ("sender", "ids"),
    [
        ("Shop <shop@example.com>", []),
        ("shop@example.com", ["migma.W002"]),
        ("webmaster@localhost", ["migma.W002", "migma.W004"]),
        ("no address", ["migma.W002"]),
    ],
)
def test_without_from_email_djangos_own_sender_is_judged(sender, ids):
    with override_settings(DEFAULT_FROM_EMAIL=sender):
        assert sorted(message.id for message in messages(GOOD | {"FROM_EMAIL": None})) == ids


@pytest.mark.parametrize("migma", [None, "sk_live_1", ["API_KEY"]])
def test_a_setting_that_is_no_dict_is_reported(migma):
    texts = {message.id: (message.msg, message.hint) for message in messages(migma)}
    assert texts.keys() == {"migma.E001", "migma.W001", "migma.W003"}
    assert texts["migma.E001"] == ("MIGMA must be a dict.", "Write MIGMA = {'API_KEY': ...}.")


def test_no_setting_at_all_is_a_missing_key():
    with ours({}):
        del settings.MIGMA
        assert {number for number, _ in found()} == {"migma.W001", "migma.W003"}


def test_no_check_shows_the_key():
    for key in ("sk_live_1\n", "sk_live_1😀"):
        assert "sk_live_1" not in repr(messages(GOOD | {"API_KEY": key}))


OTHERS = [
    "django.core.mail.backends.locmem.EmailBackend",
    "no.such.Backend",
    "nonsense",
    "",
    f"{__name__}.NOT_A_CLASS",
]


@pytest.mark.parametrize("backend", OTHERS)
@pytest.mark.parametrize("deploy", [False, True])
def test_silent_where_no_mailer_uses_our_backend(backend, deploy):
    """The app may be installed for its commands only, and Django itself reports a backend that is not found."""
    assert messages({"API_KYE": 1}, backend=backend, deploy=deploy) == []


def test_a_subclass_counts_as_ours():
    faulty = GOOD | {"MAX_RETRIES": -1}
    assert [message.id for message in messages(faulty, backend=f"{__name__}.Subclass")] == ["migma.E006"]


def test_the_check_command_fails_for_errors():
    with ours(GOOD | {"MAX_RETRIES": -1}), pytest.raises(SystemCheckError) as caught:
        call_command("check", tags=[TAG])
    assert "(migma.E006) MIGMA['MAX_RETRIES'] must be a whole number from 0, not -1." in str(caught.value)
    assert "HINT: The default is 4." in str(caught.value)


def test_the_check_command_fails_for_a_missing_key_before_a_deployment_only(capsys):
    """Images are built without secrets."""
    with ours(GOOD | {"API_KEY": ""}):
        call_command("check", tags=[TAG])
        assert "migma.W001" in capsys.readouterr().err
        with pytest.raises(SystemCheckError, match=r"migma\.E007"):
            call_command("check", tags=[TAG], deploy=True)


@needs_mailers
def test_options_of_a_mailer_are_judged_with_its_alias():
    reported = messages(GOOD, news={"max_retries": -1, "time_out": 1, "api_url": "nonsense"})
    assert sorted((message.id, message.msg) for message in reported) == [
        ("migma.E001", "MAILERS['news']['OPTIONS'] has the unknown key 'time_out'."),
        ("migma.E004", "MAILERS['news'] OPTIONS['api_url'] must look like https://api.migma.ai/v1."),
        ("migma.E006", "MAILERS['news'] OPTIONS['max_retries'] must be a whole number from 0, not -1."),
    ]
    [unknown] = [message for message in reported if message.id == "migma.E001"]
    assert unknown.hint == "Did you mean 'timeout'?"


@needs_mailers
def test_an_option_makes_good_what_the_setting_lacks():
    """Each mailer is judged by what is in force for it."""
    options = {"api_key": "sk_live_1", "from_email": "Shop <shop@example.com>", "project_id": "p1"}
    with override_settings(MIGMA={}, MAILERS={"default": {"BACKEND": BACKEND, "OPTIONS": options}}):
        assert found(deploy=True) == []


@needs_mailers
def test_the_same_message_appears_once_for_several_aliases():
    reported = messages(GOOD | {"MAX_RETRIES": -1, "API_KEY": ""}, news={}, receipts={})
    assert sorted(message.id for message in reported) == ["migma.E006", "migma.W001"]


@needs_mailers
def test_mailers_of_others_are_left_alone():
    """One without a backend means SMTP."""
    mailers = {
        "default": {"BACKEND": BACKEND},
        "smtp": {"OPTIONS": {"host": "localhost"}},
        "console": {"BACKEND": "django.core.mail.backends.console.EmailBackend", "OPTIONS": {"stream": None}},
    }
    with override_settings(MIGMA=GOOD, MAILERS=mailers):
        assert found() == []


@needs_mailers
@pytest.mark.parametrize(("backend", "ids"), [(BACKEND, ["migma.E006"]), (OTHERS[0], [])])
def test_where_a_site_still_uses_email_backend_that_counts(backend, ids):
    """The check does not warn of the setting: Django has done so where the site sets it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        with override_settings(MIGMA=GOOD | {"MAX_RETRIES": -1}, MAILERS={}):
            del settings.MAILERS
            with override_settings(EMAIL_BACKEND=backend):
                assert found_without_a_warning() == ids


def found_without_a_warning():
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        ids = [number for number, _ in found()]
    assert warned == []
    return ids


ADMINS = ["root@example.org"] if django.VERSION >= (6, 0) else [("Root", "root@example.org")]


@pytest.fixture
def mailing_handler():
    """A handler that mails errors, in place of Django's own, through the mailer named by ``using``."""
    from django.utils.log import AdminEmailHandler

    django_logger = logging.getLogger("django")
    kept = django_logger.handlers
    handlers = []

    def install(**options):
        handlers.append(AdminEmailHandler(**options))
        django_logger.handlers = handlers

    django_logger.handlers = []
    yield install
    django_logger.handlers = kept
    for handler in handlers:
        handler.close()


def ids(migma=GOOD, **aliases):
    return [message.id for message in messages(migma, **aliases)]


@needs_mailers
def test_mail_about_errors_through_a_mailer_that_raises_is_reported():
    """Django's default logging uses the default mailer."""
    with override_settings(ADMINS=ADMINS):
        [message] = messages(GOOD)
    assert (message.id, message.msg) == (
        "migma.W008",
        "Mail about errors goes through MAILERS['default'], which is not quiet.",
    )
    assert message.hint == (
        "Give it an alias of its own, with 'fail_silently': True in the OPTIONS, and name that as 'using' of the "
        "AdminEmailHandler in LOGGING."
    )


@needs_mailers
@pytest.mark.parametrize(
    ("using", "options", "expected"),
    [
        ("admins", {"fail_silently": True}, []),
        ("admins", {}, ["migma.W008"]),
        ("missing", {}, []),  # Django sends nothing then
    ],
)
def test_the_mailer_that_the_handler_names_counts(mailing_handler, using, options, expected):
    mailing_handler(using=using)
    with override_settings(ADMINS=ADMINS):
        assert ids(admins=options) == expected


@needs_mailers
def test_a_site_that_is_quiet_throughout_is_not_reported():
    with override_settings(ADMINS=ADMINS):
        assert ids(GOOD | {"FAIL_SILENTLY": True}) == []


@needs_mailers
def test_without_a_handler_there_is_no_mail_about_errors(mailing_handler):
    with override_settings(ADMINS=ADMINS):
        assert ids() == []


@pytest.mark.skipif(HAS_MAILERS, reason="the same site with MAILERS is reported")
def test_without_mailers_djangos_handler_is_quiet_by_itself():
    with override_settings(ADMINS=ADMINS):
        assert ids() == []


class TestQueue:
    """The checks of the queue, for mailers that use it."""

    @pytest.fixture(autouse=True)
    def immediate(self):
        """The database as it should be."""
        options = connections["default"].settings_dict["OPTIONS"]
        options["transaction_mode"] = "immediate"
        yield options
        options.pop("transaction_mode", None)

    @staticmethod
    def messages(queue=None, **migma):
        with ours(GOOD | migma | {"QUEUE": queue or {}}, backend=QUEUE):
            return run_checks(tags=[TAG])

    def test_a_queue_that_is_set_up_raises_nothing(self):
        assert self.messages() == []
        assert self.messages({"LEASE": 13.06, "ENGINE": "django_migma.engines.celery"}) == []

    @pytest.mark.parametrize(
        ("lease", "timeout", "numbers"),
        [
            (13.05, (3.05, 10), "13.05 s, and one attempt may take 13.05 s"),
            (5, 10, "5 s, and one attempt may take 20 s"),
        ],
    )
    def test_a_lease_that_is_over_before_one_attempt_is_an_error(self, lease, timeout, numbers):
        [message] = self.messages({"LEASE": lease}, TIMEOUT=timeout)
        assert (message.id, message.msg) == (
            "migma.E012",
            f"MIGMA['QUEUE'] has a LEASE of {numbers} (TIMEOUT: connect and read).",
        )

    def test_a_faulty_setting_is_reported_once(self):
        assert [message.id for message in self.messages({"LEASE": "1"})] == ["migma.E006"]
        assert [message.id for message in self.messages({"LEASE": 1}, TIMEOUT="1")] == ["migma.E006"]

    def test_an_engine_that_is_not_installed_names_the_extra(self, monkeypatch):
        monkeypatch.setattr(sys, "path", [])
        monkeypatch.setattr(sys, "modules", {name: one for name, one in sys.modules.items() if name != "celery"})
        [message] = self.messages({"ENGINE": "django_migma.engines.celery"})
        assert (message.id, message.msg) == ("migma.E013", "MIGMA['QUEUE'] needs the package celery.")
        assert "pip install 'django-migma[celery]'" in message.hint

    def test_tasks_are_djangos_own_or_a_package(self, monkeypatch, settings):
        settings.TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
        monkeypatch.setattr(sys, "path", [])
        monkeypatch.setattr(
            sys, "modules", {name: one for name, one in sys.modules.items() if name != "django_tasks"}
        )
        expected = [] if django.VERSION >= (6, 0) else ["migma.E013"]
        assert [message.id for message in self.messages({"ENGINE": "django_migma.engines.tasks"})] == expected

    @pytest.mark.parametrize("tasks", [None, {}, {"default": {"BACKEND": IMMEDIATE}}])
    def test_tasks_without_a_worker_are_a_warning(self, settings, tasks):
        settings.TASKS = tasks
        [message] = [one for one in self.messages({"ENGINE": "django_migma.engines.tasks"}) if one.id != "migma.E013"]
        assert message.id == "migma.W010"
        assert "runs tasks at once, in the request" in message.msg

    def test_sqlite_without_a_lock_at_the_start_is_a_warning(self, immediate):
        del immediate["transaction_mode"]
        [message] = self.messages()
        assert (message.id, message.msg) == (
            "migma.W009",
            "The queue is in the SQLite database 'default', whose transactions begin without a lock.",
        )
        assert "'transaction_mode': 'IMMEDIATE'" in message.hint

    @needs_mailers
    def test_an_alias_that_rows_cannot_hold_is_an_error(self):
        alias = "a" * 65
        with override_settings(MIGMA=GOOD, MAILERS={alias: {"BACKEND": QUEUE}}):
            [message] = run_checks(tags=[TAG])
        assert message.id == "migma.E014"
        assert message.msg == f"MAILERS['{alias}']: The queue takes aliases of 64 characters at most."
        assert message.hint == "Give this mailer a shorter one."

    def test_without_the_queue_nothing_is_said_of_it(self, immediate):
        del immediate["transaction_mode"]
        assert messages(GOOD | {"QUEUE": {"ENGINE": "django_migma.engines.tasks"}}) == []
