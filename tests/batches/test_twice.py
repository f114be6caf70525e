"""Ways in which a newsletter could go out twice, or be lost: each is closed, or says so."""

from __future__ import annotations

from datetime import timedelta

import django
import pytest
from django.conf import settings
from django.db import transaction
from django.test import override_settings
from django.utils import timezone

from django_migma.api import Conflict, InvalidRequest, MigmaError, NoResponse
from django_migma.batches import prepare_batch, send_batch
from django_migma.models import Newsletter
from django_migma.sandbox import account
from django_migma.sandbox.protocol import KEYS
from tests.conftest import our_mailer

pytestmark = pytest.mark.django_db


@pytest.fixture
def sandbox(make_sandbox):
    """One attempt per call, so that each fault is seen."""
    return make_sandbox(migma={"MAX_RETRIES": 0})


def send(key="letter-5", **changes):
    return send_batch("letter", **{"tag": "Coffee letter", "idempotency_key": key, **changes})


def changed(**migma):
    return override_settings(MIGMA={**settings.MIGMA, **migma})


def lose_the_answer(sandbox, **changes):
    sandbox.faults.script("lost")
    with pytest.raises(NoResponse):
        send(**changes)


def pass_a_day(sandbox):
    sandbox.store.idempotency = type(sandbox.store.idempotency)(sandbox.store.clock)
    Newsletter.objects.update(created_at=timezone.now() - timedelta(hours=25))


@pytest.mark.parametrize("fault", ["503", "429"])
def test_a_repeat_that_fails_for_sure_leaves_the_first_in_doubt(sandbox, fault):
    """A day later, Migma would take it for a new one."""
    lose_the_answer(sandbox)
    sandbox.faults.script(fault)
    with pytest.raises(MigmaError) as caught:
        send()
    assert caught.value.may_have_been_accepted
    pass_a_day(sandbox)
    with pytest.raises(Conflict, match="no longer recognises its key"):
        send()
    assert len(sandbox.store.messages()) == 1


def test_a_repeat_that_migma_refuses_leaves_the_first_in_doubt(wire, settings):
    """The domain or the email may have changed since the first, which went out."""
    settings.MIGMA = {**settings.MIGMA, "PROJECT_ID": None, "MAX_RETRIES": 0}
    url = "http://127.0.0.1:9/v1/sending"
    wire.post(url, status=500)
    wire.post(url, status=404, json={"success": False, "error": "Email not found"})
    for _ in range(2):
        with pytest.raises(MigmaError) as caught:
            send_batch(account.WELCOME, tag=account.CUSTOMERS_TAG, subject="Hi", idempotency_key="k")
    assert caught.value.may_have_been_accepted
    assert Newsletter.objects.get().is_in_doubt


def test_a_key_that_migma_knows_from_another_newsletter_is_in_doubt_here(sandbox):
    """The row is gone, the mail is not: a day later Migma would not know the key either."""
    send()
    Newsletter.objects.all().delete()
    with pytest.raises(Conflict, match="409"):
        send(subject="Another")
    pass_a_day(sandbox)
    with pytest.raises(Conflict, match="no longer recognises its key"):
        send(subject="Another")
    assert len(sandbox.store.messages()) == 1


def test_a_refused_newsletter_is_in_doubt_under_the_account_and_from_the_time_of_its_last_try(make_sandbox):
    sandbox = make_sandbox(migma={"MAX_RETRIES": 0, "API_KEY": KEYS.no_send})
    with pytest.raises(MigmaError, match="email:send"):
        send()
    Newsletter.objects.update(created_at=timezone.now() - timedelta(days=2))
    with changed(API_KEY=KEYS.full):
        lose_the_answer(sandbox)
        found = send()
    assert (found.replayed, len(sandbox.store.messages())) == (True, 1)


def test_a_refused_newsletter_in_doubt_is_not_repeated_with_the_key_that_was_refused(make_sandbox):
    sandbox = make_sandbox(migma={"MAX_RETRIES": 0, "API_KEY": KEYS.no_send})
    with pytest.raises(MigmaError, match="email:send"):
        send()
    with changed(API_KEY=KEYS.full):
        lose_the_answer(sandbox)
    with pytest.raises(Conflict, match="no longer recognises its key"):
        send()


def test_a_time_that_has_passed_leaves_no_row_behind(sandbox):
    """A row would make the second call a repeat, and repeats may be late."""
    moment = timezone.now() - timedelta(days=1)
    for _ in range(2):
        with pytest.raises(ValueError, match="at least a minute ahead"):
            send(scheduled_at=moment)
    assert not Newsletter.objects.exists()
    assert "POST /v1/campaigns" not in sandbox.store.stats()["requests"]


def test_a_refused_campaign_is_not_tried_again_once_its_time_has_passed(sandbox):
    moment = timezone.now() + timedelta(minutes=2)
    sandbox.faults.script("503")
    with pytest.raises(MigmaError):
        send(scheduled_at=moment)
    prepared = prepare_batch("letter", tag="Coffee letter", scheduled_at=moment - timedelta(minutes=5))
    Newsletter.objects.update(digest=prepared.digest)
    with pytest.raises(ValueError, match="at least a minute ahead"):
        prepared.send("letter-5")


