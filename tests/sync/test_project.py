"""A sync as a whole: against the sandbox, with broken conversations, without time, interrupted."""

import pytest
import requests

from django_migma.conf import load_config
from django_migma.exceptions import AuthenticationError, NoResponse, NotFound, RateLimited, ServerError
from django_migma.models import StoredEmail
from django_migma.sandbox import account as data
from django_migma.sandbox.protocol import KEYS
from django_migma.sync import explained, projects, sync_project
from tests.sync.account import PROJECT, UNREACHABLE, conversation_id, email, email_id, refusal

HINT = "Sync again later; if it stays so, open it at Migma."


def lost():
    return StoredEmail.objects.create(email_id=email_id(999), project_id=PROJECT)


class TestSandbox:
    def test_its_finished_emails_become_rows(self, db, migma_sandbox):
        summary = sync_project(load_config({}), data.FERNHILL)
        assert (summary.created, summary.broken, summary.left, summary.complete) == (6, [], 0, True)
        rows = StoredEmail.objects.order_by("email_id").values_list("email_id", "title", "status")
        assert list(rows) == [
            (data.WELCOME, "Welcome", "ready"),
            (data.RECEIPT, "Order receipt", "ready"),
            (data.PASSWORD_RESET, "Password reset", "ready"),
            (data.LAYOUT, "Layout for all other mail", "ready"),
            (data.SERIES_1, "Coffee at home (1/2)", "ready"),
            (data.SERIES_2, "Coffee at home (2/2)", "ready"),
        ]
        welcome = StoredEmail.objects.get(email_id=data.WELCOME)
        assert "first_name" in welcome.variable_names
        assert "<html" in welcome.html

    def test_a_repeat_changes_nothing(self, db, migma_sandbox):
        sync_project(load_config({}), data.FERNHILL)
        summary = sync_project(load_config({}), data.FERNHILL)
        assert (summary.created, summary.updated, summary.unchanged, summary.gone) == (0, 0, 6, 0)

    def test_a_project_without_emails_has_none(self, db, migma_sandbox):
        summary = sync_project(load_config({}), data.LUMEN)
        assert (summary.created, summary.complete) == (0, True)

    def test_a_project_that_it_does_not_know_is_told(self, db, migma_sandbox):
        with pytest.raises(NotFound) as caught:
            sync_project(load_config({}), "nobody")
        assert explained(caught.value) == (
            "Migma answered 404: Project not found: projectId nobody. "
            "Check the id of the project, and that it belongs to the workspace of this API key."
        )

    def test_a_revoked_key_is_told(self, db, migma_sandbox, migma):
        migma(API_KEY=KEYS.revoked)
        with pytest.raises(AuthenticationError) as caught:
            sync_project(load_config({}), data.FERNHILL)
        assert explained(caught.value).startswith("Migma answered 401: This API key was revoked. Check the API key")

    def test_a_key_that_may_read_is_enough(self, db, migma_sandbox, migma):
        migma(API_KEY=KEYS.no_send)
        assert sync_project(load_config({}), data.FERNHILL).created == 6

    def test_its_projects_are_listed(self, migma_sandbox):
        assert [project.id for project in projects(load_config({}))] == [data.FERNHILL, data.LUMEN]


class TestProjects:
    def test_are_read_page_by_page(self, wire):
        def page(*names, more):
            items = [{"_id": name, "name": name} for name in names]
            return {"success": True, "data": {"projects": items, "pagination": {"hasMore": more}}}

        url = "http://127.0.0.1:9/v1/projects"
        wire.mock.get(f"{url}?limit=100&offset=0", json=page("a", "b", more=True), match_querystring=None)
        wire.mock.get(f"{url}?limit=100&offset=2", json=page("c", more=False), match_querystring=None)
        assert [project.name for project in projects(load_config({}))] == ["a", "b", "c"]

    def test_an_empty_page_is_the_last(self, wire):
        data = {"projects": [], "pagination": {"hasMore": True}}
        wire.mock.get("http://127.0.0.1:9/v1/projects", json={"success": True, "data": data})
        assert list(projects(load_config({}))) == []
        assert len(wire.mock.calls) == 1

    def test_a_list_without_an_end_ends(self, wire, monkeypatch):
        monkeypatch.setattr("django_migma.sync.project.MOST_PAGES", 3)
        data = {"projects": [{"_id": "a"}], "pagination": {"hasMore": True}}
        wire.mock.get("http://127.0.0.1:9/v1/projects", json={"success": True, "data": data})
        assert len(list(projects(load_config({})))) == 3


class TestBrokenConversation:
    @pytest.mark.parametrize(
        ("status", "kind", "text"),
        [
            (404, NotFound, "Migma answered 404: No."),
            (500, ServerError, "Migma answered 500: No."),
        ],
    )
    def test_is_reported_and_the_others_go_on(self, account, sync, status, kind, text):
        account.add(1)
        account.fails(2, status)
        account.add(3)
        summary = sync()
        [broken] = summary.broken
        assert (summary.created, summary.left) == (2, 0)
        assert (broken.conversation_id, broken.title) == (conversation_id(2), "Title 2")
        assert isinstance(broken.error, kind)
        assert str(broken) == f"Title 2 ({conversation_id(2)}): {text} {HINT}"

    def test_is_one_that_cannot_be_read(self, account, sync):
        account.breaks(1, (200, {}, "<html>Sign in</html>"))
        [broken] = sync().broken
        assert "The answer with status 200 is not Migma's" in str(broken)

    @pytest.mark.parametrize(
        ("answer", "word"),
        [({"status": "processing"}, "processing"), ({"result": {"emails": []}}, "none"), (None, "none")],
    )
    def test_is_one_without_emails(self, account, sync, answer, word):
        account.breaks(1, lambda: answer)
        [broken] = sync().broken
        assert str(broken) == (f"Title 1 ({conversation_id(1)}): Migma shows no email in it (status: {word}). {HINT}")


