"""Newsletters in the admin: a list and a page to read."""

from __future__ import annotations

import pytest
from django.urls import reverse

from django_migma.models import Newsletter

pytestmark = pytest.mark.django_db


def newsletter(**changes):
    about = {
        "key_digest": "0" * 64,
        "caller_key": "letter-5",
        "digest": "1" * 64,
        "kind": "batch",
        "template": "letter",
        "recipient_type": "tag",
        "recipient_id": "t1",
        "recipient_name": "Coffee letter",
        "subject": "<b>New beans",
        "from_email": "hello@example.com",
        "request": "{}",
        "migma_id": "b1",
        "status": "partial",
        "is_sandbox": False,
        "total": 40,
        "sent": 36,
        "failed": 4,
    }
    return Newsletter.objects.create(**(about | changes))


def page(client, name, *args):
    return client.get(reverse(f"admin:django_migma_newsletter_{name}", args=args))


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        ({}, ["&lt;b&gt;New beans", "tag Coffee letter", "36 of 40, 4 failed", "partial"]),
        ({"failed": 0, "recipient_type": "segment", "recipient_name": ""}, ["36 of 40<", "segment t1"]),
        ({"status": "completed"}, ['migma-good"><span aria-hidden="true">✓</span> completed']),
        ({"status": "throttled"}, ['migma-waiting"><span aria-hidden="true">◔</span> throttled']),
        ({"sent": None}, [">-<"]),
        ({"is_sandbox": True}, ["tag Coffee letter (in a sandbox)"]),
    ],
)
def test_the_list_says_to_whom_and_how_far(admin_client, changes, texts):
    newsletter(**changes)
    html = page(admin_client, "changelist").content.decode()
    assert [text for text in texts if text not in html] == []


def test_a_page_shows_all_but_the_request(admin_client):
    response = page(admin_client, "change", newsletter(request="{secret}").pk)
    html = response.content.decode()
    assert response.status_code == 200
    assert "letter-5" in html
    assert "{secret}" not in html


@pytest.mark.parametrize(
    ("transactional", "words"),
    [
        (None, "No: marketing, not to the unsubscribed, and with a link to unsubscribe"),
        (False, "No: marketing, not to the unsubscribed, and with a link to unsubscribe"),
        (True, "Yes: also to the unsubscribed, without a link to unsubscribe"),
    ],
)
def test_a_page_says_whether_the_unsubscribed_get_it(admin_client, transactional, words):
    """In words: nobody knows what a question mark or an icon means here."""
    html = page(admin_client, "change", newsletter(transactional=transactional).pk).content.decode()
    assert f'<div class="readonly">{words}</div>' in html


@pytest.mark.parametrize(
    ("changes", "link"),
    [
        (
            {"is_sandbox": True, "migma_id": "b/1"},
            '<a href="http://127.0.0.1:9/mail/b%2F1">See it in the sandbox</a>',
        ),
        ({"is_sandbox": True, "migma_id": ""}, ""),
        ({"is_sandbox": False}, ""),
    ],
)
def test_a_page_leads_to_the_mail_in_the_sandbox(admin_client, mailer, changes, link):
    """What went to Migma itself is not there, whatever the settings of today say."""
    html = page(admin_client, "change", newsletter(**changes).pk).content.decode()
    assert ("See it" in html, link in html) == (bool(link), True)


def test_no_link_leads_to_a_sandbox_that_the_site_no_longer_uses(admin_client, mailer, migma):
    migma(API_URL="https://api.migma.ai/v1")
    html = page(admin_client, "change", newsletter(is_sandbox=True).pk).content.decode()
    assert ("b1" in html, "See it" in html) == (True, False)


def test_nobody_adds_changes_or_deletes_one(admin_client):
    row = newsletter()
    assert page(admin_client, "add").status_code == 403
    assert page(admin_client, "delete", row.pk).status_code == 403
    url = reverse("admin:django_migma_newsletter_change", args=[row.pk])
    assert admin_client.post(url, {"subject": "x"}).status_code == 403
