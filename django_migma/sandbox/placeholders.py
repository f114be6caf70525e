"""Placeholders: ``{{name}}``, with inner spaces or none, in plain text or percent-encoded in a link.

Double braces appear in one official example of early 2026; that they come out percent-encoded inside link
addresses was seen by a public user of the API. Fallback syntax, conditions and nesting are documented nowhere,
so a dotted name is a plain name here.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from django_migma.sandbox.options import Switches

_SPACE = r"(?:\s|%20|\+)*"
_PLACEHOLDER = re.compile(
    rf"\{{\{{\s*(?P<plain>[\w.-]+)\s*\}}\}}|%7B%7B{_SPACE}(?P<encoded>[\w.-]+){_SPACE}%7D%7D", re.IGNORECASE
)


_MAX_REMEMBERED = 64 * 1024  # characters
_MAX_GUESSES = 100
"""So many unused names are compared with so many missing ones, each of so many characters."""


class VariableState(StrEnum):
    FILLED = "filled"
    MISSING = "missing"  # a placeholder without a variable
    UNUSED = "unused"  # a variable without a placeholder


@dataclass(frozen=True, kw_only=True)
class VariableUse:
    """One variable, or one placeholder without any, and where a mail uses it."""

    name: str
    value: Any  # None where it is missing
    places: Mapping[str, int]  # how often in "subject", "preheader" and "body", as far as it is used there
    state: VariableState
    meant: str = ""  # of an unused one: the missing name that it resembles


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

    @property
    def templates(self) -> dict[str, str]:
        """The texts whose placeholders are filled, by place."""
        subject = self.subject_template if self.switches.subject_variables else ""
        return {"subject": subject, "body": self.html_template}

    def missing_variables(self) -> list[str]:
        """The names of placeholders without a variable, once each, in order of appearance."""
        return missing_variables(self.variables, self.templates.values())

    def _fill(self, template: str, *, escape: bool) -> str:
        def value(match: re.Match[str]) -> str:
            name = _name(match)
            if name not in self.variables:
                return "" if self.switches.missing_variables == "blank" else match[0]
            # How numbers, null and nested values are written is unknown; str() at least shows that they came.
            text = str(self.variables[name])
            return html.escape(text) if escape else text

        return _PLACEHOLDER.sub(value, template)


def missing_variables(variables: Mapping[str, Any], templates: Iterable[str]) -> list[str]:
    """The names of placeholders without a variable, once each, in order of appearance."""
    names = dict.fromkeys(name for template in templates for name in _counted(template))
    return [name for name in names if name not in variables]


def variables_used(variables: Mapping[str, Any], templates: Mapping[str, str]) -> list[VariableUse]:
    """Placeholders in order of appearance, then the variables that none uses. ``templates``: by name of the place."""
    uses: dict[str, dict[str, int]] = {}
    for place, template in templates.items():
        for name, count in _counted(template).items():
            uses.setdefault(name, {})[place] = count
    rows = []
    for name, places in uses.items():
        state = VariableState.FILLED if name in variables else VariableState.MISSING
        rows.append(VariableUse(name=name, value=variables.get(name), places=places, state=state))
    missing = [name for name in uses if name not in variables and len(name) <= _MAX_GUESSES][:_MAX_GUESSES]
    for number, name in enumerate(name for name in variables if name not in uses):
        is_guessed = number < _MAX_GUESSES and len(name) <= _MAX_GUESSES
        [meant] = (is_guessed and get_close_matches(name, missing, n=1)) or [""]
        rows.append(VariableUse(name=name, value=variables[name], places={}, state=VariableState.UNUSED, meant=meant))
    return rows


def _counted(template: str) -> Mapping[str, int]:
    """How often each placeholder stands in a template."""
    # The inbox asks for each of hundreds of mails a second, most of them of a few designs. A template may have
    # megabytes, and what is remembered must not.
    return (_remembered if len(template) < _MAX_REMEMBERED else _count)(template)


def _count(template: str) -> Mapping[str, int]:
    return Counter(map(_name, _PLACEHOLDER.finditer(template)))


_remembered = lru_cache(maxsize=32)(_count)


def find_placeholders(text: str) -> Iterator[tuple[str, int, int]]:
    """The name, the start and the end of each placeholder of a text, in order."""
    return ((_name(match), match.start(), match.end()) for match in _PLACEHOLDER.finditer(text))


def _name(match: re.Match[str]) -> str:
    return match["plain"] or match["encoded"]
