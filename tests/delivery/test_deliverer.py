"""Rows of the queue reach Migma, each once."""

import pytest

from django_migma.delivery.deliverer import Deliverer
from django_migma.models import Delivery
from tests.delivery.rows import waiting

pytestmark = pytest.mark.django_db


def statuses():
    return list(Delivery.objects.order_by("pk").values_list("status", flat=True))


def test_delivers_what_waits(accepting):
    """Every row is posted with its own body and key, and says what Migma answered."""
    rows = waiting(40)
    result = Deliverer().run(idle=0)
    assert result.counts == {"accepted": 40}
    assert (result.has_due, result.is_paused, result.next_due) == (False, False, None)
    assert sorted(accepting.keys) == sorted(row.idempotency_key for row in rows)
    first = Delivery.objects.earliest("pk")
    assert (first.status, first.message_id, first.provider, first.payload) == ("accepted", "m1", "migma", "")
    assert (first.due_at, first.attempts, first.in_doubt) == (None, 1, False)
    assert first.finished_at is not None
    assert set(statuses()) == {"accepted"}
