"""The button that syncs: who may press it, what it changes, and its messages."""

import re
import time

import pytest
import requests
from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.test import Client
from django.urls import reverse

from django_migma.admin.sync import result_messages
from django_migma.exceptions import MigmaError
from django_migma.models import StoredEmail
from django_migma.sync import Change, SyncFailure, SyncResult

from .conftest import CONVERSATION, LIST, PROJECT, admin_url, error_answer, messages_of
from .test_themes import ThemedAdmin

pytestmark = pytest.mark.django_db


def press(client):
    response = client.post(admin_url("sync"), follow=True)
    assert response.redirect_chain == [(admin_url("changelist"), 302)]
    return messages_of(response)


def answer(wire, answer, url=LIST):
    if isinstance(answer, Exception):
        wire.mock.get(url, body=answer)
    else:
        status, body, *headers = answer
        content = {"json": body} if isinstance(body, dict) else {"body": body}
        wire.mock.get(url, status=status, headers=headers[0] if headers else None, **content)


def listed(*conversations):
    """Migma's list of these conversations, all on one page."""
    items = [{"conversationId": found, "title": "Welcome", "status": "completed"} for found in conversations]
    return 200, {"success": True, "data": {"emails": items, "pagination": {"total": len(items), "hasMore": False}}}


def test_the_button_fetches_the_projects_emails(admin_client, migma_sandbox):
    [(level, text)] = press(admin_client)
    found = StoredEmail.objects.count()
    assert found > 3
    assert level == "success"
    assert re.fullmatch(rf"Synced\. {found} new: “.+”, “.+”, “.+” and {found - 3} more\.", text)
    assert press(admin_client) == [
        ("success", f"Nothing new. Emails that are as they were: {found}."),
    ]
    assert set(StoredEmail.objects.values_list("project_id", flat=True)) == {PROJECT}
    for email in StoredEmail.objects.all():
        assert email.thumbnail_url == f"{migma_sandbox.url}/thumbnails/{email.email_id}.svg"


def test_a_broken_conversation_is_named(admin_client, wire):
    answer(wire, listed(CONVERSATION))
    answer(wire, error_answer(400), url=f"{LIST}/{CONVERSATION}/status")
    [(level, text), (broken_level, broken)] = press(admin_client)
    assert (level, text) == ("warning", "Nothing new. Emails that are as they were: 0.")
    assert broken_level == "error"
    assert broken.startswith(f"Not synced: Welcome ({CONVERSATION}): ")
    assert "Migma's own words" in broken


def test_the_button_is_there_where_the_settings_name_a_project(admin_client, mailer, migma, settings):
    def is_offered():
        return f'action="{admin_url("sync")}"' in admin_client.get(admin_url("changelist")).content.decode()

    migma(PROJECT_ID=PROJECT)
    assert is_offered()
    migma(PROJECT_ID=None)
    assert not is_offered()


def test_the_button_is_not_there_without_a_mailer_of_ours(admin_client):
    """Django's test runner has replaced them."""
    assert f'action="{admin_url("sync")}"' not in admin_client.get(admin_url("changelist")).content.decode()


def test_a_sync_leaves_an_entry_in_the_history(person, migma_sandbox):
    ada = person("view", "add", "change")
    [(_level, text)] = press(ada)
    entry = LogEntry.objects.get()
    assert (entry.user, entry.action_flag, entry.object_id) == (ada.user, CHANGE, None)
    assert entry.object_repr == f"Stored emails of project {PROJECT}"
    assert entry.get_change_message() == text
    assert entry.object_repr in ada.get(reverse("admin:index")).content.decode()


def test_a_sync_that_stopped_leaves_an_entry_too(admin_client, wire):
    """What it changed before the error stays."""
    answer(wire, error_answer(401))
    [(_level, text)] = press(admin_client)
    assert LogEntry.objects.get().get_change_message() == text


@pytest.mark.urls("tests.admin.test_themes")
def test_rows_that_the_user_may_not_see_stay_as_they_are(admin_client, migma_sandbox, monkeypatch):
    """Of a site whose own admin shows each user a part of the rows."""
    press(admin_client)
    StoredEmail.objects.update(subject="Old")
    hidden = StoredEmail.objects.get(title="Welcome")
    monkeypatch.setattr(
        ThemedAdmin, "get_queryset", lambda self, request: StoredEmail.objects.exclude(pk=hidden.pk), raising=False
    )
    synced = admin_client.post(admin_url("sync", site="backstage"), follow=True)
    others = StoredEmail.objects.count() - 1
    changed, hint = messages_of(synced)
    assert changed[1].startswith(f"Synced. {others} changed: ")
    assert [hint] == [
        ("warning", "Left as they were, since you may not see them: 1."),
    ]
    assert list(StoredEmail.objects.filter(subject="Old")) == [hidden]


