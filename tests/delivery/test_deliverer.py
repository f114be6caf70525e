"""Rows of the queue reach Migma, each once, and a run ends when it should."""

import threading

import pytest
from django.db import transaction
from requests import ReadTimeout

from django_migma.delivery.deliverer import Deliverer
from django_migma.models import Delivery
from tests.api.clocks import until
from tests.api.servers import silence, whole
from tests.delivery.rows import YES, payload, row, waiting

pytestmark = pytest.mark.django_db
BROKEN = (500, {"success": False, "error": "Oops"})


def test_delivers_what_waits(accepting, deliverer):
    """Every row is posted with its own body and key, and says what Migma answered."""
    rows = waiting(40)
    result = deliverer.run(idle=0)
    assert result.counts == {"accepted": 40}
    assert (result.has_due, result.is_paused, result.next_due) == (False, False, None)
    assert sorted(accepting.keys) == sorted(row.idempotency_key for row in rows)
    first = Delivery.objects.earliest("pk")
    assert (first.status, first.message_id, first.provider, first.payload) == ("accepted", "m1", "migma", "")
    assert (first.due_at, first.attempts, first.in_doubt, first.errors) == (None, 1, False, [])
    assert first.finished_at is not None
    assert not Delivery.objects.exclude(status="accepted").exists()


def test_the_body_is_sent_byte_for_byte(accepting, deliverer):
    """Another body under the same key would be refused, so no JSON is read or written on the way."""
    body = '{"subject":  "Grüße \\u0000 \U0001f600", "a": 1.0}'
    waiting(payload=body)
    deliverer.run(idle=0)
    [call] = accepting.mock.calls
    assert call.request.body == body.encode()


def test_a_replayed_answer_is_told(wire, deliverer):
    """An earlier request with this key had been accepted."""
    waiting()
    wire.answers((*YES, {"Idempotent-Replayed": "true"}))
    deliverer.run(idle=0)
    assert Delivery.objects.get().replayed is True


def test_an_unknown_word_of_success_leaves_doubt(wire, deliverer):
    """It is not known to mean accepted."""
    waiting()
    wire.answers((200, {"success": True, "data": {"status": "parked"}}))
    assert deliverer.run(idle=0).counts == {"put_off": 1}
    delivery = Delivery.objects.get()
    assert delivery.in_doubt is True
    assert "'parked'" in delivery.errors[0]["text"]


def test_a_refused_row_fails_and_the_others_go(wire, deliverer, caplog):
    """Its request is kept, for a person who looks into it."""
    waiting(3)
    wire.answers((400, {"success": False, "error": "No such template"}), YES)
    assert deliverer.run(idle=0).counts == {"accepted": 2, "failed": 1}
    failed = Delivery.objects.get(status="failed")
    assert (failed.due_at, failed.in_doubt, failed.payload != "") == (None, False, True)
    assert [record.getMessage() for record in caplog.records] == [
        f"Delivery {failed.pk} has the status failed now: Migma answered 400: No such template."
    ]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ((400, {"success": False, "error": "No such template"}), "failed"),
        ((400, {"error": "of a proxy"}), "unknown"),
        ((409, {"success": False, "code": "IDEMPOTENCY_CONFLICT"}), "unknown"),
    ],
)
def test_a_refusal_of_a_row_in_doubt_says_what_is_known(wire, deliverer, clock, now, answer, status):
    """Migma's own refusal proves that no earlier attempt was accepted; others do not."""
    waiting()
    wire.answers(BROKEN, answer)
    deliverer.run(idle=0)
    clock.now += 60
    deliverer.run(idle=0)
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.in_doubt, delivery.attempts) == (status, status == "unknown", 2)


def test_a_conflict_without_a_word_is_tried_again(wire, deliverer, clock):
    """Another request with this key may still be running."""
    waiting()
    wire.answers((409, {}), YES)
    assert deliverer.run(idle=0).counts == {"put_off": 1}
    clock.now += 60
    assert deliverer.run(idle=0).counts == {"accepted": 1}


def test_a_row_of_a_worker_that_died_is_posted_again_with_its_key(accepting, deliverer, now):
    """Its lease is over; Migma recognises the key."""
    [left] = waiting(status="sending", claimed_by="gone/1", due_at=now(-1), first_attempt_at=now(-60), attempts=1)
    Delivery.objects.update(account="")
    assert deliverer.run(idle=0).counts == {"unknown": 1}  # whose account is not known
    [left] = waiting(status="sending", claimed_by="gone/1", due_at=now(-1), attempts=1, account=account(deliverer))
    assert deliverer.run(idle=0).counts == {"accepted": 1}
    assert accepting.keys == [left.idempotency_key]


