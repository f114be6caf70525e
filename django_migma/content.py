"""The content of a message: a stored email, a layout around the message's own body, or raw HTML.

Migma's contract of mid 2026 sends stored emails. Ordinary Django mail has a body of its own, which needs a layout or
the raw route.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.utils.encoding import force_str

from .api.errors import StoredEmailNotFound
from .api.types import is_object_id
from .message import get_attribute
from .stored_emails import NO_STORED_EMAIL, DeclaredEmails, Resolver, SettingsResolver, StoredEmailData
from .unsupported_features import html_alternative
from .variables import placeholder_names, to_json_value

if TYPE_CHECKING:
    from django.core.mail import EmailMessage
    from django.template import Engine

    from .conf import Config


PLAIN_TEXT_TEMPLATE = "django_migma/plain_text.html"
LAYOUT_VARIABLES = ("subject", "body_html", "body_text")  # the placeholders of a layout: {{subject}} and so on


@dataclass(frozen=True, kw_only=True)
class OwnTexts:
    """The message's own subject and bodies. ``html`` is None where it has to be made from ``text``."""

    subject: str
    html: str | None
    text: str

    def placeholder_names(self) -> list[str]:
        return placeholder_names(self.subject, self.html or "", self.text)

    def fill(self, variables: Mapping[str, Any]) -> OwnTexts:
        """The texts with values in place of their placeholders."""
        from . import html  # noqa: PLC0415 - lazy: stored emails need neither HTML nor templates

        return OwnTexts(
            subject=html.fill_placeholders_in_text(self.subject, variables),
            html=None if self.html is None else html.fill_placeholders(self.html, variables),
            text=html.fill_placeholders_in_text(self.text, variables),
        )


@dataclass(frozen=True, kw_only=True)
class Content:
    """The fields of a request that select or hold the content, its subject, and the stored email if known here.

    ``own``: the message's texts, if their placeholders have to be filled for each recipient with `fill`.
    """

    stored: StoredEmailData = NO_STORED_EMAIL
    subject: str
    email_id: str | None = None
    conversation_id: str | None = None
    template: str | None = None
    project_id: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    own: OwnTexts | None = None

    def fill(self, variables: Mapping[str, Any]) -> Content:
        """The content for a recipient with these variables. Only texts within a layout differ between recipients."""
        return self if self.own is None else _wrap(self.own.fill(variables), self.email_id)


def choose(
    message: EmailMessage, subject: str, config: Config, resolver: Resolver | None = None, *, merges: bool
) -> Content:
    """Return the content of a message. ``merges``: it has merge data, so placeholders in its own texts are filled.

    Takes only messages that `find_unsupported` lets pass: the settings have a route for a body, and its size fits.
    Raises `StoredEmailNotFound`, and ValueError or TypeError for a faulty id.
    """
    template_id, conversation_id = get_attribute(message, "template_id"), get_attribute(message, "conversation_id")
    if template_id is not None or conversation_id is not None:
        resolver = resolver or SettingsResolver(DeclaredEmails(config.stored_emails))
        return _stored(template_id, conversation_id, subject, resolver)
    if config.layout_email_id:
        return _layout(message, subject, config, merges=merges)
    return _raw(message, subject, config, merges=merges)


def _stored(template_id: Any, conversation_id: Any, subject: str, resolver: Resolver) -> Content:
    if template_id is not None and conversation_id is not None:
        raise ValueError("Give template_id or conversation_id, not both: either one selects the stored email.")
    if conversation_id is not None:
        if not is_object_id(conversation_id):
            raise ValueError(f"conversation_id must be 24 hex digits, as Migma's ids are, not {conversation_id!r}.")
        return Content(subject=subject, conversation_id=conversation_id)
    if type(template_id) is int:  # other providers have integers, and so has code written for them
        template_id = str(template_id)
    if is_object_id(template_id):
        return Content(subject=subject, email_id=template_id)
    stored = resolver(template_id)
    if not (stored.email_id or stored.conversation_id):
        raise StoredEmailNotFound(
            "The stored email has neither an email id nor a conversation id, so Migma does not know it",
            hint="Give it one of them in the admin, or run migma_sync.",
        )
    return Content(
        subject=subject or stored.subject,
        email_id=stored.email_id,
        conversation_id=stored.conversation_id,
        stored=stored,
    )


def _layout(message: EmailMessage, subject: str, config: Config, *, merges: bool) -> Content:
    document, text = _bodies(message)
    own = OwnTexts(subject=subject, html=document, text=text)
    if merges:
        return Content(subject=subject, email_id=config.layout_email_id, own=own)
    return _wrap(own, config.layout_email_id)


def _wrap(own: OwnTexts, layout_email_id: str | None) -> Content:
    """The texts as variables of the layout. Placeholders are filled by now: what still looks like one is text."""
    from . import html  # noqa: PLC0415 - lazy: stored emails need neither HTML nor templates

    document = _render_plain_text(own.text) if own.html is None else own.html
    body_html, body_text = html.body_content(document), own.text or html.html_to_text(document)
    subject, body_text = map(html.escape_placeholders_in_text, (own.subject, body_text))
    shown = (html.escape_tags(subject), html.escape_placeholders(body_html), html.escape_tags(body_text))
    variables = dict(zip(LAYOUT_VARIABLES, shown, strict=True))
    return Content(subject=subject, email_id=layout_email_id, variables=variables)


def _raw(message: EmailMessage, subject: str, config: Config, *, merges: bool) -> Content:
    from . import html  # noqa: PLC0415 - lazy

    given, text = _bodies(message)
    document = _render_plain_text(text) if given is None else given
    if not merges:
        document, subject = html.escape_placeholders(document), html.escape_placeholders_in_text(subject)
    return Content(subject=subject, template=document, project_id=config.project_id)


def _bodies(message: EmailMessage) -> tuple[str | None, str]:
    """The message's HTML, None where it has none, and its text, which may be empty."""
    body = _text(message.body or "", "body")
    if (alternative := html_alternative(message)) is not None:
        document = _text(alternative, "text/html alternative")
        return document, "" if message.content_subtype == "html" else body
    return (body, "") if message.content_subtype == "html" else (None, body)


def _text(value: Any, path: str) -> str:
    """Return text as it is, and bytes in UTF-8 as text. Errors do not show it."""
    # Bytes that are no UTF-8 become surrogates, which are refused.
    return str(to_json_value(force_str(value, errors="surrogateescape"), path))


def _render_plain_text(text: str) -> str:
    """A plain-text body as an HTML document, through ``django_migma/plain_text.html``.

    The template gets ``html`` (escaped, with links, paragraphs, line breaks) and ``text`` as it was. A site's own
    template of that name wins; a site without template engines, or without this app, gets ours.
    """
    from django.template import Context, TemplateDoesNotExist, loader  # noqa: PLC0415 - lazy

    from . import html  # noqa: PLC0415 - lazy

    context = {"html": html.text_to_html(text), "text": text}
    try:
        template = loader.get_template(PLAIN_TEXT_TEMPLATE)
    except TemplateDoesNotExist:
        return _own_engine().get_template(PLAIN_TEXT_TEMPLATE).render(Context(context))
    return template.render(context)


@lru_cache(maxsize=1)
def _own_engine() -> Engine:
    from django.template import Engine  # noqa: PLC0415 - lazy

    return Engine(dirs=[str(Path(__file__).parent / "templates")])
