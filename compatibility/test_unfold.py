"""django-unfold, with the admin class that the manual shows for themes."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.urls import path, reverse
from unfold.admin import ModelAdmin

from django_migma.admin import StoredEmailAdminMixin
from django_migma.models import StoredEmail

pytestmark = pytest.mark.django_db
admin.autodiscover()
admin.site.unregister(StoredEmail)


@admin.register(StoredEmail)
class StoredEmailAdmin(StoredEmailAdminMixin, ModelAdmin):
    pass


urlpatterns = [path("admin/", admin.site.urls)]


def address(view, *args):
    return reverse(f"admin:django_migma_storedemail_{view}", args=args)


def test_admin(client, migma_sandbox):
    """Staff sync in its admin, look at a stored email, and send themselves a test of it."""
    client.force_login(User.objects.create_superuser("kim", "kim@example.com"))
    client.post(address("sync"))
    welcome = StoredEmail.objects.get(title="Welcome")
    assert client.get(address("changelist")).status_code == 200
    shown = client.get(address("change", welcome.pk)).content.decode()
    assert all(f"migma-{part}" in shown for part in ("frame", "samples", "use"))
    add = client.get(address("add")).content.decode()
    assert 'form="migma-sync"' in add
    assert 'id="migma-sync"' in add

    page = client.get(address("send_test"), {"ids": welcome.pk})
    filled = {**page.context["form"].initial, "token": page.context["emails"][0]["token"]}
    filled["destination"] = page.context["destination"].fingerprint
    client.post(f"{address('send_test')}?ids={welcome.pk}", filled)
    [mail] = migma_sandbox.store.messages()
    assert mail.body["recipientEmail"] == "kim@example.com"
