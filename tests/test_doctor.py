"""What a checkup finds: one finding for each thing that can be right or wrong."""

import json
import sys
import time

import django
import pytest
from django.core import checks
from django.test import override_settings
from requests.exceptions import ConnectTimeout
from urllib3.exceptions import ConnectTimeoutError

from django_migma import signals
from django_migma.doctor import run_checkup
from django_migma.models import StoredEmail
from django_migma.sandbox.account import FERNHILL, LAYOUT, RECEIPT, WELCOME
from django_migma.sandbox.protocol import KEYS
from tests.api.clocks import FakeClock
from tests.conftest import BACKEND, our_mailer

API = "http://127.0.0.1:9/v1"
SENDER = "Fernhill <hello@fernhill.example>"
PROJECTS = {"projects": [{"_id": FERNHILL}]}


def found(**options):
    """The findings by name, as pairs of status and text."""
    return {finding.name: (finding.status, finding.text) for finding in run_checkup(**options)}


@pytest.fixture
def app(tmp_path, settings, monkeypatch):
    """An app of the project with the given modules: ``app(**{"mail": "template_id='welcome'"})``."""
    monkeypatch.syspath_prepend(tmp_path)
    made = []

    def make(name="shop", **modules):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        for module, source in {"__init__": "", **modules}.items():
            path = folder / f"{module}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(source if isinstance(source, bytes) else source.encode())
        made.append(name)
        settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, name]
        return folder

    yield make
    for name in made:
        del sys.modules[name]  # the next test's app of that name is another one


class Account:
    """A faked account where all is well but what a test changes: ``account.answers("domains", 403)``."""

    def __init__(self, mock):
        self.mock = mock
        self.answers("projects", 200, PROJECTS)
        self.answers("projects/emails", 200, {"emails": []})
        self.answers("domains", 200, [{"domain": "Fernhill.example", "isVerified": True}])
        self.answers("domains/managed", 200, [])
        self.answers("emails/test/send", 400)

    def answers(self, path, status, content=None):
        """Answer with this from now on."""
        method = "POST" if path == "emails/test/send" else "GET"
        if isinstance(status, Exception):
            self.mock.upsert(method, f"{API}/{path}", body=status)
            return
        body = {"success": status < 400, "data": content, "error": None if status < 400 else f"The text of {status}"}
        self.mock.upsert(method, f"{API}/{path}", json=body, status=status)


@pytest.fixture
def account(wire, migma, settings):
    settings.DEFAULT_FROM_EMAIL = SENDER
    settings.DEBUG = True
    return Account(wire.mock)


@pytest.mark.django_db
class TestHealthySite:
    def test_with_the_sandbox(self, migma_sandbox, settings):
        settings.DEFAULT_FROM_EMAIL, settings.DEBUG = SENDER, True
        findings = found(clock=FakeClock())
        speed = findings.pop("API")
        assert speed[0] == "ok"
        assert speed[1].startswith("answers in ")
        assert speed[1].endswith(" ms")
        mailer = "mailer 'default'" if django.VERSION >= (6, 1) else "mailer"
        assert findings == {
            "system checks": ("ok", "no problems found"),
            mailer: ("ok", f"sends to a sandbox on this machine: {migma_sandbox.api_url}"),
            "API key": ("ok", "Migma accepts it"),
            "permission email:send": (
                "ok",
                "the key seems to have it: Migma refused an invalid test send for other reasons",
            ),
            "permission email:read": ("ok", "the key has it"),
            "permission domain:read": ("ok", "the key has it"),
            "sender fernhill.example": ("ok", "verified (DEFAULT_FROM_EMAIL)"),
            "ordinary mail": ("ok", "is sent as raw HTML with PROJECT_ID, which Migma's older guides document"),
            "keys in code": ("ok", "none found"),
        }

    def test_ordinary_mail_may_go_through_another_mailer(self, migma_sandbox, migma):
        migma(PROJECT_ID=None, FALLBACK="smtp")
        assert found()["ordinary mail"] == ("ok", "goes through the mailer 'smtp' of FALLBACK, and not through Migma")

    def test_nothing_is_sent(self, migma_sandbox):
        found()
        assert migma_sandbox.store.messages() == []

    def test_migma_itself_is_named(self, account, migma):
        migma(API_URL="https://migma.test/v1")
        assert ("ok", "sends to Migma itself, live: https://migma.test/v1") in found().values()


