"""What the doctor finds: one item for each thing that can be right or wrong."""

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
from django_migma.doctor import examine
from django_migma.models import StoredEmail
from django_migma.sandbox import data
from django_migma.sandbox.keys import KEYS
from tests.api.clocks import FakeClock
from tests.conftest import BACKEND, our_mailer

API = "http://127.0.0.1:9/v1"
SENDER = "Fernhill <hello@fernhill.example>"
PROJECTS = {"projects": [{"_id": data.FERNHILL}]}


def found(**options):
    """The items by name, as pairs of status and text."""
    return {item.name: (item.status, item.text) for item in examine(**options)}


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
class TestAllIsWell:
    def test_with_the_sandbox(self, migma_sandbox, settings):
        settings.DEFAULT_FROM_EMAIL, settings.DEBUG = SENDER, True
        items = found()
        speed = items.pop("API")
        assert speed[0] == "ok"
        assert speed[1].startswith("answers in ")
        assert speed[1].endswith(" ms")
        mailer = "mailer 'default'" if django.VERSION >= (6, 1) else "mailer"
        assert items == {
            "system checks": ("ok", "say nothing"),
            mailer: ("ok", f"talks to a sandbox on this machine: {migma_sandbox.api_url}"),
            "API key": ("ok", "Migma accepts it"),
            "permission email:send": (
                "ok",
                "the key seems to have it (a test send that cannot go out was refused for that alone)",
            ),
            "permission email:read": ("ok", "the key has it"),
            "permission domain:read": ("ok", "the key has it"),
            "sender fernhill.example": ("ok", "verified (DEFAULT_FROM_EMAIL)"),
            "ordinary mail": ("ok", "goes out as raw HTML with PROJECT_ID, which Migma's older guides document"),
            "keys in code": ("ok", "there are none"),
        }

    def test_nothing_is_sent(self, migma_sandbox):
        found()
        assert migma_sandbox.store.messages() == []

    def test_migma_itself_is_named(self, account, migma):
        migma(API_URL="https://migma.test/v1")
        assert ("ok", "talks to Migma itself, live: https://migma.test/v1") in found().values()


@pytest.mark.django_db
class TestSettings:
    def test_no_mailer_is_found_and_the_rest_is_looked_at(self, settings):
        with override_settings(**our_mailer(backend="django.core.mail.backends.locmem.EmailBackend")):
            items = found()
        assert items["mailer"][0] == "error"
        assert items["mailer"][1].startswith("No mailer uses Migma. Set MAILERS['default']['BACKEND']")
        assert list(items) == ["mailer", "system checks", "keys in code"]

    def test_an_unknown_alias_is_told(self, mailer):
        assert found(alias="news")["mailer"][1].startswith("There is no mailer 'news' that uses Migma in MAILERS.")

    def test_a_faulty_setting_is_found_twice_and_nothing_is_asked(self, wire, migma):
        migma(TIMEOUT="long")
        items = found()
        assert items["migma.E006"][0] == "error"
        assert items["settings"][0] == "error"
        assert "MIGMA['TIMEOUT'] must be seconds above 0" in items["settings"][1]
        not_checked = ("not_checked", "not checked: the settings must be right first")
        names = ("API", "API key", "permission email:send", "permission email:read", "permission domain:read")
        assert [items[name] for name in names] == [not_checked] * 5
        assert items["sender example.com"] == not_checked
        assert items["ordinary mail"][0] == "ok"

    def test_a_key_that_cannot_be_had_is_told_without_its_text(self, wire, migma):
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
        """Each item is still there, and nothing is raised."""
        with override_settings(**faulty):
            items = found()
        assert items["settings"][0] == "error"
        assert items["keys in code"][0] == "ok"
        assert len(wire.mock.calls) == 0

    def test_checks_for_a_deployment_are_warnings_with_debug_off(self, account, settings, migma):
        migma(ALLOW_HTTP=True)
        assert "migma.E008" not in found()
        settings.DEBUG = False
        assert found()["migma.E008"] == ("warning", "A deployed site must not send its API key unencrypted.")

    def test_silenced_checks_stay_silent(self, account, settings, migma):
        migma(ALLOW_HTTP=True)
        settings.SILENCED_SYSTEM_CHECKS = ["migma.W005"]
        assert found()["system checks"] == ("ok", "say nothing")

    def test_mail_with_a_body_of_its_own_needs_a_route(self, account, migma):
        migma(PROJECT_ID=None)
        assert found()["ordinary mail"][0] == "warning"


