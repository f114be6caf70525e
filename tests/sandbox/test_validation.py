"""Every rule of POST /v1/sending is named when it is broken."""

from __future__ import annotations

import pytest

from django_migma.sandbox import account
from tests.sandbox.asking import batch, send, single

INVALID = "Invalid email address (one address, without a display name)"
INVALID_BCC = "bcc: Invalid email address (each item one address, without a display name)"


def refused(sandbox, body):
    reply = send(sandbox, body)
    assert reply.status == 400, reply.content
    assert reply.error == "; ".join(reply.json["data"]["problems"])
    assert sandbox.store.messages() == []
    return reply.error


def test_a_good_body_passes(sandbox):
    assert send(sandbox, single()).status == 200


def test_an_empty_object_gets_the_name_of_every_required_field(sandbox):
    assert refused(sandbox, {}).split("; ") == [
        "recipientType is required",
        "from is required",
        "fromName is required",
        "subject is required",
        "emailId or conversationId is required",
    ]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"recipientType": "person"}, "recipientType must be one of email, audience, segment, tag"),
        ({"recipientType": ["email"]}, "recipientType must be one of email, audience, segment, tag"),
        ({"recipientEmail": None}, "recipientEmail is required"),
        ({"recipientEmail": ["reader@example.com"]}, "recipientEmail must be a string"),
        ({"from_": 5}, "from must be a string"),
        ({"from_": "Fernhill <hello@fernhill.example>"}, f"from: {INVALID}"),
        ({"fromName": 5}, "fromName must be a string"),
        ({"fromName": " "}, "fromName must not be blank"),
        ({"fromName": "Fern\nhill"}, "fromName must not contain line breaks"),
        ({"subject": ["a"]}, "subject must be a string"),
        ({"subject": "a\r\nBcc: b@example.com"}, "subject must not contain line breaks"),
        ({"replyTo": "one@example.com, two@example.com"}, f"replyTo: {INVALID}"),
        ({"replyTo": ["one@example.com"]}, "replyTo must be a string"),
        ({"variables": [1]}, "variables must be an object"),
        ({"variables": "a=b"}, "variables must be an object"),
        ({"emailId": "welcome"}, "emailId must be 24 hexadecimal digits"),
        ({"emailId": account.WELCOME + "0"}, "emailId must be 24 hexadecimal digits"),
        ({"emailId": 665}, "emailId must be a string"),
        ({"conversationId": "x" * 24}, "conversationId must be 24 hexadecimal digits"),
        ({"conversationId": {}}, "conversationId must be a string"),
        ({"emailId": None}, "emailId or conversationId is required"),
        ({"projectId": 1}, "projectId must be a string"),
        ({"providerType": "smtp"}, "providerType must be one of ses, resend, sendgrid, mailgun, migma"),
        ({"transactional": "true"}, "transactional must be true or false"),
        ({"transactional": 1}, "transactional must be true or false"),
        ({"bcc": "copy@example.com"}, "bcc must be an array of email addresses"),
        ({"bcc": ["copy@example.com", "nobody"]}, INVALID_BCC),
        ({"bcc": [7]}, INVALID_BCC),
    ],
)
def test_a_broken_rule_is_400_with_its_text(sandbox, changes, text):
    assert refused(sandbox, single(**changes)) == text


@pytest.mark.parametrize("field", ["replyTo", "emailId", "projectId", "recipientEmail"])
def test_null_is_no_string(sandbox, field):
    assert refused(sandbox, single() | {field: None}) == f"{field} must be a string"


