"""The sandbox's account: two projects, their domains, recipients and stored emails, read from ``account.json``.

The file has the shapes of Migma's answers: field names from the types of its Node SDK (mid 2026) and, for domains,
from the examples of its docs. Only three things differ: tags and segments stand under their project's id, a
conversation also has its ``projectId`` and its ``title``, and ``html`` names a file of ``emails/``. ``samples`` are
the sandbox's own: values for the variables of each email, for the page that sends it.

Every id is constant, so that settings and tests may name it. Domains end in ``.example``, which no one can own.
"""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from django_migma.sandbox.protocol import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

    Json = dict[str, Any]

# Ids of every kind look like 24 hex digits in Migma's SDK; its docs say so only of emails and conversations.
FERNHILL = "665f1c2ab7d3e4f5a6a70001"
LUMEN = "665f1c2ab7d3e4f5a6a70002"

WELCOME = "665f1c2ab7d3e4f5a6b70001"
RECEIPT = "665f1c2ab7d3e4f5a6b70002"
PASSWORD_RESET = "665f1c2ab7d3e4f5a6b70003"  # noqa: S105 - an id
LAYOUT = "665f1c2ab7d3e4f5a6b70004"
SERIES_1 = "665f1c2ab7d3e4f5a6b70005"
SERIES_2 = "665f1c2ab7d3e4f5a6b70006"

WELCOME_CONVERSATION = "665f1c2ab7d3e4f5a6c70001"
RECEIPT_CONVERSATION = "665f1c2ab7d3e4f5a6c70002"
PASSWORD_RESET_CONVERSATION = "665f1c2ab7d3e4f5a6c70003"  # noqa: S105 - an id
LAYOUT_CONVERSATION = "665f1c2ab7d3e4f5a6c70004"
SERIES_CONVERSATION = "665f1c2ab7d3e4f5a6c70005"
PROCESSING_CONVERSATION = "665f1c2ab7d3e4f5a6c70006"
FAILED_CONVERSATION = "665f1c2ab7d3e4f5a6c70007"

CUSTOMERS_TAG = "665f1c2ab7d3e4f5a6d70001"
NEWSLETTER_TAG = "665f1c2ab7d3e4f5a6d70002"
RIDERS_TAG = "665f1c2ab7d3e4f5a6d70003"
COFFEE_LETTER_TAG = "665f1c2ab7d3e4f5a6d70004"
PARTIAL_TAG = "665f1c2ab7d3e4f5a6d70005"
FAILED_TAG = "665f1c2ab7d3e4f5a6d70006"
THROTTLED_TAG = "665f1c2ab7d3e4f5a6d70007"
ENDLESS_TAG = "665f1c2ab7d3e4f5a6d70008"
EMPTY_TAG = "665f1c2ab7d3e4f5a6d70009"
COFFEE_LOVERS = "665f1c2ab7d3e4f5a6e70001"
LAPSED_CUSTOMERS = "665f1c2ab7d3e4f5a6e70002"
COMMUTERS = "665f1c2ab7d3e4f5a6e70003"
TWINS = ("665f1c2ab7d3e4f5a6e70004", "665f1c2ab7d3e4f5a6e70005")  # segments of one name

_FOLDER = resources.files("django_migma.sandbox")
ACCOUNT: Json = json.loads(_FOLDER.joinpath("account.json").read_text("utf-8"))
_RESULTS: list[Json] = [each["result"] for each in ACCOUNT["conversations"] if "result" in each]
_EMAILS: dict[str, Json] = {email["id"]: email for result in _RESULTS for email in result["emails"]}
EMAIL_NAMES: dict[str, str] = {email_id: email["html"].removesuffix(".html") for email_id, email in _EMAILS.items()}
for _email in _EMAILS.values():
    _email["html"] = _FOLDER.joinpath("emails", _email["html"]).read_text("utf-8")
for _result in _RESULTS:
    _first = _result["emails"][0]
    _result |= {"subject": _first["subject"], "previewText": _first["preheader"], "html": _first["html"]}
