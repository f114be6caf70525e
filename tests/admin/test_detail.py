"""The page of one stored email, as a form."""

import pytest
from django.db import connection
from django.utils import timezone

from django_migma.models import StoredEmail

from .conftest import CONVERSATION, RECEIPT, WELCOME, admin_url

ADD = {"key": "", "email_id": "", "conversation_id": "", "optional_variables": "[]", "default_variables": "{}"}


def errors(client, url, **fields):
    """What the form says of these fields, by field."""
    response = client.post(url, ADD | fields)
    assert response.status_code == 200, "it was saved"
    return {name: " ".join(texts) for name, texts in response.context["adminform"].form.errors.items()}


def test_an_email_is_added_by_its_id_as_it_comes_from_the_clipboard(admin_client, db):
    response = admin_client.post(admin_url("add"), ADD | {"key": "hello", "email_id": f" {WELCOME.upper()} "})
    assert response.status_code == 302
    email = StoredEmail.objects.get()
    assert (email.key, email.email_id, email.conversation_id) == ("hello", WELCOME, None)


def test_the_browser_does_not_cut_a_pasted_id(admin_client, db):
    """A space in front of 24 digits would push the last one out."""
    text = admin_client.get(admin_url("add")).content.decode()
    assert 'name="key" class="vTextField" maxlength="100"' in text
    assert 'name="email_id" class="vTextField" maxlength' not in text


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"email_id": "665f"}, {"email_id": "Migma's ids are 24 hex digits, such as 665f1c2ab7d3e4f5a6b70001."}),
        ({"email_id": "z" * 24}, {"email_id": "Migma's ids are 24 hex digits, such as 665f1c2ab7d3e4f5a6b70001."}),
        ({"email_id": WELCOME}, {"email_id": "Stored email with this Email id already exists."}),
        ({"key": "welcome", "email_id": RECEIPT}, {"key": "Stored email with this Key already exists."}),
        (
            {"key": RECEIPT, "email_id": RECEIPT},
            {"key": "24 hex digits are an id of Migma's. Choose a word, such as welcome."},
        ),
        (
            {"key": "two words", "email_id": RECEIPT},
            {"key": "Use letters, digits, - and _ only, such as welcome or order-receipt."},
        ),
        ({}, {"__all__": "Give the id of the email, or that of its conversation."}),
        (
            {"email_id": RECEIPT, "default_variables": "[1]"},
            {"default_variables": 'Give values by name, such as {"first_name": "there"}.'},
        ),
        ({"email_id": RECEIPT, "default_variables": "{"}, {"default_variables": "Enter a valid JSON."}),
        (
            {"email_id": RECEIPT, "default_variables": f'{{"a": {"[" * 400}{"]" * 400}}}'},
            {"default_variables": "It holds a number or a character that JSON cannot carry."},
        ),
        (
            {"email_id": RECEIPT, "default_variables": '{"a": NaN}'},
            {"default_variables": "It holds a number or a character that JSON cannot carry."},
        ),
        (
            {"email_id": RECEIPT, "optional_variables": '"x"'},
            {"optional_variables": 'Give a list of names, such as ["first_name"].'},
        ),
        (
            {"email_id": RECEIPT, "from_email": "nobody"},
            {"from_email": "Give one address, such as hello@example.com."},
        ),
        *[
            (
                {"email_id": RECEIPT, "from_name": f"Shop{character}Bcc: eve@example.org"},
                {"from_name": "Use one line, without control characters."},
            )
            for character in "\r\n\x1b\u2028"
        ],
    ],
    ids=lambda value: str(value)[:80],
)
def test_a_faulty_field_says_what_it_wants(admin_client, welcome, fields, said):
    assert errors(admin_client, admin_url("add"), **fields) == said


def test_an_invalid_value_does_not_break_the_preview(admin_client, welcome):
    """The preview is made of the faulty form's own email."""
    said = errors(admin_client, admin_url("change", welcome.pk), email_id=WELCOME, default_variables="[1]")
    assert said == {"default_variables": 'Give values by name, such as {"first_name": "there"}.'}


