"""The button that syncs: whom it obeys, and what it says afterwards."""

import time

import pytest
import requests
from django.test import Client

from django_migma.admin import syncing
from django_migma.exceptions import MigmaError
from django_migma.models import StoredEmail
from django_migma.sync import SyncFailure, SyncResult

from .conftest import CONVERSATION, LIST, PROJECT, admin_url, error_answer, messages_of

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
    assert (level, text) == ("success", f"Synced: {found} new, 0 changed, 0 unchanged, 0 no longer at Migma.")
    assert press(admin_client) == [
        ("success", f"Synced: 0 new, 0 changed, {found} unchanged, 0 no longer at Migma."),
    ]
    assert set(StoredEmail.objects.values_list("project_id", flat=True)) == {PROJECT}


def test_a_broken_conversation_is_named(admin_client, wire):
    answer(wire, listed(CONVERSATION))
    answer(wire, error_answer(400), url=f"{LIST}/{CONVERSATION}/status")
    [(level, text), (broken_level, broken)] = press(admin_client)
    assert (level, text) == ("warning", "Synced: 0 new, 0 changed, 0 unchanged, 0 no longer at Migma.")
    assert broken_level == "error"
    assert broken.startswith(f"Could not be synced: Welcome ({CONVERSATION}): ")
    assert "Migma's own words" in broken


def told(**summary):
    return list(syncing.messages_for(SyncResult(**summary)))


def test_of_many_broken_ones_the_first_ten_are_named():
    one = SyncFailure(conversation_id=CONVERSATION, title="Welcome", error=MigmaError("Migma answered 500."))
    texts = [text for _level, text in told(failures=[one] * 12)]
    assert len(texts) == 12
    assert texts[-1] == "2 more could not be synced."
    assert "more could not" not in str(told(failures=[one] * 10))


def test_what_is_left_asks_for_another_press():
    assert [text for _level, text in told(left=1)][1].startswith("1 conversation is left")
    assert [text for _level, text in told(left=7)][1] == (
        "7 conversations are left, since the time or Migma's rate limit was over. Press again to go on."
    )


def test_a_list_that_changed_meanwhile_asks_for_another_press():
    assert (
        told(complete=False)[1][1] == "Migma's list changed while it was read. Press the button again for the rest."
    )


REFUSALS = {
    "401": (error_answer(401), "Check the API key (MIGMA['API_KEY'])"),
    "403": (error_answer(403), "Give the API key the permission email:read in Migma's dashboard."),
    "404": (error_answer(404), "Check the id, and that it belongs to the workspace of this API key."),
    "429": (error_answer(429, **{"Retry-After": "3600"}), "Wait 3600 seconds, then try again."),
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
    assert time.monotonic() - before < 15
    assert level == "error"
    assert text.startswith("The sync came to a stop. ")
    assert said in text
    assert not StoredEmail.objects.exists()


def test_without_a_project_the_message_says_what_to_set(admin_client, wire, migma):
    migma(PROJECT_ID=None)
    assert press(admin_client) == [
        ("error", "Which project? Set MIGMA['PROJECT_ID'], or run manage.py migma_sync --project with its id.")
    ]


def test_a_faulty_setting_is_named(admin_client, wire, migma):
    migma(API_KEY=None)
    [(level, text)] = press(admin_client)
    assert level == "error"
    assert "is not set, and nothing can be sent without a key" in text


def test_a_site_that_does_not_use_migma_is_told_how(admin_client, settings):
    [(level, text)] = press(admin_client)  # the test runner has replaced the mailer
    assert level == "error"
    assert text.startswith("No mailer uses Migma.")


@pytest.mark.parametrize("permissions", [("view",), ("view", "add"), ("view", "change"), ("view", "send_test")])
def test_it_takes_the_permissions_to_add_and_to_change(person, wire, permissions):
    ada = person(*permissions)
    assert "migma-tool" not in ada.get(admin_url("changelist")).content.decode()
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
    assert messages_of(response) == [("warning", "Nothing was synced: press the button again.")]
    assert len(wire.mock.calls) == 0


def test_a_form_from_elsewhere_syncs_nothing(admin_client, wire):
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = admin_client.cookies
    assert strict.post(admin_url("sync")).status_code == 403
    assert len(wire.mock.calls) == 0
