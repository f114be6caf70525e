"""The list of stored emails."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_migma.models import StoredEmail

from .conftest import PROJECT, WELCOME, admin_url


def page(client, **query):
    response = client.get(admin_url("changelist"), query)
    assert response.status_code == 200
    return response.content.decode()


def cells(client, **query):
    """The cells of the only row, by the name of their column, without tags."""
    found = re.findall(r'<t[dh][^>]*class="field-(\w+)[^"]*">(.*?)</t[dh]>', page(client, **query), re.DOTALL)
    return {name: " ".join(re.sub("<[^>]+>", "", cell).split()) for name, cell in found}


def test_a_row_says_what_it_is_and_what_it_lacks(admin_client, welcome):
    StoredEmail.objects.update(status="ready")
    assert cells(admin_client) == {
        "display_email": "Welcome Hello {{first_name}}",
        "display_key": "welcome",
        "count_variables": "1 variable 1 without sample",
        "display_state": "",
        "display_use": "",
        "display_last_test": "",
    }
    text = page(admin_client)
    assert '<span title="first_name">1 ' in text
    assert 'data-copy="welcome"' in text
    assert 'aria-label="Copy the key welcome"' in text


def test_what_there_is_nothing_to_say_about_is_left_empty(admin_client, receipt):
    StoredEmail.objects.update(status="ready")
    assert set(cells(admin_client).values()) == {"Receipt", ""}


@pytest.mark.parametrize(
    "values",
    [
        {"sample_variables": {"first_name": "Ada"}},
        {"sample_variables": {"first_name": 0}},
        {"default_variables": {"first_name": ""}},
        {"optional_variables": ["first_name"]},
    ],
)
def test_a_sample_or_a_default_is_enough_and_an_optional_variable_needs_none(admin_client, welcome, values):
    StoredEmail.objects.update(**values)
    assert cells(admin_client)["count_variables"] == "1 variable"


def test_samples_in_the_settings_count(admin_client, welcome, migma):
    declared = {"email_id": WELCOME, "sample_variables": {"first_name": "Ada"}}
    migma(STORED_EMAILS={"welcome": declared})
    assert cells(admin_client)["count_variables"] == "1 variable"
    migma(STORED_EMAILS={"welcome": {**declared, "email_id": "faulty"}})
    assert cells(admin_client)["count_variables"] == "1 variable 1 without sample"


@pytest.mark.parametrize(
    ("status", "chip"),
    [
        ("gone", "! gone"),
        ("processing", "◔ in the making"),
        ("failed", "✕ failed"),
        ("", "not synced"),
        ("new", "new"),
    ],
)
def test_a_row_says_when_an_email_is_not_ready(admin_client, welcome, status, chip):
    """Also in words that Migma may use one day."""
    StoredEmail.objects.update(status=status)
    assert cells(admin_client)["display_state"] == chip


def test_a_row_with_a_picture_has_a_place_for_it(admin_client, welcome):
    StoredEmail.objects.update(thumbnail_url="https://cdn.example/a.png?x=1&y=2")
    assert (
        '<span class="migma-thumbnail" data-migma-picture="https://cdn.example/a.png?x=1&amp;y=2" '
        'data-alt="Thumbnail of Welcome"></span>'
    ) in page(admin_client)


def test_no_page_loads_a_thumbnail_by_itself(admin_client, welcome):
    """Its server would see the IP address of the user: the script loads thumbnails after "Show pictures"."""
    StoredEmail.objects.update(thumbnail_url="https://cdn.example/a.png")
    assert "Show pictures" in page(admin_client)
    detail = admin_client.get(admin_url("change", welcome.pk)).content.decode()
    for text in (page(admin_client), detail):
        assert "<img" not in re.sub(r'<img src="/static/[^>]*>', "", text)
        assert 'src="https://cdn.example' not in text


def test_a_row_shows_when_it_was_tested(admin_client, welcome, settings):
    settings.TIME_ZONE = "Europe/Berlin"
    StoredEmail.objects.update(last_tested_at=timezone.now() - timedelta(days=3))
    assert cells(admin_client)["display_last_test"] == "tested 3 days ago"
    StoredEmail.objects.update(last_tested_at=datetime(2026, 3, 1, 23, 30, tzinfo=UTC))
    assert 'title="March 2, 2026, 12:30 a.m."' in page(admin_client)


def test_a_row_shows_how_often_it_was_sent_to_customers(admin_client, welcome, receipt, deliver):
    """In the last 30 days, tests not included, with a link to these deliveries."""
    for status in ("accepted", "failed", "waiting"):
        deliver(status, stored_email=welcome)
    deliver("accepted", stored_email=welcome, is_test=True)
    deliver("accepted", stored_email=welcome, ago=31 * 24)
    deliver("accepted", stored_email=receipt, ago=31 * 24)
    deliver("accepted")
    url = f"{admin_url('changelist', model='delivery')}?stored_email={welcome.pk}"
    assert f'<a href="{url}" title="">3 <span class="migma-second">in 30 days</span></a>' in page(admin_client)
    assert cells(admin_client, q="Receipt")["display_use"] == ""


def test_of_many_deliveries_the_newest_are_counted(admin_client, welcome, deliver, monkeypatch):
    monkeypatch.setattr("django_migma.admin.stored_email_list.MAX_COUNTED", 2)
    for _count in range(2):
        deliver("accepted", stored_email=welcome)
    assert cells(admin_client)["display_use"] == "2 in 30 days"
    deliver("accepted", stored_email=welcome)
    assert cells(admin_client)["display_use"] == "2 lately"
    assert 'title="of the newest 2 deliveries"' in page(admin_client)


def test_the_use_is_for_those_who_may_see_deliveries(person, welcome, deliver):
    deliver("accepted", stored_email=welcome)
    ada = person("view")
    assert "display_use" not in cells(ada)
    ada.user.user_permissions.add(Permission.objects.get(codename="view_delivery"))
    assert cells(ada)["display_use"] == "1 in 30 days"


@pytest.mark.parametrize("address", ["", "javascript:alert(1)", "data:image/png;base64,AA", "//cdn.example/a.png"])
def test_a_thumbnail_comes_by_http_or_not_at_all(admin_client, welcome, address):
    StoredEmail.objects.update(thumbnail_url=address)
    text = page(admin_client)
    assert "migma-thumbnail" not in text


def test_a_row_without_a_title_has_a_link_too(admin_client, db):
    StoredEmail.objects.create(conversation_id="665f1c2ab7d3e4f5a6c70001")
    assert cells(admin_client)["display_email"] == "665f1c2ab7d3e4f5a6c70001"
    assert '/change/">665f1c2ab7d3e4f5a6c70001 ' in page(admin_client)


def test_texts_are_escaped(admin_client, welcome):
    StoredEmail.objects.update(title="<script>alert(1)</script>", thumbnail_url='https://x.example/"onload="alert(1)')
    text = page(admin_client)
    assert "<script>alert" not in text
    assert '"onload="' not in text


@pytest.mark.parametrize("term", ["elco", "Hello", "welcome", WELCOME, WELCOME.upper()])
def test_the_search_looks_into_titles_subjects_keys_and_ids(admin_client, welcome, receipt, term):
    text = page(admin_client, q=term)
    assert "1 stored email" in text
    assert ">Welcome <" in text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"without": "samples"}, ["Welcome"]),
        ({"without": "key"}, ["Receipt"]),
        ({"without": "ready"}, ["Receipt"]),
        ({"without": "sense"}, ["Receipt", "Welcome"]),
        ({"status__exact": "gone"}, ["Receipt"]),
        ({"project_id": PROJECT}, ["Receipt"]),
    ],
)
def test_the_filters_choose(admin_client, welcome, receipt, query, found):
    StoredEmail.objects.filter(pk=receipt.pk).update(status="gone")
    response = admin_client.get(admin_url("changelist"), query)
    assert [email.title for email in response.context["cl"].result_list] == found


def test_fifty_rows_take_as_many_queries_as_one(admin_client, welcome, deliver):
    deliver("accepted", stored_email=welcome)
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
