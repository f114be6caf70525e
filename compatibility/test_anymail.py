"""django-anymail's message class."""

from anymail.message import AnymailMessage


def test_anymail_message(migma_sandbox):
    """An ``AnymailMessage`` with merge data reaches each recipient, and ``anymail_status`` says so."""
    message = AnymailMessage(
        to=["kim@example.com", "lee@example.com"],
        template_id="665f1c2ab7d3e4f5a6b70811",
        merge_data={"kim@example.com": {"first_name": "Kim"}, "lee@example.com": {"first_name": "Lee"}},
        merge_global_data={"shop": "Kettle & Kiln"},
        subject="Welcome",
    )
    message.send()
    assert {mail.body["recipientEmail"]: mail.body["variables"] for mail in migma_sandbox.store.messages()} == {
        "kim@example.com": {"first_name": "Kim", "shop": "Kettle & Kiln"},
        "lee@example.com": {"first_name": "Lee", "shop": "Kettle & Kiln"},
    }
    assert message.anymail_status.status == {"queued"}
    assert message.anymail_status.recipients["kim@example.com"].message_id
