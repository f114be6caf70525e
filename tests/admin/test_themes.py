"""A site's own admin of our models: another site, another base class, rules per row."""

import importlib
from types import SimpleNamespace

import pytest
from django import forms
from django.contrib import admin
from django.test import override_settings
from django.urls import path

import django_migma.admin
from django_migma.admin import DeliveryAdminMixin, StoredEmailAdmin, StoredEmailAdminMixin
from django_migma.models import Delivery, StoredEmail

from .conftest import TEST_SEND, admin_url, messages_of
from .test_send_test import TAKEN, ask, posted

backstage = admin.AdminSite(name="backstage")
office = admin.AdminSite(name="office")


class ThemesModelAdmin(admin.ModelAdmin):
    """What a theme brings: a base class with media and templates of its own."""

    change_form_template = "admin/change_form.html"
    change_list_template = "admin/change_list.html"

    class Media:
        js = ("theme.js",)


@admin.register(StoredEmail, site=backstage)
class ThemedAdmin(StoredEmailAdminMixin, ThemesModelAdmin):
    """No user may see rows whose key begins with ``secret``."""

    class Media:
        css = {"all": ("own.css",)}  # noqa: RUF012 - Django's own form

    def save_model(self, request, obj, form, change):
        obj.from_name = f"Set by {request.user.get_username()}"
        super().save_model(request, obj, form, change)

    def has_view_or_change_permission(self, request, obj=None):
        return not (obj and str(obj.key).startswith("secret"))


@admin.register(Delivery, site=office)
class ThemedDeliveries(DeliveryAdminMixin, ThemesModelAdmin):
    """No user may see mail whose subject begins with ``secret``."""

    def has_view_permission(self, request, obj=None):
        return not (obj and obj.subject.startswith("secret"))


urlpatterns = [
    path("admin/", admin.site.urls),
    path("backstage/", backstage.urls),
    path("office/", office.urls),
]
pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


def here(view, *args):
    return admin_url(view, *args, site="backstage")


def test_the_mixin_keeps_the_media_of_theme_and_subclass():
    media = str(ThemedAdmin(StoredEmail, backstage).media)
    for name in ("theme.js", "own.css", "django_migma/admin.js", "django_migma/admin.css"):
        assert name in media


def test_what_a_sites_own_admin_sets_is_saved(admin_client, welcome):
    fields = {"key": "hi", "email_id": welcome.email_id, "optional_variables": "[]", "default_variables": "{}"}
    assert admin_client.post(here("change", welcome.pk), fields).status_code == 302
    welcome.refresh_from_db()
    assert (welcome.key, welcome.from_name) == ("hi", "Set by root")


def test_all_addresses_are_those_of_the_site_they_are_on(admin_client, welcome, wire):
    wire.answers(TAKEN, url=TEST_SEND)
    listed = admin_client.get(here("changelist")).content.decode()
    assert 'action="/backstage/django_migma/storedemail/sync/"' in listed
    text = admin_client.get(here("change", welcome.pk)).content.decode()
    assert f'href="/backstage/django_migma/storedemail/send-test/?ids={welcome.pk}"' in text
    assert f'src="/backstage/django_migma/storedemail/{welcome.pk}/preview/"' in text
    page = admin_client.get(here("send_test"), {"ids": welcome.pk})
    address = f"/backstage/django_migma/storedemail/send-test/?ids={welcome.pk}"
    assert f'action="{address}"' in page.content.decode()
    assert '<a href="/backstage/">Home</a>' in page.content.decode()
    assert "/admin/django_migma" not in listed + text + page.content.decode()
    sent = admin_client.post(address, posted(page), follow=True)
    assert sent.redirect_chain == [(f"/backstage/django_migma/storedemail/{welcome.pk}/change/", 302)]
    assert messages_of(sent)[0][0] == "success"


def test_the_test_page_needs_nothing_of_a_form_that_a_theme_shows_elsewhere(admin_client, welcome, mailer, settings):
    """As in django-unfold: its template has the row of buttons outside of the content."""
    theme = """{% extends "admin/base_site.html" %}{% load admin_modify %}
        {% block footer %}{% block submit_buttons_bottom %}{% submit_row %}{% endblock %}{% endblock %}"""
    [engine] = settings.TEMPLATES
    themed = ("django.template.loaders.locmem.Loader", {"admin/change_form.html": theme})
    loaders = [themed, "django.template.loaders.app_directories.Loader"]
    options = {**engine.get("OPTIONS", {}), "loaders": loaders}
    settings.TEMPLATES = [{**engine, "APP_DIRS": False, "OPTIONS": options}]
    page = admin_client.get(here("send_test"), {"ids": welcome.pk})
    assert page.status_code == 200
    assert "Where it goes" in page.content.decode()


def test_rules_per_email_hold_in_our_views(admin_client, welcome, receipt, mailer):
    StoredEmail.objects.filter(pk=welcome.pk).update(key="secret-welcome")
    assert admin_client.get(here("preview", welcome.pk)).status_code == 403
    ids = f"{welcome.pk},{receipt.pk}"
    assert admin_client.get(here("send_test"), {"ids": ids}).status_code == 403
    assert admin_client.get(here("send_test"), {"ids": receipt.pk}).status_code == 200
    assert ask(admin_client, welcome).status_code == 200, "on the other site"


def test_a_sites_own_registration_is_left_alone(monkeypatch):
    own = SimpleNamespace(is_registered=lambda model: True)
    monkeypatch.setattr(admin, "site", own)
    importlib.reload(django_migma.admin)
    monkeypatch.undo()
    assert type(admin.site.get_model_admin(StoredEmail)) is StoredEmailAdmin


def test_the_app_works_without_an_admin_of_its_own_media(rf):
    """No ``Media`` anywhere: ours alone beside Django's."""
    media = StoredEmailAdmin(StoredEmail, backstage).media
    assert isinstance(media, forms.Media)
    with override_settings(STATIC_URL="/cdn/"):
        assert "/cdn/django_migma/admin.js" in str(media)


def test_deliveries_keep_the_media_and_the_addresses_of_their_site(admin_client, mailer, deliver):
    row = deliver("failed")
    media = str(ThemedDeliveries(Delivery, office).media)
    assert "theme.js" in media
    assert "django_migma/admin.css" in media
    home = admin_url("changelist", site="office", model="delivery")
    pages = [home, f"{home}{row.pk}/change/", f"{home}retry/?ids={row.pk}"]
    text = "".join(admin_client.get(page).content.decode() for page in pages)
    assert f'href="/office/django_migma/delivery/retry/?ids={row.pk}"' in text
    assert 'action="/office/django_migma/delivery/retry/"' in text
    assert "/admin/django_migma" not in text


def test_rules_per_row_hold_for_actions(admin_client, mailer, deliver):
    secret, plain = deliver("failed", subject="secret"), deliver("failed")
    url = admin_url("cancel", site="office", model="delivery")
    assert admin_client.get(url, {"ids": f"{secret.pk},{plain.pk}"}).status_code == 403
    assert admin_client.post(url, {"rows": f"{secret.pk}:0"}).status_code == 403
    assert admin_client.post(url, {"rows": f"{plain.pk}:0"}).status_code == 302
    assert set(Delivery.objects.values_list("subject", "status")) == {
        ("secret", "failed"),
        (plain.subject, "cancelled"),
    }


def test_a_site_without_deliveries_has_no_link_to_them(admin_client, welcome, mailer):
    assert "Deliveries</a>" not in admin_client.get(here("change", welcome.pk)).content.decode()
