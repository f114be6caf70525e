"""The list of stored emails."""

import re
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_migma.models import StoredEmail

from .conftest import PROJECT, WELCOME, admin_url


def page(client, **query):
    response = client.get(admin_url("changelist"), query)
    assert response.status_code == 200
    return response.content.decode()


def test_a_row_shows_key_id_variables_and_status(admin_client, welcome):
    StoredEmail.objects.update(status="gone", thumbnail_url="https://cdn.example/a.png?x=1&y=2")
    text = page(admin_client)
    assert '<code title="665f1c2ab7d3e4f5a6b70001">…a6b70001</code> <button type="button"' in text
    assert 'data-copy="665f1c2ab7d3e4f5a6b70001"' in text
    assert 'aria-label="Copy the id 665f1c2ab7d3e4f5a6b70001"' in text
    for column, shown in {"key": "welcome", "variables": "first_name", "status": "no longer at Migma"}.items():
        assert f'<td class="field-{column}">{shown}</td>' in text
    assert (
        '<span class="migma-thumbnail" data-migma-picture="https://cdn.example/a.png?x=1&amp;y=2" '
        'data-alt="Thumbnail of Welcome"></span>'
    ) in text


def test_no_page_loads_a_thumbnail_by_itself(admin_client, welcome):
    """Its server would see the IP address of the user: the script loads thumbnails after "Show pictures"."""
    StoredEmail.objects.update(thumbnail_url="https://cdn.example/a.png")
    assert "Show pictures" in page(admin_client)
    detail = admin_client.get(admin_url("change", welcome.pk)).content.decode()
    for text in (page(admin_client), detail):
        assert "<img" not in re.sub(r'<img src="/static/[^>]*>', "", text)
        assert 'src="https://cdn.example' not in text


def test_a_row_shows_when_it_was_synced_and_tested(admin_client, welcome, settings):
    settings.TIME_ZONE = "Europe/Berlin"
    StoredEmail.objects.update(synced_at=datetime(2026, 3, 1, 23, 30, tzinfo=UTC))
    text = page(admin_client)
    assert '<td class="field-synced_at nowrap">March 2, 2026, 12:30 a.m.</td>' in text
    assert '<td class="field-last_tested_at nowrap">-</td>' in text


@pytest.mark.parametrize("address", ["", "javascript:alert(1)", "data:image/png;base64,AA", "//cdn.example/a.png"])
def test_a_thumbnail_comes_by_http_or_not_at_all(admin_client, welcome, address):
    StoredEmail.objects.update(thumbnail_url=address)
    text = page(admin_client)
    assert "migma-thumbnail" not in text
    assert '<td class="field-thumbnail">-</td>' in text


def test_a_row_without_a_title_has_a_link_too(admin_client, db):
    StoredEmail.objects.create(conversation_id="665f1c2ab7d3e4f5a6c70001")
    assert '/change/">665f1c2ab7d3e4f5a6c70001</a>' in page(admin_client)
    assert 'data-copy="665f1c2ab7d3e4f5a6c70001"' in page(admin_client)


def test_texts_are_escaped(admin_client, welcome):
    StoredEmail.objects.update(title="<script>alert(1)</script>", thumbnail_url='https://x.example/"onload="alert(1)')
    text = page(admin_client)
    assert "<script>alert" not in text
    assert '"onload="' not in text


@pytest.mark.parametrize("term", ["elco", "Hello", "welcome", WELCOME, WELCOME.upper()])
def test_the_search_looks_into_titles_subjects_keys_and_ids(admin_client, welcome, receipt, term):
    text = page(admin_client, q=term)
    assert "1 stored email" in text
    assert ">Welcome</a>" in text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"key__isempty": "0"}, ["Welcome"]),
        ({"key__isempty": "1"}, ["Receipt"]),
        ({"status__exact": "gone"}, ["Receipt"]),
        ({"project_id": PROJECT}, ["Receipt"]),
    ],
)
def test_the_filters_choose(admin_client, welcome, receipt, query, found):
    StoredEmail.objects.filter(pk=receipt.pk).update(status="gone")
    response = admin_client.get(admin_url("changelist"), query)
    assert [email.title for email in response.context["cl"].result_list] == found


def test_fifty_rows_take_as_many_queries_as_one(admin_client, welcome):
    page(admin_client)  # fills the caches of the process
    with CaptureQueriesContext(connection) as one:
        page(admin_client)
    StoredEmail.objects.bulk_create(
        StoredEmail(email_id=f"{number:024x}", title=f"Email {number}", html="<p>", synced_at=timezone.now())
        for number in range(49)
    )
    with CaptureQueriesContext(connection) as fifty:
        assert "50 stored emails" in page(admin_client)
    assert len(fifty) == len(one)
    assert not any('"html"' in query["sql"] for query in fifty.captured_queries)


def test_the_list_needs_the_permission_to_view(person, welcome):
    assert person().get(admin_url("changelist")).status_code == 403
    assert person("view", name="bob").get(admin_url("changelist")).status_code == 200


def test_our_pages_have_no_inline_scripts_or_styles(admin_client, welcome):
    """Scripts and styles are files; Django's own pages say the rest."""
    for url in (
        admin_url("changelist"),
        admin_url("change", welcome.pk),
        f"{admin_url('send_test')}?ids={welcome.pk}",
    ):
        text = admin_client.get(url).content.decode()
        assert 'src="/static/django_migma/admin.js"' in text
        assert 'href="/static/django_migma/admin.css"' in text
        assert " style=" not in text
        assert " onclick=" not in text
        assert "<style" not in text
