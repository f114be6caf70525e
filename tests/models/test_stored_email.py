"""Rows of stored emails: what they accept and find out, and what a message with a key, an id or a row sends."""

import logging
import subprocess
import sys
import textwrap
import time

import pytest
from django.core import mail
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, transaction

from django_migma.exceptions import InvalidAddress, MissingVariables, SendFailed, StoredEmailNotFound
from django_migma.message import MigmaMessage
from django_migma.models import StoredEmail

WELCOME = "665f1c2ab7d3e4f5a6b70001"
RECEIPT = "665f1c2ab7d3e4f5a6b70002"
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
    assert invalid(key=key) == {"key": "Use letters, digits, - and _ only, such as welcome or order-receipt."}


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


def test_an_id_is_kept_in_lower_case():
    row = StoredEmail(email_id=WELCOME.upper(), conversation_id=CONVERSATION.upper())
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
        ("from_name", "Shop\r\nBcc: eve@example.com", "Use one line, without control characters."),
        ("from_name", "Shop\x1b[2J", "Use one line, without control characters."),
        ("subject", "Hello\nBcc: eve@example.com", "Use one line, without control characters."),
        ("subject", "Hello\u2028there", "Use one line, without control characters."),
    ],
)
def test_what_could_not_be_used_is_refused(field, value, text):
    assert invalid(**{field: value}) == {field: text}


def test_what_can_be_used_is_accepted():
    row = StoredEmail(
        email_id=WELCOME,
        subject="Hello {{first_name}}",
        from_email="The crew <crew@example.com>",
        from_name="The crew",
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
    """Django validates no empty value, and a list in place of a dict would stop each mail."""
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
def test_a_row_is_shown_by_its_key_and_the_first_text_it_has(fields, shown):
    assert str(StoredEmail(**{"email_id": WELCOME, **fields})) == shown


def test_a_long_title_is_cut_before_it_is_worked_on():
    """Unicode's normal form of 260 kB of combining marks takes 15 s, and of twice as many a minute."""
    began = time.thread_time()
    assert len(str(StoredEmail(title="a" + "\u0301\u0316" * 130_000))) == 80
    assert time.thread_time() - began < 10


def test_migrations_are_complete():
    """On every supported Django: nothing is left to make."""
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)
    assert StoredEmail._meta.pk.get_internal_type() == "BigAutoField"


@pytest.fixture
def welcome():
    return StoredEmail.objects.create(key="welcome", email_id=WELCOME, subject="Hello {{first_name}}")


def message(template_id="welcome", to=("ada@example.org",), **fields):
    return MigmaMessage(
        **{"to": list(to), "template_id": template_id, "merge_global_data": {"first_name": "A"}} | fields
    )


def test_a_key_selects_its_email(accepting, welcome):
    message().send()
    assert accepting.body["emailId"] == WELCOME


def test_a_row_selects_itself_without_a_query(accepting, welcome, django_assert_num_queries):
    with django_assert_num_queries(0):
        message(welcome).send()
    assert accepting.body["emailId"] == WELCOME


def test_a_raw_id_needs_no_table(accepting, django_assert_num_queries):
    with django_assert_num_queries(0):
        message(RECEIPT).send()
    assert accepting.body["emailId"] == RECEIPT


def test_any_number_of_keys_takes_one_query(accepting, connection, welcome, django_assert_num_queries):
    """Per call: a bulk must not ask for each message, nor for each key."""
    StoredEmail.objects.create(key="receipt", email_id=RECEIPT)
    messages = (message(key) for key in ("welcome", "receipt", "welcome"))
    with django_assert_num_queries(1):
        assert connection().send_messages(messages) == 3
    assert sorted(body["emailId"] for body in accepting.bodies) == sorted([WELCOME, RECEIPT, WELCOME])


def test_a_row_without_an_email_id_sends_its_conversation(accepting):
    StoredEmail.objects.create(key="welcome", conversation_id=CONVERSATION)
    message().send()
    assert accepting.body["conversationId"] == CONVERSATION
    assert "emailId" not in accepting.body


def test_an_unknown_key_names_near_ones_and_sends_nothing(accepting, welcome):
    unknown = message("welcom", to=["ada@example.org", "bob@example.org"])
    with pytest.raises(StoredEmailNotFound) as caught:
        unknown.send()
    assert str(caught.value) == (
        "No stored email has the key 'welcom'. Did you mean 'welcome'? A raw id has 24 hex digits."
    )
    assert unknown.migma_status.status == {"not_attempted"}
    assert accepting.bodies == []


def test_a_key_without_similar_ones_says_where_keys_are_given(accepting, welcome):
    with pytest.raises(StoredEmailNotFound, match=r"'zzz'\. Give a stored email this key in the admin, or"):
        message("zzz").send()


def test_only_that_message_is_refused(accepting, connection, welcome):
    with pytest.raises(StoredEmailNotFound):
        connection().send_messages([message("nothing"), message()])
    assert len(accepting.bodies) == 1