@pytest.mark.django_db
class TestAPI:
    def test_no_connection_is_found_once_and_the_rest_is_still_shown(self, account):
        account.answers("projects", ConnectTimeout(ConnectTimeoutError()))
        items = found()
        text = "Migma did not answer in time (no connection was made, ConnectTimeoutError)."
        assert items["API"] == ("error", text)
        down = ("not_checked", "not checked: Migma does not answer")
        assert items["permission email:send"] == items["permission email:read"] == down
        assert items["sender fernhill.example"] == down
        assert items["API key"] == down
        assert items["ordinary mail"][0] == "ok"
        assert len(account.mock.calls) == 1

    def test_a_refused_port_takes_no_time(self, mailer):
        began = time.monotonic()
        assert found()["API"][0] == "error"
        assert time.monotonic() - began < 2

    def test_what_is_not_migma_is_found(self, account):
        account.mock.upsert("GET", f"{API}/projects", body="<h1>Sign in</h1>")
        items = found()
        assert items["API"][0] == "error"
        assert items["API"][1].startswith("The answer with status 200 is not Migma's")
        assert items["permission email:send"][0] == "not_checked"

    def test_a_refused_key_is_found_once(self, migma_sandbox, migma):
        migma(API_KEY=KEYS.revoked)
        items = found()
        assert items["API"][0] == "ok"
        assert items["API key"] == ("error", "Migma answered 401: This API key was revoked.")
        assert items["permission email:read"] == ("not_checked", "not checked: Migma does not accept the key")
        assert migma_sandbox.store.stats()["requests"] == {"GET /v1/projects": 1}

    def test_a_failing_api_says_nothing_about_the_key(self, account):
        account.answers("projects", 500)
        items = found()
        assert items["API"][0] == "error"
        assert items["API key"][0] == "not_checked"
        assert items["permission email:send"][0] == "ok"

    def test_a_key_that_may_not_list_projects_is_accepted_all_the_same(self, account, migma):
        migma(PROJECT_ID=None)
        account.answers("projects", 403)
        items = found()
        assert items["API key"] == ("ok", "Migma accepts it")
        assert items["permission email:read"] == ("not_checked", "not checked: no project is known to ask for")

    def test_a_slow_answer_is_a_warning(self, account):
        assert found(clock=FakeClock(tick=2.5))["API"] == ("warning", "answers in 2500 ms")


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
        assert found()["permission email:read"] == ("warning", "the key lacks it: no sync and no previews")

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
        StoredEmail.objects.create(key="welcome", email_id=data.WELCOME, from_email="a@fernhill.example")
        StoredEmail.objects.create(email_id=data.RECEIPT, from_email="b@fernhill.example")
        assert found()["sender fernhill.example"] == (
            "ok",
            f"verified (stored email 'welcome', stored email {data.RECEIPT!r})",
        )

    def test_a_sender_that_is_no_address(self, migma_sandbox, settings):
        settings.DEFAULT_FROM_EMAIL = "nobody"
        assert found()["sender"] == ("error", "DEFAULT_FROM_EMAIL: not an address")

    def test_without_the_permission_nobody_knows(self, account, migma):
        account.answers("domains", 403)
        migma(FROM_EMAIL="hello@unknown.example")
        items = found()
        assert items["permission domain:read"] == ("warning", "the key lacks it")
        assert items["sender unknown.example"][0] == "not_checked"

    def test_one_list_of_two_is_enough_for_a_domain_that_is_on_it(self, account):
        account.answers("domains/managed", 500)
        items = found()
        assert items["permission domain:read"][0] == "not_checked"
        assert items["sender fernhill.example"] == ("ok", "verified (DEFAULT_FROM_EMAIL)")


