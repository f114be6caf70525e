"""The parts of which lists and pages of the admin are made: chips, times, buttons to copy, texts in two lines."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import mark_safe
from django.utils.timesince import timesince
from django.utils.timezone import template_localtime  # type: ignore[attr-defined]
from django.utils.translation import gettext

DASH = "-"
NOTHING = mark_safe('<span class="migma-nothing"></span>')
"""An empty cell: Django would write a dash for an empty text."""


def two_lines(first: Any, second: Any) -> str:
    """A text, and below it a smaller one."""
    return format_html('{} <span class="migma-second">{}</span>', first, second)


def with_link(text: str, url: str, label: str) -> str:
    """The text with a link behind it, where there is an address."""
    return format_html('{} <a href="{}">{}</a>', text, url, label) if url else text


def chip(group: str, symbol: str, word: Any, hint: str = "") -> str:
    """A word with a symbol, in the colour of a group: good, waiting, doubt, bad or quiet."""
    mark = format_html('<span aria-hidden="true">{}</span> ', symbol) if symbol else ""
    title = format_html(' title="{}"', hint) if hint else ""
    return format_html('<span class="migma-chip migma-{}"{}>{}{}</span>', group, title, mark, word)


def copy_button(text: str, label: str) -> str:
    """A button that copies a text. The script makes it visible."""
    return format_html(
        '<button type="button" class="migma-copy" data-copy="{}" data-copied="{}" data-prompt="{}" aria-label="{}" '
        "hidden></button>",
        text,
        gettext("Copied"),
        gettext("The browser did not copy it. Copy it from here:"),
        label,
    )


def ago(moment: dt.datetime) -> str:
    """A time as its distance from now, with the time itself as a hint."""
    local = template_localtime(moment)
    is_past = timezone.now() - moment >= dt.timedelta(minutes=1)
    time = timesince(moment, depth=1).replace("\xa0", " ")  # a narrow column breaks between number and unit
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        local.isoformat(),
        date_format(local, "DATETIME_FORMAT"),
        gettext("%(time)s ago") % {"time": time} if is_past else gettext("just now"),
    )