@pytest.mark.parametrize("template_id", [7.0, True, ["welcome"]])
def test_another_type_is_refused(accepting, template_id):
    kind = type(template_id).__name__
    with pytest.raises(TypeError, match=f"template_id must be a key, an id or a StoredEmail, not {kind}"):
        message(template_id).send()


def test_an_integer_is_looked_up_as_its_string(accepting, welcome):
    """Code that was written for other providers has their numbers."""
    StoredEmail.objects.update(key="4711")
    message(4711).send()
    assert accepting.body["emailId"] == WELCOME


def test_without_the_app_a_key_is_refused_with_the_reason():
    script = """
        import django
        from django.conf import settings
        settings.configure(DEFAULT_FROM_EMAIL="Shop <a@b.example>", INSTALLED_APPS=[],
            MIGMA={"API_KEY": "sk_test", "API_URL": "http://127.0.0.1:9/v1", "MAX_RETRIES": 0})
        SETUP
        from django_migma.backends import EmailBackend
        from django_migma.message import MigmaMessage
        try:
            EmailBackend().send_messages([MigmaMessage(to=["ada@example.org"], template_id="welcome")])
        except LookupError as error:
            print(error)
    """
    for setup in ("django.setup()", "pass"):
        code = textwrap.dedent(script).replace("SETUP", setup)
        done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines() == [
            (
                "No stored email is known by the key 'welcome': MIGMA['STORED_EMAILS'] does not have it, and other "
                "keys need the app, but 'django_migma' is not in INSTALLED_APPS. Add the key to "
                "MIGMA['STORED_EMAILS'], or the app to INSTALLED_APPS. Or give Migma's id of the email as "
                "template_id, 24 hex digits."
            )
        ]


def test_a_key_in_another_case_is_near(accepting, welcome):
    with pytest.raises(StoredEmailNotFound, match=r"has the key 'WELCOME'\. Did you mean 'welcome'\?"):
        message("WELCOME").send()


def test_a_key_of_any_length_is_shown_in_part(accepting, welcome):
    with pytest.raises(StoredEmailNotFound) as caught:
        message("k" * 10_000).send()
    assert len(str(caught.value)) < 250


def test_a_row_without_ids_is_refused(accepting):
    """Its request would have no content."""
    with pytest.raises(StoredEmailNotFound, match="neither an email id nor a conversation id"):
        message(StoredEmail()).send()
    assert accepting.bodies == []


def test_a_database_that_fails_is_asked_once(accepting, connection, no_table, django_assert_num_queries):
    messages = [message() for _ in range(3)]
    with django_assert_num_queries(1), pytest.raises(DatabaseError, match="django_migma_storedemail"):
        connection(fail_silently=True).send_messages(messages)
    assert [sent.migma_status.status for sent in messages] == [{"not_attempted"}] * 3


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        ({"default_variables": ["a"]}, "default_variables of the stored email 'welcome' must be a dict, not list"),
        ({"optional_variables": 5}, "'int' object is not iterable"),
    ],
)
def test_a_row_that_sql_has_damaged_fails_alone(accepting, connection, welcome, damage, text):
    StoredEmail.objects.filter(key="welcome").update(**damage)
    StoredEmail.objects.create(key="other", email_id=RECEIPT)
    with pytest.raises(TypeError, match=text):
        connection().send_messages([message(), message("other")])
    assert accepting.body["emailId"] == RECEIPT


def test_its_subject_replaces_an_empty_one(accepting, welcome):
    message().send()
    message(subject="Mine").send()
    assert [body["subject"] for body in accepting.bodies] == ["Hello {{first_name}}", "Mine"]


class TestSender:
    """An explicit from, the stored email's, ``FROM_EMAIL``, Django's settings."""

    @pytest.fixture(autouse=True)
    def stored(self, migma):
        migma(FROM_EMAIL="Site <site@example.com>", FROM_NAME="Fallback")
        return StoredEmail.objects.create(
            key="welcome", email_id=WELCOME, from_email="crew@example.com", from_name="The crew"
        )

    def sender(self, wire):
        return wire.body["from"], wire.body["fromName"]

    def test_the_stored_emails_own_beats_the_settings(self, accepting):
        message().send()
        assert self.sender(accepting) == ("crew@example.com", "The crew")

    def test_an_explicit_sender_beats_it(self, accepting):
        message(from_email="Ada <ada@example.com>").send()
        assert self.sender(accepting) == ("ada@example.com", "Ada")

    def test_an_explicit_address_without_a_name_takes_its_name(self, accepting):
        message(from_email="ada@example.com").send()
        assert self.sender(accepting) == ("ada@example.com", "The crew")

    def test_its_name_goes_with_the_sites_address(self, accepting, stored):
        StoredEmail.objects.update(from_email="")
        message().send()
        assert self.sender(accepting) == ("site@example.com", "The crew")

    def test_without_any_the_site_sends(self, accepting, stored):
        StoredEmail.objects.update(from_email="", from_name="")
        message().send()
        assert self.sender(accepting) == ("site@example.com", "Site")

    def test_an_invalid_address_is_refused_by_name(self, accepting, stored):
        StoredEmail.objects.update(from_email="crew")
        with pytest.raises(InvalidAddress, match="from_email of the stored email 'welcome' is not an address"):
            message().send()