class TestStop:
    def test_a_refused_key_ends_it_and_what_was_done_stays(self, account, sync):
        lost()
        account.add(1)
        account.fails(2, 401)
        account.add(3)
        with pytest.raises(AuthenticationError, match="Migma answered 401: No"):
            sync()
        assert account.read == [1, 2]
        assert StoredEmail.objects.get(email_id=email_id(1)).status == "ready"
        assert StoredEmail.objects.get(email_id=email_id(999)).status == ""

    def test_an_unreachable_migma_ends_it(self, account, sync):
        account.add(1)
        account.breaks(2, UNREACHABLE)
        account.add(3)
        with pytest.raises(NoResponse) as caught:
            sync()
        assert StoredEmail.objects.count() == 1
        assert explained(caught.value).endswith("Check API_URL, DNS, proxy and firewall, then sync again.")
        assert "dempotency" not in explained(caught.value)

    def test_an_interruption_leaves_whole_rows_and_a_repeat_completes(self, account, sync):
        account.add(1, email(1), email(2))
        account.breaks(2, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            sync()
        assert StoredEmail.objects.count() == 2
        account.holds(2, email(3))
        account.asked.clear()
        assert sync().created == 1
        assert account.read == [2, 1]


class TestTime:
    def slow(self, account, clock, *numbers, seconds=4.0):
        """Conversations that take so many seconds each."""
        for number in numbers:

            def answer(number=number):
                clock.now += seconds
                return {"result": {"emails": [email(number)]}}

            account.breaks(number, answer)

    def test_what_is_left_when_it_runs_out_is_counted_and_nothing_is_gone(self, account, sync, clock):
        lost()
        self.slow(account, clock, 1, 2, 3, 4, 5)
        summary = sync(seconds=10)
        assert (summary.created, summary.left, summary.gone, summary.complete) == (3, 2, 0, True)
        assert StoredEmail.objects.get(email_id=email_id(999)).status == ""

    def test_a_repeat_begins_with_what_was_left_and_then_the_oldest(self, account, sync, clock):
        self.slow(account, clock, 1, 2, 3, 4, 5)
        sync(seconds=10)
        account.asked.clear()
        assert sync(seconds=14).left == 1
        assert account.read == [4, 5, 1, 2]
        account.asked.clear()
        assert sync(seconds=10).left == 2
        assert account.read == [3, 4, 5]

    def test_a_request_that_it_cuts_short_is_left_and_not_called_unreachable(self, account, sync, clock):
        def late():
            clock.now += 6
            return requests.ReadTimeout()

        self.slow(account, clock, 1)
        account.breaks(2, late)
        summary = sync(seconds=10)
        assert (summary.created, summary.left) == (1, 1)

    def test_half_of_it_is_for_the_list(self, account, sync, clock):
        def page(number):
            clock.now += 3
            return {"emails": account.items[number - 1 : number], "pagination": {"hasMore": True, **total}}

        for number in range(1, 6):
            account.add(number)
        account.pages = page
        total = {"total": 5}
        summary = sync(seconds=10)
        assert (summary.created, summary.left, summary.complete) == (2, 3, False)
        total = {}
        assert sync(seconds=10).left == 1

    def test_each_request_gets_what_is_left_at_most(self, account, sync, wire, clock):
        self.slow(account, clock, 1, 2, seconds=4)
        sync(seconds=9)
        given = [call.request.req_kwargs["timeout"] for call in wire.mock.calls]
        assert given == [(3.05, 9), (3.05, 9), (3.05, 5)]


class TestRateLimit:
    def limited(self, account, number, **headers):
        """A conversation that is refused once."""
        answers = iter([refusal(429, **headers), {"result": {"emails": [email(number)]}}])
        account.breaks(number, lambda: next(answers))

    def test_is_waited_for_beyond_the_deadline_of_one_request(self, account, sync, clock):
        self.limited(account, 1, Retry_After="50")
        assert sync().created == 1
        assert sum(clock.slept) >= 50

    def test_is_waited_for_where_it_says_no_time(self, account, sync, clock, migma):
        migma(MAX_RETRIES=0)
        self.limited(account, 1)
        assert sync().created == 1
        assert clock.slept == [5.0]

    def test_that_asks_for_more_than_rate_limit_wait_leaves_the_rest(self, account, sync, clock, migma):
        migma(RATE_LIMIT_WAIT=60)
        self.limited(account, 1, Retry_After="50")
        self.limited(account, 2, Retry_After="50")
        summary = sync()
        assert (summary.created, summary.left, summary.broken) == (1, 1, [])

    def test_that_asks_for_more_than_there_is_time_leaves_the_rest(self, account, sync, clock):
        self.limited(account, 1, Retry_After="50")
        assert sync(seconds=15).left == 1
        assert clock.slept == []

    def test_on_the_list_is_told(self, account, sync, migma):
        migma(RATE_LIMIT_WAIT=0)
        account.pages = lambda page: refusal(429, Retry_After="50")
        with pytest.raises(RateLimited) as caught:
            sync()
        assert explained(caught.value) == "Migma answered 429: No. Wait a minute, then sync again."


def test_progress_counts_conversations(account, sync):
    seen = []
    account.add(1)
    account.fails(2, 404)
    sync(progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 2), (1, 2), (2, 2)]


def test_an_error_of_migmas_own_on_the_list_says_what_to_do(account, sync):
    account.pages = lambda page: refusal(500)
    with pytest.raises(ServerError) as caught:
        sync()
    assert explained(caught.value) == (
        "Migma answered 500: No. Sync again later; if it lasts, see Migma's status page."
    )