@pytest.mark.django_db
class TestLayout:
    def test_one_that_migma_has(self, migma_sandbox, migma):
        migma(LAYOUT_EMAIL_ID=data.LAYOUT)
        items = found()
        assert items["layout"] == ("ok", f"Migma has the stored email {data.LAYOUT}")
        assert items["ordinary mail"] == ("ok", "goes out inside the stored email LAYOUT_EMAIL_ID")

    def test_one_that_migma_does_not_have(self, migma_sandbox, migma):
        migma(LAYOUT_EMAIL_ID="0" * 24)
        assert found()["layout"] == (
            "error",
            f"Migma does not know the stored email {'0' * 24}, and ordinary mail will fail",
        )

    def test_one_without_a_place_for_the_body(self, migma_sandbox, migma):
        migma(LAYOUT_EMAIL_ID=data.WELCOME)
        assert found()["layout"] == ("error", "the stored email has no place for the body of a mail")

    def test_one_that_cannot_be_looked_at(self, account, migma):
        migma(LAYOUT_EMAIL_ID=data.LAYOUT)
        account.answers(f"emails/{data.LAYOUT}", 403)
        assert found()["layout"][0] == "not_checked"


@pytest.mark.django_db
class TestKeysInCode:
    def keys(self):
        return [(item.status, item.text) for item in examine() if item.name == "keys in code"]

    @pytest.fixture(autouse=True)
    def stored(self, account):
        StoredEmail.objects.create(key="welcome", email_id=data.WELCOME)

    def test_each_has_its_stored_email(self, app):
        app(mail="send(template_id='welcome')\nmessage.template_id = 'welcome'")
        assert self.keys() == [("ok", "1, and each has its stored email")]

    @pytest.mark.parametrize(
        "source",
        [
            "\nMigmaMessage(template_id='welcom')",
            "\nmessages.EmailMessage('Hi', template_id='welcom')",
            "\nm.template_id = 'welcom'",
            "\nm.template_id: str = 'welcom'",
        ],
    )
    def test_a_misspelt_key_is_told_with_its_place_and_near_matches(self, app, source):
        app(mail=source)
        told = "No stored email has the key 'welcom'. Did you mean 'welcome'? A raw id has 24 hex digits."
        assert self.keys() == [("error", f"shop/mail.py:2: {told}")]

    def test_several_places_are_counted(self, app):
        app(mail="send(template_id='x')\nMyMessage(template_id='x')\nMyMessage(template_id='x')")
        [(status, text)] = self.keys()
        assert status == "error"
        assert text.startswith("shop/mail.py:2 and 2 more: No stored email has the key 'x'.")

    @pytest.mark.parametrize("call", ["send", "mail.send", "senders[0]", "partial(send)"])
    def test_a_call_of_another_name_is_a_warning_at_most(self, app, call):
        """It may be a function of the site that sends mail, or one that has nothing to do with it."""
        app(mail=f"{call}(template_id='x')")
        [item] = [item for item in examine() if item.name == "keys in code"]
        assert item.status == "warning"
        assert item.text.startswith("shop/mail.py:1: No stored email has the key 'x'.")
        assert item.advice.startswith("It is given to a call that may not be about mail; if it is: correct the key")

    @pytest.mark.parametrize("call", ["Q", "SomeModel.objects.filter", "rows.exclude", "rows.get", "rows.update"])
    def test_numbers_of_rows_are_passed_by(self, app, call):
        app(mail=f"{call}(template_id='17')")
        assert self.keys() == [("ok", "there are none")]

    def test_one_that_is_gone_at_migma(self, app):
        StoredEmail.objects.update(status=StoredEmail.Status.GONE)
        app(mail="MigmaMessage(template_id='welcome')")
        assert self.keys() == [("error", "shop/mail.py:1: the stored email 'welcome' is no longer at Migma")]

    def test_what_is_no_key_is_passed_by(self, app):
        app(
            mail="send(template_id=None, other='a')\nsend(template_id=KEY)\nsend(template_id='')\n"
            "template_id = 'b'\nm.template_id: str\nm.template_id = 3"
        )
        assert self.keys() == [("ok", "there are none")]

    @pytest.mark.parametrize(
        "module",
        ["tests/mail", "test/mail", "test_mail", "mail_test", "tests", "test", "conftest", "migrations/../tests"],
    )
    def test_tests_may_make_up_keys(self, app, module):
        app(**{"migrations/__init__": "", module: "MyMessage(template_id='made-up')"})
        assert self.keys() == [("ok", "there are none")]

    @pytest.mark.parametrize("module", ["testimonials", "contest", "latest/mail", "conftests"])
    def test_what_only_sounds_like_tests_counts(self, app, module):
        app(**{module: "MyMessage(template_id='made-up')"})
        assert self.keys()[0][1].startswith(f"shop/{module}.py:1: No stored email has the key 'made-up'.")

    def test_installed_packages_are_passed_by(self, app):
        folder = app(**{"site-packages/other": "send(template_id='theirs')"})
        assert (folder / "site-packages" / "other.py").exists()
        assert self.keys() == [("ok", "there are none")]

    @pytest.mark.parametrize("source", ["def (", b"\xff\xfe\x00", "a\0b", "(" * 5_000, "-" * 100_000 + "1"])
    def test_files_that_cannot_be_read_are_not_the_doctors_matter(self, app, source):
        app(mail=source, other="send(template_id='welcome')")
        assert self.keys() == [("ok", "1, and each has its stored email")]

    def test_warnings_about_the_projects_source_are_not_printed(self, app):
        """Here a warning that is shown is an error, and the file would be passed by."""
        app(mail="send('\\d', template_id='welcome')\nif 1 is 1: pass")
        assert self.keys() == [("ok", "1, and each has its stored email")]


