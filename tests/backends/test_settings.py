"""What each setting does to a request: its default, the key of MIGMA, and the option that overrides it."""

import threading

import pytest
import requests
from django.core.mail import EmailMessage, send_mail
from django.utils.translation import gettext_lazy

from django_migma.exceptions import ConfigurationError, NoResponse, RateLimited, UnsupportedFeature
from tests.api.clocks import FakeClock
from tests.conftest import SENDING

EMAIL_ID = "665f1c2ab7d3e4f5a6b70004"


def mail(**kwargs):
    return EmailMessage(**({"subject": "Hello", "body": "text", "to": ["ada@example.org"]} | kwargs))


class TestApiKey:
    def test_callable_is_called_once_per_call(self, accepting, migma, connection):
        calls = []
        migma(API_KEY=lambda: calls.append(1) or "sk_test_called")
        connection().send_messages([mail(), mail()])
        assert calls == [1]
        assert accepting.mock.calls[1].request.headers["Authorization"] == "Bearer sk_test_called"

    def test_option_beats_setting(self, accepting, connection):
        connection(api_key="sk_test_option").send_messages([mail()])
        assert accepting.mock.calls[0].request.headers["Authorization"] == "Bearer sk_test_option"

    def test_missing_is_a_configuration_error_at_the_first_send(self, accepting, migma):
        """It is raised before any request, and FAIL_SILENTLY does not hide it."""
        migma(API_KEY=None, FAIL_SILENTLY=True)
        message = mail()
        with pytest.raises(ConfigurationError, match=r"MIGMA\['API_KEY'\] is not set, and nothing can be sent"):
            message.send()
        assert accepting.bodies == []
        assert message.migma_status.status == {"not_attempted"}

    @pytest.mark.parametrize(
        ("key", "text"),
        [("sk test", "white space"), ("sk\x00", "control"), ("sk_€", "no HTTP header"), (7, "must be a string")],
    )
    @pytest.mark.parametrize("wrapped", [False, True])
    def test_unusable_is_refused_before_any_header(self, accepting, migma, key, text, wrapped):
        migma(API_KEY=(lambda: key) if wrapped else key)
        with pytest.raises(ConfigurationError, match=text) as caught:
            mail().send()
        assert repr(key) not in str(caught.value)
        assert accepting.bodies == []


class TestApiUrl:
    def test_is_where_requests_go(self, wire, migma):
        migma(API_URL="https://migma.example/v1/")
        wire.accepts()
        wire.mock.post("https://migma.example/v1/sending", json={"success": True, "data": {"id": "elsewhere"}})
        message = mail()
        message.send()
        assert message.migma_status.message_id == "elsewhere"

    def test_empty_means_migma_itself(self, wire, migma):
        migma(API_URL="")
        wire.mock.post("https://api.migma.ai/v1/sending", json={"success": True, "data": {"id": "m"}})
        assert mail().send() == 1

    def test_http_beyond_loopback_is_refused(self, accepting, migma):
        migma(API_URL="http://migma.example/v1")
        with pytest.raises(ConfigurationError, match="sends the API key unencrypted: use https, or set ALLOW_HTTP"):
            mail().send()

    def test_http_beyond_loopback_where_allowed(self, wire, migma):
        migma(API_URL="http://migma.example/v1", ALLOW_HTTP=True)
        wire.mock.post("http://migma.example/v1/sending", json={"success": True, "data": {}})
        assert mail().send() == 1


