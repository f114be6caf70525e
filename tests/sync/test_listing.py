"""The list of a project's emails: read to its end, and never taken for whole where it may not be."""

import pytest

from django_migma.exceptions import Forbidden, InvalidRequest, InvalidResponse, NotFound
from django_migma.models import StoredEmail
from tests.sync.account import PROJECT, conversation_id, email_id, refusal


@pytest.fixture
def lost(db):
    """A row that no list names."""
    return StoredEmail.objects.create(email_id=email_id(999), project_id=PROJECT)


def listed(*numbers, **more):
    return {"emails": [{"conversationId": conversation_id(number)} for number in numbers], **more}


def test_asks_for_finished_emails_of_the_project(account, sync):
    sync()
    assert account.asked == [{"projectId": PROJECT, "limit": "100", "page": "1", "status": "completed"}]


def test_every_page_is_read(account, sync, lost):
    account.size = 2
    for number in range(1, 6):
        account.add(number)
    result = sync()
    assert (result.created, result.gone, result.complete) == (5, 1, True)
    assert [asked["page"] for asked in account.asked if isinstance(asked, dict)] == ["1", "2", "3"]


def test_a_total_beyond_the_page_is_enough_to_read_on(account, sync, lost):
    """An older form of the answer has a total and no hasMore."""
    account.add(1)
    account.add(2)
    account.pages = lambda page: listed(page, total=2)
    result = sync()
    assert (result.created, result.gone, result.complete) == (2, 1, True)


@pytest.mark.parametrize(
    "pages",
    [
        lambda page: listed(1, pagination={"hasMore": True}),  # the same page for ever
        lambda page: listed(*[1] * (page == 1), pagination={"hasMore": True}),  # empty pages for ever
        lambda page: listed(*[1] * (page == 1), pagination={"total": 7, "hasMore": False}),  # fewer than it says
    ],
)
def test_a_list_without_an_end_ends_and_nothing_is_gone(account, sync, lost, pages):
    account.add(1)
    account.pages = pages
    result = sync()
    assert (result.created, result.gone, result.complete, result.left) == (1, 0, False, 0)
    assert len(account.asked) == 3


def test_a_list_that_changes_while_it_is_read_proves_nothing_gone(account, sync, lost):
    """Where one is deleted at Migma, another slips to a page that was read already."""
    account.add(1)
    account.add(2)
    account.pages = lambda page: listed(page, pagination={"total": 4 - page, "hasMore": page == 1})
    result = sync()
    assert (result.created, result.gone, result.complete) == (2, 0, False)


def test_a_conversation_on_two_pages_is_read_once(account, sync):
    account.add(1)
    account.add(2)
    account.pages = lambda page: listed(1, page, pagination={"hasMore": page < 2})
    sync()
    assert account.read == [1, 2]


def test_an_id_in_another_case_is_the_same_conversation(account, sync):
    account.add(1)
    account.items.append({"conversationId": conversation_id(1).upper()})
    sync()
    assert account.read == [1]


@pytest.mark.parametrize("data", [None, [], "no", {}, {"emails": None}, {"emails": {}}])
def test_a_list_of_an_unknown_form_is_no_empty_list(account, sync, lost, data):
    account.pages = lambda page: data
    with pytest.raises(InvalidResponse) as caught:
        sync()
    assert str(caught.value) == (
        "Migma's list of emails has an unknown form. "
        "Check that API_URL is Migma's API and that no proxy answers in its place."
    )
    lost.refresh_from_db()
    assert lost.status == ""


@pytest.mark.parametrize("found", [None, "", "../../projects", "7", 7])
def test_a_conversation_without_a_usable_id_is_reported_and_not_asked_for(account, sync, found):
    account.add(1)
    account.items.insert(0, {"conversationId": found, "title": "Odd"})
    result = sync()
    [failure] = result.failures
    assert str(failure).startswith(f"Odd ({found or '-'}): Migma lists it without an id of 24 hex digits. ")
    assert account.read == [1]


@pytest.mark.parametrize(("status", "error"), [(400, InvalidRequest), (403, Forbidden), (404, NotFound)])
def test_a_list_that_is_refused_changes_nothing(account, sync, lost, status, error):
    account.pages = lambda page: refusal(status)
    with pytest.raises(error, match=f"Migma answered {status}: No"):
        sync()
    lost.refresh_from_db()
    assert lost.status == ""


def test_an_empty_project_id_raises_value_error(account, sync):
    with pytest.raises(ValueError, match="An id must be a string that is not empty, and no path"):
        sync("")