@pytest.mark.django_db
class TestIdsInCode:
    def ids(self):
        return [(item.status, item.text) for item in examine() if item.name == "ids in code"]

    def test_migma_is_asked_for_each_once(self, migma_sandbox, app):
        app(mail=f"send(template_id={data.WELCOME!r})\nm.template_id = {data.WELCOME.upper()!r}")
        assert self.ids() == [("ok", "1, and Migma has each")]
        assert migma_sandbox.store.stats()["requests"]["GET /v1/emails/{emailId}"] == 1

    def test_one_that_migma_does_not_know_is_told_with_its_place(self, migma_sandbox, app):
        app(mail=f"\nm.template_id = {data.WELCOME!r}\nm.template_id = {'0' * 24!r}")
        assert self.ids() == [("error", f"shop/mail.py:3: Migma does not know the stored email {'0' * 24}")]

    def test_in_a_call_of_another_name_it_is_a_warning(self, migma_sandbox, app):
        app(mail=f"send(template_id={'0' * 24!r})")
        [(status, text)] = self.ids()
        assert (status, text) == ("warning", f"shop/mail.py:1: Migma does not know the stored email {'0' * 24}")

    def test_after_an_answer_that_settles_nothing_no_more_are_asked_for(self, account, app):
        app(mail=f"m.template_id = {data.WELCOME!r}\nm.template_id = {data.RECEIPT!r}")
        account.answers(f"emails/{data.WELCOME}", 403)
        assert self.ids() == [("not_checked", "not checked: Migma answered 403: The text of 403")]

    def test_no_more_than_twenty_are_asked_for(self, account, app):
        ids = [f"{number:024}" for number in range(22)]
        app(mail="\n".join(f"m.template_id = {found!r}" for found in ids))
        for found in ids:
            account.answers(f"emails/{found}", 200, {"id": found})
        assert self.ids() == [("not_checked", "not checked: 2 of 22, since Migma is asked for 20 at most")]
        asked = [call.request.url for call in account.mock.calls if "/v1/emails/0" in call.request.url]
        assert len(asked) == 20

    def test_without_settings_nobody_is_asked(self, wire, app, migma):
        app(mail=f"m.template_id = {data.WELCOME!r}")
        migma(TIMEOUT="long")
        assert self.ids() == [("not_checked", "not checked: the settings must be right first")]


@pytest.mark.django_db
class TestWhatNobodyForesaw:
    def test_a_section_that_breaks_down_is_an_item_and_the_others_are_there(self, account):
        def broken(**_):
            raise RuntimeError("a secret")

        checks.register(broken, "migma")
        try:
            items = found()
        finally:
            checks.registry.registry.registered_checks.discard(broken)
        assert items["system checks"] == ("error", "could not be looked at (RuntimeError)")
        assert items["API key"] == ("ok", "Migma accepts it")
        assert items["keys in code"] == ("ok", "there are none")

    def test_so_is_a_backend_that_cannot_be_imported_for_its_own_reasons(self, tmp_path, monkeypatch):
        (tmp_path / "broken_backend.py").write_text("1 / 0")
        monkeypatch.syspath_prepend(tmp_path)
        with override_settings(**our_mailer(backend="broken_backend.Backend")):
            items = found()
        assert items == {
            "mailer": ("error", "could not be looked at (ZeroDivisionError)"),
            "system checks": ("error", "could not be looked at (ZeroDivisionError)"),
            "keys in code": ("ok", "there are none"),
        }

    @pytest.mark.skipif(django.VERSION < (6, 1), reason="MAILERS came with Django 6.1")
    def test_empty_options_are_no_options(self, account):
        with override_settings(MAILERS={"default": {"BACKEND": BACKEND, "OPTIONS": None}}):
            assert found()["API key"] == ("ok", "Migma accepts it")


