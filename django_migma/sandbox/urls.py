"""Every endpoint: Migma's under /v1/, the sandbox's own beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.urls import path, re_path

from django_migma.sandbox import api, campaigns, control, thumbnails
from django_migma.sandbox.host_and_origin import is_from_a_page, why_refused
from django_migma.sandbox.pages import emails, faults, mail_list, mail_page, responses, setup
from django_migma.sandbox.protocol import ApiError, path_template

if TYPE_CHECKING:
    from django.http import HttpResponse

    from django_migma.sandbox.protocol import View
    from django_migma.sandbox.server import Request


class Methods:
    """The views of one path, by HTTP method. Host and origin are checked before any of them."""

    def __init__(self, **views: View) -> None:
        self.views = views

    def __call__(self, request: Request, **ids: Any) -> HttpResponse:
        """Raises 403 as an error envelope, also for pages: it holds nothing of the sandbox."""
        sandbox = request.sandbox
        if problem := why_refused(request, bound_host=sandbox.host, allowed_hosts=sandbox.allowed_hosts):
            request.number = 0 if is_from_a_page(request) else request.number  # no page fills the inbox with these
            raise ApiError(403, problem)
        return self.answer(request, **ids)

    def answer(self, request: Request, **ids: Any) -> HttpResponse:
        if view := self.views.get(request.method):
            return view(request, **ids)
        allowed = ", ".join(self.views)
        raise ApiError(405, f"{request.method} is not allowed here (allowed: {allowed})", headers={"Allow": allowed})


class Pages(Methods):
    """The same, for people: an error is a page as well, and HEAD is a GET whose body stays away."""

    def __init__(self, **views: View) -> None:
        super().__init__(**views)
        if "GET" in views:
            self.views["HEAD"] = views["GET"]

    def answer(self, request: Request, **ids: Any) -> HttpResponse:
        try:
            return super().answer(request, **ids)
        except ApiError as error:
            return responses.error_page(request, error)


def unknown_page(request: Request) -> HttpResponse:
    """For a browser a page, for a program that has the API's address wrong an error envelope."""
    if "text/html" not in request.META.get("HTTP_ACCEPT", ""):
        raise ApiError(404, f"Not found: {request.method} {request.path}")
    return Pages(**{request.method: responses.not_found})(request)


urlpatterns = [
    path("", Pages(GET=mail_list.inbox)),
    path("mail/<mail_id>", Pages(GET=mail_page.show)),
    path("mail/<mail_id>/html", Pages(GET=mail_page.html)),
    path("mail/<mail_id>/delete", Pages(POST=mail_page.delete)),
    path("mail/<mail_id>/restore", Pages(POST=mail_page.restore)),
    path("faults", Pages(GET=faults.page, POST=faults.deed)),
    path("emails", Pages(GET=emails.page, POST=emails.deed)),
    path("setup", Pages(GET=setup.page, POST=setup.deed)),
    path("thumbnails/<email_id>.svg", Pages(GET=thumbnails.show)),
    path("static/<name>", Pages(GET=responses.static)),
    path("_sandbox/list", Pages(GET=mail_list.fragment)),
    path("v1/sending", Methods(POST=api.send)),
    path("v1/sending/batches/<batch_id>", Methods(GET=api.batch_status)),
    path("v1/campaigns", Methods(GET=campaigns.campaigns, POST=campaigns.create)),
    path("v1/campaigns/<campaign_id>", Methods(GET=campaigns.campaign)),
    path("v1/campaigns/<campaign_id>/stats", Methods(GET=campaigns.stats)),
    path("v1/campaigns/<campaign_id>/send", Methods(POST=campaigns.send)),
    path("v1/campaigns/<campaign_id>/schedule", Methods(POST=campaigns.schedule)),
    path("v1/campaigns/<campaign_id>/cancel", Methods(POST=campaigns.cancel)),
    path("v1/emails/test/send", Methods(POST=api.send_test)),
    path("v1/projects", Methods(GET=api.projects)),
    path("v1/tags", Methods(GET=api.tags)),
    path("v1/segments", Methods(GET=api.segments)),
    path("v1/projects/emails", Methods(GET=api.emails)),
    path("v1/projects/emails/<conversation_id>/status", Methods(GET=api.conversation_status)),
    path("v1/emails/<email_id>", Methods(GET=api.email)),
    path("v1/emails/<email_id>/logs", Methods(GET=api.email_logs)),
    path("v1/domains", Methods(GET=api.domains), {"managed": False}),
    path("v1/domains/managed", Methods(GET=api.domains), {"managed": True}),
    path("v1/webhooks/events", Methods(GET=api.webhook_events)),
    path("_sandbox/", Methods(GET=control.about)),
    path("_sandbox/messages", Methods(GET=control.messages, DELETE=control.clear_messages)),
    path("_sandbox/messages/<message_id>", Methods(GET=control.message)),
    path("_sandbox/messages/<message_id>/html", Methods(GET=control.message_html)),
    path("_sandbox/events", Methods(GET=control.events)),
    path("_sandbox/stats", Methods(GET=control.stats)),
    path("_sandbox/faults", Methods(GET=control.faults, POST=control.change_faults, DELETE=control.clear_faults)),
    re_path(r"^(?!v1/|_sandbox/)", unknown_page),
]
ENDPOINTS = [
    f"{method} {path_template(str(pattern.pattern))}"
    for pattern in urlpatterns
    if isinstance(pattern.callback, Methods) and not isinstance(pattern.callback, Pages)
    for method in pattern.callback.views
]
