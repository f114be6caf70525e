"""The rows of stored emails: what they accept, and what they find out for themselves."""

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import IntegrityError, transaction

from django_migma.models import StoredEmail

WELCOME = "665f1c2ab7d3e4f5a6b70001"
CONVERSATION = "665f1c2ab7d3e4f5a6c70001"

pytestmark = pytest.mark.django_db


def invalid(**fields):
    """What validation says of a row, by field."""
    with pytest.raises(ValidationError) as caught:
        StoredEmail(**{"email_id": WELCOME, **fields}).full_clean()
    return {name: " ".join(texts) for name, texts in caught.value.message_dict.items()}


@pytest.mark.parametrize("key", ["welcome", "order-receipt_2", "W", None, ""])
def test_a_key_is_a_slug_or_not_given_yet(key):
    row = StoredEmail(email_id=WELCOME, key=key)
    row.full_clean()
    assert row.key == (key or None)


@pytest.mark.parametrize("key", ["two words", "ümlaut", "a.b", "welcome\n"])
def test_a_key_that_is_no_slug_is_refused(key):
    found = invalid(key=key) if key.strip() == key else invalid(key="a\nb")
    assert found == {"key": "Use letters, digits, - and _ only, such as welcome or order-receipt."}


def test_a_key_may_not_look_like_an_id():
    """Code could not say which of the two it means."""
    assert invalid(key="a" * 24) == {"key": "24 hex digits are an id of Migma's. Choose a word, such as welcome."}


def test_a_key_that_is_taken_is_refused():
    StoredEmail.objects.create(email_id=WELCOME, key="welcome")
    found = invalid(email_id="665f1c2ab7d3e4f5a6b70002", key="welcome")
    assert found == {"key": "Stored email with this Key already exists."}


@pytest.mark.parametrize("field", ["email_id", "conversation_id"])
@pytest.mark.parametrize("value", ["665f1c2ab7d3e4f5a6b7000", "665f1c2ab7d3e4f5a6b7000x", "welcome"])
def test_an_id_has_24_hex_digits(field, value):
    found = invalid(**{field: value})
    assert found == {field: "Migma's ids are 24 hex digits, such as 665f1c2ab7d3e4f5a6b70001."}


def test_an_id_is_kept_in_lower_case_and_without_space():
    row = StoredEmail(email_id=f" {WELCOME.upper()} ", conversation_id=CONVERSATION.upper())
    row.full_clean()
    row.save()
    row.refresh_from_db()
    assert (row.email_id, row.conversation_id) == (WELCOME, CONVERSATION)
    assert StoredEmail.objects.get(email_id=WELCOME.upper()) == row


def test_a_row_needs_one_of_the_ids():
    found = invalid(email_id="")
    assert found == {"__all__": "Give the id of the email, or that of its conversation."}
    with pytest.raises(IntegrityError), transaction.atomic():
        StoredEmail.objects.create(title="Nothing")


def test_several_rows_may_lack_a_key_and_an_email_id():
    for conversation in (CONVERSATION, "665f1c2ab7d3e4f5a6c70002"):
        StoredEmail.objects.create(conversation_id=conversation, key="", email_id="")
    assert StoredEmail.objects.filter(key=None, email_id=None).count() == 2
    assert not StoredEmail.objects.named().exists()


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("optional_variables", {"first_name": 1}, 'Give a list of names, such as ["first_name"].'),
        ("optional_variables", [1], 'Give a list of names, such as ["first_name"].'),
        ("default_variables", ["first_name"], 'Give values by name, such as {"first_name": "there"}.'),
        ("optional_variables", ["\0"], 'Give a list of names, such as ["first_name"].'),
        ("default_variables", {"a": float("nan")}, "It holds a number or a character that JSON cannot carry."),
        ("default_variables", {"a": ["\ud83d"]}, "It holds a number or a character that JSON cannot carry."),
        ("default_variables", {"a": "\0"}, "It holds a number or a character that JSON cannot carry."),
        ("from_email", "a@b.example, c@d.example", "Give one address, such as hello@example.com."),
        ("from_email", "nobody", "Give one address, such as hello@example.com."),
    ],
)
def test_what_could_not_be_used_is_refused(field, value, text):
    assert invalid(**{field: value}) == {field: text}


def test_what_can_be_used_is_accepted():
    row = StoredEmail(
        email_id=WELCOME,
        from_email="The crew <crew@example.com>",
        optional_variables=["first_name"],
        default_variables={"first_name": "there", "total": 1.5, "items": [None]},
    )
    row.full_clean()
    row.save()
    assert row.as_stored().optional_variables == {"first_name"}


def test_variables_are_found_in_subject_preheader_and_html():
    row = StoredEmail.objects.create(
        email_id=WELCOME,
        subject="Hello {{first_name}}",
        preheader="{{ offer }} ends soon",
        html='<a href="https://x.example/?u=%7B%7Buser%7D%7D&v=%7b%7B%20voucher%20%7D%7d">{{first_name}}</a>',
    )
    row.refresh_from_db()
    assert row.variable_names == ["first_name", "offer", "user", "voucher"]


def test_variables_are_found_again_whenever_a_text_is_saved():
    row = StoredEmail.objects.create(email_id=WELCOME, subject="{{old}}")
    row.subject = "{{new}}"
    row.save(update_fields=(name for name in ["subject"]))
    row.refresh_from_db()
    assert row.variable_names == ["new"]
    row.title = "Renamed"
    row.save(update_fields=(name for name in ["title"]))
    row.refresh_from_db()
    assert (row.title, row.variable_names) == ("Renamed", ["new"])


def test_what_a_form_leaves_empty_is_empty():
    """Django validates no empty value, and a list in place of a dict would stop every mail."""
    row = StoredEmail(email_id=WELCOME, default_variables=[], optional_variables={})
    row.full_clean()
    assert (row.default_variables, row.optional_variables) == ({}, [])


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"key": "welcome", "title": "Welcome aboard"}, "welcome (Welcome aboard)"),
        ({"title": "Welcome aboard", "subject": "Hello"}, "Welcome aboard"),
        ({"subject": "Hello"}, "Hello"),
        ({}, WELCOME),
        ({"email_id": None, "conversation_id": CONVERSATION}, CONVERSATION),
        ({"email_id": None}, "-"),
        ({"title": "x" * 1000}, "x" * 79 + "…"),
    ],
)
def test_a_row_is_shown_by_what_tells_it_apart(fields, shown):
    assert str(StoredEmail(**{"email_id": WELCOME, **fields})) == shown


def test_migrations_are_complete():
    """On every supported Django: nothing is left to make."""
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)
    assert StoredEmail._meta.pk.get_internal_type() == "BigAutoField"


def test_rows_of_a_project():
    mine = StoredEmail.objects.create(email_id=WELCOME, project_id="p1")
    StoredEmail.objects.create(email_id="665f1c2ab7d3e4f5a6b70002", project_id="p2")
    assert StoredEmail.objects.of_project("p1").get() == mine