@pytest.mark.parametrize("kind", ["audience", "segment", "tag"])
def test_a_batch_needs_a_recipient_id(sandbox, kind):
    assert refused(sandbox, batch(recipientType=kind, recipientId=None)) == "recipientId is required"
    assert refused(sandbox, batch(recipientType=kind, recipientId=7)) == "recipientId must be a string"
    assert refused(sandbox, batch(recipientType=kind, recipientId=" ")) == "recipientId must not be empty"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "reader",
        "reader@",
        "@example.com",
        "reader@localhost",
        "reader@example..com",
        "reader@-example.com",
        ".reader@example.com",
        "rea der@example.com",
        "Kim <reader@example.com>",
        "<reader@example.com>",
        "a@example.com,b@example.com",
        "reader@example.com ",
        "reader@example.com\n",
        "leser@müller.example",
        "läser@example.com",
        "a" * 65 + "@example.com",
        "a@" + "b" * 60 + "." + "c" * 60 + "." + "d" * 60 + "." + "e" * 60 + "." + "f" * 60,
    ],
)
def test_only_a_single_plain_address_is_accepted(sandbox, address):
    assert refused(sandbox, single(recipientEmail=address)) == f"recipientEmail: {INVALID}"


@pytest.mark.parametrize(
    "address", ["Reader+tag@Example.COM", "o'brien@example.co.uk", '"a b"@example.com', "a@xn--mller-kva.example"]
)
def test_unusual_but_valid_addresses_pass(sandbox, address):
    assert send(sandbox, single(recipientEmail=address)).status == 200


@pytest.mark.parametrize("sender", ["hello@gmail.example", "hello@lumenbikes.example", "a@mail.fernhill.example"])
def test_a_sender_of_an_unverified_domain_gets_the_verified_ones_and_the_option(sandbox, sender):
    domain = sender.partition("@")[2]
    assert refused(sandbox, single(from_=sender)) == (
        f"from: the domain {domain} is not verified (verified: fernhill.example, fernhill.migma.email; "
        f"the sandbox takes it with --verified-domain {domain})"
    )


@pytest.mark.parametrize("sender", ["a@FERNHILL.example", "a@fernhill.migma.email"])
def test_custom_and_managed_domains_may_send(sandbox, sender):
    assert send(sandbox, single(from_=sender)).status == 200


@pytest.mark.parametrize("domains", [("Shop.example",), ("*",)])
def test_further_domains_may_be_verified_by_switch(start, domains):
    assert send(start(verified_domains=domains), single(from_="hello@shop.example")).status == 200


def test_several_broken_rules_are_all_named(sandbox):
    body = single(recipientEmail="x", subject=None, transactional=0)
    assert refused(sandbox, body).split("; ") == [
        f"recipientEmail: {INVALID}",
        "subject is required",
        "transactional must be true or false",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": ""},
        {"variables": {}},
        {"providerType": "resend"},
        {"transactional": False},
        {"bcc": []},
        {"bcc": ["copy@example.com"]},
        {"replyTo": "help@fernhill.example"},
        {"projectId": account.FERNHILL},
        {"conversationId": account.WELCOME_CONVERSATION},
        {"emailId": account.WELCOME.upper()},
        {"emailId": None, "conversationId": account.WELCOME_CONVERSATION},
    ],
)
def test_everything_that_the_contract_allows_passes(sandbox, changes):
    assert send(sandbox, single(**changes)).status == 200


def test_raw_html_is_refused_as_absent_from_the_newest_contract(sandbox):
    body = single(emailId=None, template="<p>Hi</p>", projectId=account.FERNHILL)
    assert refused(sandbox, body) == (
        "emailId or conversationId is required: template (raw HTML) is not part of Migma's newest contract "
        "(the sandbox takes it with --accept-template)"
    )


def test_a_template_beside_an_email_id_is_an_unknown_field_and_ignored(sandbox):
    send(sandbox, single(template="<p>Hi</p>"))
    assert "<p>Hi</p>" not in sandbox.store.messages()[0].html


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"template": "<p>Hi</p>"}, "projectId is required with template"),
        ({"template": 5, "projectId": account.FERNHILL}, "template must be a string"),
    ],
)
def test_raw_html_needs_a_project_and_a_string(start, changes, text):
    assert refused(start(accept_template=True), single(emailId=None, **changes)) == text


def test_with_the_switch_but_without_a_template_an_id_is_still_required(start):
    assert refused(start(accept_template=True), single(emailId=None)) == "emailId or conversationId is required"
