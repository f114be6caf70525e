"""What a checked request body points at: a project, its stored email, its segment or tag.

Statuses are the documented ones of the test send (404 for what does not exist); those of POST /v1/sending for
an unknown or unfinished email and for a series are not public, and assumed to be the same.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django_migma.sandbox import data, stored
from django_migma.sandbox.wire import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class Selected:
    """What is to be sent; ``email`` is None for raw HTML."""

    html: str
    project: data.Project
    email: stored.StoredEmail | None = None


def stored_email(body: Mapping[str, Any]) -> stored.StoredEmail:
    """By ``emailId``, or by the ``conversationId`` of a conversation that holds a single email."""
    if "emailId" not in body:
        return _only_email(_conversation(body["conversationId"]))
    email = stored.EMAILS_BY_ID.get(body["emailId"].lower())
    if email is None:
        raise Refusal(404, f"Email not found: emailId {body['emailId']}")
    if "conversationId" in body and body["conversationId"].lower() != email.conversation_id:
        raise Refusal(400, "emailId does not belong to conversationId; emailId alone is enough")
    return email


def content(body: Mapping[str, Any], *, any_id: bool = False) -> Selected:
    """Of POST /v1/sending, raw HTML included where the rules let it pass; a stand-in for ids of another account."""
    try:
        return _known_content(body)
    except Refusal as refusal:
        if not any_id or refusal.status != 404:
            raise
    return Selected(html=body.get("template") or _stand_in(body), project=data.PROJECTS[0])


def _stand_in(body: Mapping[str, Any]) -> str:
    """A page that lists the variables of an email whose HTML is not here."""
    names = (html.escape(str(name)) for name in body.get("variables", {}))
    rows = "".join(f"<tr><th align=left>{name}</th><td>{{{{{name}}}}}</td></tr>" for name in names)
    chosen = html.escape(body.get("emailId") or body.get("conversationId", ""))
    return (
        "<!doctype html><meta charset=utf-8><title>Stored at Migma</title><body style='font-family: sans-serif'>"
        f"<p>The email {chosen} is stored at Migma, not here. Its variables:</p><table cellpadding=8>{rows}</table>"
    )


def _known_content(body: Mapping[str, Any]) -> Selected:
    if "emailId" not in body and "conversationId" not in body:
        return Selected(html=body["template"], project=project(body["projectId"]))
    email = stored_email(body)
    owner = data.PROJECTS_BY_ID[stored.CONVERSATIONS_BY_ID[email.conversation_id].project_id]
    if "projectId" in body and project(body["projectId"]) != owner:
        raise Refusal(400, "projectId is not the project of this email; it may be left out")
    return Selected(html=email.html, project=owner, email=email)


def project(project_id: str) -> data.Project:
    found = data.PROJECTS_BY_ID.get(project_id.lower())
    if found is None:
        raise Refusal(404, f"Project not found: projectId {project_id}")
    return found


def batch_size(body: Mapping[str, Any], owner: data.Project) -> int:
    """How many people are in the segment or carry the tag that ``recipientId`` names."""
    kind, wanted = body["recipientType"], (body["recipientId"].lower(), owner.id)
    if kind == "tag":
        sizes = {(tag.id, tag.project_id): tag.subscribers for tag in data.TAGS}
    else:  # "audience" and "segment" both mean a saved segment
        sizes = {(part.id, part.project_id): part.contacts for part in data.SEGMENTS}
    if wanted not in sizes:
        noun = "Tag" if kind == "tag" else "Segment"
        text = f"{noun} not found: recipientId must be the id of a {noun.lower()} of {owner.name}"
        raise Refusal(404, f"{text}, not its name")
    return sizes[wanted]


def _conversation(conversation_id: str) -> stored.Conversation:
    found = stored.CONVERSATIONS_BY_ID.get(conversation_id.lower())
    if found is None:
        raise Refusal(404, f"Conversation not found: conversationId {conversation_id}")
    return found


def _only_email(conversation: stored.Conversation) -> stored.StoredEmail:
    if conversation.status != "completed":
        raise Refusal(400, f"conversationId: this conversation is {conversation.status}, not completed")
    if len(conversation.emails) > 1:
        count = len(conversation.emails)
        raise Refusal(400, f"conversationId: this is a series of {count} emails; emailId is required")
    return conversation.emails[0]
