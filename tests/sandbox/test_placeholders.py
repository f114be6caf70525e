"""Placeholders become values, in the ways the switches allow."""

from __future__ import annotations

import pytest

from django_migma.sandbox import account
from tests.sandbox.asking import get, send, single

HTML = "<p>{{name}}</p>"


@pytest.fixture
def rendered(start):
    """Send raw HTML with variables to a sandbox with these switches; the message as it was kept."""

    def render(subject="", html=HTML, variables=None, **switches):
        sandbox = start(accept_template=True, **switches)
        body = single(
            emailId=None, projectId=account.FERNHILL, subject=subject, template=html, variables=variables or {}
        )
        assert send(sandbox, body).status == 200
        [message] = sandbox.store.messages()
        return message

    return render


@pytest.mark.parametrize(
    "placeholder",
    ["{{name}}", "{{ name }}", "{{\tname}}", "%7B%7Bname%7D%7D", "%7b%7bname%7d%7d", "%7B%7B%20name%20%7D%7D"],
)
def test_every_spelling_of_a_placeholder_is_replaced(rendered, placeholder):
    assert rendered(html=f"a {placeholder} b", variables={"name": "Kim"}).html == "a Kim b"


@pytest.mark.parametrize("text", ["{name}", "{{}}", "{{ }}", "{{a b}}", "%7Bname%7D", "{{#if name}}", "{{name}"])
def test_text_that_only_resembles_a_placeholder_stays(rendered, text):
    assert rendered(html=text, variables={"name": "Kim"}, missing_variables="blank").html == text


def test_a_link_takes_the_value_as_it_is(rendered):
    html = '<a href="%7B%7Breset_url%7D%7D">'
    assert rendered(html=html, variables={"reset_url": "https://a.example/?b=1&c=2"}).html == (
        '<a href="https://a.example/?b=1&c=2">'
    )


@pytest.mark.parametrize(("value", "text"), [(3, "3"), (None, "None"), (True, "True"), ({"a": [1]}, "{'a': [1]}")])
def test_values_that_are_no_text_are_written_by_str(rendered, value, text):
    assert rendered(variables={"name": value}).html == f"<p>{text}</p>"


def test_a_value_is_not_searched_for_placeholders(rendered):
    assert rendered(variables={"name": "{{name}}"}).html == "<p>{{name}}</p>"


def test_values_are_escaped_by_switch_only(rendered):
    variables = {"name": "<b>&"}
    assert rendered(variables=variables).html == "<p><b>&</p>"
    assert rendered(variables=variables, escape_variables=True).html == "<p>&lt;b&gt;&amp;</p>"


def test_a_subject_is_never_escaped(rendered):
    assert rendered("{{name}}", variables={"name": "Q&A"}, escape_variables=True).subject == "Q&A"


def test_a_subject_is_left_alone_by_switch(rendered):
    assert rendered("{{name}}", variables={"name": "Kim"}).subject == "Kim"
    assert rendered("{{name}}", variables={"name": "Kim"}, subject_variables=False).subject == "{{name}}"


def test_a_missing_variable_stays_or_disappears(rendered):
    kept = rendered("Hi {{name}}")
    assert (kept.subject, kept.html) == ("Hi {{name}}", HTML)
    blank = rendered("Hi {{name}}", missing_variables="blank")
    assert (blank.subject, blank.html) == ("Hi ", "<p></p>")


def test_missing_variables_are_refused_by_switch_once_each_in_order(start):
    sandbox = start(missing_variables="error")
    reply = send(sandbox, single(subject="{{user.name}} {{a}} %7B%7Ba%7D%7D", variables={"first_name": "Kim"}))
    assert (reply.status, reply.error) == (400, "variables: no value for user.name, a, shop_url")
    assert reply.json["data"] == {"missing": ["user.name", "a", "shop_url"]}
    assert sandbox.store.messages() == []


def test_with_all_variables_the_strict_switch_lets_pass(start):
    assert send(start(missing_variables="error"), single()).status == 200


def test_a_subject_that_is_left_alone_misses_nothing(rendered):
    message = rendered("{{greeting}}", variables={"name": 1}, subject_variables=False, missing_variables="error")
    assert message.subject == "{{greeting}}"


@pytest.mark.parametrize(
    ("email_id", "names"),
    [
        (account.WELCOME, ["first_name", "shop_url"]),
        (account.RECEIPT, ["order_number", "first_name", "items_html", "total", "order_date", "order_url"]),
        (account.PASSWORD_RESET, ["first_name", "reset_url"]),
        (account.LAYOUT, ["subject", "body_html", "body_text"]),
        (account.SERIES_1, ["first_name", "shop_url"]),
        (account.SERIES_2, ["first_name", "shop_url"]),
    ],
)
def test_the_stored_emails_use_the_variables_they_are_meant_to(start, email_id, names):
    """With no variables at all, the strict switch names them all."""
    sandbox = start(missing_variables="error")
    subject = get(sandbox, f"/v1/emails/{email_id}").data["subject"]
    reply = send(sandbox, single(emailId=email_id, subject=subject, variables={}))
    assert set(reply.json["data"]["missing"]) == set(names)
