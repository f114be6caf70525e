"""Placeholders become values, in the ways the switches allow."""

from __future__ import annotations

import pytest

from django_migma.sandbox import data, rendering
from django_migma.sandbox.switches import Switches
from tests.sandbox.asking import get, send, single

HTML = "<p>{{name}}</p>"


def content(subject="", html=HTML, variables=None, **switches):
    return rendering.Content(
        subject_source=subject, html_source=html, variables=variables or {}, switches=Switches(**switches)
    )


@pytest.mark.parametrize(
    "placeholder",
    ["{{name}}", "{{ name }}", "{{\tname}}", "%7B%7Bname%7D%7D", "%7b%7bname%7d%7d", "%7B%7B%20name%20%7D%7D"],
)
def test_every_spelling_of_a_placeholder_is_replaced(placeholder):
    filled = rendering.fill(f"a {placeholder} b", {"name": "Kim"}, escape=False, blank=False)
    assert filled == "a Kim b"


@pytest.mark.parametrize("text", ["{name}", "{{}}", "{{ }}", "{{a b}}", "%7Bname%7D", "{{#if name}}", "{{name}"])
def test_what_only_resembles_a_placeholder_stays(text):
    assert rendering.fill(text, {"name": "Kim"}, escape=True, blank=True) == text


def test_a_link_takes_the_value_as_it_is():
    html = '<a href="%7B%7Breset_url%7D%7D">'
    assert content(html=html, variables={"reset_url": "https://a.example/?b=1&c=2"}).html == (
        '<a href="https://a.example/?b=1&c=2">'
    )


@pytest.mark.parametrize(("value", "text"), [(3, "3"), (None, "None"), (True, "True"), ({"a": [1]}, "{'a': [1]}")])
def test_values_that_are_no_text_are_written_by_str(value, text):
    assert content(variables={"name": value}).html == f"<p>{text}</p>"


def test_a_value_is_not_read_for_placeholders_again():
    assert content(variables={"name": "{{name}}"}).html == "<p>{{name}}</p>"


def test_names_are_listed_once_in_order():
    assert rendering.placeholder_names("{{b}} {{a}} %7B%7Bb%7D%7D {{user.name}}") == ["b", "a", "user.name"]


def test_values_are_put_in_as_they_are_unless_switched():
    variables = {"name": "<b>&"}
    assert content(variables=variables).html == "<p><b>&</p>"
    assert content(variables=variables, escape_variables=True).html == "<p>&lt;b&gt;&amp;</p>"


def test_a_subject_is_never_escaped():
    subject = content("{{name}}", variables={"name": "Q&A"}, escape_variables=True).subject
    assert subject == "Q&A"


def test_a_subject_is_left_alone_by_switch():
    assert content("{{name}}", variables={"name": "Kim"}).subject == "Kim"
    assert content("{{name}}", variables={"name": "Kim"}, subject_variables=False).subject == "{{name}}"


def test_a_missing_variable_stays_or_disappears():
    assert content("Hi {{name}}").subject == "Hi {{name}}"
    assert content().html == HTML
    assert content("Hi {{name}}", missing_variables="blank").subject == "Hi "
    assert content(missing_variables="blank").html == "<p></p>"


def test_missing_variables_are_refused_by_switch(start):
    sandbox = start(missing_variables="error")
    reply = send(sandbox, single(subject="{{greeting}}", variables={"first_name": "Kim"}))
    assert (reply.status, reply.error) == (400, "variables: no value for greeting, shop_url")
    assert reply.json["data"] == {"missing": ["greeting", "shop_url"]}
    assert sandbox.store.messages() == []


def test_with_all_variables_the_strict_switch_lets_pass(start):
    assert send(start(missing_variables="error"), single()).status == 200


def test_a_subject_that_is_left_alone_misses_nothing():
    assert content("{{greeting}}", variables={"name": 1}, subject_variables=False).missing() == []


@pytest.mark.parametrize(
    ("email_id", "names"),
    [
        (data.WELCOME, {"first_name", "shop_url"}),
        (data.RECEIPT, {"first_name", "order_number", "order_date", "items_html", "total", "order_url"}),
        (data.PASSWORD_RESET, {"first_name", "reset_url"}),
        (data.LAYOUT, {"subject", "body_html", "body_text"}),
        (data.SERIES_1, {"first_name", "shop_url"}),
        (data.SERIES_2, {"first_name", "shop_url"}),
    ],
)
def test_the_stored_emails_use_the_variables_they_are_meant_to(sandbox, email_id, names):
    email = get(sandbox, f"/v1/emails/{email_id}").data
    assert set(rendering.placeholder_names(email["subject"] + email["html"])) == names
