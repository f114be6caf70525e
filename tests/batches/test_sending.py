"""A newsletter as it leaves: what is in the request, what is refused, and that it leaves once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import modify_settings
from django.utils import timezone

from django_migma.api import (
    Conflict,
    Forbidden,
    InvalidRequest,
    InvalidResponse,
    MissingVariables,
    NoResponse,
    SerializationError,
    StoredEmailNotFound,
    UnusableAudience,
)
from django_migma.batches import find_batch, prepare_batch, send_batch
from django_migma.exceptions import ConfigurationError
from django_migma.models import Newsletter, StoredEmail
from django_migma.sandbox import account
from django_migma.sandbox.protocol import KEYS

from .conftest import let_only_sends_take_time

pytestmark = pytest.mark.django_db


def send(template="letter", key="letter-5", **changes):
    return send_batch(template, **{"tag": "Coffee letter", "idempotency_key": key, **changes})


def soon():
    return timezone.now() + timedelta(minutes=5)


def test_one_request_for_everybody(sandbox):
    batch = send(variables={"month": "May", "price": 12.5})
    [message] = sandbox.store.messages()
    assert (batch.id, message.recipients) == (message.id, 248)
    assert message.body == {
        "recipientType": "tag",
        "recipientId": account.COFFEE_LETTER_TAG,
        "from": "hello@fernhill.example",
        "fromName": "Fernhill Coffee",
        "subject": "A better cup",
        "emailId": account.SERIES_1,
        "variables": {"month": "May", "price": 12.5},
    }
    assert batch.wait(60).counts.sent == 248


def test_a_segment_with_a_subject_and_a_sender_of_its_own(sandbox):
    send(tag=None, segment="Coffee lovers", subject="New beans", from_email="news@fernhill.example")
    [message] = sandbox.store.messages()
    names = ("recipientType", "recipientId", "subject", "from", "fromName")
    sent = [message.body[name] for name in names]
    expected = ["segment", account.COFFEE_LOVERS, "New beans", "news@fernhill.example", "news@fernhill.example"]
    assert sent == expected


def test_a_row_gives_its_project_its_defaults_and_never_its_samples(make_sandbox):
    sandbox = make_sandbox(migma={"PROJECT_ID": None})
    row = StoredEmail.objects.create(
        key="news",
        email_id=account.WELCOME,
        project_id=account.FERNHILL,
        subject="Hello",
        default_variables={"shop_url": "https://fernhill.example"},
        sample_variables={"first_name": "Robin"},
    )
    send("news")
    send(row, key="as an object")
    assert [message.body["variables"] for message in sandbox.store.messages()] == [
        {"shop_url": "https://fernhill.example"}
    ] * 2


@pytest.mark.parametrize(("given", "sent"), [(None, None), (True, True), (False, False)])
def test_only_the_call_makes_a_batch_transactional(make_sandbox, given, sent):
    """``TRANSACTIONAL`` is for single mail."""
    sandbox = make_sandbox(migma={"TRANSACTIONAL": True})
    send(transactional=given)
    [message] = sandbox.store.messages()
    assert message.body.get("transactional") is sent


def test_the_same_key_is_the_same_batch_for_ever(sandbox):
    first = send()
    sandbox.store.idempotency = type(sandbox.store.idempotency)(sandbox.store.clock)  # as after 24 hours
    again = send()
    assert (again.id, again.replayed, first.replayed) == (first.id, True, False)
    assert len(sandbox.store.messages()) == 1


def test_the_same_key_for_another_newsletter_is_a_conflict(sandbox):
    send()
    with pytest.raises(Conflict, match="This idempotency key was used for another newsletter"):
        send(subject="Another subject")
    assert len(sandbox.store.messages()) == 1


def test_another_key_is_another_batch(sandbox):
    assert send().id != send(key="letter-6").id
    assert len(sandbox.store.messages()) == 2


@pytest.mark.parametrize("fault", ["lost", "half", "empty", "500", "429-after-1", "reset", "busy-0.1"])
def test_whatever_happens_on_the_way_it_is_one_batch(sandbox, fault):
    sandbox.faults.script(fault)
    batch = send()
    assert len(sandbox.store.messages()) == 1
    assert batch.wait(60).status == "completed"


def test_an_answer_that_never_came_is_found_with_the_same_key(make_sandbox):
    sandbox = make_sandbox(migma={"MAX_RETRIES": 0})
    sandbox.faults.script("lost")
    with pytest.raises(NoResponse) as caught:
        send()
    assert caught.value.may_have_been_accepted
    row = Newsletter.objects.get()
    assert (row.status, row.migma_id, row.is_finished) == ("unknown", "", False)
    batch = send()
    assert (batch.replayed, len(sandbox.store.messages())) == (True, 1)
    row.refresh_from_db()
    assert (row.migma_id, row.error) == (batch.id, "")


def test_what_is_in_doubt_is_repeated_byte_for_byte(make_sandbox):
    """A default that was edited meanwhile makes another newsletter, and that is said before anything is sent."""
    sandbox = make_sandbox(migma={"MAX_RETRIES": 0})
    row = StoredEmail.objects.create(key="news", email_id=account.WELCOME, subject="Hello")
    sandbox.faults.script("lost")
    with pytest.raises(NoResponse):
        send("news")
    row.default_variables = {"first_name": "friend"}
    row.save()
    with pytest.raises(Conflict, match="used for another newsletter"):
        send("news")
    assert len(sandbox.store.messages()) == 1


@pytest.mark.parametrize(
    "later", [{"created_at": timezone.now() - timedelta(hours=24)}, {"account": "another key"}], ids=["late", "key"]
)
def test_what_migma_no_longer_recognises_is_not_repeated(make_sandbox, later):
    sandbox = make_sandbox(migma={"MAX_RETRIES": 0})
    sandbox.faults.script("lost")
    with pytest.raises(NoResponse):
        send()
    Newsletter.objects.update(**later)
    with pytest.raises(Conflict, match=r"no longer recognises its key\. Look it up in Migma's dashboard"):
        send()
    assert len(sandbox.store.messages()) == 1


def test_a_refused_newsletter_may_be_sent_once_it_is_allowed(make_sandbox):
    sandbox = make_sandbox(verified_domains=(), errors_consume_key=False)
    with pytest.raises(InvalidRequest, match="not verified"):
        send(from_email="a@nowhere.example")
    assert Newsletter.objects.get().status == "failed"
    object.__setattr__(sandbox.switches, "verified_domains", ("nowhere.example",))
    assert send(from_email="a@nowhere.example").wait(60).status == "completed"
    assert Newsletter.objects.get().status == "completed"


def test_a_success_without_an_id_is_in_doubt(wire, settings):
    settings.MIGMA = {**settings.MIGMA, "PROJECT_ID": None}
    wire.post("http://127.0.0.1:9/v1/sending", json={"success": True, "data": {"status": "queued"}})
    with pytest.raises(InvalidResponse, match="gave no id, so it cannot be followed") as caught:
        send(account.WELCOME, tag=account.CUSTOMERS_TAG, subject="Hi")
    assert caught.value.may_have_been_accepted
    assert Newsletter.objects.get().status == "unknown"


def test_a_send_with_a_time_goes_by_a_campaign(sandbox):
    moment = soon()
    batch = send(scheduled_at=moment)
    [campaign] = sandbox.store.campaigns()
    assert (batch.id, batch.kind, batch.status, batch.scheduled_at) == (campaign.id, "campaign", "scheduled", moment)
    assert abs(campaign.scheduled_at - moment) < timedelta(milliseconds=1)
    body = campaign.message.body
    assert (body["conversationId"], body["emailId"]) == (account.SERIES_CONVERSATION, account.SERIES_1)
    assert (body["recipientType"], body["name"]) == ("tag", "A better cup")
    assert batch.cancel().status == "cancelled"
    assert Newsletter.objects.get().status == "cancelled"
    assert sandbox.store.messages() == []


def test_a_segment_is_an_audience_to_a_campaign(sandbox):
    send(tag=None, segment="Coffee lovers", scheduled_at=soon())
    [campaign] = sandbox.store.campaigns()
    assert campaign.message.body["recipientType"] == "audience"


def test_the_same_key_makes_one_campaign(sandbox):
    moment = soon()
    first = send(scheduled_at=moment)
    Newsletter.objects.all().delete()  # as without the app: the keys alone protect
    again = send(scheduled_at=moment)
    assert (first.id, len(sandbox.store.campaigns())) == (again.id, 1)


@pytest.mark.parametrize(
    ("moment", "more", "text"),
    [
        (lambda: timezone.now() - timedelta(days=1), {}, "scheduled_at must be at least a minute ahead"),
        (lambda: timezone.now() + timedelta(seconds=50), {}, "scheduled_at must be at least a minute ahead"),
        (lambda: soon().replace(tzinfo=None), {}, "scheduled_at must be aware"),
        (soon, {"transactional": True}, "campaigns have no field for transactional"),
    ],
    ids=["past", "within a minute", "naive", "transactional"],
)
def test_a_time_that_cannot_be_is_refused(sandbox, moment, more, text):
    with pytest.raises(ValueError, match=text):
        send(scheduled_at=moment(), **more)
    assert (sandbox.store.messages(), sandbox.store.campaigns()) == ([], [])


def test_a_campaign_needs_a_project(make_sandbox):
    make_sandbox(migma={"PROJECT_ID": None})
    with pytest.raises(ConfigurationError, match=r"A send with a time needs the id of the project\. Set PROJECT_ID"):
        send(tag=account.COFFEE_LETTER_TAG, scheduled_at=soon())


@pytest.mark.parametrize("key", ["", "  ", None, 7])
def test_a_key_is_required(sandbox, key):
    with pytest.raises(ValueError, match="idempotency_key must be a text that is the same whenever"):
        send(key=key)
    assert sandbox.store.stats()["requests"] == {}


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"tag": "sandbox empty"}, UnusableAudience, "The tag 'sandbox empty' is empty"),
        ({"tag": None, "segment": "sandbox twins"}, UnusableAudience, "2 segments have the name 'sandbox twins'"),
        ({"tag": "nothing"}, UnusableAudience, "The project has no tag 'nothing'"),
        ({"template": "nothing"}, StoredEmailNotFound, "No stored email has the key 'nothing'"),
        ({"template": account.WELCOME}, ValueError, "No subject is known for this stored email. Give subject."),
        ({"subject": "a\nb"}, ValueError, "The subject contains a line break"),
        ({"variables": [1]}, TypeError, "variables must be a dict, not list"),
        ({"variables": {"x": object()}}, SerializationError, "variables"),
        ({"from_email": "a, b"}, ValueError, "from_email"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_anything_leaves(sandbox, changes, error, text):
    with pytest.raises(error, match=text):
        send(**changes)
    assert sandbox.store.messages() == []
    assert not Newsletter.objects.exists()


def test_a_series_says_which_emails_it_has(sandbox):
    StoredEmail.objects.create(key="series", conversation_id=account.SERIES_CONVERSATION, subject="Hi")
    text = f"series of 2 emails. Give the id of one of them: {account.SERIES_1}, {account.SERIES_2}."
    with pytest.raises(ValueError, match=text):
        send("series")


def test_a_conversation_of_one_email_is_sent(sandbox):
    StoredEmail.objects.create(key="one", conversation_id=account.WELCOME_CONVERSATION, subject="Hi")
    send("one")
    [message] = sandbox.store.messages()
    assert message.body["conversationId"] == account.WELCOME_CONVERSATION


def test_a_conversation_may_be_sent_by_a_key_that_may_not_read(wire, settings):
    """Migma refuses a series by itself."""
    settings.MIGMA = {**settings.MIGMA, "PROJECT_ID": None}
    StoredEmail.objects.create(key="one", conversation_id=account.WELCOME_CONVERSATION, subject="Hi")
    path = f"http://127.0.0.1:9/v1/projects/emails/{account.WELCOME_CONVERSATION}/status"
    wire.get(path, status=403, json={"success": False, "error": "no"})
    wire.post("http://127.0.0.1:9/v1/sending", json={"success": True, "data": {"batchId": "b1"}})
    assert send("one", tag=account.CUSTOMERS_TAG).id == "b1"


@pytest.mark.parametrize(("setting", "names"), [("warn", {"first_name", "month"}), ("ignore", set())])
def test_what_a_batch_does_not_pass_may_come_from_the_contact(make_sandbox, setting, names):
    make_sandbox(migma={"MISSING_VARIABLES": setting})
    StoredEmail.objects.create(key="n", email_id=account.WELCOME, subject="{{month}}", html="{{first_name}}")
    assert prepare_batch("n", tag="Coffee letter").missing_variables == names


def test_missing_variables_are_refused_where_the_setting_says_so(make_sandbox):
    make_sandbox(migma={"MISSING_VARIABLES": "raise"})
    StoredEmail.objects.create(key="n", email_id=account.WELCOME, subject="{{month}}", html="{{first_name}}")
    with pytest.raises(MissingVariables, match="uses first_name, month, which the batch would not have"):
        send("n")


def test_staging_does_not_mail_everybody(make_sandbox):
    sandbox = make_sandbox(migma={"REDIRECT_TO": "staging@example.org"})
    with pytest.raises(ConfigurationError, match="REDIRECT_TO is set, and a batch cannot be redirected"):
        send()
    assert sandbox.store.stats()["requests"] == {}


def test_a_key_that_may_not_send_says_so(make_sandbox):
    make_sandbox(migma={"API_KEY": KEYS.no_send})
    with pytest.raises(Forbidden, match="lacks the permission email:send"):
        send()
    assert Newsletter.objects.get().status == "failed"


def test_nothing_is_sent_by_preparing(sandbox):
    prepared = prepare_batch("letter", tag="Coffee letter")
    assert (prepared.kind, prepared.template, str(prepared.audience)) == ("batch", "letter", "tag 'Coffee letter'")
    assert sandbox.store.messages() == []
    assert prepared.remembered() is None


def test_a_batch_is_found_by_its_id(sandbox):
    batch, campaign = send(), send(key="k2", scheduled_at=soon())
    assert find_batch(batch.id).kind == "batch"
    assert find_batch(campaign.id).status == "scheduled"
    Newsletter.objects.all().delete()
    assert (find_batch(batch.id).kind, find_batch(campaign.id).kind) == ("batch", "campaign")


def test_a_row_follows_its_batch(sandbox):
    send(tag="sandbox partial").wait(60)
    row = Newsletter.objects.get()
    assert (row.status, row.total, row.sent, row.failed, row.error) == ("partial", 40, 36, 4, "4 mails were refused")
    assert row.finished_at
    assert (row.recipient_name, row.template, row.caller_key) == ("sandbox partial", "letter", "letter-5")
    assert str(row) == "A better cup (tag sandbox partial)"


def test_a_throttled_row_says_why(make_sandbox):
    let_only_sends_take_time(make_sandbox(batch_step=1), 2)
    send(tag="sandbox throttled").refresh()
    row = Newsletter.objects.get()
    assert (row.status, row.throttle_reason) == ("throttled", "The sending limit of this hour is reached")
    assert row.resumes_at > row.created_at


@pytest.fixture
def without_the_app():
    with modify_settings(INSTALLED_APPS={"remove": "django_migma"}):
        yield


@pytest.mark.usefixtures("without_the_app")
def test_without_the_app_migma_alone_keeps_it_from_going_out_twice(sandbox):
    """No rows are read or written: the tables may not exist."""
    first, again = send(), send()
    assert (again.id, again.replayed) == (first.id, True)
    assert len(sandbox.store.messages()) == 1
    with pytest.raises(Conflict, match="IDEMPOTENCY_CONFLICT"):
        send(subject="Another")
    assert find_batch(first.id).wait(60).is_finished
    prepared = prepare_batch("letter", tag="Coffee letter")
    assert prepared.remembered() is prepared.previous() is None
    assert not Newsletter.objects.exists()


@pytest.mark.usefixtures("without_the_app")
def test_without_the_app_a_lost_answer_is_found_with_the_same_key(make_sandbox):
    sandbox = make_sandbox(migma={"MAX_RETRIES": 0})
    sandbox.faults.script("lost")
    with pytest.raises(NoResponse):
        send()
    assert send().replayed
    assert len(sandbox.store.messages()) == 1


def test_a_request_of_another_terminal_is_waited_for(wire, settings):
    """A 409 without a code says that the first request with this key is still running."""
    settings.MIGMA = {**settings.MIGMA, "PROJECT_ID": None}
    running = {"success": False, "error": "still being processed"}
    wire.post("http://127.0.0.1:9/v1/sending", status=409, json=running)
    wire.post("http://127.0.0.1:9/v1/sending", status=409, json=running)
    wire.post("http://127.0.0.1:9/v1/sending", json={"success": True, "data": {"batchId": "b1"}})
    assert send(account.WELCOME, tag=account.CUSTOMERS_TAG, subject="Hi").id == "b1"
    assert len({call.request.headers["Idempotency-Key"] for call in wire.calls}) == 1


def test_a_newsletter_without_a_key_of_its_own_has_one_for_the_day(sandbox):
    prepared = prepare_batch("letter", tag="Coffee letter")
    key = prepared.usual_key()
    earlier, later = (prepare_batch("letter", tag="Coffee letter").usual_key() for _ in range(2))
    assert earlier in (key, later)  # midnight may come, but once
    assert key != prepare_batch("letter", tag="Coffee letter", variables={"a": 1}).usual_key()
    batch = prepared.send(key)
    assert prepare_batch("letter", tag="Coffee letter").remembered().migma_id == batch.id


def test_what_is_in_doubt_is_remembered_by_what_it_is(make_sandbox):
    """Also tomorrow, when the usual key is another one."""
    sandbox = make_sandbox(migma={"MAX_RETRIES": 0})
    sandbox.faults.script("lost")
    with pytest.raises(NoResponse):
        send(key="of yesterday")
    assert prepare_batch("letter", tag="Coffee letter").remembered().caller_key == "of yesterday"
    assert prepare_batch("letter", tag="newsletter").remembered() is None


def test_a_draft_without_an_id_is_in_doubt(wire, settings):
    settings.MIGMA = {**settings.MIGMA, "PROJECT_ID": account.FERNHILL}
    url = "http://127.0.0.1:9/v1"
    wire.get(f"{url}/tags", json={"success": True, "data": [{"id": account.CUSTOMERS_TAG, "name": "all"}]})
    wire.get(
        f"{url}/emails/{account.WELCOME}",
        json={"success": True, "data": {"conversationId": account.WELCOME_CONVERSATION}},
    )
    wire.post(f"{url}/campaigns", json={"success": True, "data": None})
    with pytest.raises(InvalidResponse, match="gave no id"):
        send(account.WELCOME, tag="all", subject="Hi", scheduled_at=soon())


@pytest.mark.parametrize("faults", [["lost"], ["ok", "lost"], ["500", "half"]])
def test_lost_replies_make_one_campaign(sandbox, faults):
    sandbox.faults.script(*faults)
    assert send(scheduled_at=soon()).status == "scheduled"
    assert len(sandbox.store.campaigns()) == 1
