"""Of each variable of a mail, the inbox knows where it is used, and what is missing or meant otherwise."""

from __future__ import annotations

import pytest

from django_migma.sandbox import account
from django_migma.sandbox.placeholders import variables_used
from tests.sandbox.asking import ask, send, single


def rows(sandbox):
    [mail] = sandbox.store.inbox.mails()
    return [(row.name, row.value, dict(row.places), row.state.value, row.meant) for row in mail.variables_used]


def test_each_variable_has_its_places_and_its_state(sandbox):
    given = {"first_name": "Kim", "order_nr": "FH-2", "totla": "€ 12.00", "vip": True}
    send(sandbox, single(emailId=account.RECEIPT, subject="{{order_number}} for {{first_name}}", variables=given))
    assert rows(sandbox) == [
        ("order_number", None, {"subject": 1, "body": 2}, "missing", ""),
        ("first_name", "Kim", {"subject": 1, "body": 1}, "filled", ""),
        ("total", None, {"body": 2}, "missing", ""),
        ("order_date", None, {"body": 1}, "missing", ""),
        ("items_html", None, {"body": 1}, "missing", ""),
        ("order_url", None, {"body": 1}, "missing", ""),
        ("order_nr", "FH-2", {}, "unused", "order_url"),
        ("totla", "€ 12.00", {}, "unused", "total"),
        ("vip", True, {}, "unused", ""),
    ]
    [mail] = sandbox.store.inbox.mails()
    assert mail.missing_variables == ["order_number", "total", "order_date", "items_html", "order_url"]


@pytest.mark.parametrize("key", ["order-1", None])
def test_a_mail_that_was_refused_for_a_missing_variable_says_so(start, key):
    sandbox = start(missing_variables="error")
    send(sandbox, single(variables={"firstname": "Kim"}), idempotency_key=key)
    assert rows(sandbox) == [
        ("first_name", None, {"subject": 1, "body": 1}, "missing", ""),
        ("shop_url", None, {"body": 1}, "missing", ""),
        ("firstname", "Kim", {}, "unused", "first_name"),
    ]


def test_a_subject_that_is_left_alone_uses_no_variable(start):
    sandbox = start(subject_variables=False)
    send(sandbox, single())
    assert rows(sandbox)[0] == ("first_name", "Kim", {"body": 1}, "filled", "")


def test_raw_html_is_searched_as_well(start):
    sandbox = start(accept_template=True)
    body = single(emailId=None, template="<p>{{ a }} %7B%7Bb%7D%7D {{a}}", projectId=account.FERNHILL, subject="s")
    send(sandbox, body | {"variables": {"a": 1}})
    expected = [("a", 1, {"body": 2}, "filled", ""), ("b", None, {"body": 1}, "missing", "")]
    assert rows(sandbox) == expected
    sandbox.store.reset()
    send(sandbox, body | {"variables": {"a": 1}}, key="nobody")
    assert rows(sandbox) == expected


def test_a_test_send_fills_nothing(sandbox):
    ask(sandbox, "POST", "/v1/emails/test/send", body={"to": "a@example.com", "emailId": account.WELCOME})
    assert [(row[0], row[3]) for row in rows(sandbox)] == [("first_name", "missing"), ("shop_url", "missing")]


def test_the_preheader_is_a_place_of_its_own():
    [row] = variables_used({}, {"subject": "", "preheader": "{{a}}", "body": ""})
    assert row.places == {"preheader": 1}


def test_a_hundred_thousand_unused_variables_are_listed_and_the_first_compared():
    variables = {f"name{number}": number for number in range(100_000)} | {"x" * 101: 1}
    used = variables_used(variables, {"body": "{{name_1}} {{" + "y" * 101 + "}}"})
    assert len(used) == 100_003
    assert {row.meant for row in used[2:102]} == {"name_1"}
    assert {row.meant for row in used[102:]} == {""}