def test_its_provider_applies_unless_the_message_says_otherwise(accepting, migma):
    migma(PROVIDER_TYPE="migma")
    StoredEmail.objects.create(key="welcome", email_id=WELCOME, provider_type="ses")
    message().send()
    message(esp_extra={"providerType": "resend"}).send()
    assert [body["providerType"] for body in accepting.bodies] == ["ses", "resend"]


def test_its_default_variables_replace_those_that_a_message_lacks(accepting, welcome):
    StoredEmail.objects.update(default_variables={"first_name": "there", "offer": "coffee"})
    message(
        to=["ada@example.org", "bob@example.org"],
        merge_global_data={"offer": "tea"},
        merge_data={"bob@example.org": {"first_name": "Bob"}},
    ).send()
    assert sorted((body["variables"]["first_name"], body["variables"]["offer"]) for body in accepting.bodies) == [
        ("Bob", "tea"),
        ("there", "tea"),
    ]


class TestMissingVariables:
    """No customer should read ``{{first_name}}``."""

    @pytest.fixture
    def lacking(self, welcome):
        return message(
            to=["ada@example.org", "bob@example.org"],
            merge_global_data=None,
            merge_data={"bob@example.org": {"first_name": "Bob"}},
        )

    def test_are_logged_by_default(self, accepting, lacking, caplog):
        with caplog.at_level(logging.WARNING, "django_migma"):
            lacking.send()
        assert lacking.migma_status.missing_variables == {"first_name"}
        assert len(accepting.bodies) == 2
        through = "the mailer 'default'" if hasattr(mail, "mailers") else "Migma"
        [line] = caplog.messages
        assert line == (
            f"Mail through {through} lacked variables that the stored email 'welcome' uses: first_name. "
            "See MISSING_VARIABLES."
        )

    def test_stop_the_message_if_the_settings_say_so(self, accepting, lacking, migma):
        migma(MISSING_VARIABLES="raise")
        with pytest.raises(MissingVariables) as caught:
            lacking.send()
        assert caught.value.names == ("first_name",)
        assert str(caught.value) == (
            "The stored email 'welcome' uses first_name, which 1 of 2 recipients would not get. Pass them in "
            "merge_global_data or merge_data, or give them a default in the stored email's default_variables, or "
            "name them in its optional_variables if Migma fills them from the contact."
        )
        assert accepting.bodies == []

    def test_a_refused_message_names_them_too(self, accepting, lacking, migma, caplog):
        migma(MISSING_VARIABLES="raise", FAIL_SILENTLY=True)
        lacking.send()
        assert lacking.migma_status.missing_variables == {"first_name"}
        [line] = caplog.messages
        assert "was not accepted (2 not_attempted): The stored email 'welcome' uses first_name" in line

    def test_a_subject_of_the_messages_own_counts_in_place_of_the_other(self, accepting, welcome, migma):
        migma(MISSING_VARIABLES="raise")
        assert message(subject="Hello Ada", merge_global_data=None).send() == 1
        with pytest.raises(MissingVariables, match="uses nick, which 1 of 1"):
            message(subject="Hello {{nick}}", merge_global_data=None).send()

    def test_a_row_that_was_never_saved_is_searched_for_them(self, accepting, migma):
        migma(MISSING_VARIABLES="raise")
        with pytest.raises(MissingVariables, match="uses first_name"):
            message(StoredEmail(email_id=WELCOME, html="{{first_name}}"), merge_global_data=None).send()

    def test_can_be_ignored(self, accepting, lacking, migma, caplog):
        migma(MISSING_VARIABLES="ignore")
        lacking.send()
        assert lacking.migma_status.missing_variables == frozenset()
        assert caplog.messages == []

    @pytest.mark.parametrize(
        "known", [{"optional_variables": ["first_name"]}, {"default_variables": {"first_name": "there"}}]
    )
    def test_variables_that_migma_or_a_default_fills_are_not_missing(self, accepting, lacking, migma, known):
        migma(MISSING_VARIABLES="raise")
        StoredEmail.objects.update(**known)
        assert lacking.send() == 1

    def test_a_message_that_passes_all_is_sent(self, accepting, welcome, migma):
        migma(MISSING_VARIABLES="raise")
        assert message().send() == 1

    def test_quiet_mode_swallows_the_refusal(self, accepting, lacking, migma):
        migma(MISSING_VARIABLES="raise", FAIL_SILENTLY=True)
        assert lacking.send() == 0
        assert accepting.bodies == []

    def test_several_refusals_are_counted(self, accepting, connection, welcome, migma):
        migma(MISSING_VARIABLES="raise")
        with pytest.raises(SendFailed, match="2 failures in one call"):
            connection().send_messages([message(merge_global_data=None) for _ in range(2)])


def test_the_outbox_of_a_sites_tests_knows_keys_too(migma_outbox, welcome):
    message().send()
    assert migma_outbox[0].migma_payloads[0]["emailId"] == WELCOME