def account(deliverer):
    """The digest of the account that this deliverer knows."""
    return next(iter(deliverer.accounts))


def test_after_23_hours_in_doubt_a_person_decides(wire, deliverer, clock, now, caplog):
    """The schedule ends there, without a further request."""
    waiting()
    wire.answers(ReadTimeout())
    began = now()
    while due := deliverer.run(idle=0).next_due:
        clock.now += (due - now()).total_seconds()
    assert 23 * 3600 <= (now() - began).total_seconds() < 23 * 3600 + 1
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.in_doubt, delivery.due_at) == ("unknown", True, None)
    assert 8 <= len(wire.keys) == delivery.attempts <= 15
    assert len(set(wire.keys)) == 1
    assert f"Delivery {delivery.pk} has the status unknown now: 23 hours have passed" in caplog.text


def test_a_day_that_the_clock_jumps_leaves_rows_in_doubt_to_a_person(wire, deliverer, clock):
    """Whether Migma still knows the key depends on true time, and nobody knows that."""
    waiting(2)
    wire.answers(BROKEN, YES)
    deliverer.run(idle=0)
    clock.now += 24 * 3600
    waiting()
    assert deliverer.run(idle=0).counts == {"accepted": 1, "unknown": 1}


def test_a_clock_that_runs_back_delays_and_doubles_nothing(accepting, deliverer, clock, now):
    """Rows of the future wait until their time."""
    waiting(2, due_at=now(0))
    clock.now -= 3600
    assert deliverer.run(idle=0).counts == {}
    clock.now += 3600
    assert deliverer.run(idle=0).counts == {"accepted": 2}


def test_another_account_does_not_repeat_what_is_in_doubt(wire, deliverer, clock, migma):
    """Keys are kept per API key: under another one the repeat would be a second mail."""
    waiting(2)
    wire.answers(BROKEN, YES)
    deliverer.run(idle=0)
    migma(API_KEY="sk_test_rotated")
    clock.now += 60
    waiting()
    assert deliverer.run(idle=0).counts == {"accepted": 1, "unknown": 1}
    assert "has changed" in Delivery.objects.get(status="unknown").errors[-1]["text"]


def test_rows_of_mailers_that_are_gone_wait_and_are_told_once(accepting, deliverer, caplog):
    """They never go out with the key of another mailer."""
    waiting(2, alias="gone")
    waiting()
    assert deliverer.run(idle=0).counts == {"accepted": 1}
    deliverer.run(idle=0)
    [record] = caplog.records
    assert "MAILERS has no mailer 'gone' that uses Migma" in record.getMessage()
    assert Delivery.objects.filter(alias="gone", status="waiting", attempts=0).count() == 2


def test_a_worker_may_serve_some_mailers_only(accepting, clock, caplog):
    """Those of others are none of its business."""
    waiting(2)
    assert Deliverer(clock=clock, aliases=["news"]).run(idle=0).counts == {}
    assert caplog.records == []


def test_rows_that_were_too_long_in_the_hand_go_back(serve, migma, clock):
    """Their lease would end during the request; the next claim gives them another one."""
    migma(QUEUE={"LEASE": 120}, TIMEOUT=(10, 30), MAX_CONCURRENCY=1)

    def late(exchange):
        clock.now += 90
        whole(YES[1])(exchange)

    server = serve(late)
    waiting(3)
    result = Deliverer(clock=clock, batch=3).run(idle=0)
    assert result.counts["accepted"] == len(server.received) == 3
    assert result.counts["given_back"] > 0


def test_a_row_without_a_request_fails(accepting, deliverer):
    """There is nothing to send."""
    waiting(payload="")
    assert deliverer.run(idle=0).counts == {"failed": 1}


@pytest.mark.parametrize(("maximum", "sent"), [(1, 1), (7, 7), (100, 10)])
def test_a_run_may_end_after_a_number_of_rows(accepting, deliverer, maximum, sent):
    """Not one more is claimed."""
    waiting(10)
    result = deliverer.run(idle=0, max_count=maximum)
    assert result.counts == {"accepted": sent}
    assert result.has_due == (sent < 10)
    assert Delivery.objects.filter(status="waiting").count() == 10 - sent


def test_a_run_may_end_after_some_seconds(accepting, deliverer, clock):
    """Without anything to do, it looks four times a second."""
    began = clock.monotonic()
    assert deliverer.run(seconds=10).counts == {}
    assert 10 <= clock.monotonic() - began < 10.5