def texts_of(**result):
    return list(result_messages(SyncResult(**result)))


def test_what_has_changed_is_named():
    """The first of each kind, and not at length."""
    changes = [Change(what="created", name="Welcome"), Change(what="gone", name="Old")]
    changes += [Change(what="updated", name=name) for name in ("A", "B" * 90, "C", "D", "E")]
    [(level, text)] = texts_of(changes=changes, unchanged=9)
    assert level == messages.SUCCESS
    long = "B" * 39 + "…"
    assert text == (
        f"Synced. 1 new: “Welcome”. 5 changed: “A”, “{long}”, “C” and 2 more. 1 no longer at Migma: “Old”."
    )


def test_of_many_failures_the_first_ten_are_named():
    one = SyncFailure(conversation_id=CONVERSATION, title="Welcome", error=MigmaError("Migma answered 500."))
    texts = [text for _level, text in texts_of(failures=[one] * 12)]
    assert len(texts) == 12
    assert texts[-1] == "Not synced besides these: 2."
    assert "besides" not in str(texts_of(failures=[one] * 10))


def test_what_is_left_asks_for_another_press():
    assert [text for _level, text in texts_of(left=7)][1] == (
        "Left when the time or Migma's rate limit ran out: 7. Press the button again."
    )


def test_a_list_that_changed_meanwhile_asks_for_another_press():
    assert (
        texts_of(complete=False)[1][1] == "Migma's list changed during the sync. Press the button again for the rest."
    )


REFUSALS = {
    "401": (error_answer(401), "Check the API key (MIGMA['API_KEY'])"),
    "403": (error_answer(403), "Give the API key the permission email:read in Migma's dashboard."),
    "404": (error_answer(404), "Check the id, and that it belongs to the workspace of this API key."),
    "429": (error_answer(429, **{"Retry-After": "3600"}), "Wait 3600 s, then try again."),
    "a proxy's page": ((200, "<h1>Sign in</h1>"), "Check that API_URL is Migma's API"),
    "down": (requests.ConnectionError("refused"), "Check API_URL, DNS, proxy and firewall, and try again."),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_each_refusal_is_a_message_within_the_time(admin_client, wire, migma, case):
    migma(MAX_RETRIES=0)
    refusal, said = REFUSALS[case]
    answer(wire, refusal)
    before = time.monotonic()
    [(level, text)] = press(admin_client)
    assert time.monotonic() - before < 45, "it asks for an hour"
    assert level == "error"
    assert text.startswith("The sync stopped. ")
    assert said in text
    assert not StoredEmail.objects.exists()


def test_without_a_project_the_message_says_what_to_set(admin_client, wire, migma):
    migma(PROJECT_ID=None)
    assert press(admin_client) == [
        ("error", "No project is set. Set MIGMA['PROJECT_ID'], or run manage.py migma_sync --project with its id.")
    ]


def test_a_faulty_setting_is_named(admin_client, wire, migma):
    migma(API_KEY=None)
    [(level, text)] = press(admin_client)
    assert level == "error"
    assert "is not set, and nothing can be sent without a key" in text


def test_without_our_backend_the_message_says_how_to_set_it(admin_client, settings):
    [(level, text)] = press(admin_client)  # the test runner has replaced the mailer
    assert level == "error"
    assert text.startswith("No mailer uses Migma.")


@pytest.mark.parametrize("permissions", [("view",), ("view", "add"), ("view", "change"), ("view", "send_test")])
def test_it_takes_the_permissions_to_add_and_to_change(person, wire, permissions):
    ada = person(*permissions)
    assert "Sync with Migma" not in ada.get(admin_url("changelist")).content.decode()
    assert ada.post(admin_url("sync")).status_code == 403
    assert len(wire.mock.calls) == 0


def test_both_permissions_are_enough(person, wire):
    ada = person("add", "change")
    assert f'action="{admin_url("sync")}"' in ada.get(admin_url("changelist")).content.decode()
    answer(wire, listed())
    assert press(ada)[0][0] == "success"


def test_a_get_syncs_nothing_and_says_so(admin_client, wire):
    """Signing in again after the session ran out leads to the address of the button."""
    response = admin_client.get(admin_url("sync"), follow=True)
    assert response.redirect_chain == [(admin_url("changelist"), 302)]
    assert messages_of(response) == [("warning", "Nothing was synced. Press the button again.")]
    assert len(wire.mock.calls) == 0


def test_a_form_from_elsewhere_syncs_nothing(admin_client, wire):
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = admin_client.cookies
    assert strict.post(admin_url("sync")).status_code == 403
    assert len(wire.mock.calls) == 0
