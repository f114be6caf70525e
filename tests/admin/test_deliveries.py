"""The list of deliveries: rows, filters, search, and how many queries it takes."""

import datetime as dt

import django
import pytest
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_migma.admin import delivery_list, delivery_summary
from django_migma.models import Delivery

from .conftest import admin_url

Status = Delivery.Status
LIST = "changelist"


@pytest.fixture(autouse=True)
def _no_summary_of_another_test():
    cache.clear()


def get(client, **query):
    response = client.get(admin_url(LIST, model="delivery"), query)
    assert response.status_code == 200
    return response


def found(client, **query):
    """The recipients' names on the list, as it is ordered."""
    return [each.recipient.partition("@")[0] for each in get(client, **query).context["cl"].result_list]


def shown(client, **query):
    return " ".join(get(client, **query).content.decode().split())


def test_a_row_shows_status_mail_email_tries_and_age(admin_client, deliver, welcome):
    deliver("unknown", ago=3, attempts=2, stored_email=welcome, is_test=True)
    text = shown(admin_client)
    assert '<span class="migma-chip migma-doubt"><span aria-hidden="true">?</span> unknown</span>' in text
    assert 'ada@example.org <span class="migma-second">Your receipt</span></a>' in text
    assert 'welcome <span class="migma-chip migma-quiet">test</span>' in text
    assert '<td class="field-tries">2</td>' in text
    assert "3 hours ago</time>" in text


def test_a_row_that_is_new_or_lacks_words_has_words_all_the_same(admin_client, deliver):
    deliver("accepted", subject="")
    text = shown(admin_client)
    assert '<span class="migma-second">(no subject)</span>' in text
    assert "just now</time>" in text
    assert '<td class="field-email">-</td>' in text


def test_a_row_that_waits_says_until_when(admin_client, deliver):
    deliver("waiting", attempts=1, due_at=timezone.now() + dt.timedelta(minutes=4, seconds=30))
    assert '1 <span class="migma-second">next in 4 minutes</span>' in shown(admin_client)


@pytest.mark.parametrize("status", Status)
def test_each_status_has_a_colour_and_unknown_is_not_red(admin_client, deliver, status):
    deliver(status)
    colour = {"unknown": "doubt", "failed": "bad", "bounced": "bad", "complained": "bad", "suppressed": "bad"}
    colour |= {"waiting": "waiting", "sending": "waiting", "cancelled": "quiet", "not_attempted": "quiet"}
    assert f'<td class="field-status_chip"><span class="migma-chip migma-{colour.get(status, "good")}">' in shown(
        admin_client
    )


def test_texts_are_escaped(admin_client, deliver):
    row = deliver("failed", subject="<script>alert(1)</script>", payload='{"a":"<script>alert(1)</script>"}')
    row.errors = [{"text": "<script>alert(1)</script>"}]
    row.save()
    pages = [
        admin_url(LIST, model="delivery"),
        admin_url("change", row.pk, model="delivery"),
        f"{admin_url('retry', model='delivery')}?ids={row.pk}",
    ]
    for page in pages:
        assert "<script>alert" not in admin_client.get(page).content.decode()