def test_empty_boxes_mean_no_variables(admin_client, welcome):
    empty = {"email_id": WELCOME, "optional_variables": "", "default_variables": ""}
    assert admin_client.post(admin_url("change", welcome.pk), ADD | empty).status_code == 302
    welcome.refresh_from_db()
    assert (welcome.optional_variables, welcome.default_variables, welcome.key) == ([], {}, None)


def test_fields_from_migma_cannot_be_edited(admin_client, welcome):
    fields = {"email_id": WELCOME, "title": "Mine", "subject": "Mine", "html": "Mine", "status": "gone"}
    assert admin_client.post(admin_url("change", welcome.pk), ADD | fields).status_code == 302
    welcome.refresh_from_db()
    assert (welcome.title, welcome.subject, welcome.status) == ("Welcome", "Hello {{first_name}}", "")
    assert welcome.html == "<p>{{first_name}}</p>"
    assert welcome.variable_names == ["first_name"]


def test_ids_stay_as_they_are_once_migma_has_sent_them(admin_client, welcome):
    StoredEmail.objects.update(synced_at=timezone.now())
    fields = {"key": "hi", "email_id": RECEIPT, "conversation_id": CONVERSATION}
    assert admin_client.post(admin_url("change", welcome.pk), ADD | fields).status_code == 302
    welcome.refresh_from_db()
    assert (welcome.key, welcome.email_id, welcome.conversation_id) == ("hi", WELCOME, None)


def test_saving_the_form_changes_nothing_else(admin_client, welcome):
    """A test or a sync may come between reading the row and writing it."""
    now = timezone.now()

    def overtake(execute, sql, params, many, context):
        if sql.startswith("UPDATE") and '"key"' in sql:
            StoredEmail.objects.filter(pk=welcome.pk).update(
                test_claim=7, last_tested_at=now, title="Bye", subject="Bye {{name}}", variable_names=["name"]
            )
        return execute(sql, params, many, context)

    before = welcome.updated_at
    with connection.execute_wrapper(overtake):
        saved = admin_client.post(admin_url("change", welcome.pk), ADD | {"key": "hi", "email_id": WELCOME})
    assert saved.status_code == 302
    welcome.refresh_from_db()
    assert (welcome.key, welcome.test_claim, welcome.last_tested_at) == ("hi", 7, now)
    assert (welcome.title, welcome.subject, welcome.variable_names) == ("Bye", "Bye {{name}}", ["name"])
    assert welcome.updated_at > before


def test_the_preview_comes_first_and_what_migma_sent_last(admin_client, welcome):
    text = admin_client.get(admin_url("change", welcome.pk)).content.decode()
    parts = ["<iframe", 'id="id_value.first_name"', 'id="id_key"', 'id="id_default_variables"', "From Migma"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert all(text.count(f'id="id_{name}"') == 1 for name in ("key", "email_id", "default_variables", "from_name"))


def test_the_page_to_add_one_leads_to_the_sync_first(admin_client, person, migma_sandbox):
    """Its button belongs to a form of its own."""
    text = admin_client.get(admin_url("add")).content.decode()
    assert "A sync adds the emails of your project by itself." in text
    assert f'<form method="post" action="{admin_url("sync")}" id="migma-sync"' in text
    assert '<button type="submit" form="migma-sync"' in text
    assert "migma-sync" not in person("add").get(admin_url("add")).content.decode()


def test_a_user_who_may_only_view_sees_the_preview_and_no_button(person, welcome):
    text = person("view").get(admin_url("change", welcome.pk)).content.decode()
    assert "Hello [first name]" in text
    assert "Send a test" not in text
    assert 'name="_save"' not in text


def test_a_stored_email_can_be_deleted(admin_client, welcome):
    admin_client.post(admin_url("delete", welcome.pk), {"post": "yes"})
    assert not StoredEmail.objects.exists()