def test_a_run_lingers_after_its_last_row(accepting, clock):
    """Rows that come meanwhile are taken too."""
    added = []

    def add(progress):
        if not added:
            added.extend(waiting())

    waiting()
    began = clock.monotonic()
    assert Deliverer(clock=clock, report=add).run(idle=1.5).counts == {"accepted": 2}
    assert 1.5 <= clock.monotonic() - began < 3


def test_no_run_inside_a_transaction(transactional_db, deliverer):
    """Nobody would see its claims, and a rollback would undo its marks."""
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        deliverer.run(idle=0)


def test_a_batch_bounds_what_is_in_hand(accepting, clock):
    """Progress tells how many that are."""
    seen = []
    waiting(30)
    Deliverer(clock=clock, batch=4, report=lambda progress: seen.append(progress.in_hand)).run(idle=0)
    assert max(seen) <= 4


@pytest.mark.parametrize("limit", [1, 2, 40])
def test_any_number_of_requests_may_be_in_flight(accepting, deliverer, migma, limit):
    """One, too."""
    migma(MAX_CONCURRENCY=limit)
    waiting(50)
    assert deliverer.run(idle=0).counts == {"accepted": 50}


def test_without_threads_the_worker_posts_by_itself(accepting, deliverer, monkeypatch):
    """As on a machine that has no more of them."""

    def refuse(thread):
        raise RuntimeError

    monkeypatch.setattr(threading.Thread, "start", refuse)
    waiting(5)
    assert deliverer.run(idle=0).counts == {"accepted": 5}


def test_stop_gives_back_what_is_not_begun_and_marks_what_is_in_flight(serve, migma):
    """No row is left behind as being sent."""
    migma(MAX_CONCURRENCY=4, TIMEOUT=30)
    told = []

    def stop(progress):
        deliverer.stop()
        told.append(progress.counts)

    def accept_after_that(exchange):
        until(lambda: "given_back" in told[-1])
        whole(YES[1])(exchange)

    server = serve(whole(YES[1]), accept_after_that)
    waiting(30)
    deliverer = Deliverer(report=stop)
    counts = deliverer.run().counts
    assert counts["accepted"] == len(server.received)
    assert counts["given_back"] > 0
    assert not Delivery.objects.filter(status="sending").exists()
    assert set(Delivery.objects.values_list("status", "attempts")) == {("accepted", 1), ("waiting", 0)}
    assert deliverer.run().counts == {}


def test_stop_waits_no_longer_than_one_request(serve, migma):
    """A server that does not answer leaves the row in doubt."""
    migma(TIMEOUT=(30, 0.5), MAX_CONCURRENCY=4)
    deliverer = Deliverer()

    def stop_it(exchange):
        deliverer.stop()
        silence(exchange)

    server = serve(stop_it)
    waiting()  # only one: a server that is held up may hear of it after the half second
    assert deliverer.run().counts == {"put_off": 1}
    assert len(server.received) == 1


@pytest.mark.parametrize("limit", [1, 16])
def test_urgent_mail_passes_a_long_list(accepting, migma, limit):
    """It is among the rows that are claimed next, and waits for those in hand only, not for the list."""
    migma(MAX_CONCURRENCY=limit)
    waiting(300, priority=1)
    urgent = row()
    claimed_before, in_hand = [], []

    def add(progress):
        in_hand.append(progress.in_hand)
        if not claimed_before:
            urgent.save()
            claimed_before.extend(Delivery.objects.exclude(status="waiting").values_list("pk", flat=True))

    Deliverer(report=add).run(idle=0)
    urgent.refresh_from_db()
    earlier = Delivery.objects.filter(first_attempt_at__lt=urgent.first_attempt_at)
    assert set(earlier.values_list("pk", flat=True)) <= set(claimed_before)
    assert max(in_hand) <= 2 * limit


def test_rows_in_hand_go_in_their_order(accepting, deliverer, migma):
    """So that urgent mail, which is claimed first, is first on the wire too."""
    migma(MAX_CONCURRENCY=1)
    keys = [row.idempotency_key for row in (*waiting(9, priority=1), *waiting(9))]
    deliverer.run(idle=0)
    assert accepting.keys == keys[9:] + keys[:9]


def test_a_body_of_the_factory_is_what_migma_gets(accepting, deliverer):
    """The rows of these tests are like those of the backend."""
    [delivery] = waiting()
    deliverer.run(idle=0)
    assert accepting.body["recipientEmail"] == delivery.recipient
    assert payload(1) != payload(2)