def test_spaces_around_a_key_do_not_make_another(sandbox):
    send()
    assert send(key=" letter-5\n").replayed
    assert len(sandbox.store.messages()) == 1


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_could_forget_it_is_refused(sandbox):
    with transaction.atomic(), pytest.raises(RuntimeError, match="cannot be sent inside a transaction"):
        send()
    assert sandbox.store.messages() == []
    with transaction.atomic():
        transaction.on_commit(send)
    assert len(sandbox.store.messages()) == 1


def test_without_a_key_midnight_does_not_make_another_newsletter(sandbox):
    prepared = prepare_batch("letter", tag="Coffee letter")
    prepared.send("of the day before")
    assert prepared.remembered().caller_key == "of the day before"
    Newsletter.objects.update(created_at=timezone.now() - timedelta(hours=13))
    assert prepared.remembered() is None


def test_without_a_key_doubt_does_not_end_with_the_day(sandbox):
    """Neither does it where the newsletter was changed since: both ask a person to look."""
    lose_the_answer(sandbox)
    pass_a_day(sandbox)
    for subject, text in (("", "no longer recognises its key"), ("Another", "Whether that one went out is unknown")):
        prepared = prepare_batch("letter", tag="Coffee letter", subject=subject)
        row = prepared.remembered()
        with pytest.raises(Conflict, match=text):
            prepared.send(row.caller_key)
    prepared.send("after a look")
    assert prepare_batch("letter", tag="Coffee letter").remembered() is None


@pytest.mark.skipif(django.VERSION < (6, 1), reason="mailers have aliases since Django 6.1")
def test_a_key_is_the_same_newsletter_under_another_mailer(sandbox, settings):
    """Also after the day in which Migma knows the key."""
    ours = our_mailer({"api_url": sandbox.api_url})["MAILERS"]["default"]
    settings.MAILERS = {"default": ours, "letters": ours}
    first = send()
    pass_a_day(sandbox)
    assert send(using="letters").id == first.id
    assert prepare_batch("letter", tag="Coffee letter", using="letters").previous().migma_id == first.id
    assert len(sandbox.store.messages()) == 1


@pytest.mark.skipif(django.VERSION < (6, 1), reason="mailers have aliases since Django 6.1")
def test_a_refused_newsletter_is_followed_with_the_mailer_that_sent_it_at_last(make_sandbox, settings):
    make_sandbox(migma={"MAX_RETRIES": 0})
    keys = {"a": KEYS.no_send, "b": KEYS.full}
    settings.MAILERS = {name: our_mailer({"api_key": key})["MAILERS"]["default"] for name, key in keys.items()}
    with pytest.raises(MigmaError, match="email:send"):
        send(using="a")
    send(using="b")
    assert Newsletter.objects.get().alias == "b"


def test_a_rehearsal_in_a_sandbox_keeps_no_newsletter_from_migma(wire, settings):
    settings.MIGMA = {**settings.MIGMA, "PROJECT_ID": None}
    for url in ("http://127.0.0.1:9/v1", "https://api.migma.ai/v1"):
        settings.MIGMA = {**settings.MIGMA, "API_URL": url}
        wire.post(f"{url}/sending", json={"success": True, "data": {"batchId": "b1"}})
        prepared = prepare_batch(account.WELCOME, tag=account.CUSTOMERS_TAG, subject="Hi")
        assert prepared.remembered("k") is prepared.previous() is prepared.remembered() is None
        prepared.send("k")
    assert [row.is_sandbox for row in Newsletter.objects.order_by("pk")] == [True, False]


def test_a_refusal_that_migma_repeats_says_the_way_out(make_sandbox):
    sandbox = make_sandbox(verified_domains=())
    for _ in range(2):
        with pytest.raises(InvalidRequest, match="once it is put right, give a new idempotency key"):
            send(from_email="a@nowhere.example")
        object.__setattr__(sandbox.switches, "verified_domains", ("nowhere.example",))
    assert send("letter-5 again", from_email="a@nowhere.example").wait(60).status == "completed"


def test_a_site_without_time_zones_sends_now_and_later(sandbox, settings):
    settings.USE_TZ, settings.TIME_ZONE = False, "Asia/Tokyo"
    prepared = prepare_batch("letter", tag="Coffee letter")
    prepared.send(prepared.usual_key()).wait(60)
    moment = timezone.make_aware(timezone.now() + timedelta(hours=1))
    for _ in range(2):
        assert send(scheduled_at=moment).scheduled_at == moment
    with pytest.raises(ValueError, match="at least a minute ahead"):
        send("late", scheduled_at=moment - timedelta(hours=1))
    assert (len(sandbox.store.messages()), len(sandbox.store.campaigns())) == (1, 1)


def test_a_long_status_and_id_do_not_lose_what_was_taken(wire, settings):
    """PostgreSQL refuses a text that is too long for its column, after the mail has gone out."""
    settings.MIGMA = {**settings.MIGMA, "PROJECT_ID": None}
    data = {"batchId": "b" * 200, "status": "s" * 100}
    wire.post("http://127.0.0.1:9/v1/sending", json={"success": True, "data": data})
    send_batch(account.WELCOME, tag=account.CUSTOMERS_TAG, subject="Hi", idempotency_key="k")
    row = Newsletter.objects.get()
    assert (row.migma_id, row.status) == ("b" * 200, "s" * 32)
