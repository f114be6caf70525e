"""A sync as a whole: against the sandbox, with failing conversations, out of time, interrupted."""

import pytest
import requests

from django_migma.conf import load_config
from django_migma.exceptions import AuthenticationError, MigmaError, NoResponse, NotFound, RateLimited, ServerError
from django_migma.models import StoredEmail
from django_migma.sandbox.account import FERNHILL, LAYOUT, LUMEN, PASSWORD_RESET, RECEIPT, SERIES_1, SERIES_2, WELCOME
from django_migma.sandbox.protocol import KEYS
from django_migma.sync import list_projects, sync_project
from tests.sync.account import PROJECT, UNREACHABLE, conversation_id, email, email_id, refusal

HINT = "Sync again later; if it stays so, open it at Migma."


def lost():
    return StoredEmail.objects.create(email_id=email_id(999), project_id=PROJECT)


class TestSandbox:
    def test_its_finished_emails_become_rows(self, db, migma_sandbox):
        result = sync_project(load_config({}), FERNHILL)
        assert (result.created, result.failures, result.left, result.complete) == (6, [], 0, True)
        rows = StoredEmail.objects.order_by("email_id").values_list("email_id", "title", "status")
        assert list(rows) == [
            (WELCOME, "Welcome", "ready"),
            (RECEIPT, "Order receipt", "ready"),
            (PASSWORD_RESET, "Password reset", "ready"),
            (LAYOUT, "Layout for all other mail", "ready"),
            (SERIES_1, "Coffee at home (1/2)", "ready"),
            (SERIES_2, "Coffee at home (2/2)", "ready"),
        ]
        welcome = StoredEmail.objects.get(email_id=WELCOME)
        assert "first_name" in welcome.variable_names
        assert "<html" in welcome.html

    def test_a_repeat_changes_nothing(self, db, migma_sandbox):
        sync_project(load_config({}), FERNHILL)
        result = sync_project(load_config({}), FERNHILL)
        assert (result.created, result.updated, result.unchanged, result.gone) == (0, 0, 6, 0)

    def test_a_project_without_emails_has_none(self, db, migma_sandbox):
        result = sync_project(load_config({}), LUMEN)
        assert (result.created, result.complete) == (0, True)

    def test_an_unknown_project_raises(self, db, migma_sandbox):
        with pytest.raises(NotFound, match="Migma answered 404: Project not found: projectId nobody"):
            sync_project(load_config({}), "nobody")

    def test_a_revoked_key_raises(self, db, migma_sandbox, migma):
        migma(API_KEY=KEYS.revoked)
        with pytest.raises(AuthenticationError, match="Migma answered 401: This API key was revoked"):
            sync_project(load_config({}), FERNHILL)

    def test_a_key_that_may_read_is_enough(self, db, migma_sandbox, migma):
        migma(API_KEY=KEYS.no_send)
        assert sync_project(load_config({}), FERNHILL).created == 6

    def test_its_projects_are_listed(self, migma_sandbox):
        assert [project.id for project in list_projects(load_config({}))] == [FERNHILL, LUMEN]


class TestListOfProjects:
    def test_is_read_page_by_page(self, wire):
        def page(*names, more):
            items = [{"_id": name, "name": name} for name in names]
            return {"success": True, "data": {"projects": items, "pagination": {"hasMore": more}}}

        url = "http://127.0.0.1:9/v1/projects"
        wire.mock.get(f"{url}?limit=100&offset=0", json=page("a", "b", more=True), match_querystring=None)
        wire.mock.get(f"{url}?limit=100&offset=2", json=page("c", more=False), match_querystring=None)
        assert [project.name for project in list_projects(load_config({}))] == ["a", "b", "c"]

    def test_ends_with_an_empty_page(self, wire):
        data = {"projects": [], "pagination": {"hasMore": True}}
        wire.mock.get("http://127.0.0.1:9/v1/projects", json={"success": True, "data": data})
        assert list(list_projects(load_config({}))) == []
        assert len(wire.mock.calls) == 1