@pytest.mark.parametrize(
    ("setting", "value", "field", "expected"),
    [
        ("FROM_EMAIL", "Post <post@example.com>", "from", "post@example.com"),
        ("FROM_EMAIL", "Post <post@example.com>", "fromName", "Post"),
        ("REPLY_TO", "Help <help@example.com>", "replyTo", "help@example.com"),
        ("PROVIDER_TYPE", "ses", "providerType", "ses"),
        ("PROJECT_ID", "p-2", "projectId", "p-2"),
        ("LAYOUT_EMAIL_ID", EMAIL_ID, "emailId", EMAIL_ID),
        ("TRANSACTIONAL", True, "transactional", True),
        ("TRANSACTIONAL", False, "transactional", False),
        ("REDIRECT_TO", "Stage <stage@example.com>", "recipientEmail", "stage@example.com"),
    ],
)
@pytest.mark.parametrize("as_option", [False, True])
def test_setting_and_option_reach_the_body(accepting, migma, connection, setting, value, field, expected, as_option):
    """Each of these stands in the request, from MIGMA or as an option in lower case."""
    options = {setting.lower(): value} if as_option else {}
    if not as_option:
        migma(**{setting: value})
    connection(**options).send_messages([mail()])
    assert accepting.body[field] == expected


@pytest.mark.parametrize("field", ["providerType", "transactional", "replyTo", "emailId", "variables"])
def test_what_is_not_set_is_not_sent(accepting, field):
    mail().send()
    assert field not in accepting.body


def test_a_translated_from_name(accepting, migma):
    migma(FROM_NAME=gettext_lazy("Shop"))
    mail(from_email="sales@example.com").send()
    assert accepting.body["fromName"] == "Shop"


def test_from_name_setting(accepting, migma, connection):
    migma(FROM_NAME="Setting")
    message = mail(from_email="sales@example.com")
    connection(from_name="Option").send_messages([message])
    assert accepting.body["fromName"] == "Option"


class TestRedirect:
    def test_one_mail_per_message_names_the_true_recipients(self, accepting, migma):
        migma(REDIRECT_TO="stage@example.com")
        message = mail(to=["a@example.org", "Bo <b@example.org>"], cc=["c@example.org"], bcc=["d@example.org"])
        assert message.send() == 1
        assert accepting.body["recipientEmail"] == "stage@example.com"
        assert accepting.body["subject"] == "[to a@example.org, b@example.org, c@example.org, d@example.org] Hello"
        assert list(message.migma_status.recipients) == ["stage@example.com"]

    def test_a_long_list_is_cut(self, accepting, migma):
        migma(REDIRECT_TO="stage@example.com")
        mail(to=[f"r{number}@example.org" for number in range(13)]).send()
        assert accepting.body["subject"].endswith("r9@example.org and 3 more] Hello")

    def test_variables_are_those_of_the_first(self, accepting, migma):
        migma(REDIRECT_TO="stage@example.com")
        message = mail(to=["a@example.org", "b@example.org"])
        message.template_id, message.merge_data = EMAIL_ID, {"a@example.org": {"name": "Ada"}}
        message.send()
        assert accepting.body["variables"] == {"name": "Ada"}

    def test_one_key_of_the_site_is_one_key_for_each_true_recipient(self, accepting, migma):
        """Else Migma would take the second mail for a changed repeat of the first, and refuse it."""
        migma(REDIRECT_TO="stage@example.com")
        for address in ("a@example.org", "b@example.org", "a@example.org"):
            message = mail(to=[address])
            message.idempotency_key = "news-7"
            message.send()
        first, second, again = accepting.keys
        assert first == again != second

    def test_a_recipient_in_the_subject_is_no_placeholder(self, accepting, migma):
        """Braces and percent signs are allowed in an address."""
        migma(REDIRECT_TO="stage@example.com")
        mail(to=["{{name}}@example.org", "%7B%7Bname%7D%7D@example.org"]).send()
        assert accepting.body["subject"] == (
            "[to {\u2060{name}}@example.org, %7B\u2060%7Bname%7D%7D@example.org] Hello"
        )

    def test_a_message_without_recipients_goes_nowhere(self, accepting, migma, connection):
        migma(REDIRECT_TO="stage@example.com")
        assert connection().send_messages([mail(to=[])]) == 0


