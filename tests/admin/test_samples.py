"""Sample values on the page of an email: an input for each variable, and the lines of code with these values."""

import re
from html import unescape

import pytest
from django.utils import timezone

from django_migma.admin.stored_email_form import lines_of_code
from django_migma.models import StoredEmail

from .conftest import CONVERSATION, WELCOME, admin_url
from .test_detail import ADD, errors
from .test_themes import ThemedAdmin

FORM = ADD | {"email_id": WELCOME, "key": "welcome"}


def page(client, email):
    return client.get(admin_url("change", email.pk)).content.decode()


def inputs(text):
    """The tags of the inputs for values, with their attributes, by variable."""
    found = re.findall(r'<(input|textarea)([^>]* name="value\.([^"]*)"[^>]*)>', text)
    return {name: {"tag": tag, **dict(re.findall('([a-z]+)="([^"]*)"', rest))} for tag, rest, name in found}


def save(client, email, **values):
    """Send the form with these values; returns the samples that the row has then."""
    response = client.post(admin_url("change", email.pk), FORM | values)
    assert response.status_code == 302, response.context["adminform"].form.errors
    email.refresh_from_db()
    return email.sample_variables


def test_each_variable_has_an_input(admin_client, welcome):
    """While it is empty, it shows what the preview shows then. A sample of no known variable has one too."""
    StoredEmail.objects.update(
        variable_names=["first_name", "shop", "town"],
        sample_variables={"first_name": 'A "B"', "old": "x"},
        default_variables={"shop": "Fernhill"},
    )
    text = page(admin_client, welcome)
    assert re.findall('<label for="id_(value[^"]*)">([^<]*)', text) == [
        (f"value.{name}", name) for name in ("first_name", "shop", "town", "old")
    ]
    for name, value, placeholder in [
        ("first_name", "A &quot;B&quot;", "[first name]"),
        ("shop", "", "Fernhill"),
        ("town", "", "[town]"),
        ("old", "x", ""),
    ]:
        shown = inputs(text)[name]
        assert (shown["type"], shown.get("value", ""), shown["placeholder"]) == ("text", value, placeholder)
        assert shown["id"] == f"id_value.{name}"
    assert 'name="sample_variables"' not in text


@pytest.mark.parametrize(("name", "value"), [("rows_html", ""), ("note", "one\ntwo"), ("note", "long " * 20)])
def test_html_and_long_texts_have_a_larger_input(admin_client, welcome, name, value):
    StoredEmail.objects.update(variable_names=[name], sample_variables={name: value})
    text = page(admin_client, welcome)
    shown = inputs(text)[name]
    assert (shown["tag"], shown["placeholder"]) == ("textarea", f"[{name.replace('_', ' ')}]")
    assert f">\n{value}</textarea>" in text


def test_the_inputs_are_saved_and_an_empty_one_takes_the_sample_away(admin_client, welcome):
    StoredEmail.objects.update(sample_variables={"first_name": "Ada", "town": "Rome"})
    values = {"value.first_name": "Bo", "value.town": "", "value.note": "one\r\ntwo"}
    assert save(admin_client, welcome, **values) == {"first_name": "Bo", "note": "one\ntwo"}


def test_a_value_that_is_no_text_stays_one_until_it_is_changed(admin_client, welcome):
    StoredEmail.objects.update(sample_variables={"total": 12.5, "paid": True, "rows": [1]})
    text = page(admin_client, welcome)
    assert {name: shown.get("value", "") for name, shown in inputs(text).items()} == {
        "first_name": "",
        "total": "12.5",
        "paid": "true",
        "rows": "[1]",
    }
    values = {"value.total": "12.5", "value.paid": "yes", "value.rows": "[1]"}
    assert save(admin_client, welcome, **values) == {"total": 12.5, "paid": "yes", "rows": [1]}


def test_a_form_without_samples_leaves_them_alone(admin_client, welcome):
    StoredEmail.objects.update(sample_variables={"first_name": "Ada"})
    assert save(admin_client, welcome) == {"first_name": "Ada"}


def test_where_no_variable_is_known_samples_are_given_as_json(admin_client, welcome):
    StoredEmail.objects.update(variable_names=[], html="")
    assert 'name="sample_variables"' in page(admin_client, welcome)
    assert 'name="sample_variables"' in admin_client.get(admin_url("add")).content.decode()
    assert save(admin_client, welcome, sample_variables='{"first_name": "Ada"}') == {"first_name": "Ada"}


def test_an_email_without_variables_asks_for_no_samples(admin_client, welcome):
    StoredEmail.objects.update(variable_names=[])
    text = page(admin_client, welcome)
    assert "This email has no variables." in text
    assert "sample_variables" not in text
    assert save(admin_client, welcome) == {}


def test_faulty_json_is_shown_again_with_its_error(admin_client, welcome):
    url = admin_url("change", welcome.pk)
    assert errors(admin_client, url, **FORM, sample_variables="{") == {"sample_variables": "Enter a valid JSON."}
    text = admin_client.post(url, FORM | {"sample_variables": "{"}).content.decode()
    assert re.search(r'<textarea name="sample_variables"[^>]*>\n\{</textarea>', text)
    assert "Enter a valid JSON." in text


