"""Values for the variables of a test: what is typed, what is kept as it is, and what is remembered."""

import html
import re
import time

import pytest

from django_migma.models import StoredEmail

from .conftest import admin_url, messages_of
from .test_send_live import send
from .test_send_test import ask, confirm

pytestmark = pytest.mark.django_db
NAMES = "a b c d e_html"


@pytest.fixture
def email(db):
    """An email with a variable for each kind of value."""
    return StoredEmail.objects.create(
        key="kinds",
        email_id="a" * 24,
        title="Kinds",
        subject="Hello",
        html="".join(f"{{{{{name}}}}}" for name in NAMES.split()),
        sample_variables={"a": 12.5, "b": ["x", {"y": None}], "c": "one\ntwo", "e_html": "<b>e</b>", "more": True},
    )


@pytest.fixture
def editor(person):
    """A user who may send tests and change emails."""
    return person("view", "send_test", "change", name="eve")


def input_of(page, name):
    """The tag of the input for a variable."""
    return re.search(rf'<(input|textarea)[^>]*name="value\.{name}"[^>]*>', page.content.decode())


def test_each_variable_has_an_input_with_its_sample(tester, mailer, email):
    page = ask(tester, email)
    values = {bound.name: bound.value() for bound in page.context["form"].inputs}
    assert values == {
        "value.a": "12.5",
        "value.b": '["x", {"y": null}]',
        "value.c": "one\ntwo",
        "value.d": "",
        "value.e_html": "<b>e</b>",
    }
    assert [input_of(page, name)[1] for name in NAMES.split()] == ["input", "input", "textarea", "input", "textarea"]
    assert "more" not in page.context["form"].fields


def test_an_empty_input_says_what_the_reader_sees(tester, mailer, email):
    StoredEmail.objects.update(default_variables={"a": 7, "b": "<i>" + "x" * 100}, optional_variables=["c"])
    text = html.unescape(ask(tester, email).content.decode())
    assert "If empty, the reader sees the default: “7”." in text
    assert "If empty, the reader sees the default: “<i>" + "x" * 57 + "…”." in text
    assert "If empty, Migma fills it from the contact." in text
    assert "If empty, the reader may see {{d}}." in text
    assert "<i>x" not in ask(tester, email).content.decode()


def test_what_is_not_touched_keeps_its_type_and_what_is_edited_is_read_as_json_where_the_sample_was(
    tester, accepting, email
):
    send(tester, email)
    assert accepting.bodies[-1]["variables"] == {
        "a": 12.5,
        "b": ["x", {"y": None}],
        "c": "one\ntwo",
        "e_html": "<b>e</b>",
        "more": True,
    }
    send(tester, email, values={"a": "13", "b": "[", "c": "one\r\ntwo\r\n", "d": "5", "e_html": ""})
    assert accepting.bodies[-1]["variables"] == {"a": 13, "b": "[", "c": "one\ntwo\n", "d": "5", "more": True}


@pytest.mark.parametrize("typed", ["NaN", "[" * 100_000, "[" * 150 + "]" * 150, '"\\u0000"', "1e999", "9" * 5_000])
def test_what_is_no_json_is_text(tester, accepting, email, typed):
    send(tester, email, values={"a": typed})
    assert accepting.body["variables"]["a"] == typed


def test_the_values_are_remembered_as_samples(editor, accepting, email):
    StoredEmail.objects.update(default_variables={"d": "default"})
    send(editor, email, values={"a": "13", "c": "", "d": "new"}, remember="on")
    row = StoredEmail.objects.get()
    assert row.sample_variables == {
        "a": 13,
        "b": ["x", {"y": None}],
        "d": "new",
        "e_html": "<b>e</b>",
        "more": True,
    }
    assert row.default_variables == {"d": "default"}


def test_they_are_remembered_only_where_that_is_asked_for(editor, accepting, email):
    send(editor, email, values={"a": "13"}, remember="")
    send(editor, email, remember="on")
    assert StoredEmail.objects.get().sample_variables == email.sample_variables
    assert StoredEmail.objects.get().updated_at == email.updated_at


def test_who_may_not_change_the_email_cannot_have_them_remembered(tester, accepting, email):
    assert "remember" not in ask(tester, email).context["form"].fields
    send(tester, email, values={"a": "13"}, remember="on")
    assert StoredEmail.objects.get().sample_variables == email.sample_variables


