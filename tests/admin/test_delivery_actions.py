"""What staff do to deliveries: the pages that ask, and what a confirmation changes."""

import datetime as dt

import django
import pytest
from django.contrib.admin.models import LogEntry
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from django_migma.admin import delivery_actions
from django_migma.backends import wake_ups
from django_migma.mailers import current_destination
from django_migma.models import Delivery
from django_migma.signals import delivery_updated

from .conftest import admin_url, messages_of

ACTIONS = ("retry", "resend", "cancel")


def ask(client, action, *rows, **options):
    """Open the page of an action."""
    return client.get(url(action), {"ids": ",".join(str(row.pk) for row in rows)}, **options)


def url(view, *args):
    return admin_url(view, *args, model="delivery")


def confirm(client, page, **options):
    """Press the page's button."""
    return client.post(page.context["page_url"], {"rows": page.context["tokens"]}, follow=True, **options)


def choose(client, action, *rows, **fields):
    """Pick these in the list, and the action."""
    data = {"action": action, "_selected_action": [row.pk for row in rows], **fields}
    return client.post(url("changelist"), data, follow=True)


def text_of(response):
    return " ".join(response.content.decode().split())


def statuses():
    return list(Delivery.objects.order_by("pk").values_list("status", flat=True))


@pytest.fixture
def clerk(person):
    """A user who may see deliveries and do everything to them."""
    return person("view", *ACTIONS, model="delivery")


@pytest.fixture
def doubtful(deliver, mailer):
    """A row in doubt, whose key is still good."""
    return deliver(
        "unknown",
        in_doubt=True,
        attempts=2,
        account=current_destination().account,
        first_attempt_at=timezone.now() - dt.timedelta(hours=1),
    )


class TestAsking:
    def test_the_page_says_what_happens_to_which(self, clerk, mailer, deliver, doubtful):
        rows = [doubtful, deliver("failed"), deliver("accepted", payload=""), deliver("sending"), deliver("sending")]
        text = text_of(ask(clerk, "retry", *rows))
        assert "<strong>2</strong> The same request is sent again, with the same key." in text
        assert "<strong>1</strong> stays as it is. It is finished: accepted." in text
        assert "<strong>2</strong> stay as they are. It is on its way already." in text
        assert '<input type="submit" class="default" value="Try 2 again">' in text
        assert "<strong>Sandbox</strong>: on this machine; no mail is delivered." in text
        assert text.count("<td>Nothing. It is on its way already.</td>") == 2
        assert text.count("<td>Try again with the same key</td>") == 2

    def test_the_page_says_that_migma_is_live(self, clerk, mailer, migma, deliver):
        migma(API_URL="https://api.migma.ai/v1")
        assert "<strong>Migma, live</strong>: real mail is delivered." in text_of(
            ask(clerk, "resend", deliver("failed"))
        )

    def test_send_anew_warns_where_a_mail_may_come_twice(self, clerk, mailer, deliver, doubtful):
        text = text_of(ask(clerk, "resend", doubtful, deliver("failed")))
        assert "<strong>1</strong> of them may have been accepted: the recipient may get the mail twice." in text
        assert text.count("The recipient may get it twice.") == 1
        assert "twice" not in text_of(ask(clerk, "resend", deliver("failed")))

    @pytest.mark.parametrize("action", ACTIONS)
    def test_without_a_row_to_change_there_is_no_button(self, clerk, mailer, deliver, action):
        text = text_of(ask(clerk, action, deliver("accepted", payload="")))
        assert 'type="submit" class="default"' not in text
        assert "Cancel</a>" in text

    def test_the_list_has_an_action_for_each(self, clerk, mailer, deliver):
        rows = [deliver("failed"), deliver("waiting")]
        for action in ACTIONS:
            response = choose(clerk, action, *rows)
            assert response.redirect_chain == []
            assert response.context["page_url"] == url(action)
            assert len(response.context["rows"]) == 2
        assert statuses() == ["failed", "waiting"], "nothing has happened yet"

    def test_all_rows_of_a_filter_are_a_thousand_at_most(self, clerk, mailer, deliver, monkeypatch):
        monkeypatch.setattr(delivery_actions, "MAX_ROWS", 2)
        monkeypatch.setattr("django_migma.admin.delivery.MAX_ROWS", 2)
        rows = [deliver("failed") for _number in range(3)]
        response = choose(clerk, "cancel", rows[0], select_across="1")
        assert "At most 2 at a time: these are the first of those that you chose." in text_of(response)
        confirm(clerk, response)
        assert statuses().count("cancelled") == 2

    def test_a_long_page_shows_some(self, clerk, mailer, deliver):
        rows = [deliver("failed") for _number in range(53)]
        response = ask(clerk, "retry", *rows)
        assert text_of(response).count('<th scope="row">') == 50
        assert "and 3 more" in text_of(response)
        confirm(clerk, response)
        assert set(statuses()) == {"waiting"}

    def test_rows_that_are_gone_lead_back_to_the_list(self, clerk, mailer, deliver):
        row = deliver("failed")
        Delivery.objects.all().delete()
        response = ask(clerk, "retry", row, follow=True)
        assert messages_of(response) == [("error", "None of the chosen deliveries exists. Choose again.")]
        assert response.redirect_chain == [(url("changelist"), 302)]


