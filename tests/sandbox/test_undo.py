"""A mail that was deleted on its page can be put back, until the next one is deleted."""

from __future__ import annotations

from tests.sandbox.asking import ask, get, send, single


def post(sandbox, path):
    return ask(sandbox, "POST", path, body=b"", headers={"Content-Type": "application/x-www-form-urlencoded"})


def take(sandbox, *subjects):
    for subject in subjects:
        send(sandbox, single(subject=subject))


def subjects(sandbox):
    return [mail.subject for mail in sandbox.store.inbox.mails()]


def test_the_list_offers_to_put_a_deleted_mail_back_in_its_place(start):
    sandbox = start()
    take(sandbox, "First", "Second", "Third")
    reply = post(sandbox, "/mail/2/delete?q=is:unread")
    assert (reply.status, reply.headers["Location"]) == (303, "/?q=is%3Aunread&deleted=2")
    assert subjects(sandbox) == ["Third", "First"]
    page = get(sandbox, reply.headers["Location"]).content.decode()
    assert 'action="/mail/2/restore?q=is%3Aunread"' in page
    assert "Deleted “Second”" in page
    reply = post(sandbox, "/mail/2/restore?q=is:unread")
    assert (reply.status, reply.headers["Location"]) == (303, "/mail/2?q=is%3Aunread")
    assert subjects(sandbox) == ["Third", "Second", "First"]


def test_a_search_of_10_000_characters_goes_along(start):
    sandbox = start()
    take(sandbox, "First")
    [message] = sandbox.store.messages()
    query = "%22" * 10_000
    assert post(sandbox, f"/mail/1/delete?q={query}").headers["Location"] == f"/?q={query}&deleted=1"
    assert post(sandbox, f"/mail/1/restore?q={query}").headers["Location"] == f"/mail/1?q={query}"
    assert get(sandbox, f"/mail/{message.id}?q={query}").headers["Location"] == f"/mail/1?q={query}"


def test_only_the_mail_that_was_deleted_last_can_be_put_back(start):
    sandbox = start()
    take(sandbox, "First", "Second")
    post(sandbox, "/mail/1/delete")
    post(sandbox, "/mail/2/delete")
    assert "Undo" not in get(sandbox, "/?deleted=1").content.decode()
    reply = post(sandbox, "/mail/1/restore")
    assert reply.status == 404
    assert "Mail 1 cannot be put back: only the one that was deleted last is kept." in reply.content.decode()
    assert post(sandbox, "/mail/2/restore").status == 303
    assert post(sandbox, "/mail/2/restore").status == 404
    assert subjects(sandbox) == ["Second"]


def test_what_was_forgotten_cannot_be_put_back(start):
    sandbox = start()
    take(sandbox, "First")
    post(sandbox, "/mail/1/delete")
    sandbox.store.reset()
    assert post(sandbox, "/mail/1/restore").status == 404
