"""The content of a message: a stored email, a layout around the message's own body, or raw HTML.

Migma's contract of mid 2026 sends stored emails. Ordinary Django mail has a body of its own, which needs a layout or
the raw route.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from django.utils.encoding import force_str

from .api.errors import StoredEmailNotFound, UnsupportedFeature
from .api.types import is_object_id
from .message import get_attribute
from .unsupported_features import is_html, refuse_feature
from .variables import placeholder_names, to_json_value

if TYPE_CHECKING:
    from django.core.mail import EmailMessage
    from django.template import Engine

    from .conf import Config


class StoredEmailData(NamedTuple):
    """What a send needs of a stored email: its ids, and what this site knows beyond them.

    ``name`` is its key or id, for error texts. ``body_variables`` are the names in its preheader and HTML,
    ``optional_variables`` those that Migma fills from the contact. A tuple, since the models need the class at every
    start, and a dataclass takes a millisecond to make.
    """

    name: str
    email_id: str | None = None
    conversation_id: str | None = None
    subject: str = ""
    from_email: str = ""
    from_name: str = ""
    provider_type: str = ""
    default_variables: Mapping[str, Any] = {}
    body_variables: frozenset[str] = frozenset()
    optional_variables: frozenset[str] = frozenset()


NO_STORED_EMAIL = StoredEmailData(name="")  # for mail that names no stored email, or one not known here

Resolver = Callable[[Any], StoredEmailData]
"""Returns the stored email for a ``template_id`` that is not a raw id; raises `StoredEmailNotFound` or TypeError."""


def resolve_without_app(template_id: Any) -> StoredEmailData:
    """The `Resolver` of a site without the app, where stored emails have no keys."""
    raise StoredEmailNotFound(
        f"No stored email is known by the key {template_id!r}: keys need the app, and 'django_migma' is not in "
        "INSTALLED_APPS",
        hint="Add it, or give Migma's id of the email as template_id, 24 hex digits.",
    )


PLAIN_TEXT_TEMPLATE = "django_migma/plain_text.html"
LAYOUT_VARIABLES = ("subject", "body_html", "body_text")  # the placeholders of a layout: {{subject}} and so on
MAX_BODY = 5_000_000  # characters of a body or of a text/html alternative; our limit, Migma documents none


@dataclass(frozen=True, kw_only=True)
class OwnTexts:
    """What a message says by itself. ``html`` is None where it has to be made from ``text``."""

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

    ``own`` are texts that have to be filled for each recipient, see `fill`.
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


def choose(message: EmailMessage, subject: str, config: Config, resolver: Resolver, *, merges: bool) -> Content:
    """Return the content of a message. ``merges``: it has merge data, so its placeholders are placeholders.

    Raises `UnsupportedFeature`, `StoredEmailNotFound`, and ValueError or TypeError for a faulty id.
    """
    template_id, conversation_id = get_attribute(message, "template_id"), get_attribute(message, "conversation_id")
    if template_id is not None or conversation_id is not None:
        return _stored(template_id, conversation_id, subject, resolver)
    if config.layout_email_id:
        return _layout(message, subject, config, merges=merges)
    if config.project_id:
        return _raw(message, subject, config, merges=merges)
    raise UnsupportedFeature(
        "Migma sends stored emails, and this message has only a body of its own",
        hint="Set MIGMA['LAYOUT_EMAIL_ID'] to a stored email that wraps such mail, or MIGMA['PROJECT_ID'] to send it "
        "as raw HTML, or give the message a template_id (in a pre_send receiver, for mail of other packages).",
        feature="body",
    )


def _stored(template_id: Any, conversation_id: Any, subject: str, resolver: Resolver) -> Content:
    if template_id is not None and conversation_id is not None:
        raise ValueError("Give template_id or conversation_id, not both: either one selects the stored email.")
    if conversation_id is not None:
        if not is_object_id(conversation_id):
            raise ValueError(f"conversation_id must be 24 hex digits, as Migma's ids are, not {conversation_id!r}.")
        return Content(subject=subject, conversation_id=conversation_id)
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
    document, text = _bodies(message, config)
    own = OwnTexts(subject=subject, html=document, text=text)
    if merges:
        return Content(subject=subject, email_id=config.layout_email_id, own=own)
    return _wrap(own, config.layout_email_id)


def _wrap(own: OwnTexts, layout_email_id: str | None) -> Content:
    """The texts as variables of the layout. No placeholders are left in them: what they hold by now is text."""
    from . import html  # noqa: PLC0415 - lazy: stored emails need neither HTML nor templates

    document = _render_plain_text(own.text) if own.html is None else own.html
    body_html, body_text = html.body_content(document), own.text or html.html_to_text(document)
    subject, body_text = map(html.escape_placeholders_in_text, (own.subject, body_text))
    shown = (html.escape_tags(subject), html.escape_placeholders(body_html), html.escape_tags(body_text))
    variables = dict(zip(LAYOUT_VARIABLES, shown, strict=True))
    return Content(subject=subject, email_id=layout_email_id, variables=variables)


def _raw(message: EmailMessage, subject: str, config: Config, *, merges: bool) -> Content:
    from . import html  # noqa: PLC0415 - lazy

    given, text = _bodies(message, config)
    document = _render_plain_text(text) if given is None else given
    if not merges:
        document, subject = html.escape_placeholders(document), html.escape_placeholders_in_text(subject)
    return Content(subject=subject, template=document, project_id=config.project_id)


def _bodies(message: EmailMessage, config: Config) -> tuple[str | None, str]:
    """The message's HTML, None where it has none, and its text, which may be empty."""
    body = _text(message.body or "", "body")
    if (alternative := _html_alternative(message)) is not None:
        if message.content_subtype == "html":
            refuse_feature("alternatives", config.ignore_unsupported_features)  # two HTML parts
            return alternative, ""
        return alternative, body
    if message.content_subtype == "html":
        return body, ""
    if message.content_subtype != "plain":
        refuse_feature("content_subtype", config.ignore_unsupported_features)
    return None, body


def _html_alternative(message: EmailMessage) -> str | None:
    for content, mimetype in getattr(message, "alternatives", None) or ():
        if is_html(mimetype):
            return _text(content, "text/html alternative")
    return None


def _text(value: Any, path: str) -> str:
    """Text, or bytes in UTF-8, as text of at most `MAX_BODY` characters. No error shows it."""
    text = force_str(value, errors="surrogateescape")  # other bytes become surrogates, which are refused below
    if len(text) > MAX_BODY:
        raise UnsupportedFeature(
            f"This message's {path} has {len(text):,} characters, and django-migma sends {MAX_BODY:,} at most",
            hint="Shorten it, or link to the rest. The limit protects your site's memory and is not Migma's; "
            "IGNORE_UNSUPPORTED_FEATURES cannot lift it, since a body cannot be dropped.",
            feature="body_size",
        )
    return str(to_json_value(text, path))


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