class TestDoing:
    def test_try_again_keeps_the_key(self, clerk, doubtful):
        key = doubtful.idempotency_key
        response = confirm(clerk, ask(clerk, "retry", doubtful))
        assert messages_of(response) == [("success", "1 delivery is tried again with the same key.")]
        assert response.redirect_chain == [(url("change", doubtful.pk), 302)]
        row = Delivery.objects.get()
        assert (row.status, row.idempotency_key, row.finished_at) == ("waiting", key, None)
        assert row.due_at <= timezone.now()

    def test_send_anew_makes_a_row_with_a_new_key(self, clerk, mailer, deliver):
        old = deliver("failed")
        response = confirm(clerk, ask(clerk, "resend", old))
        assert messages_of(response) == [("success", "1 delivery is sent anew, as a delivery of its own.")]
        new = Delivery.objects.get(resent_from=old)
        assert (new.status, new.payload) == ("waiting", old.payload)
        assert new.idempotency_key not in {None, "", old.idempotency_key}
        text = clerk.get(url("change", old.pk)).content.decode()
        assert f'<a href="{url("change", new.pk)}">repeated by the delivery {new.pk}</a>' in text
        assert f"repeats the delivery {old.pk}</a>" in clerk.get(url("change", new.pk)).content.decode()

    def test_give_up_ends_a_row(self, clerk, mailer, deliver):
        rows = [deliver("waiting"), deliver("failed"), deliver("unknown")]
        response = confirm(clerk, ask(clerk, "cancel", *rows))
        assert messages_of(response) == [("success", "3 deliveries were given up.")]
        assert statuses() == ["cancelled"] * 3
        assert response.redirect_chain == [(url("changelist"), 302)]

    @pytest.mark.parametrize(
        ("action", "words"),
        [("retry", "Tried again with the same key."), ("resend", "Sent anew."), ("cancel", "Given up.")],
    )
    def test_each_row_that_changed_has_an_entry_in_its_history(self, clerk, mailer, deliver, action, words):
        rows = [deliver("failed"), deliver("failed"), deliver("sending")]
        confirm(clerk, ask(clerk, action, *rows))
        entries = {(entry.object_id, entry.get_change_message(), entry.user) for entry in LogEntry.objects.all()}
        assert entries == {(str(row.pk), words, clerk.user) for row in rows[:2]}
        assert words in clerk.get(url("history", rows[0].pk)).content.decode()

    def test_what_changed_meanwhile_is_left_as_it_is(self, clerk, mailer, deliver):
        rows = [deliver("failed"), deliver("failed")]
        page = ask(clerk, "retry", *rows)
        Delivery.objects.filter(pk=rows[0].pk).update(status="accepted", payload="")
        assert messages_of(confirm(clerk, page)) == [
            ("warning", "1 delivery was left as it is. It is finished: accepted."),
            ("success", "1 delivery is tried again with the same key."),
        ]
        assert statuses() == ["accepted", "waiting"]

    @pytest.mark.parametrize("action", ["retry", "cancel"])
    def test_a_worker_that_changes_a_row_at_the_same_moment_wins(self, clerk, mailer, deliver, action):
        page = ask(clerk, action, deliver("failed"))

        def overtake(execute, sql, params, many, context):
            if sql.startswith("UPDATE") and not overtaken:
                overtaken.append(True)
                Delivery.objects.update(status="accepted")
            return execute(sql, params, many, context)

        overtaken = []
        with connection.execute_wrapper(overtake):
            response = confirm(clerk, page)
        [(level, text)] = messages_of(response)
        assert level == "warning"
        assert "It has changed since the page was opened. Look at it again." in text
        assert statuses() == ["accepted"]
        assert not LogEntry.objects.exists()

    def test_receivers_hear_of_it(self, clerk, mailer, deliver, django_capture_on_commit_callbacks):
        heard = []

        def receiver(sender, delivery, previous, **kwargs):
            heard.append((delivery.pk, previous, delivery.status))

        delivery_updated.connect(receiver)
        row = deliver("failed")
        with django_capture_on_commit_callbacks(execute=True):
            confirm(clerk, ask(clerk, "cancel", row))
        delivery_updated.disconnect(receiver)
        assert heard == [(row.pk, "failed", "cancelled")]

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize(("action", "count"), [("retry", 1), ("resend", 1), ("cancel", 0)])
    def test_the_engine_is_woken_once(self, clerk, mailer, migma, deliver, settings, monkeypatch, action, count):
        tasks = "django.tasks" if django.VERSION >= (6, 0) else "django_tasks"
        pytest.importorskip(tasks)
        settings.TASKS = {"default": {"BACKEND": f"{tasks}.backends.dummy.DummyBackend"}}
        migma(QUEUE={"ENGINE": "django_migma.engines.tasks"})
        from django_migma.engines import tasks as engine

        monkeypatch.setattr(wake_ups, "DEBOUNCE", 600)  # longer than a busy machine takes from one row to the next
        monkeypatch.setattr(wake_ups, "_not_before", {})  # no wake-up of another test, and ours stops none
        confirm(clerk, ask(clerk, action, deliver("failed"), deliver("failed")))
        assert len(engine.deliver.get_backend().results) == count

    def test_a_busy_database_is_said(self, clerk, mailer, deliver):
        page = ask(clerk, "cancel", deliver("failed"))

        def refuse(execute, sql, params, many, context):
            if sql.startswith("UPDATE"):
                raise OperationalError("database is locked")
            return execute(sql, params, many, context)

        with connection.execute_wrapper(refuse):
            response = clerk.post(page.context["page_url"], {"rows": page.context["tokens"]})
        assert messages_of(clerk.get(response["Location"])) == [
            ("error", "The database is busy, and not everything was done. Try again.")
        ]
        assert statuses() == ["failed"]