@pytest.mark.django_db
class TestSettings:
    def test_without_a_mailer_the_rest_is_checked(self, settings):
        with override_settings(**our_mailer(backend="django.core.mail.backends.locmem.EmailBackend")):
            findings = found()
        assert findings["mailer"][0] == "error"
        assert findings["mailer"][1].startswith("No mailer uses Migma. Set MAILERS['default']['BACKEND']")
        assert list(findings) == ["mailer", "system checks", "keys in code"]

    def test_an_unknown_alias_is_an_error(self, mailer):
        assert found(alias="news")["mailer"][1].startswith("There is no mailer 'news' that uses Migma in MAILERS.")

    def test_with_a_faulty_setting_no_request_is_made(self, wire, migma):
        migma(TIMEOUT="long")
        findings = found()
        assert findings["migma.E006"][0] == "error"
        assert findings["settings"][0] == "error"
        assert "MIGMA['TIMEOUT'] must be seconds above 0" in findings["settings"][1]
        not_checked = ("not_checked", "not checked: the settings must be right first")
        names = ("API", "API key", "permission email:send", "permission email:read", "permission domain:read")
        assert [findings[name] for name in names] == [not_checked] * 5
        assert findings["sender example.com"] == not_checked
        assert findings["ordinary mail"][0] == "ok"

    def test_a_callable_key_that_fails_is_named_without_its_text(self, wire, migma):
        def broken():
            raise OSError("vault says sk_live_123")

        migma(API_KEY=broken)
        status, text = found()["settings"]
        assert status == "error"
        assert text.endswith("MIGMA['API_KEY'] is a callable, and it raised OSError. Try it in manage.py shell.")
        assert "sk_live" not in text

    @pytest.mark.parametrize(
        "faulty",
        [
            {"MIGMA": None},
            {"MIGMA": ["API_KEY"]},
            {"MIGMA": {"API_KEY": "k", "API_URL": "http://["}},
            {"MIGMA": {"API_KEY": "k", "API_URL": 5}},
            {"MIGMA": {"API_KEY": "k", "FROM_EMAIL": 5, "LAYOUT_EMAIL_ID": 5, "PROJECT_ID": object()}},
            {"MIGMA": {}, "DEFAULT_FROM_EMAIL": None},
        ],
    )
    def test_settings_may_be_wrong_in_any_way(self, wire, faulty):
        """Each section is still there, and nothing is raised."""
        with override_settings(**faulty):
            findings = found()
        assert findings["settings"][0] == "error"
        assert findings["keys in code"][0] == "ok"
        assert len(wire.mock.calls) == 0

    def test_checks_for_a_deployment_are_warnings_with_debug_off(self, account, settings, migma):
        migma(ALLOW_HTTP=True)
        assert "migma.E008" not in found()
        settings.DEBUG = False
        assert found()["migma.E008"] == ("warning", "A deployed site must not send its API key unencrypted.")

    def test_silenced_checks_stay_silent(self, account, settings, migma):
        migma(ALLOW_HTTP=True)
        settings.SILENCED_SYSTEM_CHECKS = ["migma.W005"]
        assert found()["system checks"] == ("ok", "no problems found")

    def test_mail_with_a_body_of_its_own_needs_a_route(self, account, migma):
        migma(PROJECT_ID=None)
        assert found()["ordinary mail"][0] == "warning"