class TestFilters:
    def test_newest_come_first_but_what_needs_somebody_goes_by_age(self, admin_client, deliver):
        for name, status in {"a": "failed", "b": "accepted", "c": "unknown", "d": "bounced", "e": "failed"}.items():
            deliver(status, recipient=f"{name}@example.org")
        assert found(admin_client) == ["e", "d", "c", "b", "a"]
        assert found(admin_client, attention="somebody") == ["a", "c", "e"]

    def test_what_was_sent_anew_needs_nobody_any_more(self, admin_client, deliver):
        deliver("failed", recipient="old@example.org").send_anew()
        assert found(admin_client, attention="somebody") == []
        assert found(admin_client, attention="way") == ["old"]

    def test_on_its_way_are_those_that_wait_and_are_sent(self, admin_client, deliver):
        for status in Status:
            deliver(status, recipient=f"{status}@example.org")
        assert found(admin_client, attention="way") == ["sending", "waiting"]
        assert found(admin_client, status__exact="opened") == ["opened"]
        assert found(admin_client, status__in="opened,clicked") == ["clicked", "opened"]

    def test_time(self, admin_client, deliver):
        for hours in (200, 100, 12, 0.5):
            deliver("accepted", ago=hours, recipient=f"{hours}@example.org")
        assert found(admin_client, since="hour") == ["0.5"]
        assert found(admin_client, since="day") == ["0.5", "12"]
        assert found(admin_client, since="week") == ["0.5", "12", "100"]
        assert len(found(admin_client, since="century")) == 4

    def test_stored_email(self, admin_client, deliver, welcome, receipt):
        deliver("accepted", stored_email=welcome, recipient="w@example.org")
        deliver("accepted", stored_email=receipt, recipient="r@example.org")
        deliver("accepted", recipient="n@example.org")
        assert found(admin_client, stored_email=welcome.pk) == ["w"]
        assert f'<a href="?stored_email={receipt.pk}">Receipt</a>' in shown(admin_client)
        assert found(admin_client, stored_email=10**9) == []
        assert len(found(admin_client, stored_email="x")) == 3

    def test_mailer(self, admin_client, deliver):
        deliver("accepted", alias="news", recipient="news@example.org")
        deliver("accepted", recipient="other@example.org")
        assert found(admin_client, mailer="news") == ["news"]
        assert "By mailer" in shown(admin_client, mailer="news")
        assert "By mailer" not in shown(admin_client), "there is only one"

    @pytest.mark.skipif(django.VERSION < (6, 1), reason="one mailer, without MAILERS")
    def test_mailers_of_today_are_listed(self, admin_client, deliver, settings):
        ours = {"BACKEND": "django_migma.backends.EmailBackend"}
        settings.MAILERS = {
            "default": ours,
            "news": ours,
            "smtp": {"BACKEND": "django.core.mail.backends.smtp.EmailBackend"},
        }
        deliver("accepted", alias="news")
        text = shown(admin_client)
        assert '<a href="?mailer=news">news</a>' in text
        assert "?mailer=smtp" not in text
        assert found(admin_client, mailer="default") == []

    def test_a_mailer_with_very_many_rows_has_the_same_list(self, admin_client, deliver, monkeypatch):
        for name in ("a", "b", "c"):
            deliver("accepted", alias="news" if name != "b" else "other", recipient=f"{name}@example.org")
        for common in (0, 10):
            monkeypatch.setattr(delivery_list, "COMMON", common)
            assert found(admin_client, mailer="news") == ["c", "a"]

    def test_tests_are_looked_for_among_the_newest(self, admin_client, deliver):
        deliver("accepted", is_test=True, recipient="old@example.org", pk=1)
        deliver("accepted", is_test=True, recipient="test@example.org", pk=2 + delivery_list.MAX_SCANNED)
        deliver("accepted", recipient="real@example.org")
        assert found(admin_client, test="yes") == ["test"]
        assert found(admin_client, test="no") == ["real"]


class TestSearch:
    @pytest.mark.parametrize("term", ["zoe", " Zoe@ex", "zoe@example.org", "order-1", "m-1", "s-1", f"{'AB' * 32}"])
    def test_it_finds_addresses_by_their_beginning_and_keys_and_ids(self, admin_client, deliver, term):
        deliver("accepted")
        ids = {"idempotency_key": "ab" * 32, "caller_key": "order-1", "message_id": "m-1", "send_id": "s-1"}
        deliver("accepted", recipient="zoe@example.org", **ids)
        assert found(admin_client, q=term) == ["zoe"]

    @pytest.mark.parametrize("term", ["zo", "oe", "example.org", "order", "ORDER-1", "%", "_oe"])
    def test_it_finds_no_middles(self, admin_client, deliver, term):
        deliver("accepted", recipient="zoe@example.org", caller_key="order-1")
        assert found(admin_client, q=term) == []

    @pytest.mark.parametrize("term", ["\0", "   ", ""])
    def test_no_term_is_no_search(self, admin_client, deliver, term):
        deliver("accepted")
        assert found(admin_client, q=term) == ["ada"]


@pytest.mark.usefixtures("noon")
class TestQueries:
    """The list is quick at a million rows, so it neither counts nor sorts all of them, and reads no request."""

    @pytest.mark.parametrize(
        "query",
        [{}, {"attention": "somebody"}, {"status__exact": "failed"}, {"q": "ada"}, {"test": "yes"}, {"p": "2"}],
    )
    def test_a_hundred_rows_take_as_many_queries_as_ten(self, admin_client, deliver, welcome, query):
        def count():
            cache.clear()  # what is kept for half a minute must not end between the two
            get(admin_client, **query)  # fills the caches of the process
            with CaptureQueriesContext(connection) as captured:
                get(admin_client, **query)
            assert not any(
                '"payload"' in each["sql"] or '"html"' in each["sql"] for each in captured.captured_queries
            )
            return len(captured)

        for number in range(110):
            deliver("failed", stored_email=welcome, recipient=f"ada{number}@example.org")
        few = count()
        for number in range(110):
            deliver("failed", stored_email=welcome, recipient=f"adb{number}@example.org")
        assert count() == few

    def test_the_count_has_a_limit(self, admin_client, deliver, monkeypatch):
        monkeypatch.setattr(delivery_list, "MAX_COUNT", 2)
        deliver("accepted")
        deliver("accepted")
        assert "There are more than" not in shown(admin_client)
        deliver("accepted")
        text = shown(admin_client)
        assert "There are more than 2. Filter or search to reach the others." in text
        assert text.count('<td class="field-tries">') == 3

    def test_no_column_sorts(self, admin_client, deliver):
        deliver("accepted", recipient="a@example.org")
        deliver("accepted", recipient="b@example.org")
        assert found(admin_client, o="2") == ["b", "a"]
        assert "sortable" not in shown(admin_client)


