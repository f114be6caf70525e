"""One mail: its head, its tabs, and what can be done with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django_migma.sandbox import account, verdicts
from django_migma.sandbox.pages import mail_tabs
from django_migma.sandbox.pages.mail_frame import framed_page, links, remote_images
from django_migma.sandbox.pages.mail_list import listing
from django_migma.sandbox.pages.responses import clock_time, render, see_other
from django_migma.sandbox.protocol import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.http import HttpResponse

    from django_migma.sandbox.exchanges import Mail
    from django_migma.sandbox.server import Request

TABS = {
    "mail": "Mail",
    "variables": "Variables",
    "requests": "Requests",
    "json": "JSON",
    "source": "Source",
    "links": "Links",
}
WIDTHS = {"phone": "Phone", "tablet": "Tablet", "desktop": "Desktop", "fit": "Fit"}
_PIXELS = {"phone": 375, "tablet": 768, "desktop": 1024}  # as in the stylesheet
SCHEMES = {"light": "Light", "dark": "Dark"}


def find_mail(request: Request, mail_id: str) -> Mail:
    found = request.sandbox.store.inbox.mail(mail_id)
    if found is None:
        kept = request.sandbox.switches.max_messages
        raise ApiError(
            404, f"There is no mail {mail_id[:100]}. Only the newest {kept} are kept, and they end with the sandbox."
        )
    return found


def show(request: Request, mail_id: str) -> HttpResponse:
    """GET /mail/ID: also by an id that Migma's answer has given, which leads to the mail's own address."""
    mail = find_mail(request, mail_id)
    if mail.id != mail_id:
        return see_other(f"/mail/{mail.id}?{urlencode(request.GET.dict())}".removesuffix("?"))
    request.sandbox.store.inbox.mark_read(mail.id)
    tab = _chosen(request, "tab", TABS)
    return render(
        request,
        f"mail_{tab}.html",
        area="mail",
        mail=mail,
        head=_head(request, mail),
        tabs=_tabs(request, mail),
        list=listing(request, mail.id),
        **_CONTENTS[tab](request, mail),
    )


def html(request: Request, mail_id: str) -> HttpResponse:
    """GET /mail/ID/html: the mail as a browser shows it, for the frame or alone."""
    return framed_page(request, find_mail(request, mail_id))


def delete(request: Request, mail_id: str) -> HttpResponse:
    """POST /mail/ID/delete: back to the list, which offers to undo it."""
    request.sandbox.store.inbox.delete(find_mail(request, mail_id).id)
    return see_other(f"/?{urlencode(request.GET.dict() | {'deleted': mail_id})}")


def restore(request: Request, mail_id: str) -> HttpResponse:
    """POST /mail/ID/restore: only the mail that was deleted last."""
    deleted = request.sandbox.store.inbox.deleted
    if deleted is None or deleted.id != mail_id:
        raise ApiError(404, f"Mail {mail_id} cannot be put back: only the one that was deleted last is kept.")
    request.sandbox.store.inbox.restore(deleted)
    return see_other(f"/mail/{mail_id}?{urlencode(request.GET.dict())}".removesuffix("?"))


def _head(request: Request, mail: Mail) -> dict[str, Any]:
    body = mail.main.payload
    return {
        "sender": "Migma's own sender" if mail.main.is_test else mail.main.sender,
        "reply_to": str(body.get("replyTo", "")),
        "email": _title(mail),
        "email_id": mail.main.email_id,
        "outcome": verdicts.outcome(mail),
        "kind": "test send" if mail.main.is_test else _kind(body),
        "time": clock_time(mail.at, request.sandbox.store.clock()),
    }


def _title(mail: Mail) -> str:
    stored = mail.main.stored_email
    return str(account.find_conversation(stored["conversationId"])["title"]) if stored else ""


def _kind(body: Mapping[str, Any]) -> str:
    """What Migma takes the mail for; empty for a request that names no kind of recipient."""
    if "recipientType" not in body:
        return ""
    return "transactional" if body.get("transactional", body["recipientType"] == "email") else "marketing"


def _tabs(request: Request, mail: Mail) -> list[dict[str, Any]]:
    counts = {
        "variables": len(mail.variables_used),
        "requests": mail.attempts,
        "links": len(links(mail.rendered.html)),
    }
    return [{**choice, "count": counts.get(choice["name"], "")} for choice in _choices(request, "tab", TABS)]


def _mail_tab(request: Request, mail: Mail) -> dict[str, Any]:
    asked = {name: "1" for name in ("images", "marks") if request.GET.get(name) == "1"}
    return {
        "widths": _choices(request, "width", WIDTHS, default="fit"),
        "width": _chosen(request, "width", WIDTHS, default="fit"),
        "schemes": _choices(request, "scheme", SCHEMES),
        "scheme": _chosen(request, "scheme", SCHEMES),
        "frame": f"/mail/{mail.id}/html?{urlencode(asked)}".removesuffix("?") if mail.rendered.html_template else "",
        "remote": 0 if "images" in asked else remote_images(mail.rendered.html),
        "with_images": _link(request, images="1"),
        "missing": len(mail.missing_variables),
        "is_marked": "marks" in asked,
        "marks": _link(request, marks="0" if "marks" in asked else "1"),
    }


_CONTENTS = {
    "mail": _mail_tab,
    "variables": mail_tabs.variables_tab,
    "requests": mail_tabs.requests_tab,
    "json": mail_tabs.json_tab,
    "source": mail_tabs.source_tab,
    "links": mail_tabs.links_tab,
}


def _chosen(request: Request, name: str, choices: Mapping[str, str], *, default: str = "") -> str:
    given = request.GET.get(name, "")
    return given if given in choices else default or next(iter(choices))


def _choices(request: Request, name: str, choices: Mapping[str, str], *, default: str = "") -> list[dict[str, Any]]:
    chosen = _chosen(request, name, choices, default=default)
    places = list(choices)
    following = places[(places.index(chosen) + 1) % len(places)]
    return [
        {
            "name": choice,
            "label": label,
            "pixels": _PIXELS.get(choice),
            "address": _link(request, **{name: choice}),
            "here": choice == chosen,
            "next": choice == following,
        }
        for choice, label in choices.items()
    ]


def _link(request: Request, **changes: str) -> str:
    """This page with another choice."""
    return f"?{urlencode(request.GET.dict() | changes)}"
