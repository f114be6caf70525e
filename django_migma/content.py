"""Which content a message goes out with: a stored email, a layout around its own body, or raw HTML.

Migma's contract of mid 2026 sends stored emails. Ordinary Django mail has a body of its own, hence the other two.
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
from .features import refuse
from .message import get_attribute
from .variables import to_json_value

if TYPE_CHECKING:
    from django.core.mail import EmailMessage
    from django.template import Engine

    from .conf import Config


class StoredEmailData(NamedTuple):
    """A stored email as a send needs it: its id, and what this site knows of it besides.

    ``name`` is for texts. ``body_variables`` stand in its preheader and HTML, ``optional_variables`` are filled by
    Migma. A tuple, since the models need it at every start, and a dataclass takes a millisecond to make.
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


NO_STORED_EMAIL = StoredEmailData(name="")
"""For mail that names no stored email which is known here."""

Resolver = Callable[[Any], StoredEmailData]
"""From a ``template_id`` that is no raw id to the stored email, or `StoredEmailNotFound` or TypeError."""


def resolve_without_app(template_id: Any) -> StoredEmailData:
    """The `Resolver` of a site without the app: it has no names for stored emails."""
    if not isinstance(template_id, str):
        raise TypeError(f"template_id must be a string, not {type(template_id).__name__}.")
    raise StoredEmailNotFound(
        f"No stored email is known by the key {template_id!r}: keys need the app, and 'django_migma' is not in "
        "INSTALLED_APPS. Add it, or give Migma's id of the email as template_id, 24 hex digits."
    )


PLAIN_TEXT_TEMPLATE = "django_migma/plain_text.html"
LAYOUT_VARIABLES = ("subject", "body_html", "body_text")
"""What a layout may use, as ``{{subject}}`` and so on."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """The fields of a request that say what is sent, and the subject that goes with it.

    ``stored`` is the stored email where one was named that is known here.
    """

    stored: StoredEmailData = NO_STORED_EMAIL
    subject: str
    email_id: str | None = None
    conversation_id: str | None = None
    template: str | None = None
    project_id: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)


def choose(message: EmailMessage, subject: str, config: Config, find: Resolver, *, merges: bool) -> Content:
    """The content of a message. ``merges`` says whether it brings variables of its own.

    Raises `UnsupportedFeature`, `StoredEmailNotFound`, and ValueError or TypeError for a faulty id.
    """
    template_id, conversation_id = get_attribute(message, "template_id"), get_attribute(message, "conversation_id")
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


def _stored(template_id: Any, conversation_id: Any, subject: str, find: Resolver) -> Content:
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
    from . import html  # noqa: PLC0415 - lazy, as in the functions below: stored emails need neither HTML nor templates

    document, text = bodies(message, config)
    body_html, body_text = html.body_content(document), text or html.html_to_text(document)
    if not merges:
        subject, body_text = map(html.escape_placeholders_in_text, (subject, body_text))
        body_html = html.escape_placeholders(body_html)
    shown = (html.escape_tags(subject), body_html, html.escape_tags(body_text))
    variables = dict(zip(LAYOUT_VARIABLES, shown, strict=True))
    return Content(subject=subject, email_id=config.layout_email_id, variables=variables)


def _raw(message: EmailMessage, subject: str, config: Config, *, merges: bool) -> Content:
    from . import html  # noqa: PLC0415 - lazy

    document, _ = bodies(message, config)
    if not merges:
        document, subject = html.escape_placeholders(document), html.escape_placeholders_in_text(subject)
    return Content(subject=subject, template=document, project_id=config.project_id)


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
    return str(to_json_value(text, path))


def is_html(mimetype: str | None) -> bool:
    """Whether a media type is HTML, parameters aside."""
    return (mimetype or "").partition(";")[0].strip().lower() == "text/html"


def plain_text_html(text: str) -> str:
    """A plain-text body as an HTML document, through ``django_migma/plain_text.html``.

    The template gets ``html`` (escaped, with links, paragraphs, line breaks) and ``text`` as it was. The site's own
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