SAMPLES: dict[str, dict[str, str]] = ACCOUNT["samples"]
_PROJECTS = {project["_id"]: project for project in ACCOUNT["projects"]}
_CONVERSATIONS = {each["conversationId"]: each for each in ACCOUNT["conversations"]}
_LISTED_FIELDS = (
    "conversationId", "title", "subject", "previewText", "status", "screenshotUrl", "createdAt", "updatedAt"
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Audience:
    """A tag or a segment, which a batch goes to."""

    kind: str  # "tag" or "segment"
    name: str
    size: int
    project: str  # its id


_AUDIENCES = {
    (kind, item["id"]): Audience(kind=kind, name=item["name"], size=item[counted], project=project)
    for kind, counted in (("tag", "subscriberCount"), ("segment", "count"))
    for project, items in ACCOUNT[f"{kind}s"].items()
    for item in items
}


@dataclass(frozen=True, kw_only=True)
class Content:
    """What POST /v1/sending is to send; ``email`` is None for raw HTML."""

    html: str
    project: Json
    email: Json | None = None


def find_project(project_id: str) -> Json:
    return _find(_PROJECTS, "Project", "projectId", project_id)


def find_conversation(conversation_id: str) -> Json:
    return _find(_CONVERSATIONS, "Conversation", "conversationId", conversation_id)


def find_email(email_id: str) -> Json:
    return _find(_EMAILS, "Email", "emailId", email_id)


def _find(items: Mapping[str, Json], noun: str, field: str, item_id: str) -> Json:
    if item_id.lower() not in items:
        raise ApiError(404, f"{noun} not found: {field} {item_id}")
    return items[item_id.lower()]


def find_stored_email(body: Mapping[str, Any]) -> Json:
    """By ``emailId``, or by the ``conversationId`` of a conversation that holds a single email.

    The statuses are the documented ones of the test send. Those of POST /v1/sending for an unknown or unfinished
    email and for a series are not public, and assumed to be the same.
    """
    if "emailId" in body:
        email = find_email(body["emailId"])
        if body.get("conversationId", email["conversationId"]).lower() != email["conversationId"]:
            raise ApiError(400, "emailId does not belong to conversationId; emailId alone is enough")
        return email
    conversation = find_conversation(body["conversationId"])
    if conversation["status"] != "completed":
        raise ApiError(400, f"conversationId: this conversation is {conversation['status']}, not completed")
    emails: list[Json] = conversation["result"]["emails"]
    if len(emails) > 1:
        raise ApiError(400, f"conversationId: this is a series of {len(emails)} emails; emailId is required")
    return emails[0]


def find_content(body: Mapping[str, Any], *, any_id: bool) -> Content:
    """The content of a checked body of POST /v1/sending. With ``any_id``, unknown ids get a page of the variables."""
    try:
        return _known_content(body)
    except ApiError as error:
        if not any_id or error.status != 404:
            raise
    page = body["template"] if _is_raw(body) else _placeholder_page(body)
    return Content(html=page, project=_PROJECTS[FERNHILL])


def _is_raw(body: Mapping[str, Any]) -> bool:
    """Whether its template counts. Beside an id it is ignored, and may be anything."""
    return "emailId" not in body and "conversationId" not in body


def _known_content(body: Mapping[str, Any]) -> Content:
    if _is_raw(body):
        return Content(html=body["template"], project=find_project(body["projectId"]))
    email = find_stored_email(body)
    project = find_project(_CONVERSATIONS[email["conversationId"]]["projectId"])
    if "projectId" in body and find_project(body["projectId"]) != project:
        raise ApiError(400, "projectId is not the project of this email; it may be left out")
    return Content(html=email["html"], project=project, email=email)


def _placeholder_page(body: Mapping[str, Any]) -> str:
    names = map(html.escape, body.get("variables", {}))
    rows = "".join(f"<tr><th align=left>{name}</th><td>{{{{{name}}}}}</td></tr>" for name in names)
    chosen = html.escape(body.get("emailId") or body.get("conversationId", ""))
    return (
        "<!doctype html><meta charset=utf-8><title>Stored at Migma</title><body style='font-family: sans-serif'>"
        f"<p>The email {chosen} is stored at Migma, not here. Its variables:</p><table cellpadding=8>{rows}</table>"
    )


def find_audience(recipient_type: str, recipient_id: str) -> Audience | None:
    """By the fields of a body, where "audience" means a segment too. None for an unknown id."""
    return _AUDIENCES.get(("tag" if recipient_type == "tag" else "segment", recipient_id.lower()))


def count_recipients(body: Mapping[str, Any], project: Json) -> int:
    """The size of the segment or tag that a checked body names, which must be one of the project."""
    found = find_audience(body["recipientType"], body["recipientId"])
    if found is not None and found.project == project["_id"]:
        return found.size
    kind = "Tag" if body["recipientType"] == "tag" else "Segment"
    text = f"recipientId must be the id of a {kind.lower()} of {project['name']}, not its name"
    raise ApiError(404, f"{kind} not found: {text}")


def listed_emails(project: Json, *, status: str | None, search: str) -> list[Json]:
    """The project's conversations as the list of emails has them: newest first, and without any ``emailId``."""
    return [
        {name: (conversation.get("result", {}) | conversation).get(name) for name in _LISTED_FIELDS}
        for conversation in reversed(ACCOUNT["conversations"])
        if conversation["projectId"] == project["_id"]
        and status in {None, conversation["status"]}
        and search in _searched_text(conversation)
    ]


def _searched_text(conversation: Json) -> str:
    emails = conversation.get("result", {}).get("emails", [])
    return "\n".join([conversation["title"], *(email["subject"] for email in emails)]).lower()


def stored_email_or_none(body: Mapping[str, Any]) -> Json | None:
    """The stored email that a body names, which may be any garbage."""
    try:
        return find_stored_email(body)
    except (ApiError, AttributeError, LookupError, TypeError):
        return None
