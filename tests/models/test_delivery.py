"""Rows of deliveries: what may stand in them, and what a person may do to one."""

import datetime as dt

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from django_migma.models import Delivery, StoredEmail
from django_migma.signals import delivery_updated

Status = Delivery.Status
ACCOUNT = "0123456789ab"


def hours_ago(hours):
    return timezone.now() - dt.timedelta(hours=hours)


def row(status, **fields):
    """A row as the queue would leave it in this state."""
    due_at = timezone.now() if status in Delivery.UNFINISHED else None
    values = {"status": status, "due_at": due_at, "payload": '{"subject":"Hi"}', "recipient": "ada@example.org"}
    number = Delivery.objects.count()
    return Delivery.objects.create(**{"idempotency_key": f"key-{number}", "subject": "Hi", **values, **fields})


def stored(delivery):
    """The row as the database has it."""
    return Delivery.objects.get(pk=delivery.pk)


@pytest.fixture
def updates():
    """Collect what ``delivery_updated`` tells."""
    found = []

    def receive(sender, delivery, previous, **kwargs):
        found.append((sender, delivery.pk, previous, delivery.status))

    delivery_updated.connect(receive)
    yield found
    delivery_updated.disconnect(receive)


pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("status", Status)
def test_a_row_is_due_exactly_until_its_status_is_final(status):
    is_unfinished = status in Delivery.UNFINISHED
    row(status)
    with pytest.raises(IntegrityError), transaction.atomic():
        row(status, due_at=None if is_unfinished else timezone.now())


def test_a_key_stands_in_one_row_but_rows_without_key_are_many():
    row(Status.NOT_ATTEMPTED, idempotency_key=None)
    row(Status.FALLBACK, idempotency_key=None)
    row(Status.WAITING, idempotency_key="same")
    with pytest.raises(IntegrityError), transaction.atomic():
        row(Status.WAITING, idempotency_key="same")


def test_rows_by_what_may_happen_to_them():
    due, leased = row(Status.WAITING), row(Status.SENDING, due_at=timezone.now() + dt.timedelta(minutes=1))
    doubtful, accepted = row(Status.UNKNOWN), row(Status.ACCEPTED, payload="")
    assert list(Delivery.objects.due()) == [due]
    assert set(Delivery.objects.due(leased.due_at)) == {due, leased}
    assert set(Delivery.objects.on_their_way()) == {due, leased}
    assert list(Delivery.objects.in_doubt()) == [doubtful]
    assert list(Delivery.objects.finished()) == [accepted]


def test_a_row_is_called_by_subject_or_email_and_its_status_and_not_by_its_recipient():
    assert str(row(Status.WAITING)) == "Hi (waiting)"
    assert str(row(Status.UNKNOWN, subject="", email_id="665f1c2ab7d3e4f5a6b70001")).startswith(
        "665f1c2ab7d3e4f5a6b7"
    )
    assert str(row(Status.CANCELLED, subject="")) == "- (given up)"


def test_deleting_a_stored_email_keeps_its_deliveries():
    email = StoredEmail.objects.create(email_id="665f1c2ab7d3e4f5a6b70001")
    delivery = row(Status.ACCEPTED, stored_email=email)
    email.delete()
    assert stored(delivery).stored_email is None


class TestRetry:
    @pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED])
    def test_without_doubt_it_is_safe_at_any_time_and_the_23_hours_begin_anew(self, status):
        delivery = row(status, first_attempt_at=hours_ago(200), finished_at=timezone.now(), attempts=3)
        assert delivery.retry("another account")
        found = stored(delivery)
        assert (found.status, found.first_attempt_at, found.finished_at) == (Status.WAITING, None, None)
        assert found in Delivery.objects.due()

    def test_in_doubt_it_is_safe_with_the_same_account_for_23_hours(self):
        started = hours_ago(22.9)
        delivery = row(Status.UNKNOWN, in_doubt=True, account=ACCOUNT, first_attempt_at=started)
        assert delivery.retry(ACCOUNT)
        assert stored(delivery).first_attempt_at == started

    @pytest.mark.parametrize(
        "fields",
        [{"first_attempt_at": hours_ago(23.1)}, {"account": "ba9876543210"}, {"first_attempt_at": None}],
        ids=["too late", "another account", "no known start"],
    )
    def test_in_doubt_it_may_double_the_mail_otherwise(self, fields):
        values = {"in_doubt": True, "account": ACCOUNT, "first_attempt_at": hours_ago(1), **fields}
        delivery = row(Status.UNKNOWN, **values)
        assert not delivery.may_retry(ACCOUNT)
        assert not delivery.retry(ACCOUNT)
        assert stored(delivery).status == Status.UNKNOWN

    @pytest.mark.parametrize("status", [*Delivery.UNFINISHED, Status.ACCEPTED, Status.BOUNCED, Status.FALLBACK])
    def test_it_is_for_mail_that_has_come_to_nothing(self, status):
        assert not row(status).retry(ACCOUNT)

    def test_it_needs_the_request(self):
        assert not row(Status.FAILED, payload="").retry(ACCOUNT)


