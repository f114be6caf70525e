"""The inbox is marked, emptied, restored and waited for."""

from __future__ import annotations

import threading

import pytest

from tests.sandbox.asking import PATIENCE, eventually, send, single


@pytest.fixture
def inbox(sandbox):
    return sandbox.store.inbox


def keys(inbox):
    return [mail.exchanges[0].idempotency_key for mail in inbox.mails()]


def test_a_mail_is_unread_until_it_is_marked_and_stays_read_when_it_comes_again(sandbox, inbox):
    send(sandbox, single(), idempotency_key="order-1")
    [mail] = inbox.mails()
    inbox.mark_read(mail.id)
    send(sandbox, single(), idempotency_key="order-1")
    [mail] = inbox.mails()
    assert (mail.is_read, mail.attempts) == (True, 2)


def test_every_change_has_a_version_of_its_own(sandbox, inbox):
    versions = [inbox.version]

    def changed():
        versions.append(inbox.version)
        return versions[-1] - versions[-2]

    send(sandbox, single(), idempotency_key="order-1")
    assert changed() == 1
    [mail] = inbox.mails()
    inbox.mark_read(mail.id)
    assert changed() == 1
    inbox.mark_read(mail.id)
    inbox.mark_read("nothing")
    assert inbox.delete("nothing") is None
    assert changed() == 0
    inbox.restore(inbox.delete(mail.id))
    assert changed() == 2
    inbox.clear()
    assert changed() == 1


def test_a_deleted_mail_comes_back_to_its_place(sandbox, inbox):
    for key in ("one", "two", "three"):
        send(sandbox, single(), idempotency_key=key)
    mail = inbox.delete(inbox.mails()[1].id)
    assert keys(inbox) == ["three", "one"]
    assert inbox.mail(mail.id) is None
    assert inbox.mail(mail.message.id) is None
    inbox.restore(mail)
    assert keys(inbox) == ["three", "two", "one"]
    assert inbox.mail(mail.id) == mail
    send(sandbox, single(), idempotency_key="two")
    assert inbox.mail(mail.id).attempts == 2


def test_a_mail_that_came_again_while_it_was_deleted_is_one_mail_when_it_comes_back(sandbox, inbox):
    send(sandbox, single(), idempotency_key="order-1")
    [first] = inbox.mails()
    inbox.delete(first.id)
    for _ in range(60):
        send(sandbox, single(), idempotency_key="order-1")
    [later] = inbox.mails()
    assert later.id != first.id
    inbox.restore(first)
    [mail] = inbox.mails()
    assert (mail.id, mail.attempts, len(mail.exchanges)) == (first.id, 61, 50)
    assert mail.exchanges[0] == first.exchanges[0]


def test_restoring_twice_does_no_harm(sandbox, inbox):
    send(sandbox, single(), idempotency_key="order-1")
    mail = inbox.delete(inbox.mails()[0].id)
    inbox.restore(mail)
    inbox.restore(mail)
    assert inbox.mails() == [mail]


def test_a_mail_too_old_to_be_kept_does_not_push_out_a_newer_one(start):
    sandbox = start(max_messages=2)
    inbox = sandbox.store.inbox
    send(sandbox, single(), idempotency_key="one")
    mail = inbox.delete("1")
    for key in ("two", "three"):
        send(sandbox, single(), idempotency_key=key)
    inbox.restore(mail)
    assert keys(inbox) == ["three", "two"]


def test_a_reset_empties_the_inbox_and_never_gives_an_id_twice(sandbox, inbox):
    send(sandbox, single())
    [before] = inbox.mails()
    sandbox.store.reset()
    assert inbox.mails() == []
    send(sandbox, single())
    [after] = inbox.mails()
    assert int(after.id) == int(before.id) + 1


def test_waiting_ends_with_a_change_and_with_its_time(sandbox, inbox):
    version = inbox.version
    assert inbox.wait(version, 0.01) == version
    assert inbox.wait(version - 1, 60) == version
    answers = []
    thread = threading.Thread(target=lambda: answers.append(inbox.wait(version, 60)))
    thread.start()
    send(sandbox, single())
    assert eventually(lambda: answers == [version + 1])
    thread.join()


def test_a_stop_ends_every_wait(start):
    sandbox = start()
    inbox = sandbox.store.inbox
    version = inbox.version
    threads = [threading.Thread(target=inbox.wait, args=(version, 10 * PATIENCE), daemon=True) for _ in range(2)]
    threads[0].start()
    sandbox.stop()
    threads[1].start()  # too late to be woken by it
    assert eventually(lambda: not any(thread.is_alive() for thread in threads))
    assert inbox.version == version
