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

    from django_migma.sandbox.options import Switches

_SPACE = r"(?:\s|%20|\+)*"
_PLACEHOLDER = re.compile(
    rf"\{{\{{\s*(?P<plain>[\w.-]+)\s*\}}\}}|%7B%7B{_SPACE}(?P<encoded>[\w.-]+){_SPACE}%7D%7D", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True)
class RenderedEmail:
    """One mail, rendered on first use: a benchmark sends a thousand mails a second and looks at none."""

    subject_template: str
    html_template: str
    variables: Mapping[str, Any]
    switches: Switches

    @cached_property
    def subject(self) -> str:
        if not self.switches.subject_variables:
            return self.subject_template
        return self._fill(self.subject_template, escape=False)

    @cached_property
    def html(self) -> str:
        return self._fill(self.html_template, escape=self.switches.escape_variables)

    def missing_variables(self) -> list[str]:
        """The names of placeholders without a variable, once each, in order of appearance."""
        subject = self.subject_template if self.switches.subject_variables else ""
        names = (_name(match) for match in _PLACEHOLDER.finditer(f"{subject} {self.html_template}"))
        return [name for name in dict.fromkeys(names) if name not in self.variables]

    def _fill(self, template: str, *, escape: bool) -> str:
        def value(match: re.Match[str]) -> str:
            name = _name(match)
            if name not in self.variables:
                return "" if self.switches.missing_variables == "blank" else match[0]
            # How numbers, null and nested values are written is unknown; str() at least shows that they came.
            text = str(self.variables[name])
            return html.escape(text) if escape else text

        return _PLACEHOLDER.sub(value, template)


def _name(match: re.Match[str]) -> str:
    return match["plain"] or match["encoded"]