class TestGiveUp:
    @pytest.mark.parametrize("status", [Status.WAITING, Status.FAILED, Status.UNKNOWN])
    def test_no_worker_takes_the_row_any_more(self, status):
        delivery = row(status)
        assert delivery.give_up()
        found = stored(delivery)
        assert (found.status, found.due_at, found.payload) == (Status.CANCELLED, None, '{"subject":"Hi"}')
        assert found.finished_at

    @pytest.mark.parametrize("status", [Status.SENDING, Status.ACCEPTED, Status.CANCELLED, Status.NOT_ATTEMPTED])
    def test_it_is_refused_while_it_is_sent_and_where_nothing_waits(self, status):
        assert not row(status).give_up()

    def test_a_worker_that_was_faster_wins(self):
        delivery = row(Status.WAITING)
        Delivery.objects.filter(pk=delivery.pk).update(status=Status.SENDING)
        assert not delivery.give_up()
        assert stored(delivery).status == Status.SENDING


class TestSendAnew:
    @pytest.mark.parametrize("status", [Status.FAILED, Status.UNKNOWN, Status.CANCELLED])
    def test_the_same_request_waits_under_a_new_key_in_a_row_of_its_own(self, status):
        delivery = row(status, attempts=4, in_doubt=True, account=ACCOUNT, caller_key="order-3", alias="news")
        anew = stored(delivery.send_anew())
        assert anew.resent_from == delivery
        assert (anew.payload, anew.recipient, anew.alias) == (delivery.payload, "ada@example.org", "news")
        assert (anew.status, anew.attempts, anew.in_doubt, anew.account) == (Status.WAITING, 0, False, "")
        assert anew.caller_key == "order-3"
        assert len(anew.idempotency_key) == 64
        assert stored(delivery).status == status

    def test_it_needs_the_request_and_one_that_is_over(self):
        assert row(Status.ACCEPTED, payload="").send_anew() is None
        assert row(Status.SENDING).send_anew() is None


class TestDeliveryUpdated:
    def test_it_is_sent_after_the_commit(self, updates, django_capture_on_commit_callbacks):
        delivery = row(Status.FAILED)
        with django_capture_on_commit_callbacks() as callbacks:
            delivery.retry(ACCOUNT)
        assert updates == []
        for callback in callbacks:
            callback()
        assert updates == [(Delivery, delivery.pk, "failed", "waiting")]

    def test_a_receiver_that_raises_is_logged(self, updates, django_capture_on_commit_callbacks, caplog):
        def fail(**kwargs):
            raise ValueError("receiver")

        delivery_updated.connect(fail)
        try:
            with django_capture_on_commit_callbacks(execute=True):
                assert row(Status.WAITING).give_up()
        finally:
            delivery_updated.disconnect(fail)
        assert "receiver" in caplog.text
        assert [update[2:] for update in updates] == [("waiting", "cancelled")]


class TestFindingByTime:
    """`first_id_since` needs no index on dates."""

    def test_ids_are_halved(self):
        rows = [row(Status.ACCEPTED, created_at=hours_ago(40 - number)) for number in range(40)]
        for deleted in (1, 2, 3, 20, 39):
            rows[deleted].delete()
        left = list(Delivery.objects.order_by("pk"))
        for hours in (100, 39.5, 37.5, 36.5, 20.5, 19.5, 2.5, 1.5):
            first = Delivery.objects.first_id_since(hours_ago(hours))
            since = [found for found in left if found.created_at >= hours_ago(hours)]
            assert list(Delivery.objects.filter(pk__gte=first).order_by("pk")) == since

    def test_where_nothing_is_that_new_there_is_none(self):
        assert not Delivery.objects.filter(pk__gte=Delivery.objects.first_id_since(hours_ago(1))).exists()
        row(Status.ACCEPTED, created_at=hours_ago(2))
        assert not Delivery.objects.filter(pk__gte=Delivery.objects.first_id_since(hours_ago(1))).exists()

    def test_a_million_ids_take_some_twenty_queries(self, django_assert_max_num_queries):
        row(Status.ACCEPTED, created_at=hours_ago(2))
        row(Status.ACCEPTED, pk=1_000_000)
        with django_assert_max_num_queries(24):
            assert Delivery.objects.first_id_since(hours_ago(1)) in range(2, 1_000_001)


@pytest.mark.parametrize("text", ["ada", "ada@", "ada@example.org", "ada_", "ada%", "Ada", "ádá@"])
def test_rows_are_found_by_the_beginning_of_an_address(text):
    for recipient in (
        "ad@example.org",
        "ada@example.org",
        "ada@example.org.au",
        "adb@example.org",
        "ádá@example.org",
    ):
        row(Status.WAITING, recipient=recipient)
    found = Delivery.objects.filter(Delivery.objects.beginning_with("recipient", text))
    assert {each.recipient for each in found} == {
        each.recipient for each in Delivery.objects.all() if each.recipient.startswith(text)
    }