class TestPatience:
    def test_max_retries(self, wire, migma):
        migma(MAX_RETRIES=0)
        wire.answers(requests.ConnectionError("gone"))
        with pytest.raises(NoResponse):
            mail().send()
        assert len(wire.mock.calls) == 1

    def test_retry_deadline(self, wire, migma):
        """A pause that Migma asks for is not waited out where it is longer than the deadline."""
        migma(RETRY_DEADLINE=60)
        wire.answers((429, {"success": False, "error": "slow down"}, {"Retry-After": "61"}))
        with pytest.raises(RateLimited, match="Migma answered 429: slow down") as caught:
            mail().send()
        assert caught.value.retry_after == 61
        assert len(wire.mock.calls) == 1

    @pytest.mark.parametrize(("value", "expected"), [((1, 2), (1, 2)), ([1, 2], (1, 2)), (3, (3, 3))])
    def test_timeout(self, accepting, migma, value, expected):
        migma(TIMEOUT=value, RETRY_DEADLINE=60)
        mail().send()
        assert accepting.mock.calls[0].request.req_kwargs["timeout"] == expected

    def test_timeout_is_cut_to_the_deadline(self, accepting, migma, connection):
        migma(TIMEOUT=(30, 40), RETRY_DEADLINE=2)
        backend = connection()
        backend.clock = FakeClock()
        backend.send_messages([mail()])
        assert accepting.mock.calls[0].request.req_kwargs["timeout"] == (2, 2)


class TestConcurrency:
    def test_one_means_the_callers_thread(self, wire, migma, connection):
        migma(MAX_CONCURRENCY=1)
        assert self.threads(wire, connection) == {threading.current_thread()}

    def test_more_means_that_many_at_a_time(self, wire, migma, connection):
        """Three calls meet at a barrier that only three at a time can open."""
        migma(MAX_CONCURRENCY=3)
        wire.accepts()
        mail().send()  # the first call of a process goes alone
        wire.mock.reset()
        assert len(self.threads(wire, connection, barrier=threading.Barrier(3))) == 3

    def threads(self, wire, connection, barrier=None):
        seen = set()

        def answer(request):
            if barrier:
                barrier.wait(timeout=60)
            seen.add(threading.current_thread())
            return 200, {}, '{"success": true, "data": {"id": "m"}}'

        wire.mock.add_callback("POST", SENDING, answer)
        assert connection().send_messages([mail() for _ in range(6)]) == 6
        return seen


class TestFailSilently:
    def test_setting(self, wire, migma):
        migma(FAIL_SILENTLY=True)
        wire.answers((400, {"success": False, "error": "no"}))
        message = mail()
        assert message.send() == 0
        assert message.migma_status.status == {"failed"}

    def test_keyword(self, wire, connection):
        wire.answers((400, {"success": False, "error": "no"}))
        backend = connection(fail_silently=True)
        assert backend.fail_silently is True
        assert backend.send_messages([mail()]) == 0

    def test_swallows_refusals_of_ours(self, accepting, migma):
        migma(FAIL_SILENTLY=True, PROJECT_ID=None)
        assert mail().send() == 0

    def test_does_not_swallow_mistakes_of_the_site(self, accepting, migma, connection):
        """Django's SMTP backend raises a line break in the subject in quiet mode, too."""
        migma(FAIL_SILENTLY=True)
        with pytest.raises(ValueError, match="line break"):
            connection().send_messages([mail(), mail(subject="a\nb"), mail(subject="c\nd")])
        assert len(accepting.bodies) == 1


def test_ignoring_features_is_an_option_too(accepting, connection):
    message = mail(attachments=[("a.txt", "text", "text/plain")])
    assert connection(ignore_unsupported_features=["attachments"]).send_messages([message]) == 1


def test_no_content_route_is_refused_with_the_ways_out(accepting, migma):
    migma(PROJECT_ID=None)
    with pytest.raises(UnsupportedFeature, match=r"LAYOUT_EMAIL_ID.*PROJECT_ID.*template_id") as caught:
        send_mail("Hello", "text", None, ["ada@example.org"])
    assert caught.value.feature == "body"


def test_no_content_route_cannot_be_ignored(accepting, migma):
    """There would be nothing left to send."""
    migma(PROJECT_ID=None, IGNORE_UNSUPPORTED_FEATURES=True)
    with pytest.raises(UnsupportedFeature, match="only a body of its own"):
        mail().send()
