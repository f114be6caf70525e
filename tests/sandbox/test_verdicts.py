"""What became of a mail, in sentences: one row of the table for each way in which a mail can go."""

from __future__ import annotations

import contextlib
import html
import http.client
import re
import threading

import pytest

from tests.sandbox.asking import PATIENCE, ask, get, send, single
from tests.sandbox.conftest import HoldingClock

TEST_SEND = {"to": "demo@example.com", "emailId": "665f1c2ab7d3e4f5a6b70001"}


def sends(sandbox, *bodies, key="order-1", **options):
    """Send each of the bodies under one key, whatever comes of it."""
    for body in bodies:
        with contextlib.suppress(OSError, http.client.HTTPException):
            send(sandbox, body, idempotency_key=key, **options)


def text(content):
    """What a person reads of some HTML, in one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", re.sub("</?code>", "", content))).split())


def newest(sandbox):
    """The address of the newest mail; the ids of a sandbox go on counting."""
    return f"/mail/{sandbox.store.inbox.mails()[0].id}"


def requests_tab(sandbox):
    """The page of the newest mail's requests."""
    return get(sandbox, f"{newest(sandbox)}?tab=requests", key=None).content.decode()


def verdict(sandbox):
    """The sentences over the requests of the newest mail."""
    [found] = re.findall(r'<p class="verdict">(.*?)</p>', requests_tab(sandbox), re.DOTALL)
    return text(found)


def steps(sandbox):
    """What the sandbox did and what the application saw, by request."""
    return [
        (text(did), text(saw).removeprefix("Your app saw: "))
        for did, saw in re.findall(
            r'<p class="did">(.*?)</p>\s*<p class="saw">(.*?)</p>', requests_tab(sandbox), re.DOTALL
        )
    ]


def chips(sandbox, query=""):
    """The chips of the rows of the list."""
    page = get(sandbox, f"/_sandbox/list{query}", key=None).content.decode()
    return [text(chip) for chip in re.findall(r'<span class="chip[^>]*>(.*?)</span>', page)]


@pytest.mark.parametrize(
    ("faults", "count", "expected"),
    [
        ([], 1, "One mail from 1 request."),
        (
            ["lost"],
            1,
            "One mail from 1 request. The reply was lost. Your app has not asked again so far, so it cannot know.",
        ),
        (
            ["lost", "half"],
            2,
            ("One mail from 2 requests. The reply to the first was lost. Your app repeated it under the same "
            "idempotency key, but the reply to the second did not arrive whole. Your app has not asked again so far, "
            "so it cannot know."),
        ),
        (["lost", "500"], 2, "One mail from 2 requests. The reply to the first was lost."),
        (
            ["lost", "429-after-1"],
            3,
            ("One mail from 3 requests. The reply to the first was lost. Your app repeated it under the same "
            "idempotency key, so the third got the first answer again."),
        ),
        (["500"], 2, "One mail from 2 requests. The first request met a fault before anything was looked at."),
        (
            ["500", "reset"],
            3,
            "One mail from 3 requests. The first 2 requests met a fault before anything was looked at.",
        ),
        (["half"], 1, ("One mail from 1 request. The reply did not arrive whole. Your app has not asked again so "
         "far, so it cannot know.")),
        (["slow-0"], 1, "One mail from 1 request. The reply came late."),
        (["503"], 1, "No mail. The only request met a fault."),
        (["503", "500"], 2, "No mail. Both requests met a fault."),
        (["500", "502", "html", "redirect", "hangup"], 5, "No mail. All 5 requests met a fault."),
    ],
)  # fmt: skip
def test_faults_are_told_as_a_story(sandbox, faults, count, expected):
    sandbox.faults.script(*faults)
    sends(sandbox, *[single()] * count)
    assert verdict(sandbox) == expected


def test_a_mail_of_which_the_application_was_never_told_stands_out(sandbox):
    """Until a reply has come; that a later one is lost tells nothing new."""
    sandbox.faults.script("lost", "ok", "lost")
    sends(sandbox, single())
    assert chips(sandbox) == ["⚡︎ reply lost"]
    assert "✓ accepted once, reply lost" in text(requests_tab(sandbox))
    sends(sandbox, *[single()] * 2)
    assert chips(sandbox) == []
    assert "✓ one mail from 3 requests ·" in text(requests_tab(sandbox))
    assert verdict(sandbox).endswith("but the reply to the third was lost.")