class TestFailingConversation:
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
        result = sync()
        [failure] = result.failures
        assert (result.created, result.left) == (2, 0)
        assert (failure.conversation_id, failure.title) == (conversation_id(2), "Title 2")
        assert isinstance(failure.error, kind)
        assert str(failure) == f"Title 2 ({conversation_id(2)}): {text} {HINT}"

    def test_is_one_that_cannot_be_read(self, account, sync):
        account.breaks(1, (200, {}, "<html>Sign in</html>"))
        [failure] = sync().failures
        assert "The response with status 200 is not Migma's" in str(failure)

    @pytest.mark.parametrize(
        ("answer", "word"),
        [({"status": "processing"}, "processing"), ({"result": {"emails": []}}, "none"), (None, "none")],
    )
    def test_is_one_without_emails(self, account, sync, answer, word):
        account.breaks(1, lambda: answer)
        [failure] = sync().failures
        assert str(failure) == (
            f"Title 1 ({conversation_id(1)}): Migma shows no email in it (status: {word}). {HINT}"
        )


class TestStop:
    def test_a_refused_key_ends_the_sync_and_rows_written_before_stay(self, account, sync):
        lost()
        account.add(1)
        account.fails(2, 401)
        account.add(3)
        with pytest.raises(AuthenticationError, match="Migma answered 401: No"):
            sync()
        assert account.read == [1, 2]
        assert StoredEmail.objects.get(email_id=email_id(1)).status == "ready"
        assert StoredEmail.objects.get(email_id=email_id(999)).status == ""

    def test_an_unreachable_migma_ends_the_sync(self, account, sync):
        account.add(1)
        account.breaks(2, UNREACHABLE)
        account.add(3)
        with pytest.raises(NoResponse) as caught:
            sync()
        assert StoredEmail.objects.count() == 1
        assert caught.value.reason == "The connection to Migma failed (OSError)"

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
        result = sync(seconds=10)
        assert (result.created, result.left, result.gone, result.complete) == (3, 2, 0, True)
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
        result = sync(seconds=10)
        assert (result.created, result.left) == (1, 1)

    @pytest.mark.parametrize("late", [False, True], ids=["between requests", "within a request"])
    def test_a_list_that_is_not_read_to_its_end_in_time_changes_nothing(self, account, sync, clock, late):
        """Each repeat would read the same beginning of the list again; only more time helps."""
        mine = lost()

        def page(number):
            clock.now += 3
            if late and number == 4:
                return requests.ReadTimeout()
            return {"emails": account.items[number - 1 : number], "pagination": {"hasMore": True}}

        for number in range(1, 9):
            account.add(number)
        account.pages = page
        with pytest.raises(MigmaError) as caught:
            sync(seconds=12)
        assert str(caught.value) == (
            "The time was over before Migma's list of emails could be read to its end. "
            "Run manage.py migma_sync in a terminal, where the time is not limited."
        )
        assert account.read == []
        assert list(StoredEmail.objects.values_list("pk", "status")) == [(mine.pk, "")]

    def test_a_list_without_any_answer_in_time_is_no_answer(self, account, sync, clock):
        def never(_number):
            clock.now += 20
            return requests.ReadTimeout()

        account.pages = never
        with pytest.raises(NoResponse, match="Migma did not answer in time"):
            sync(seconds=15)

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
        result = sync()
        assert (result.created, result.left, result.failures) == (1, 1, [])

    def test_that_asks_for_more_than_there_is_time_leaves_the_rest(self, account, sync, clock):
        self.limited(account, 1, Retry_After="50")
        assert sync(seconds=15).left == 1
        assert clock.slept == []

    def test_on_the_list_raises(self, account, sync, migma):
        migma(RATE_LIMIT_WAIT=0)
        account.pages = lambda page: refusal(429, Retry_After="50")
        with pytest.raises(RateLimited, match="Migma answered 429: No"):
            sync()


def test_progress_counts_conversations(account, sync):
    seen = []
    account.add(1)
    account.fails(2, 404)
    sync(progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 2), (1, 2), (2, 2)]


def test_an_error_on_the_list_raises(account, sync):
    account.pages = lambda page: refusal(500)
    with pytest.raises(ServerError, match="Migma answered 500: No"):
        sync()