def test_values_are_shown_again_with_the_error_of_another_field(admin_client, welcome):
    url = admin_url("change", welcome.pk)
    text = admin_client.post(url, FORM | {"value.first_name": "Bo", "from_email": "x"}).content.decode()
    assert inputs(text)["first_name"]["value"] == "Bo"


def test_who_may_not_change_samples_reads_them(tester, welcome):
    StoredEmail.objects.update(sample_variables={"first_name": "<Ada>"})
    text = page(tester, welcome)
    assert "<dt>first_name</dt><dd>&lt;Ada&gt;</dd>" in text
    assert "value.first_name" not in text
    assert "data-migma-show" not in text


def test_enter_saves_though_the_first_button_that_is_seen_shows_values(admin_client, welcome):
    """Browsers press the first button of a form."""
    form = page(admin_client, welcome).partition('id="storedemail_form"')[2]
    buttons = re.findall(r'<(?:input|button)[^>]*type="submit"[^>]*', form)
    assert 'name="_save"' in buttons[0]
    assert f'formaction="{admin_url("preview", welcome.pk)}" formtarget="migma-preview"' in buttons[1]


@pytest.mark.parametrize(
    ("fields", "lines"),
    [
        (
            {"key": "welcome", "sample_variables": {"first_name": 'Ada "B"'}},
            [
                '    template_id="welcome",',
                "    merge_global_data={",
                '        "first_name": "Ada \\"B\\"",',
                "    },",
            ],
        ),
        (
            {"subject": "Hello {{first_name}}"},
            [
                '    subject="Hello {{first_name}}",',
                f'    template_id="{WELCOME}",',
                "    merge_global_data={",
                '        "first_name": "…",',
                "    },",
            ],
        ),
        ({"conversation_id": CONVERSATION, "html": ""}, [f'    conversation_id="{CONVERSATION}",']),
        ({"key": "welcome", "optional_variables": ["first_name"]}, ['    template_id="welcome",']),
        (
            {"key": "welcome", "sample_variables": {"first_name": "long " * 20}},
            ['    template_id="welcome",', "    merge_global_data={", '        "first_name": "…",', "    },"],
        ),
    ],
    ids=["key", "id", "conversation", "optional", "long"],
)
def test_the_lines_of_code_use_this_email(db, fields, lines):
    ids = {} if "conversation_id" in fields else {"email_id": WELCOME}
    email = StoredEmail.objects.create(**{"html": "{{first_name}}", **ids, **fields})
    code = lines_of_code(email)
    assert code.split("\n") == [
        "from django_migma.message import MigmaMessage",
        "",
        "MigmaMessage(",
        '    to=["ada@example.com"],',
        *lines,
        ").send()",
    ]
    compile(code, "code", "exec")


def test_the_page_offers_the_lines_to_copy(admin_client, welcome):
    text = page(admin_client, welcome)
    [copied] = re.findall('data-copy="([^"]*)"', text)
    assert unescape(copied) == lines_of_code(welcome)
    assert f">{copied}</pre>" in text


def test_developers_see_where_code_uses_the_email(admin_client, welcome, settings, tmp_path, monkeypatch):
    """A live site does not read its source."""
    (tmp_path / "bakery").mkdir()
    (tmp_path / "bakery" / "__init__.py").touch()
    (tmp_path / "bakery" / "mail.py").write_text(
        f'MigmaMessage(template_id="receipt")\nMigmaMessage(template_id="{WELCOME}")\nm.template_id = "welcome"\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "bakery"]
    assert "bakery" not in page(admin_client, welcome)
    settings.DEBUG = True
    assert "Used in <code>bakery/mail.py:3</code>, <code>bakery/mail.py:2</code></p>" in page(admin_client, welcome)


def test_ids_that_no_sync_has_confirmed_stand_beside_the_key(admin_client, welcome):
    assert 'id="id_email_id"' in page(admin_client, welcome)
    StoredEmail.objects.update(synced_at=timezone.now())
    assert 'id="id_email_id"' not in page(admin_client, welcome)
    assert WELCOME in page(admin_client, welcome).partition("From Migma")[2]


@pytest.mark.urls("tests.admin.test_themes")
def test_a_site_with_fieldsets_of_its_own_keeps_samples_where_it_has_them(admin_client, welcome, monkeypatch):
    own = [(None, {"fields": ["key", "sample_variables"]})]
    monkeypatch.setattr(ThemedAdmin, "get_fieldsets", lambda self, request, obj=None: own, raising=False)
    text = admin_client.get(admin_url("change", welcome.pk, site="backstage")).content.decode()
    assert text.count('id="id_value.first_name"') == 1
    assert text.index('id="id_key"') < text.index('id="id_value.first_name"')
    assert "Save samples" not in text