class TestWithoutTheTable:
    def test_keys_in_code_need_it(self, account, no_table, app):
        app(mail="m.template_id = 'welcome'")
        [item] = [item for item in examine() if item.name == "keys in code"]
        assert item.status == "error"
        assert item.text in {
            "the table of stored emails cannot be read (OperationalError)",
            "the table of stored emails cannot be read (ProgrammingError)",  # PostgreSQL's word
        }
        assert item.advice == "Check the database, and run manage.py migrate."

    def test_without_keys_it_is_a_warning(self, account, no_table):
        items = found()
        assert items["keys in code"][0] == "warning"
        assert items["sender fernhill.example"][0] == "ok"


@pytest.mark.django_db
class TestRealTest:
    @pytest.fixture(autouse=True)
    def layout(self, migma):
        migma(LAYOUT_EMAIL_ID=data.LAYOUT)

    def test_an_ordinary_mail_goes_out(self, migma_sandbox):
        items = found(send_to="ada@example.org")
        [message] = migma_sandbox.store.messages()
        assert items["real test"] == ("ok", f"The sandbox accepted it. Id: {message.id}")
        assert message.body["recipientEmail"] == "ada@example.org"
        assert "migma_doctor" in message.html

    def test_a_refusal_is_an_error(self, migma_sandbox, migma):
        migma(LAYOUT_EMAIL_ID=None, PROJECT_ID=None)
        items = found(send_to="ada@example.org")
        assert items["real test"][0] == "error"
        assert items["real test"][1].startswith("Migma sends stored emails, and this message has only a body")

    def test_it_is_not_tried_where_migma_does_not_answer(self, account):
        account.answers("projects", ConnectTimeout(ConnectTimeoutError()))
        items = found(send_to="ada@example.org")
        assert items["real test"] == ("not_checked", "not checked: Migma does not answer")

    def test_doubt_is_an_error_with_the_reason(self, migma_sandbox, migma):
        migma(MAX_RETRIES=0)
        migma_sandbox.faults.script("ok", "lost", "lost")  # the first strikes the question about email:send
        status, text = found(send_to="ada@example.org")["real test"]
        assert status == "error"
        assert text.startswith("It may have arrived: check the inbox before you send it again. The connection to")
        assert "idempotency" not in text.lower()

    def test_a_receiver_that_breaks_is_told_by_name(self, migma_sandbox):
        def broken(**_):
            raise RuntimeError("secret")

        signals.pre_send.connect(broken)
        try:
            items = found(send_to="ada@example.org")
        finally:
            signals.pre_send.disconnect(broken)
        text = "The site's own code raised RuntimeError, and nothing was sent."
        assert items["real test"] == ("error", text)

    @pytest.mark.skipif(django.VERSION < (6, 1), reason="MAILERS came with Django 6.1")
    def test_a_mailer_that_cannot_be_made_is_told(self, migma_sandbox):
        mailers = {"default": {"BACKEND": BACKEND, "OPTIONS": {"from_mail": "x"}}}
        with override_settings(MAILERS=mailers):
            items = found(send_to="ada@example.org")
        assert items["migma.E001"][0] == "error"
        assert items["real test"][0] == "error"
        assert "Unknown options 'from_mail'" in items["real test"][1]


@pytest.mark.django_db
@pytest.mark.filterwarnings("ignore:The EMAIL_BACKEND setting is deprecated")
def test_a_site_with_email_backend_is_looked_at_too(migma_sandbox, settings, migma):
    if hasattr(settings, "MAILERS"):
        del settings.MAILERS
    settings.EMAIL_BACKEND = BACKEND
    migma(LAYOUT_EMAIL_ID=data.LAYOUT)
    items = found(send_to="ada@example.org")
    assert items["mailer"][0] == items["real test"][0] == "ok"
