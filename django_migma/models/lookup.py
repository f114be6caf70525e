"""Which stored email a ``template_id`` means."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from django.db import Error as DatabaseError

from django_migma.api.errors import StoredEmailNotFound
from django_migma.stored import Stored

from .stored_email import StoredEmail

_LONGEST = 100
_NEEDED = (
    "key",
    "email_id",
    "conversation_id",
    "subject",
    "from_email",
    "from_name",
    "provider_type",
    "default_variables",
    "body_variable_names",
    "optional_variables",
)


class StoredEmails:
    """Finds stored emails by key, or takes them as they are. Asks the database once, when the first key comes.

    Once also where it fails: a generator of a million messages must not ask a dead database a million times.
    """

    def __init__(self) -> None:
        self._failure: DatabaseError | None = None

    def __call__(self, template_id: Any) -> Stored:
        """What a send needs to know. Raises `StoredEmailNotFound`, which names near matches, TypeError, and what the
        database raises."""
        if isinstance(template_id, StoredEmail):
            return template_id.as_stored()
        if not isinstance(template_id, str):
            raise TypeError(f"template_id must be a key, an id or a StoredEmail, not {type(template_id).__name__}.")
        if self._failure:
            raise self._failure
        try:
            known = self._by_key
        except DatabaseError as error:
            self._failure = error
            raise
        if template_id not in known:
            raise StoredEmailNotFound(_unknown(template_id[:_LONGEST], known))
        return known[template_id].as_stored()

    @cached_property
    def _by_key(self) -> dict[str, StoredEmail]:
        return {str(row.key): row for row in StoredEmail.objects.named().only(*_NEEDED)}


def _unknown(key: str, known: Iterable[str]) -> str:
    in_lower_case = {name.lower(): name for name in known}
    near = [in_lower_case[name] for name in difflib.get_close_matches(key.lower(), in_lower_case, n=3)]
    hint = f"Did you mean {' or '.join(map(repr, near))}?" if near else "Give one a key in the admin."
    return f"No stored email has the key {key!r}. {hint} A raw id has 24 hex digits."