def test_the_eleventh_request_is_named_by_its_number(sandbox):
    sandbox.faults.script(*["500"] * 10, "lost")
    sends(sandbox, *[single()] * 11)
    assert "The reply to request 11 was lost." in verdict(sandbox)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"from_": "hello@unverified.example"},
            (
                "No mail. Refused: the domain unverified.example is not verified. Start with --verified-domain "
                "unverified.example to accept it."
            ),
        ),
        (
            {"emailId": None, "template": "<p>Hello", "projectId": "1"},
            "No mail. Refused: emailId or conversationId is required. Start with --accept-template to accept it.",
        ),
        (
            {"emailId": "f" * 24},
            (
                f"No mail. Refused: Email not found: emailId {'f' * 24}. Start with --any-id to accept any id, or "
                "take one from Stored emails."
            ),
        ),
        ({"subject": 7}, "No mail. Refused: subject must be a string."),
    ],
)
def test_a_refusal_says_the_way_out(sandbox, changes, expected):
    sends(sandbox, single(**changes))
    assert verdict(sandbox) == expected
    assert chips(sandbox) in (["✕ refused 400"], ["✕ refused 404"])


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("sk_live_mine", "Invalid API key. Set-up has the keys that may send."),
        ("sk_test_sandbox_revoked", "This API key was revoked. Set-up has the keys that may send."),
        (
            "sk_test_sandbox_no_send",
            "This API key lacks the permission email:send. Set-up has the keys that may send.",
        ),
    ],
)
def test_a_wrong_key_leads_to_the_right_ones(sandbox, key, expected):
    ask(sandbox, "POST", "/v1/sending", body=single(), key=key, headers={"Idempotency-Key": "order-1"})
    assert verdict(sandbox) == f"No mail. Refused: {expected}"


def test_a_refusal_is_repeated_under_its_key(sandbox):
    sends(sandbox, *[single(subject=7)] * 2)
    assert steps(sandbox) == [
        ("✕ refused it: subject must be a string", "400"),
        ("↻ knew the key: same refusal again", "400, replayed"),
    ]


def test_a_conflict_names_what_differs_from_the_first_body(sandbox):
    other = single(variables={"first_name": "Kim", "shop_url": "https://elsewhere.example", "more": "1"})
    sends(sandbox, single(), other)
    assert verdict(sandbox) == (
        "One mail from 2 requests. Conflict: the key was used for another body; these differ: variables.shop_url, "
        "variables.more."
    )
    assert chips(sandbox) == ["≠ conflict"]
    assert steps(sandbox)[1][0].startswith("≠ refused it: the key was used for another body")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (single(subject="Other"), "the key was used for another body; this differs: subject."),
        (
            single(variables={str(number): "" for number in range(9)}),
            (
                "the key was used for another body; these differ: variables.first_name, variables.shop_url, "
                "variables.0, variables.1, variables.2 and 6 more."
            ),
        ),
        (
            dict(reversed(single().items())),
            "the key was used for another body; only its writing differs, not its values.",
        ),
    ],
)
def test_a_conflict_is_told_in_few_words(sandbox, body, expected):
    sends(sandbox, single(), body)
    assert verdict(sandbox).endswith(expected)


def test_a_conflict_with_a_request_in_progress_is_another(start):
    """The first is still being accepted when its repeat comes."""
    clock = HoldingClock()
    sandbox = start(clock=clock)
    clock.is_due = lambda: sandbox.store.idempotency.forgotten_at("full", "order-1")
    first = threading.Thread(target=sends, args=(sandbox, single()))
    first.start()
    assert clock.is_holding.wait(PATIENCE)
    sends(sandbox, single())
    clock.go_on.set()
    first.join()
    assert verdict(sandbox).startswith("One mail from 2 requests. ")
    assert "Conflict: the first request under this key was still being processed." in verdict(sandbox)


def test_a_conflict_without_its_first_request_says_so(sandbox):
    sends(sandbox, single())
    sandbox.store.inbox.clear()
    sends(sandbox, single(subject="Other"))
    assert "the key was used for another body, which is no longer kept" in requests_tab(sandbox)


def test_a_request_without_a_key_is_a_warning(sandbox):
    send(sandbox, single())
    assert verdict(sandbox) == "One mail from 1 request. No key: a repeat of this request is a second mail."