class TestOnce:
    """A form that is submitted twice does each action once."""

    @pytest.mark.parametrize(("action", "count"), [("retry", 1), ("resend", 2), ("cancel", 1)])
    def test_the_same_form(self, clerk, mailer, deliver, action, count):
        page = ask(clerk, action, deliver("failed"))
        confirm(clerk, page)
        [(level, text)] = messages_of(confirm(clerk, page))
        assert level == "warning"
        assert text.startswith("1 delivery was left as it is. ")
        assert Delivery.objects.count() == count
        assert LogEntry.objects.count() == 1

    def test_two_people_with_the_same_page_send_anew_once_even_at_the_same_moment(self, clerk, mailer, deliver):
        """The other form comes in after this one has read the row."""
        page = ask(clerk, "resend", deliver("failed"))
        other = ask(clerk, "resend", Delivery.objects.get())

        def overtake(execute, sql, params, many, context):
            if sql.startswith("SAVEPOINT") and not overtaken:
                overtaken.append(True)
                confirm(clerk, other)
            return execute(sql, params, many, context)

        overtaken = []
        with connection.execute_wrapper(overtake):
            response = confirm(clerk, page)
        assert overtaken
        assert "It has changed since the page was opened." in str(messages_of(response))
        assert Delivery.objects.count() == 2

    def test_a_page_that_is_opened_again_sends_again(self, clerk, mailer, deliver):
        row = deliver("failed")
        for _time in range(2):
            confirm(clerk, ask(clerk, "resend", row))
        assert Delivery.objects.filter(resent_from=row).count() == 2


class TestWhoMay:
    @pytest.mark.parametrize("action", ACTIONS)
    def test_each_action_needs_its_permission(self, person, mailer, deliver, action):
        row = deliver("failed")
        others = [other for other in ACTIONS if other != action]
        client = person("view", "change", "delete", *others, model="delivery")
        assert ask(client, action, row).status_code == 403
        assert client.post(url(action), {"rows": f"{row.pk}:0"}).status_code == 403
        page = client.get(url("change", row.pk)).content.decode()
        assert f"{url(action)}?ids=" not in page
        assert [f"{url(other)}?ids=" in page for other in others] == [True, True]
        listed = client.get(url("changelist")).content.decode()
        assert f'<option value="{action}">' not in listed
        assert all(f'<option value="{other}">' in listed for other in others)
        assert "No action selected" in str(messages_of(choose(client, action, row)))
        assert statuses() == ["failed"]

    def test_a_user_who_may_not_see_deliveries_may_not_change_them(self, person, mailer, deliver):
        assert ask(person(*ACTIONS, model="delivery"), "retry", deliver("failed")).status_code == 403

    def test_an_anonymous_visitor_is_sent_to_the_login(self, client, deliver):
        assert "/login/" in ask(client, "retry", deliver("failed"))["Location"]

    @pytest.mark.parametrize("action", ACTIONS)
    def test_a_get_changes_nothing(self, clerk, mailer, deliver, action):
        row = deliver("failed")
        assert clerk.get(url(action), {"ids": str(row.pk), "rows": f"{row.pk}:0"}).status_code == 200
        assert statuses() == ["failed"]

    def test_a_form_from_elsewhere_changes_nothing(self, clerk, mailer, deliver):
        row = deliver("failed")
        strict = Client(enforce_csrf_checks=True)
        strict.cookies = clerk.cookies
        assert strict.post(url("cancel"), {"rows": f"{row.pk}:0"}).status_code == 403
        assert statuses() == ["failed"]

    @pytest.mark.parametrize("rows", ["", "x", "1", "99999999999999999999:0", f"{10**12}:0"])
    def test_a_form_without_rows_changes_nothing(self, clerk, mailer, deliver, rows):
        deliver("failed")
        assert clerk.post(url("cancel"), {"rows": rows}).status_code == 302
        assert statuses() == ["failed"]