@pytest.mark.django_db
class TestAPI:
    def test_without_a_connection_one_request_is_made_and_the_rest_is_not_checked(self, account):
        account.answers("projects", ConnectTimeout(ConnectTimeoutError()))
        findings = found()
        text = "Migma did not answer in time (no connection was made, ConnectTimeoutError)."
        assert findings["API"] == ("error", text)
        down = ("not_checked", "not checked: Migma does not answer")
        assert findings["permission email:send"] == findings["permission email:read"] == down
        assert findings["sender fernhill.example"] == down
        assert findings["API key"] == down
        assert findings["ordinary mail"][0] == "ok"
        assert len(account.mock.calls) == 1

    def test_a_refused_port_takes_no_time(self, mailer, migma):
        """Whatever the settings: with these, mail would be tried again for minutes."""
        migma(MAX_RETRIES=100, RETRY_DEADLINE=600)
        began = time.monotonic()
        assert found()["API"][0] == "error"
        assert time.monotonic() - began < 30

    def test_what_is_not_migma_is_found(self, account):
        account.mock.upsert("GET", f"{API}/projects", body="<h1>Sign in</h1>")
        findings = found()
        assert findings["API"][0] == "error"
        assert findings["API"][1].startswith("The response with status 200 is not Migma's")
        assert findings["permission email:send"][0] == "not_checked"

    def test_after_a_refused_key_no_more_requests_are_made(self, migma_sandbox, migma):
        migma(API_KEY=KEYS.revoked)
        findings = found(clock=FakeClock())
        assert findings["API"][0] == "ok"
        assert findings["API key"] == ("error", "Migma answered 401: This API key was revoked.")
        assert findings["permission email:read"] == ("not_checked", "not checked: Migma does not accept the key")
        assert migma_sandbox.store.stats()["requests"] == {"GET /v1/projects": 1}

    def test_a_failing_api_says_nothing_about_the_key(self, account):
        account.answers("projects", 500)
        findings = found()
        assert findings["API"][0] == "error"
        assert findings["API key"][0] == "not_checked"
        assert findings["permission email:send"][0] == "ok"

    def test_a_key_that_may_not_list_projects_is_accepted_all_the_same(self, account, migma):
        migma(PROJECT_ID=None)
        account.answers("projects", 403)
        findings = found()
        assert findings["API key"] == ("ok", "Migma accepts it")
        assert findings["permission email:read"] == (
            "not_checked",
            "not checked: no project is known whose emails could be listed",
        )

    def test_a_slow_answer_is_a_warning(self, account):
        assert found(clock=FakeClock(tick=2.5))["API"] == ("warning", "answers in 2500 ms")

    def test_the_first_answer_may_be_slow(self, account):
        """Modules are loaded for it, and a connection made. Or the machine was busy for a moment."""

        class Busy(FakeClock):
            ticks = iter([0.5, 2.5])

            def monotonic(self):
                self.tick = next(self.ticks, 0.5)
                return super().monotonic()

        assert found(clock=Busy())["API"] == ("ok", "answers in 500 ms")


@pytest.mark.django_db
class TestPermissions:
    def test_without_email_send_nothing_can_be_sent(self, migma_sandbox, migma):
        migma(API_KEY=KEYS.no_send)
        assert found()["permission email:send"] == ("error", "the key lacks it, and nothing can be sent")

    def test_the_question_about_email_send_can_only_be_refused(self, account):
        """Neither the address nor the id can exist, whatever Migma looks at first."""
        found()
        [body] = [json.loads(call.request.body) for call in account.mock.calls if call.request.body]
        assert body == {"to": "nobody", "emailId": "0" * 24}

    def test_whether_it_may_send_stays_open_where_migma_fails(self, account):
        account.answers("emails/test/send", 500)
        assert found()["permission email:send"][0] == "not_checked"

    def test_a_test_send_that_is_taken_proves_it(self, account):
        account.answers("emails/test/send", 200, {})
        assert found()["permission email:send"] == ("ok", "the key has it")

    def test_without_email_read_there_is_no_sync(self, account):
        account.answers("projects/emails", 403)
        assert found()["permission email:read"] == ("warning", "the key lacks it, and stored emails cannot be synced")

    def test_an_unknown_project_is_found(self, migma_sandbox, migma):
        migma(PROJECT_ID="665f1c2ab7d3e4f5a6a7ffff")
        assert found()["project"] == ("error", "Migma does not know the project 665f1c2ab7d3e4f5a6a7ffff")

    def test_the_first_project_serves_where_the_settings_name_none(self, migma_sandbox, migma):
        migma(PROJECT_ID=None)
        assert found()["permission email:read"] == ("ok", "the key has it")

    def test_a_failing_list_leaves_it_open(self, account):
        account.answers("projects/emails", 500)
        assert found()["permission email:read"][0] == "not_checked"