class TestPermissions:
    def test_nobody_adds_edits_or_deletes(self, admin_client, deliver):
        row = deliver("failed")
        for view, args in {"add": (), "delete": (row.pk,)}.items():
            assert admin_client.get(admin_url(view, *args, model="delivery")).status_code == 403
        posted = admin_client.post(admin_url("change", row.pk, model="delivery"), {"status": "accepted"})
        assert posted.status_code == 403
        assert "delete_selected" not in shown(admin_client)

    def test_the_list_needs_the_permission_to_view(self, person, deliver):
        deliver()
        assert person().get(admin_url(LIST, model="delivery")).status_code == 403
        assert found(person("view", name="bob", model="delivery")) == ["ada"]

    def test_each_action_has_a_permission(self, db):
        names = {"retry_delivery", "resend_delivery", "cancel_delivery"}
        assert names <= set(Permission.objects.values_list("codename", flat=True))


def _cached_keys():
    """The names under which the summary keeps what it has found."""
    days = delivery_summary._midnights()
    names = [f"django_migma.deliveries.default.{days[0].isoformat()}"]
    return names + [f"django_migma.deliveries.default.first.{day.isoformat()}" for day in days]


def test_the_summary_says_how_long_the_oldest_has_been_on_its_way(admin_client, deliver):
    deliver("waiting", ago=24 * 21)
    deliver("waiting", ago=2)
    assert "<strong>3 weeks</strong> oldest on its way" in shown(admin_client)


@pytest.mark.usefixtures("noon")
class TestSummary:
    def test_it_counts_fourteen_days_by_what_they_mean(self, admin_client, deliver):
        deliver("failed", ago=24 * 20)
        for status in ("accepted", "opened", "waiting", "unknown", "failed", "bounced", "cancelled"):
            deliver(status, ago=1)
        summary = get(admin_client).context["summary"]
        counts = {total.group.name: total.count for total in summary.totals}
        assert counts == {"good": 2, "waiting": 1, "doubt": 1, "bad": 2, "quiet": 1}
        assert len(summary.bars) == 14
        assert sum(len(bar.segments) for bar in summary.bars) >= 5

    def test_its_numbers_lead_to_their_rows(self, admin_client, deliver):
        for status in Status:
            deliver(status)
        for total in get(admin_client).context["summary"].totals:
            response = admin_client.get(admin_url(LIST, model="delivery") + total.query)
            assert response.context["cl"].result_count == total.count > 0

    def test_a_day_on_which_many_failed_is_named(self, admin_client, deliver):
        for _number in range(15):
            deliver("accepted")
        deliver("failed")
        today = timezone.localtime().strftime("%B %-d")
        text = shown(admin_client)
        assert f"Over 5 % failed: {today} (6%)" in text
        assert f"{today}: 15 accepted, 1 failed" in text

    def test_bars_stand_on_each_other(self, admin_client, deliver):
        for status in ("accepted", "accepted", "failed"):
            deliver(status)
        [good, bad] = get(admin_client).context["summary"].bars[-1].segments
        assert (good.height, bad.height) == (32, 16)
        assert good.y == bad.y + bad.height
        assert bad.y == 14, "the space above is for the share of failures"

    def test_days_are_those_of_the_time_zone(self, admin_client, deliver, settings):
        midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
        deliver("accepted", created_at=midnight - dt.timedelta(minutes=1))
        deliver("accepted", created_at=midnight + dt.timedelta(minutes=1))
        assert [len(bar.segments) for bar in get(admin_client).context["summary"].bars[-2:]] == [1, 1]

    def test_it_is_kept_for_half_a_minute(self, admin_client, deliver):
        deliver("accepted")
        get(admin_client)
        deliver("accepted")
        assert get(admin_client).context["summary"].totals[0].count == 1

    def test_it_is_left_out_without_rows_and_with_too_many(self, admin_client, deliver):
        assert "Last 14 days" not in shown(admin_client)
        cache.clear()
        deliver("accepted", pk=1)
        deliver("accepted", pk=1 + delivery_summary.MAX_ROWS)
        assert "Last 14 days" not in shown(admin_client)
        assert get(admin_client).context["summary"] is None

    def test_the_days_of_a_database_that_was_emptied_are_found_anew(self, admin_client, deliver):
        deliver("accepted", pk=100)
        assert get(admin_client).context["summary"]
        Delivery.objects.all().delete()
        cache.delete_many(key for key in _cached_keys() if ".first." not in key)
        deliver("accepted", pk=1)
        assert get(admin_client).context["summary"].totals[0].count == 1

    def test_days_are_looked_up_once(self, admin_client, deliver, django_assert_max_num_queries):
        deliver("accepted", ago=24 * 20)
        deliver("accepted", pk=10_000)
        get(admin_client)
        cache.delete_many(key for key in _cached_keys() if ".first." not in key)
        with django_assert_max_num_queries(12):
            assert get(admin_client).context["summary"].totals[0].count == 1

    def test_it_works_without_time_zones(self, admin_client, deliver, settings):
        settings.USE_TZ = False
        deliver("accepted", created_at=timezone.now() - dt.timedelta(seconds=1))  # naive, as the site's times are
        assert get(admin_client).context["summary"].totals[0].count == 1