def test_the_repeat_of_a_request_that_made_no_mail_is_no_second_one(sandbox):
    sandbox.faults.script("500")
    sends(sandbox, single(), key=None)
    assert verdict(sandbox).endswith("No key: a repeat of this request is a mail of its own.")


def test_an_error_that_quotes_megabytes_is_cut(sandbox):
    sends(sandbox, single(projectId="x" * 1_000_000))
    assert len(verdict(sandbox)) < 700
    assert len(steps(sandbox)[0][0]) < 700


def test_a_test_send_needs_no_key(sandbox):
    ask(sandbox, "POST", "/v1/emails/test/send", body=TEST_SEND)
    assert verdict(sandbox) == "One mail from 1 request."
    assert "test" in chips(sandbox)


def test_ignored_keys_make_several_mails_of_one(start):
    sandbox = start(idempotency=False)
    sends(sandbox, single(), single())
    assert verdict(sandbox) == (
        "2 mails from 2 requests. This sandbox ignores idempotency keys (--ignore-keys), so each request became a "
        "mail."
    )
    assert [did for did, _ in steps(sandbox)] == ["✓ took it: this is the mail", "✓ took it: a further mail"]
    assert chips(sandbox) == ["! accepted 2 times"]
    assert "ignored by this sandbox" in requests_tab(sandbox)


def test_a_key_is_forgotten_after_its_day(start, clock):
    sandbox = start(clock=clock)
    sends(sandbox, single())
    clock.forward(hours=25)
    assert "not in use" in requests_tab(sandbox)
    sends(sandbox, single())
    assert "used again after its 24 hours" in verdict(sandbox)
    clock.forward(minutes=19)
    assert "forgotten in 23 h 41 min" in requests_tab(sandbox)


def test_the_rate_limit_is_no_fault(start):
    sandbox = start(rate="1/h")
    sends(sandbox, single())
    sandbox.store.inbox.clear()
    sends(sandbox, single(), single(), key="order-2")
    assert "No mail. Both requests came over the rate limit." in text(requests_tab(sandbox))
    assert chips(sandbox) == ["⚡︎ not accepted"]
    sandbox.faults.script("500")
    sends(sandbox, single(), key="order-2")
    assert "No mail. 1 met a fault, 2 came over the rate limit." in text(requests_tab(sandbox))
    sandbox.store.reset()
    sends(sandbox, single(), key="used")
    sends(sandbox, single(), key="order-3")
    sandbox.rate_limit(None)
    sends(sandbox, single(), key="order-3")
    assert "The first request came to nothing." in text(requests_tab(sandbox))


@pytest.mark.parametrize(
    ("word", "did", "saw"),
    [
        ("429", "struck before looking", "429"),
        ("429-after-2", "struck before looking", "429, wait 2 s"),
        ("503-date-2", "struck before looking", "503, wait until a date 2 s ahead"),
        ("502", "struck before looking", "502 with a proxy's page"),
        ("reset", "struck before looking", "nothing: connection reset"),
        ("silent-0.1", "struck before looking", "nothing for 0.1 s, then the end"),
        ("lost", "took it: this is the mail", "nothing: connection reset"),
        ("half", "took it: this is the mail", "200, but half of the body"),
        ("slow-0.1", "took it: this is the mail", "200 queued, its body 0.1 s late"),
        ("close", "took it: this is the mail", "200 queued, then the end of the connection"),
    ],
)
def test_each_request_says_what_the_sandbox_did_and_what_the_application_saw(sandbox, word, did, saw):
    sandbox.faults.script(word)
    sends(sandbox, single())
    [(said, seen)] = steps(sandbox)
    assert (said.split(" ", 1)[1], seen) == (f"{did} ⚡︎ {word}", saw)


def test_requests_that_are_no_longer_kept_count_all_the_same(sandbox):
    sandbox.faults.script(*["500"] * 52)
    sends(sandbox, *[single()] * 52)
    page = requests_tab(sandbox)
    assert "No mail. All 52 requests met a fault." in text(page)
    assert "2 requests in between no longer kept" in text(page)
    numbers = re.findall(r'<span class="number">(\d+)</span>', page)
    assert (numbers[:6], numbers[-1]) == (["1", "2", "3", "4", "5", "8"], "52")


def test_what_is_missing_is_a_warning(sandbox):
    sends(sandbox, single(variables={"first_name": "Kim"}))
    sends(sandbox, single(variables={}), key="order-2")
    assert chips(sandbox) == ["! 2 missing variables", "! 1 missing variable"]