@pytest.mark.django_db
class TestSenders:
    def test_managed_domains_count(self, migma_sandbox, migma):
        migma(FROM_EMAIL="hello@fernhill.migma.email")
        assert found()["sender fernhill.migma.email"] == ("ok", "verified (FROM_EMAIL)")

    def test_a_domain_that_is_not_verified_yet(self, migma_sandbox, migma):
        migma(FROM_EMAIL="hello@lumenbikes.example")
        assert found()["sender lumenbikes.example"] == ("error", "not verified yet (FROM_EMAIL)")

    def test_a_sandbox_may_take_what_it_does_not_list(self, migma_sandbox):
        assert found()["sender example.com"] == (
            "warning",
            "the sandbox does not list the domain (DEFAULT_FROM_EMAIL)",
        )

    def test_a_domain_that_migma_does_not_know(self, account, migma):
        migma(API_URL="https://migma.test/v1", FROM_EMAIL="hello@unknown.example")
        for path, content in (("projects", PROJECTS), ("domains", []), ("domains/managed", [])):
            account.mock.get(f"https://migma.test/v1/{path}", json={"success": True, "data": content})
        account.mock.get("https://migma.test/v1/projects/emails", json={"success": True, "data": {}})
        account.mock.post("https://migma.test/v1/emails/test/send", json={"success": False}, status=400)
        assert found()["sender unknown.example"] == ("error", "Migma does not know the domain (FROM_EMAIL)")

    def test_senders_of_stored_emails_are_looked_at_too(self, migma_sandbox):
        StoredEmail.objects.create(key="welcome", email_id=WELCOME, from_email="a@fernhill.example")
        StoredEmail.objects.create(email_id=RECEIPT, from_email="b@fernhill.example")
        assert found()["sender fernhill.example"] == (
            "ok",
            f"verified (stored email 'welcome', stored email {RECEIPT!r})",
        )

    def test_a_sender_that_is_not_an_address(self, migma_sandbox, settings):
        settings.DEFAULT_FROM_EMAIL = "nobody"
        assert found()["sender"] == ("error", "DEFAULT_FROM_EMAIL: not an address")

    def test_without_the_permission_a_domain_is_not_checked(self, account, migma):
        account.answers("domains", 403)
        migma(FROM_EMAIL="hello@unknown.example")
        findings = found()
        assert findings["permission domain:read"] == ("warning", "the key lacks it")
        assert findings["sender unknown.example"][0] == "not_checked"

    def test_one_list_of_two_is_enough_for_a_domain_that_is_on_it(self, account):
        account.answers("domains/managed", 500)
        findings = found()
        assert findings["permission domain:read"][0] == "not_checked"
        assert findings["sender fernhill.example"] == ("ok", "verified (DEFAULT_FROM_EMAIL)")


@pytest.mark.django_db
class TestLayout:
    def test_one_that_migma_has(self, migma_sandbox, migma):
        migma(LAYOUT_EMAIL_ID=LAYOUT)
        findings = found()
        assert findings["layout"] == ("ok", f"Migma has the stored email {LAYOUT}")
        assert findings["ordinary mail"] == ("ok", "is sent inside the stored email LAYOUT_EMAIL_ID")

    def test_one_that_migma_does_not_have(self, migma_sandbox, migma):
        migma(LAYOUT_EMAIL_ID="0" * 24)
        assert found()["layout"] == (
            "error",
            f"Migma does not know the stored email {'0' * 24}, and ordinary mail will fail",
        )

    def test_one_without_a_placeholder_for_the_body(self, migma_sandbox, migma):
        migma(LAYOUT_EMAIL_ID=WELCOME)
        assert found()["layout"] == ("error", "the stored email has no placeholder for the body of a mail")

    def test_one_that_cannot_be_fetched(self, account, migma):
        migma(LAYOUT_EMAIL_ID=LAYOUT)
        account.answers(f"emails/{LAYOUT}", 403)
        assert found()["layout"][0] == "not_checked"


