"""Statuses as people see them: groups that mean the same, each with a colour, a symbol and a word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy

from django_migma.models import Delivery

from .cells import chip

Status = Delivery.Status


@dataclass(frozen=True, kw_only=True)
class Group:
    """Statuses that mean the same to a person: one colour, and one symbol beside the word."""

    name: str
    symbol: str
    label: Any

    def chip(self, word: Any = "") -> str:
        """A word, or else the label, with the symbol and the colour of the group."""
        return chip(self.name, self.symbol, word or self.label)


WAITING = Group(name="waiting", symbol="◔", label=gettext_lazy("on their way"))
GOOD = Group(name="good", symbol="✓", label=gettext_lazy("accepted"))
DOUBT = Group(name="doubt", symbol="?", label=gettext_lazy("unknown"))
BAD = Group(name="bad", symbol="✕", label=gettext_lazy("failed"))
QUIET = Group(name="quiet", symbol="○", label=gettext_lazy("not sent"))
_GROUPS: Mapping[str, Group] = {
    Status.WAITING: WAITING,
    Status.SENDING: WAITING,
    Status.ACCEPTED: GOOD,
    Status.DELIVERED: GOOD,
    Status.OPENED: GOOD,
    Status.CLICKED: GOOD,
    Status.FALLBACK: GOOD,
    Status.UNKNOWN: DOUBT,
    Status.FAILED: BAD,
    Status.BOUNCED: BAD,
    Status.COMPLAINED: BAD,
    Status.SUPPRESSED: BAD,
    Status.CANCELLED: QUIET,
    Status.NOT_ATTEMPTED: QUIET,
}


def group_of(status: str) -> Group:
    """The group of a status; of a word of another release, the quiet one."""
    return _GROUPS.get(status, QUIET)


def status_chip(delivery: Delivery) -> str:
    """The status as a word with the symbol and the colour of its group."""
    return group_of(delivery.status).chip(delivery.get_status_display())
