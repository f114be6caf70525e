"""A database that is locked, gone, or quicker for somebody else."""

from datetime import timedelta
from itertools import pairwise

import pytest
from django.db import OperationalError, connection
from django.db.models import F

from django_migma.delivery.deliverer import Deliverer
from django_migma.models import Delivery
from tests.api.clocks import until
from tests.api.servers import whole
from tests.delivery.rows import YES, waiting


class Outage:
    """A database that refuses the marks, or everything, so many times; after some statements that work."""

    def __init__(self, only="", times=10**6, after=0):
        self.only = only
        self.times = times
        self.after = after

    def __call__(self, execute, sql, params, many, context):
        self.after -= 1
        if self.after < 0 and self.times and self.only in sql and (many or self.only != "UPDATE"):
            self.times -= 1
            raise OperationalError("database is locked")
        return execute(sql, params, many, context)


def test_results_wait_in_memory_while_the_database_is_gone(transactional_db, accepting, deliverer, clock, caplog):
    """Each row is posted once; the marks are tried again, with longer waits."""
    waiting(3)
    began = clock.monotonic()
    with connection.execute_wrapper(Outage("UPDATE", times=4)):
        result = deliverer.run(idle=0)
    assert result.counts == {"accepted": 3}
    assert len(accepting.keys) == 3
    assert 1 + 2 + 4 <= clock.monotonic() - began < 20
    assert "The database cannot be used (OperationalError). Results that wait to be written: 1." in caplog.text


def test_an_endless_loop_waits_for_its_database(transactional_db, accepting, deliverer, clock):
    """The waits grow to half a minute."""
    outage, looks = Outage(after=1), []

    def stop_at_the_ninth_look(*arguments):
        looks.append(clock.monotonic())
        if len(looks) == 10:  # with the one at the start, which succeeds
            deliverer.stop()
        return outage(*arguments)

    with connection.execute_wrapper(stop_at_the_ninth_look):
        result = deliverer.run()
    assert result.counts == {}
    waits = [later - look for look, later in pairwise(looks[1:10])]
    assert waits == pytest.approx([1, 2, 4, 8, 16, 30, 30, 30], abs=0.5)


@pytest.mark.parametrize("after", [0, 1], ids=["at the start", "later"])
def test_a_bounded_run_without_results_raises_the_databases_error(transactional_db, mailer, deliverer, after):
    """Who has started it should know; the next one will try again."""
    with connection.execute_wrapper(Outage(after=after)), pytest.raises(OperationalError):
        deliverer.run(idle=0)


def test_results_that_cannot_be_written_are_told(transactional_db, accepting, deliverer, clock, caplog):
    """At the end of the time; the lease brings the rows back, and the key makes the repeat harmless."""
    waiting(2)
    with connection.execute_wrapper(Outage("UPDATE")):
        assert deliverer.run(seconds=30).counts == {}
    assert "The results of 1 rows are lost." in caplog.text
    clock.now += 61
    assert deliverer.run(idle=0).counts == {"accepted": 2}
    assert len(accepting.keys) == 3
    assert len(set(accepting.keys)) == 2


def test_a_worker_that_another_has_forestalled_looks_again_soon(transactional_db, accepting, deliverer):
    """The rows that it saw are gone; that is no empty table."""
    waiting(2)
    stolen = []

    def steal(execute, sql, params, many, context):
        if "UPDATE" in sql and not stolen:
            stolen.append(sql)
            Delivery.objects.update(due_at=F("due_at") + timedelta(days=900))
            result = execute(sql, params, many, context)
            Delivery.objects.update(due_at=F("due_at") - timedelta(days=900))
            return result
        return execute(sql, params, many, context)

    with connection.execute_wrapper(steal):
        assert deliverer.run(seconds=0.2).counts == {"accepted": 2}


def test_a_bounded_run_keeps_what_is_in_flight_when_the_database_goes(transactional_db, serve):
    """It ends after those results are written."""
    outage = Outage("SELECT", times=0)

    def fall_ill(exchange):
        outage.times = 1
        until(lambda: not outage.times)
        whole(YES[1])(exchange)

    serve(whole(YES[1]), fall_ill)
    waiting(2)
    with connection.execute_wrapper(outage):
        assert Deliverer().run(idle=0).counts == {"accepted": 2}
    assert outage.times == 0
