"""Which content a message goes out with: a stored email, a layout around its own body, or raw HTML.

Migma's contract of mid 2026 sends stored emails. Ordinary Django mail has a body of its own, hence the other two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.utils.encoding import force_str

from .api.errors import StoredEmailNotFound, UnsupportedFeature
from .api.words import is_object_id
from .features import refuse
from .message import attribute
from .stored import NOTHING, Find, Stored
from .variables import plain

if TYPE_CHECKING:
    from django.core.mail import EmailMessage
    from django.template import Engine

    from .conf import Config

PLAIN_TEXT_TEMPLATE = "django_migma/plain_text.html"
LAYOUT_VARIABLES = ("subject", "body_html", "body_text")
"""What a layout may use, as ``{{subject}}`` and so on."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """The fields of a request that say what is sent, and the subject that goes with it.

    ``stored`` is the stored email where one was named that is known here.
    """

    stored: Stored = NOTHING
    subject: str
    email_id: str | None = None
    conversation_id: str | None = None
    template: str | None = None
    project_id: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)


def choose(message: EmailMessage, subject: str, config: Config, find: Find, *, merges: bool) -> Content:
    """The content of a message. ``merges`` says whether it brings variables of its own.

    Raises `UnsupportedFeature`, `StoredEmailNotFound`, and ValueError or TypeError for a faulty id.
    """
    template_id, conversation_id = attribute(message, "template_id"), attribute(message, "conversation_id")
    if template_id is not None or conversation_id is not None:
        return _stored(template_id, conversation_id, subject, find)
    if config.layout_email_id:
        return _layout(message, subject, config, merges=merges)
    if config.project_id:
        return _raw(message, subject, config, merges=merges)
    raise UnsupportedFeature(
        "Migma sends stored emails, and this message has only a body of its own. Set MIGMA['LAYOUT_EMAIL_ID'] to a "
        "stored email that wraps such mail, or MIGMA['PROJECT_ID'] to send it as raw HTML, or give the message a "
        "template_id (a pre_send receiver can do that for mail of other packages).",
        feature="body",
    )


def _stored(template_id: Any, conversation_id: Any, subject: str, find: Find) -> Content:
    if template_id is not None and conversation_id is not None:
        raise ValueError("Give template_id or conversation_id, not both: either one selects the stored email.")
    if conversation_id is not None:
        _check_conversation(conversation_id)
        return Content(subject=subject, conversation_id=conversation_id)
    if is_object_id(template_id):
        return Content(subject=subject, email_id=template_id)
    stored = find(template_id)
    if not (stored.email_id or stored.conversation_id):
        raise StoredEmailNotFound(
            "The stored email has neither an email id nor a conversation id, so Migma knows none."
        )
    return Content(
        subject=subject or stored.subject,
        email_id=stored.email_id,
        conversation_id=stored.conversation_id,
        stored=stored,
    )


def _check_conversation(value: Any) -> None:
    if not isinstance(value, str):
        raise TypeError(f"conversation_id must be a string, not {type(value).__name__}.")
    if not is_object_id(value):
        raise ValueError(f"conversation_id must be 24 hex digits, as Migma's ids are, not {value!r}.")


def _layout(message: EmailMessage, subject: str, config: Config, *, merges: bool) -> Content:
    from . import markup  # noqa: PLC0415 - lazy, as in the functions below: stored emails need neither HTML nor templates

    html, text = bodies(message, config)
    body_html, body_text = markup.inner_body(html), text or markup.text_of_html(html)
    if not merges:
        subject, body_text = map(markup.text_without_placeholders, (subject, body_text))
        body_html = markup.without_placeholders(body_html)
    shown = (markup.without_tags(subject), body_html, markup.without_tags(body_text))
    variables = dict(zip(LAYOUT_VARIABLES, shown, strict=True))
    return Content(subject=subject, email_id=config.layout_email_id, variables=variables)


def _raw(message: EmailMessage, subject: str, config: Config, *, merges: bool) -> Content:
    from . import markup  # noqa: PLC0415 - lazy

    html, _ = bodies(message, config)
    if not merges:
        html, subject = markup.without_placeholders(html), markup.text_without_placeholders(subject)
    return Content(subject=subject, template=html, project_id=config.project_id)


def bodies(message: EmailMessage, config: Config) -> tuple[str, str]:
    """The message's HTML, made from its text where there is none, and its text, which may be empty."""
    body = _text(message.body or "", "body")
    if (alternative := html_alternative(message)) is not None:
        if message.content_subtype == "html":
            refuse("alternatives", config.ignore_unsupported_features)  # two HTML parts
            return alternative, ""
        return alternative, body
    if message.content_subtype == "html":
        return body, ""
    if message.content_subtype != "plain":
        refuse("content_subtype", config.ignore_unsupported_features)
    return plain_text_html(body), body


def html_alternative(message: EmailMessage) -> str | None:
    """The first ``text/html`` alternative."""
    for content, mimetype in getattr(message, "alternatives", None) or ():
        if is_html(mimetype):
            return _text(content, "The text/html alternative")
    return None


def _text(value: Any, path: str) -> str:
    """Text or bytes in UTF-8 as text. Raises `SerializationError`, which does not show it."""
    try:
        text = force_str(value)
    except UnicodeDecodeError:
        text = "\udcff"  # refused below, where no exception that holds the body is under way
    return str(plain(text, path))


def is_html(mimetype: str | None) -> bool:
    """Whether a media type is HTML, parameters aside."""
    return (mimetype or "").partition(";")[0].strip().lower() == "text/html"


def plain_text_html(text: str) -> str:
    """A plain-text body as an HTML document, through ``django_migma/plain_text.html``.

    The template gets ``html`` (escaped, with links, paragraphs, line breaks) and ``text`` as it was. The site's own
    template of that name wins; a site without template engines, or without this app, gets ours.
    """
    from django.template import Context, TemplateDoesNotExist, loader  # noqa: PLC0415 - lazy

    from . import markup  # noqa: PLC0415 - lazy

    context = {"html": markup.html_of_text(text), "text": text}
    try:
        template = loader.get_template(PLAIN_TEXT_TEMPLATE)
    except TemplateDoesNotExist:
        return _own_engine().get_template(PLAIN_TEXT_TEMPLATE).render(Context(context))
    return template.render(context)


@lru_cache(maxsize=1)
def _own_engine() -> Engine:
    from django.template import Engine  # noqa: PLC0415 - lazy

    return Engine(dirs=[str(Path(__file__).parent / "templates")])