def fill():
    """So many rows that a database reads an index for one of them, and knows it."""
    Delivery.objects.bulk_create(
        Delivery(recipient=f"ada{number}@example.org", status=Status.ACCEPTED, caller_key=f"order-{number}")
        for number in range(3000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def test_an_address_is_found_by_the_index():
    fill()
    beginning = Delivery.objects.order_by().filter(Delivery.objects.beginning_with("recipient", "ada77"))
    assert "django_migma_recipient" in beginning.explain()


def test_of_two_who_send_anew_under_the_same_key_one_does():
    failed = row(Status.FAILED)
    first, second = failed.send_anew(key="new"), stored(failed).send_anew(key="new")
    assert first.idempotency_key == "new"
    assert second is None
    assert Delivery.objects.count() == 2


WORSE = {
    Status.ACCEPTED: {*Delivery.UNFINISHED, *Delivery.RETRIED, Status.NOT_ATTEMPTED},
    Status.UNKNOWN: {*Delivery.RETRIED, Status.NOT_ATTEMPTED},
    Status.FAILED: {Status.FAILED, Status.NOT_ATTEMPTED},
}


@pytest.mark.parametrize("later", [*WORSE, Status.NOT_ATTEMPTED, Status.FALLBACK])
@pytest.mark.parametrize("status", Status)
def test_a_repeat_brings_a_row_forward_and_never_back(status, later):
    """Nobody takes a row from a worker but by an acceptance, and doubt ends with one only."""
    delivery = row(status)
    repeat = Delivery(status=later, attempts=1, errors=[{"text": "no"}], finished_at=timezone.now())
    assert delivery.bring_forward(repeat) == (status in WORSE.get(later, ()))
    expected = later if status in WORSE.get(later, ()) else status
    assert (delivery.status, stored(delivery).status) == (expected, expected)


def test_a_row_that_is_brought_forward_keeps_its_history_and_gives_up_its_request(
    updates, django_capture_on_commit_callbacks
):
    delivery = row(Status.FAILED, attempts=2, errors=[{"text": "first"}], claimed_by="w")
    repeat = Delivery(status=Status.ACCEPTED, attempts=1, errors=[], message_id="m1", provider="ses", replayed=True)
    with django_capture_on_commit_callbacks(execute=True):
        assert delivery.bring_forward(repeat)
    found = stored(delivery)
    assert (found.attempts, found.errors, found.payload, found.claimed_by) == (3, [{"text": "first"}], "", "")
    assert (found.message_id, found.provider, found.replayed) == ("m1", "ses", True)
    assert updates == [(Delivery, delivery.pk, Status.FAILED, Status.ACCEPTED)]


def test_the_last_20_errors_are_kept(updates, django_capture_on_commit_callbacks):
    """And another failure is no news."""
    delivery = row(Status.FAILED, errors=[{"text": str(number)} for number in range(20)])
    with django_capture_on_commit_callbacks(execute=True):
        assert delivery.bring_forward(Delivery(status=Status.FAILED, errors=[{"text": "20"}]))
    assert updates == []
    assert [error["text"] for error in stored(delivery).errors] == [str(number) for number in range(1, 21)]


def keyed(*keys):
    return [row(Status.ACCEPTED, caller_key=key) for key in keys]


def test_mail_is_found_by_the_beginning_of_the_key_that_code_gave_it():
    receipt, _other, invoice, _none = keyed("order-3-receipt", "order-30-receipt", "order-3-invoice", "")
    found = Delivery.objects.for_key("order-3-")
    assert list(found) == [invoice, receipt]
    assert list(Delivery.objects.for_key("order-3-receipt")) == [receipt]
    assert found[0].get_deferred_fields() == {"payload"}


@pytest.mark.parametrize("key", ["100%", "a_b", "back\\slash", "Größe-\U0001f375", "%", "z\uffff"])
def test_a_key_may_hold_any_character(key):
    expected, _other = keyed(f"{key}-x", key.replace("%", "5").replace("_", "-").replace("\\", "") + "!")
    assert list(Delivery.objects.for_key(f"{key}-")) == [expected]


def test_the_case_of_a_key_counts():
    keyed("Order-3")
    assert not Delivery.objects.for_key("order-3")


def test_a_key_that_was_too_long_for_the_row_is_found_all_the_same():
    [expected] = keyed("k" * 255)
    assert list(Delivery.objects.for_key("k" * 300)) == [expected]


def test_an_empty_key_is_a_mistake():
    with pytest.raises(ValueError, match="needs the beginning of a key"):
        Delivery.objects.for_key("")


def test_mail_is_found_by_an_index():
    """Not by reading all rows."""
    fill()
    assert "django_migma_caller_key" in Delivery.objects.for_key("order-77").explain()


@pytest.mark.parametrize("later", [Status.UNKNOWN, Status.FAILED])
def test_only_an_acceptance_ends_a_doubt(later):
    """And a retry with another account's key stays forbidden."""
    delivery = row(Status.FAILED, in_doubt=True, account=ACCOUNT)
    delivery.bring_forward(Delivery(status=later, in_doubt=later == Status.UNKNOWN, account="another"))
    assert (stored(delivery).in_doubt, stored(delivery).account) == (True, ACCOUNT)
    delivery.bring_forward(Delivery(status=Status.ACCEPTED))
    assert not stored(delivery).in_doubt
