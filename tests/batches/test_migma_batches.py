"""``manage.py migma_batches``: the newsletters of this site, and what has become of them."""

from __future__ import annotations

import io
import json
import re
from datetime import timedelta

import django
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from django_migma.batches import send_batch
from django_migma.models import Newsletter
from django_migma.sandbox import account
from tests.conftest import our_mailer

pytestmark = pytest.mark.django_db


def run(*arguments):
    out = io.StringIO()
    call_command("migma_batches", *arguments, stdout=out)
    return out.getvalue()


def send(key="k", **changes):
    return send_batch("letter", **{"tag": "Coffee letter", "idempotency_key": key, **changes})


def test_the_list_asks_migma_about_what_is_unfinished(make_sandbox):
    make_sandbox(batch_step=0)
    first, second = send("a"), send("b", tag="sandbox partial")
    newest, oldest = run().splitlines()
    text = (
        f"{second.id}  partial, 36 of 40 sent, in a sandbox  A better cup (tag sandbox partial)  4 mails were refused"
    )
    assert newest.endswith(text)
    assert oldest.endswith(f"{first.id}  completed, 248 of 248 sent, in a sandbox  A better cup (tag Coffee letter)")


def test_what_is_finished_is_not_asked_about_again(make_sandbox):
    sandbox = make_sandbox(batch_step=0)
    send().wait(60)
    before = sandbox.store.stats()["requests"]
    run()
    assert sandbox.store.stats()["requests"] == before


def test_a_site_without_newsletters_is_told_how_to_send_one(sandbox):
    assert run() == "This site has sent no newsletter. manage.py migma_send_batch sends one.\n"
    assert json.loads(run("--json")) == []


def test_what_is_in_doubt_is_listed(sandbox):
    send()
    Newsletter.objects.update(migma_id="", status="unknown", error="no answer")
    text = (
        "no answer Nobody knows whether it went out: migma_send_batch with --key k, as it was, finds out for a day."
    )
    assert f"  no id yet  unknown, in a sandbox  A better cup (tag Coffee letter)  {text}" in run()


@pytest.mark.skipif(django.VERSION < (6, 1), reason="mailers have aliases since Django 6.1")
def test_a_batch_is_asked_about_with_the_mailer_that_sent_it(make_sandbox, settings):
    sandbox = make_sandbox()
    default, other = our_mailer({"api_url": "http://127.0.0.1:9/v1"}), our_mailer({"api_url": sandbox.api_url})
    settings.MAILERS = {"default": default["MAILERS"]["default"], "letters": other["MAILERS"]["default"]}
    batch = send(using="letters")
    assert f"batch {batch.id}: " in run(batch.id)


def test_a_batch_that_migma_cannot_tell_about_is_listed_with_the_problem(make_sandbox):
    make_sandbox()
    send()
    Newsletter.objects.update(migma_id="gone")
    assert re.search("Batch not found: gone.*A sandbox that was restarted has forgotten it[.]\n", run())
    Newsletter.objects.update(alias="nowhere")
    assert "nowhere" in json.loads(run("--json"))[0]["problem"]


@pytest.mark.parametrize(
    ("url", "is_sandbox", "problem"),
    [
        ("https://api.migma.ai/v1", True, "It went to a sandbox, which this site no longer uses."),
        ("http://127.0.0.1:9/v1", False, "It went to Migma itself, and this site uses a sandbox now."),
    ],
)
def test_who_has_not_got_it_is_not_asked_about_it(wire, settings, url, is_sandbox, problem):
    settings.MIGMA = {**settings.MIGMA, "PROJECT_ID": None}
    wire.post("http://127.0.0.1:9/v1/sending", json={"success": True, "data": {"batchId": "b1"}})
    send_batch(account.WELCOME, tag=account.CUSTOMERS_TAG, subject="Hi", idempotency_key="k")
    Newsletter.objects.update(is_sandbox=is_sandbox)
    settings.MIGMA = {**settings.MIGMA, "API_URL": url}
    [found] = json.loads(run("--json"))
    assert (found["problem"], found["is_sandbox"], len(wire.calls)) == (problem, is_sandbox, 1)


def test_one_is_shown_by_its_id(make_sandbox):
    make_sandbox(batch_step=0)
    batch = send()
    assert run(batch.id) == f"batch {batch.id}: 248 of 248 sent: completed\n"
    [found] = json.loads(run(batch.id, "--json"))
    assert (found["id"], found["status"], found["total"]) == (batch.id, "completed", 248)


def test_a_scheduled_one_is_cancelled(sandbox):
    campaign = send(scheduled_at=timezone.now() + timedelta(hours=1))
    assert run(campaign.id, "--cancel") == f"campaign {campaign.id}: cancelled\n"
    assert Newsletter.objects.get().status == "cancelled"
    [found] = json.loads(run("--json"))
    assert (found["status"], found["is_finished"], found["key"]) == ("cancelled", True, "k")
    assert found["scheduled_at"]


def test_the_list_has_a_limit(sandbox):
    send("a")
    send("b", tag="newsletter")
    assert len(run("--limit", "1").splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--limit", "0"], "argument --limit: invalid number '0': give a whole number above 0"),
        (["--cancel"], "--cancel needs the id of the campaign."),
        (["nothing"], "Campaign not found: nothing"),
        (["../x"], "Not found: GET /v1/campaigns/../x"),
    ],
)
def test_a_faulty_argument_is_named(sandbox, arguments, error):
    with pytest.raises(CommandError) as caught:
        run(*arguments)
    assert error in str(caught.value)


def test_a_batch_cannot_be_cancelled(sandbox):
    with pytest.raises(CommandError, match="A batch cannot be cancelled: Migma has no call for it"):
        run(send().id, "--cancel")


def test_a_mailer_that_is_not_ours_is_named():
    with pytest.raises(CommandError, match="There is no mailer 'nowhere' that uses Migma"):
        run("anything", "--using", "nowhere")


@pytest.mark.django_db(transaction=True)
def test_an_unreadable_table_is_named(sandbox):
    with connection.schema_editor() as editor:
        editor.delete_model(Newsletter)
    try:
        with pytest.raises(CommandError, match="The table of newsletters cannot be read"):
            run()
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(Newsletter)
