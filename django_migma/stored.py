"""What a send knows of a stored email, and who finds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .api.errors import StoredEmailNotFound


class Stored(NamedTuple):
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


NOTHING = Stored(name="")
"""For mail that names no stored email which is known here."""

Find = Callable[[Any], Stored]
"""From a ``template_id`` that is no raw id to the stored email, or `StoredEmailNotFound` or TypeError."""


def find_nothing(template_id: Any) -> Stored:
    """The `Find` of a site without the app: it has no names for stored emails."""
    if not isinstance(template_id, str):
        raise TypeError(f"template_id must be a string, not {type(template_id).__name__}.")
    raise StoredEmailNotFound(
        f"No stored email is known by the key {template_id!r}: keys need the app, and 'django_migma' is not in "
        "INSTALLED_APPS. Add it, or give Migma's id of the email as template_id, 24 hex digits."
    )