@pytest.mark.django_db
class TestKeysInCode:
    def keys(self):
        return [(finding.status, finding.text) for finding in run_checkup() if finding.name == "keys in code"]

    @pytest.fixture(autouse=True)
    def stored(self, account):
        StoredEmail.objects.create(key="welcome", email_id=WELCOME)

    def test_each_has_its_stored_email(self, app):
        app(mail="MyMessage(template_id='welcome')\nmessage.template_id = 'welcome'")
        assert self.keys() == [("ok", "1 found, each with its stored email")]

    @pytest.mark.parametrize(
        "source",
        [
            "\nMigmaMessage(template_id='welcom')",
            "\nmessages.EmailMessage('Hi', template_id='welcom')",
            "\nm.template_id = 'welcom'",
            "\nm.template_id: str = 'welcom'",
        ],
    )
    def test_a_misspelt_key_is_an_error_with_its_place_and_similar_keys(self, app, source):
        app(mail=source)
        [finding] = [finding for finding in run_checkup() if finding.name == "keys in code"]
        assert finding.status == "error"
        assert finding.text == "shop/mail.py:2: No stored email has the key 'welcom'."
        assert finding.advice.startswith("Did you mean 'welcome'? A raw id has 24 hex digits. If the email is new")

    def test_several_places_are_counted(self, app):
        app(mail="MyMessage(template_id='x')\nMyMessage(template_id='x')\nm.template_id = 'x'")
        [(status, text)] = self.keys()
        assert status == "error"
        assert text.startswith("shop/mail.py:1 and 2 more: No stored email has the key 'x'.")

    @pytest.mark.parametrize("call", ["send", "mail.send", "senders[0]", "partial(send)", "rows.filter", "Q"])
    def test_other_calls_may_not_be_about_mail_and_are_ignored(self, app, call):
        app(mail=f"{call}(template_id='x')")
        assert self.keys() == [("ok", "none found")]

    def test_one_that_is_gone_at_migma(self, app):
        StoredEmail.objects.update(status=StoredEmail.Status.GONE)
        app(mail="MigmaMessage(template_id='welcome')")
        assert self.keys() == [("error", "shop/mail.py:1: the stored email 'welcome' is no longer at Migma")]

    def test_other_values_and_names_are_ignored(self, app):
        app(
            mail="MyMessage(template_id=None, other='a')\nMyMessage(template_id=KEY)\nMyMessage(template_id='')\n"
            "template_id = 'b'\nm.template_id: str\nm.template_id = 3.5\nm.template_id = True"
        )
        assert self.keys() == [("ok", "none found")]

    @pytest.mark.parametrize(
        "module",
        ["tests/mail", "test/mail", "test_mail", "mail_test", "tests", "test", "conftest", "migrations/../tests"],
    )
    def test_tests_may_invent_keys(self, app, module):
        app(**{"migrations/__init__": "", module: "MyMessage(template_id='made-up')"})
        assert self.keys() == [("ok", "none found")]

    @pytest.mark.parametrize("module", ["testimonials", "contest", "latest/mail", "conftests"])
    def test_names_that_only_resemble_tests_count(self, app, module):
        app(**{module: "MyMessage(template_id='made-up')"})
        assert self.keys()[0][1].startswith(f"shop/{module}.py:1: No stored email has the key 'made-up'.")

    def test_an_integer_is_looked_up_as_its_string(self, app):
        app(mail="m.template_id = 12345")
        assert self.keys() == [("error", "shop/mail.py:1: No stored email has the key '12345'.")]

    def test_keys_of_the_settings_count(self, app, migma):
        migma(STORED_EMAILS={"receipt": RECEIPT, "faulty": 7})
        app(mail="m.template_id = 'receipt'\nm.template_id = 'welcome'\nm.template_id = 'faulty'")
        assert self.keys() == [("ok", "3 found, each with its stored email")]

    def test_keys_of_the_settings_are_near_ones_too(self, app, migma):
        migma(STORED_EMAILS={"receipt": RECEIPT})
        app(mail="m.template_id = 'recept'")
        [finding] = [finding for finding in run_checkup() if finding.name == "keys in code"]
        assert finding.advice.startswith("Did you mean 'receipt'?")

    def test_installed_packages_are_ignored(self, app):
        folder = app(**{"site-packages/other": "MyMessage(template_id='theirs')"})
        assert (folder / "site-packages" / "other.py").exists()
        assert self.keys() == [("ok", "none found")]

    @pytest.mark.parametrize("source", [b"def (", b"\xff\xfe\x00", b"a\0b", b"(" * 5_000, b"-" * 100_000 + b"1"])
    def test_files_that_python_cannot_read_are_ignored(self, app, source):
        app(mail=b"# template_id\n" + source, other="MyMessage(template_id='welcome')")
        assert self.keys() == [("ok", "1 found, each with its stored email")]

    def test_warnings_about_the_projects_source_are_not_printed(self, app):
        """Here a warning that is shown is an error, and the file would be passed by."""
        app(mail="MyMessage('\\d', template_id='welcome')\nif 1 is 1: pass")
        assert self.keys() == [("ok", "1 found, each with its stored email")]