def test_samples_of_the_settings_are_shown_and_not_copied(editor, accepting, email, migma):
    declared = {"email_id": email.email_id, "sample_variables": {"a": 99, "d": "declared"}}
    migma(STORED_EMAILS={"kinds": declared})
    send(editor, email, remember="on")
    assert (accepting.body["variables"]["a"], accepting.body["variables"]["d"]) == (99, "declared")
    assert StoredEmail.objects.get().sample_variables == email.sample_variables


def test_with_several_emails_there_are_no_inputs_and_those_with_gaps_come_first(editor, mailer, email, welcome):
    StoredEmail.objects.filter(pk=email.pk).update(optional_variables=["d"])
    page = ask(editor, email, welcome)
    assert page.context["form"].inputs == []
    assert "remember" not in page.context["form"].fields
    assert [(row["title"], row["gaps"]) for row in page.context["emails"]] == [
        ("Welcome", ["first_name"]),
        ("Kinds", []),
    ]
    link = f'<a class="migma-whole" href="{admin_url("change", welcome.pk)}">Add samples</a>'
    assert f"<code>first_name</code> {link}" in " ".join(page.content.decode().split())


def test_after_an_error_the_values_are_those_that_were_typed(tester, accepting, email):
    page = send(tester, email, addresses="nobody", values={"a": "<b>mine"})
    assert page.context["form"]["value.a"].value() == "<b>mine"
    assert "<b>mine" not in page.content.decode()
    assert 'data-migma-show="now"' in page.content.decode()
    assert accepting.bodies == []


HOSTILE = ["</textarea><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{a}} {% load x %}", "\u202e"]


@pytest.mark.parametrize("sample", HOSTILE)
def test_a_hostile_sample_stays_a_value(tester, accepting, email, sample):
    StoredEmail.objects.update(sample_variables={"a": sample, "e_html": sample})
    page = ask(tester, email)
    assert "<script>alert" not in page.content.decode()
    assert "<img src=x" not in page.content.decode()
    send(tester, email)
    assert accepting.body["variables"] == {"a": sample, "e_html": sample}


def test_a_megabyte_is_shown_and_sent_within_a_moment(tester, accepting, email):
    large = {"a": "{{" * 500_000, "b": ["<" * 400_000]}
    StoredEmail.objects.update(sample_variables=large)
    began = time.process_time()
    send(tester, email)
    assert time.process_time() - began < 30, "quadratic time would be hours"
    assert accepting.body["variables"] == large


def test_a_nul_is_refused_at_its_input(tester, accepting, email):
    refused = send(tester, email, values={"a": "x\0"})
    assert refused.context["form"].errors["value.a"] == ["Null characters are not allowed."]
    assert accepting.bodies == []


def test_the_preview_shows_what_is_typed_and_for_the_kind_without_values_the_placeholders(tester, mailer, email):
    url = admin_url("preview", email.pk)
    typed = {"value.a": "<i>", "value.b": "B", "value.c": "", "value.d": "", "value.e_html": "<b>x</b>"}
    shown = tester.post(url, {**typed, "kind": "customers"}).content.decode()
    assert shown.startswith("&lt;i&gt;B[c][d]<b>x</b>")
    stored = tester.post(url, {**typed, "kind": "stored"}).content.decode()
    assert stored.startswith("{{a}}{{b}}{{c}}{{d}}{{e_html}}")


def test_an_email_without_variables_has_no_inputs(editor, accepting, receipt):
    page = ask(editor, receipt)
    assert "No variables are known of this email." in page.content.decode()
    assert "There is no HTML yet." in page.content.decode()
    assert "remember" not in page.context["form"].fields


def test_values_are_not_sent_with_an_email_as_it_is_stored(editor, wire, email):
    wire.answers((200, {"success": True, "data": {"messageId": "m1"}}), url="http://127.0.0.1:9/v1/emails/test/send")
    response = confirm(editor, ask(editor, email), remember="on", **{"value.a": "13", "value.b": "B"})
    assert messages_of(response)[0][0] == "success"
    assert wire.body == {"to": "ada@example.org", "emailId": "a" * 24}
