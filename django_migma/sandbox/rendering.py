"""Placeholders: ``{{name}}``, with inner spaces or none, in plain text or percent-encoded in a link.

Double braces appear in one official example of early 2026; that they come out percent-encoded inside link
addresses was seen by a public user of the API. Fallback syntax, conditions and nesting are documented nowhere,
so a dotted name is a plain name here.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django_migma.sandbox.switches import Switches

_SPACE = r"(?:\s|%20|\+)*"
_PLACEHOLDER = re.compile(
    rf"\{{\{{\s*(?P<plain>[\w.-]+)\s*\}}\}}|%7B%7B{_SPACE}(?P<encoded>[\w.-]+){_SPACE}%7D%7D",
    re.IGNORECASE,
)


def placeholder_names(text: str) -> list[str]:
    """Every name once, in order of appearance."""
    return list(dict.fromkeys(_name(match) for match in _PLACEHOLDER.finditer(text)))


def fill(text: str, variables: Mapping[str, Any], *, escape: bool, blank: bool) -> str:
    """Replace what ``variables`` holds; the rest stays as it is, or disappears when ``blank``."""

    def value(match: re.Match[str]) -> str:
        name = _name(match)
        if name not in variables:
            return "" if blank else match[0]
        # How numbers, null and nested values are written is unknown; str() at least shows that they came.
        text = str(variables[name])
        return html.escape(text) if escape else text

    return _PLACEHOLDER.sub(value, text)


def _name(match: re.Match[str]) -> str:
    return match["plain"] or match["encoded"]


@dataclass(frozen=True, kw_only=True)
class Content:
    """Subject and HTML of one mail, filled in when somebody looks: a benchmark sends a thousand a second."""

    subject_source: str
    html_source: str
    variables: Mapping[str, Any]
    switches: Switches

    @cached_property
    def subject(self) -> str:
        if not self.switches.subject_variables:
            return self.subject_source
        return fill(self.subject_source, self.variables, escape=False, blank=self._blank)

    @cached_property
    def html(self) -> str:
        escape = self.switches.escape_variables
        return fill(self.html_source, self.variables, escape=escape, blank=self._blank)

    def missing(self) -> list[str]:
        """Placeholders that no variable fills."""
        subject = self.subject_source if self.switches.subject_variables else ""
        names = placeholder_names(f"{subject} {self.html_source}")
        return [name for name in names if name not in self.variables]

    @property
    def _blank(self) -> bool:
        return self.switches.missing_variables == "blank"