@pytest.mark.django_db
class TestIdsInCode:
    def ids(self):
        return [(finding.status, finding.text) for finding in run_checkup() if finding.name == "ids in code"]

    def test_migma_is_asked_for_each_once(self, migma_sandbox, app):
        app(mail=f"MyMessage(template_id={WELCOME!r})\nm.template_id = {WELCOME.upper()!r}")
        assert self.ids() == [("ok", "1 found, each known to Migma")]
        assert migma_sandbox.store.stats()["requests"]["GET /v1/emails/{emailId}"] == 1

    def test_one_that_migma_does_not_know_is_an_error_with_its_place(self, migma_sandbox, app):
        app(mail=f"\nm.template_id = {WELCOME!r}\nm.template_id = {'0' * 24!r}")
        assert self.ids() == [("error", f"shop/mail.py:3: Migma does not know the stored email {'0' * 24}")]

    def test_after_an_answer_that_settles_nothing_no_more_are_asked_for(self, account, app):
        app(mail=f"m.template_id = {WELCOME!r}\nm.template_id = {RECEIPT!r}")
        account.answers(f"emails/{WELCOME}", 403)
        assert self.ids() == [("not_checked", "not checked: Migma answered 403: The text of 403")]

    def test_no_more_than_twenty_are_asked_for(self, account, app):
        ids = [f"{number:024}" for number in range(22)]
        app(mail="\n".join(f"m.template_id = {found!r}" for found in ids))
        for found in ids:
            account.answers(f"emails/{found}", 200, {"id": found})
        assert self.ids() == [("not_checked", "not checked: 2 of 22, since Migma is asked for 20 at most")]
        asked = [call.request.url for call in account.mock.calls if "/v1/emails/0" in call.request.url]
        assert len(asked) == 20

    def test_without_settings_no_request_is_made(self, wire, app, migma):
        app(mail=f"m.template_id = {WELCOME!r}")
        migma(TIMEOUT="long")
        assert self.ids() == [("not_checked", "not checked: the settings must be right first")]


