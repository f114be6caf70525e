"""How many tests a person may send from the admin within an hour: ``TEST_SENDS_PER_HOUR``."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.db.models import Count, Min
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.timezone import template_localtime  # type: ignore[attr-defined]
from django.utils.translation import gettext, ngettext

from django_migma.models import Delivery

from .rows import rows_of

_HOUR = dt.timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """How many tests a person may still send within the hour, and when there will be more."""

    limit: int
    used: int
    more_at: dt.datetime | None

    @property
    def left(self) -> int:
        return max(0, self.limit - self.used)

    @property
    def refusal(self) -> str:
        """Why no more tests may be sent for now, and which setting says so."""
        left = ngettext("%(left)d is left", "%(left)d are left", self.left) % {"left": self.left}
        text = gettext("You may send %(limit)d tests an hour (TEST_SENDS_PER_HOUR), and %(left)s.")
        text %= {"limit": self.limit, "left": left}
        if self.more_at:
            time = date_format(template_localtime(self.more_at), "TIME_FORMAT")
            text += " " + gettext("There are more from %(time)s on.") % {"time": time}
        return text


def allowance(person: str, limit: int) -> Allowance:
    """Count the tests that a person has begun within the last hour. Those that were not tried do not count."""
    recent = rows_of(person).filter(created_at__gt=timezone.now() - _HOUR)
    found = recent.exclude(status=Delivery.Status.NOT_ATTEMPTED).aggregate(used=Count("pk"), first=Min("created_at"))
    return Allowance(limit=limit, used=found["used"], more_at=found["first"] and found["first"] + _HOUR)
