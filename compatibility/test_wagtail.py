"""Wagtail."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.urls import include, path
from wagtail import urls as wagtail_urls
from wagtail.admin import urls as wagtailadmin_urls
from wagtail.models import GroupApprovalTask, GroupPagePermission, Locale, Page, Site, Workflow, WorkflowTask

from compatibility.pages.models import ContactField, ContactPage

pytestmark = pytest.mark.django_db
urlpatterns = [path("admin/", include(wagtailadmin_urls)), path("", include(wagtail_urls))]


@pytest.fixture
def page():
    """The contact form of a site."""
    Locale.objects.create(language_code="en")
    root = Page.add_root(title="Root", slug="root")
    Site.objects.create(is_default_site=True, hostname="testserver", root_page=root)
    page = ContactPage(title="Contact", slug="contact", to_address="shop@example.com", subject="A question")
    page.form_fields = [ContactField(label="Question", field_type="singleline")]
    return root.add_child(instance=page)


@pytest.fixture
def moderator(page):
    """A user whose approval the page's workflow needs."""
    user = User.objects.create_user("lee", "lee@example.com")
    moderators = Group.objects.create(name="Moderators")
    moderators.user_set.add(user)
    publish = Permission.objects.get(codename="publish_page")
    GroupPagePermission.objects.create(group=moderators, page=page, permission=publish)
    task = GroupApprovalTask.objects.create(name="Approval")
    task.groups.add(moderators)
    workflow = Workflow.objects.create(name="Two pairs of eyes")
    WorkflowTask.objects.create(workflow=workflow, task=task)
    return user


def test_form_builder(client, migma_sandbox, page):
    """A form of the form builder mails what a visitor entered."""
    client.post(page.get_url(), {"question": "Do you ship kettles?"})
    [mail] = migma_sandbox.store.messages()
    assert (mail.body["recipientEmail"], mail.subject) == ("shop@example.com", "A question")
    assert "Question: Do you ship kettles?" in mail.html


def test_workflow(migma_sandbox, page, moderator):
    """A page that is submitted for moderation mails its moderators, and its approval mails the author."""
    author = User.objects.create_user("kim", "kim@example.com")
    page.save_revision(user=author)
    state = Workflow.objects.get().start(page, author)
    state.current_task_state.approve(user=moderator)
    to_moderator, to_author = migma_sandbox.store.messages()
    assert (to_moderator.body["recipientEmail"], to_author.body["recipientEmail"]) == (
        "lee@example.com",
        "kim@example.com",
    )
    assert "Contact" in to_moderator.subject
    assert "approved" in to_author.subject