@pytest.mark.django_db
class TestKeysInSettings:
    def keys(self):
        return [(finding.status, finding.text) for finding in run_checkup() if finding.name == "keys in settings"]

    def test_none_are_not_mentioned(self, account):
        assert self.keys() == []

    def test_each_is_known_to_migma(self, migma_sandbox, migma):
        migma(STORED_EMAILS={"welcome": WELCOME, "receipt": {"email_id": RECEIPT}, "faulty": 7})
        assert self.keys() == [("ok", "2 found, each known to Migma")]

    def test_one_that_migma_does_not_know_is_an_error(self, migma_sandbox, migma):
        migma(STORED_EMAILS={"welcome": "0" * 24})
        text = f"STORED_EMAILS['welcome']: Migma does not know the stored email {'0' * 24}"
        assert self.keys() == [("error", text)]

    def test_variables_that_the_email_does_not_use_are_named(self, account, migma):
        account.answers(f"emails/{WELCOME}", 200, {"emailId": WELCOME, "subject": "{{a}}", "html": "{{b}}"})
        account.answers(f"emails/{RECEIPT}", 200, {"emailId": RECEIPT, "subject": "", "html": ""})
        given = {
            "default_variables": {"a": 1, "x": 1},
            "optional_variables": ["b", "y"],
            "sample_variables": {"z": 1},
        }
        migma(
            STORED_EMAILS={
                "welcome": {"email_id": WELCOME, "subject": "{{z}}", **given},
                "receipt": {"email_id": RECEIPT, **given},
            }
        )
        assert self.keys()[1:] == [
            ("warning", "STORED_EMAILS['welcome'] has variables that the email does not use: x, y")
        ]

    def test_a_row_with_another_id_is_named(self, migma_sandbox, migma):
        StoredEmail.objects.create(key="welcome", email_id=RECEIPT)
        StoredEmail.objects.create(key="receipt", email_id=LAYOUT)
        migma(STORED_EMAILS={"welcome": WELCOME})
        text = "the row of the key 'welcome' has another id than STORED_EMAILS"
        assert self.keys() == [("ok", "1 found, each known to Migma"), ("warning", text)]

    def test_their_senders_are_checked(self, account, migma):
        migma(
            STORED_EMAILS={
                "welcome": {"email_id": WELCOME, "from_email": "a@other.example"},
                "receipt": {"email_id": RECEIPT, "from_email": ""},
            }
        )
        text = "the sandbox does not list the domain (STORED_EMAILS['welcome'])"
        assert found()["sender other.example"] == ("warning", text)

    def test_something_else_than_a_dict_has_none(self, account, migma):
        migma(STORED_EMAILS=["welcome"])
        assert self.keys() == []


@pytest.mark.django_db
class TestUnexpectedErrors:
    def test_a_section_that_fails_is_an_error_and_the_others_are_checked(self, account):
        def broken(**_):
            raise RuntimeError("a secret")

        checks.register(broken, "migma")
        try:
            findings = found()
        finally:
            checks.registry.registry.registered_checks.discard(broken)
        assert findings["system checks"] == ("error", "could not be checked (RuntimeError)")
        assert findings["API key"] == ("ok", "Migma accepts it")
        assert findings["keys in code"] == ("ok", "none found")

    def test_a_backend_that_fails_at_import_is_an_error(self, tmp_path, monkeypatch):
        (tmp_path / "broken_backend.py").write_text("1 / 0")
        monkeypatch.syspath_prepend(tmp_path)
        with override_settings(**our_mailer(backend="broken_backend.Backend")):
            findings = found()
        assert findings == {
            "mailer": ("error", "could not be checked (ZeroDivisionError)"),
            "system checks": ("error", "could not be checked (ZeroDivisionError)"),
            "keys in code": ("ok", "none found"),
        }

    @pytest.mark.skipif(django.VERSION < (6, 1), reason="MAILERS came with Django 6.1")
    def test_empty_options_are_no_options(self, account):
        with override_settings(MAILERS={"default": {"BACKEND": BACKEND, "OPTIONS": None}}):
            assert found()["API key"] == ("ok", "Migma accepts it")


