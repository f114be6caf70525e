"""What can be shown of a row that somebody's SQL has damaged, so that its page opens and it can be mended there."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django_migma.models import StoredEmail


def names_of(email: StoredEmail) -> list[str]:
    """The names of its variables; none where the column holds something else."""
    names: object = email.variable_names
    return [whole(name) for name in names if isinstance(name, str)] if isinstance(names, list) else []


def whole(text: str) -> str:
    """The text with a question mark for each half of a character, which no page could carry."""
    return text.encode("utf-8", "replace").decode()
