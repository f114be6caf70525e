"""What travels between the layers: strict in requests, lenient in answers."""

from __future__ import annotations

import dataclasses
import re

import pytest

from django_migma.api import SendRequest, TestSendRequest
from django_migma.api.resources import as_bool, as_dict, as_dicts, as_int, as_str
from django_migma.api.types import is_object_id
from tests.api.examples import EMAIL_ID, send_request


def test_none_is_not_sent():
    """The smallest request has the five fields that it was made with."""
    assert send_request().to_json() == {
        "recipientType": "email",
        "recipientEmail": "ada@example.org",
        "from": "shop@example.com",
        "fromName": "Example Shop",
        "subject": "Hello",
        "emailId": EMAIL_ID,
    }


def test_false_and_empty_values_are_sent():
    """Only None means absent."""
    body = send_request(transactional=False, subject="", variables={}, bcc=()).to_json()
    assert (body["transactional"], body["subject"], body["variables"], body["bcc"]) == (False, "", {}, ())


def test_extra_wins():
    """Fields that Migma adds later can be sent without waiting for us."""
    body = send_request(extra={"emailId": "other", "newField": 1}).to_json()
    assert (body["emailId"], body["newField"]) == ("other", 1)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"recipient_type": "all"}, "recipient_type must be one of email, audience, segment, tag, not 'all'."),
        ({"recipient_type": None}, "recipient_type must be one of email, audience, segment, tag, not None."),
        (
            {"provider_type": "smtp"},
            "provider_type must be one of ses, resend, sendgrid, mailgun, migma, not 'smtp'.",
        ),
        ({"provider_type": ""}, "provider_type must be one of ses, resend, sendgrid, mailgun, migma, not ''."),
        ({"recipient_email": None}, "SendRequest needs recipient_email when recipient_type is 'email'."),
        ({"recipient_email": ""}, "SendRequest needs recipient_email when recipient_type is 'email'."),
        ({"recipient_type": "tag"}, "SendRequest needs recipient_id when recipient_type is 'tag'."),
        ({"recipient_type": "segment"}, "SendRequest needs recipient_id when recipient_type is 'segment'."),
        ({"recipient_type": "audience"}, "SendRequest needs recipient_id when recipient_type is 'audience'."),
        ({"from_email": ""}, "SendRequest needs from_email when recipient_type is 'email'."),
        ({"from_name": ""}, "SendRequest needs from_name when recipient_type is 'email'."),
        ({"conversation_id": EMAIL_ID}, "SendRequest takes email_id or conversation_id, not both."),
        ({"recipient_id": "t1"}, "SendRequest takes no recipient_id when recipient_type is 'email'."),
        (
            {"recipient_type": "tag", "recipient_id": "t1"},
            "SendRequest takes no recipient_email when recipient_type is 'tag'.",
        ),
        ({"subject": None}, "SendRequest needs subject; it may be empty."),
        ({"email_id": "zz"}, "SendRequest: email_id must be 24 hex digits, not 'zz'."),
        (
            {"email_id": None, "conversation_id": "zz"},
            "SendRequest: conversation_id must be 24 hex digits, not 'zz'.",
        ),
    ],
)
def test_a_send_that_breaks_a_rule_cannot_be_made(changes, problem):
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        send_request(**changes)


@pytest.mark.parametrize("kind", ["audience", "segment", "tag"])
def test_many_recipients_need_an_id_and_no_address(kind):
    request = send_request(recipient_type=kind, recipient_email=None, recipient_id="r1")
    assert request.to_json()["recipientId"] == "r1"
    assert "recipientEmail" not in request.to_json()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"recipient_email": ["a@example.org"]}, "recipient_email must be str, not list."),
        ({"from_email": 3}, "from_email must be str, not int."),
        ({"transactional": "no"}, "transactional must be bool, not str."),
        ({"variables": [1]}, "variables must be Mapping, not list."),
        ({"bcc": "a@example.org"}, "bcc must be list or tuple, not str."),
    ],
)
def test_a_field_of_another_type_is_refused(changes, problem):
    with pytest.raises(TypeError, match=f"^{re.escape(problem)}$"):
        send_request(**changes)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"to": "a@example.org"}, "TestSendRequest needs either email_id or conversation_id."),
        (
            {"to": "a@example.org", "email_id": EMAIL_ID, "conversation_id": EMAIL_ID},
            "TestSendRequest needs either email_id or conversation_id.",
        ),
        ({"to": "a@example.org", "email_id": "abc"}, "TestSendRequest: Migma's ids have 24 hex digits."),
        ({"to": "a@example.org", "conversation_id": "z" * 24}, "TestSendRequest: Migma's ids have 24 hex digits."),
        ({"to": "", "email_id": EMAIL_ID}, "TestSendRequest needs to: the address that gets the test."),
    ],
)
def test_a_test_send_that_breaks_a_rule_cannot_be_made(fields, problem):
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        TestSendRequest(**fields)


def test_requests_do_not_change():
    """Frozen: what was checked is what is sent."""
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'subject'"):
        send_request().subject = "Other"


def test_requests_are_made_by_keyword():
    with pytest.raises(TypeError, match="takes 1 positional argument"):
        SendRequest("email")


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        (EMAIL_ID, True),
        (EMAIL_ID.upper(), True),
        (EMAIL_ID[:-1], False),
        (EMAIL_ID + "0", False),
        (EMAIL_ID + "\n", False),
        ("g" * 24, False),
        ("", False),
        (None, False),
        (10**23, False),
    ],
)
def test_ids_are_24_hex_digits(value, fits):
    assert is_object_id(value) is fits


ODD = {"a": [1]}


@pytest.mark.parametrize(
    ("read", "value", "expected"),
    [
        (as_str, "word", "word"),
        (as_str, 12, "12"),
        *((as_str, value, "") for value in (True, None, 1.5, ODD, [])),
        (as_int, 12, 12),
        *((as_int, value, None) for value in (True, None, 1.5, "12", ODD, [])),
        (as_bool, True, True),
        (as_bool, False, False),
        *((as_bool, value, None) for value in (None, 1, 0, "true", ODD)),
        (as_dict, ODD, ODD),
        *((as_dict, value, {}) for value in (None, 1, "a", [ODD])),
        (as_dicts, [ODD, 1, None, "a", [], {}], [ODD, {}]),
        *((as_dicts, value, []) for value in (None, 1, "a", ODD)),
    ],
)
def test_a_value_of_another_type_reads_as_empty(read, value, expected):
    found = read(value)
    assert found == expected
    assert type(found) is type(expected)