class TestWithoutTheTable:
    def test_keys_of_the_settings_need_none(self, account, app, no_table, migma):
        account.answers(f"emails/{WELCOME}", 200, {"emailId": WELCOME})
        migma(STORED_EMAILS={"welcome": WELCOME})
        app(mail="m.template_id = 'welcome'")
        findings = found()
        assert findings["keys in settings"] == ("ok", "1 found, each known to Migma")
        assert findings["keys in code"][0] == "warning"

    def test_keys_in_code_need_it(self, account, no_table, app):
        app(mail="m.template_id = 'welcome'")
        [finding] = [finding for finding in run_checkup() if finding.name == "keys in code"]
        assert finding.status == "error"
        assert finding.text in {
            "the table of stored emails cannot be read (OperationalError)",
            "the table of stored emails cannot be read (ProgrammingError)",  # PostgreSQL's word
        }
        assert finding.advice == "Check the database, and run manage.py migrate."

    def test_without_keys_it_is_a_warning(self, account, no_table):
        findings = found()
        assert findings["keys in code"][0] == "warning"
        assert findings["sender fernhill.example"][0] == "ok"


@pytest.mark.django_db
class TestRealTest:
    @pytest.fixture(autouse=True)
    def layout(self, migma):
        migma(LAYOUT_EMAIL_ID=LAYOUT)

    def test_an_ordinary_mail_goes_out(self, migma_sandbox):
        findings = found(send_to="ada@example.org")
        [message] = migma_sandbox.store.messages()
        assert findings["real test"] == ("ok", f"The sandbox accepted it. Id: {message.id}")
        assert message.body["recipientEmail"] == "ada@example.org"
        assert "migma_doctor" in message.html

    def test_a_sandbox_shows_the_mail(self, migma_sandbox):
        [advice] = [each.advice for each in run_checkup(send_to="ada@example.org") if each.name == "real test"]
        [mail] = migma_sandbox.mails
        assert advice == f"Look at it: {migma_sandbox.url}/mail/{mail.message.id}"

    def test_a_refusal_is_an_error(self, migma_sandbox, migma):
        migma(LAYOUT_EMAIL_ID=None, PROJECT_ID=None)
        findings = found(send_to="ada@example.org")
        assert findings["real test"][0] == "error"
        assert findings["real test"][1].startswith("Migma sends stored emails, and this message has only a body")

    def test_it_is_not_tried_where_migma_does_not_answer(self, account):
        account.answers("projects", ConnectTimeout(ConnectTimeoutError()))
        findings = found(send_to="ada@example.org")
        assert findings["real test"] == ("not_checked", "not checked: Migma does not answer")

    def test_doubt_is_an_error_with_the_reason(self, migma_sandbox, migma):
        migma(MAX_RETRIES=0)
        migma_sandbox.faults.script("ok", "lost", "lost")  # the first strikes the question about email:send
        status, text = found(send_to="ada@example.org")["real test"]
        assert status == "error"
        assert text.startswith("It may have arrived: check the inbox before you send it again. The connection to")
        assert "idempotency" not in text.lower()

    def test_a_receiver_that_fails_is_named_by_its_error(self, migma_sandbox):
        def broken(**_):
            raise RuntimeError("secret")

        signals.pre_send.connect(broken)
        try:
            findings = found(send_to="ada@example.org")
        finally:
            signals.pre_send.disconnect(broken)
        text = "The site's own code raised RuntimeError, and nothing was sent."
        assert findings["real test"] == ("error", text)

    @pytest.mark.skipif(django.VERSION < (6, 1), reason="MAILERS came with Django 6.1")
    def test_a_mailer_that_cannot_be_made_is_an_error(self, migma_sandbox):
        mailers = {"default": {"BACKEND": BACKEND, "OPTIONS": {"from_mail": "x"}}}
        with override_settings(MAILERS=mailers):
            findings = found(send_to="ada@example.org")
        assert findings["migma.E001"][0] == "error"
        assert findings["real test"][0] == "error"
        assert "Unknown options 'from_mail'" in findings["real test"][1]


@pytest.mark.django_db
@pytest.mark.filterwarnings("ignore:The EMAIL_BACKEND setting is deprecated")
def test_a_site_with_email_backend_is_checked_too(migma_sandbox, settings, migma):
    if hasattr(settings, "MAILERS"):
        del settings.MAILERS
    settings.EMAIL_BACKEND = BACKEND
    migma(LAYOUT_EMAIL_ID=LAYOUT)
    findings = found(send_to="ada@example.org")
    assert findings["mailer"][0] == findings["real test"][0] == "ok"
