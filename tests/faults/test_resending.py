"""Mail that is sent again: with an idempotency key of the caller's own, and after a failure."""

from __future__ import annotations

import pytest

from django_migma.exceptions import Conflict
from tests.faults.sending import FastBackend, accepted, mail, misbehaving, recipients, send, untruths
from tests.processes import run

SEND = """
    one = message()
    one.idempotency_key = "order-7"
    EmailBackend().send_messages([one])
    [status] = one.migma_status.recipients.values()
    print(status.status, status.replayed, status.idempotency_key)
"""


def test_a_task_that_is_run_again_in_another_process_is_the_same_mail():
    """The first process loses the reply and gives up."""
    with misbehaving() as sandbox:
        sandbox.faults.script("half")
        reached = {"API_URL": sandbox.api_url, "API_KEY": sandbox.keys.full, "FROM_EMAIL": "shop@b.example"}
        lost = run(SEND.replace("EmailBackend()", "EmailBackend(fail_silently=True)"), **reached, MAX_RETRIES=0)
        again = run(SEND, **reached)
        [key] = accepted(sandbox)
        assert lost.stdout == f"unknown False {key}\n", lost.stderr
        assert again.stdout == f"queued True {key}\n", again.stderr
        assert accepted(sandbox).total() == 1


def test_another_body_with_the_same_key_is_refused_and_the_error_names_the_key():
    with misbehaving() as sandbox:
        send([mail("ada@example.org", idempotency_key="order-7")])
        changed = mail("ada@example.org", idempotency_key="order-7", subject="Changed")
        with pytest.raises(Conflict, match="The first request with this idempotency key had another body") as caught:
            FastBackend().send_messages([changed])
        [key] = accepted(sandbox)
        assert str(caught.value).endswith(f"Idempotency key: {key}")
        assert [status.status for status in recipients([changed])] == ["failed"]


def test_a_body_that_cannot_be_written_is_refused_for_all_recipients_and_leaves_the_doubt():
    """Python writes no number of more than 4,300 digits: that is noticed before the first request."""
    with misbehaving() as sandbox:
        sandbox.faults.script("half")
        message = mail("ada@example.org", "eve@example.org")
        send([message], max_retries=0, max_concurrency=1)
        message.merge_data = {"eve@example.org": {"total": 10**5000}}
        posts = sandbox.store.stats()["sending_posts"]
        message.to.append("bob@example.org")
        send([message], max_retries=0)
        assert sandbox.store.stats()["sending_posts"] == posts
        words = {address: status.status for address, status in message.migma_status.recipients.items()}
        assert words == {
            "ada@example.org": "unknown",
            "eve@example.org": "queued",
            "bob@example.org": "not_attempted",
        }
        assert untruths([message], sandbox) == []
