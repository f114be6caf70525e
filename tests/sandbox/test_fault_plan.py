"""Which sends are struck: by script, by recipient or by chance."""

from __future__ import annotations

import json

import pytest

from django_migma.sandbox import account
from django_migma.sandbox.faults import DEFAULT_KINDS, KINDS, Learnt, parse_fault
from django_migma.sandbox.options import Switches
from tests.sandbox.asking import ask, get, send, single


def statuses(sandbox, count, **changes):
    return [send(sandbox, single(**changes)).status for _ in range(count)]


def send_test(sandbox, to, **headers):
    return ask(sandbox, "POST", "/v1/emails/test/send", body={"to": to, "emailId": account.WELCOME}, headers=headers)


def test_a_script_strikes_sends_in_order_and_ends(sandbox):
    sandbox.faults.script("500", "ok", "429")
    assert statuses(sandbox, 4) == [500, 200, 429, 200]
    assert sandbox.store.stats()["faults"] == {"500": 1, "429": 1}


def test_a_second_script_waits_for_the_first(sandbox):
    sandbox.faults.script("500", "503")
    sandbox.faults.script("504")
    assert statuses(sandbox, 4) == [500, 503, 504, 200]


def test_a_script_strikes_test_sends_and_nothing_else(sandbox):
    sandbox.faults.script("500", "503")
    assert get(sandbox, "/v1/projects").status == 200
    assert ask(sandbox, "PUT", "/v1/sending").status == 405
    assert send_test(sandbox, "tester@example.com").status == 500
    assert send(sandbox, single()).status == 503


def test_a_script_with_an_unknown_word_is_not_taken_at_all(sandbox):
    with pytest.raises(ValueError, match="unknown fault 'lots'"):
        sandbox.faults.script("500", "lots")
    assert sandbox.faults.state()["script"] == []


def test_a_recipient_asks_for_a_fault_once_for_each_key(sandbox):
    body = single(recipientEmail="500@sandbox.example")
    assert [send(sandbox, body, idempotency_key="order-1").status for _ in range(2)] == [500, 200]
    assert [send(sandbox, body, idempotency_key="order-2").status for _ in range(2)] == [500, 200]


def test_only_the_newest_keys_are_known_to_have_been_struck(sandbox):
    """The oldest of a thousand meets its fault again; of a key that is too long, only its beginning counts."""
    body = single(recipientEmail="500@sandbox.example")
    keys = ["oldest", *map(str, range(1000)), "oldest", "999", "x" * 101, "x" * 102]
    replies = [send(sandbox, body, idempotency_key=key).status for key in keys]
    assert replies == [*[500] * 1002, 200, 500, 400]


def test_a_recipient_strikes_every_request_without_a_key(sandbox):
    assert statuses(sandbox, 3, recipientEmail="500@sandbox.example") == [500, 500, 500]


def test_a_recipient_may_ask_for_a_fault_every_time(sandbox):
    body = single(recipientEmail="429-after-2-always@sandbox.example")
    replies = [send(sandbox, body, idempotency_key="order-1") for _ in range(3)]
    assert [reply.headers["Retry-After"] for reply in replies] == ["2", "2", "2"]
    assert sandbox.store.stats()["faults"] == {"429-after-2": 3}


def test_a_recipient_of_a_test_send_asks_for_a_fault_too(sandbox):
    key = {"Idempotency-Key": "order-1"}
    assert [send_test(sandbox, "502@sandbox.example", **key).status for _ in range(2)] == [502, 200]


def test_the_case_of_a_recipient_does_not_matter(sandbox):
    assert statuses(sandbox, 1, recipientEmail="HTML@Sandbox.Example") == [200]
    assert sandbox.store.stats()["faults"] == {"html": 1}


@pytest.mark.parametrize("seconds", ["slow-0.01", "busy-0.01"])
def test_a_recipient_may_carry_seconds(sandbox, seconds):
    assert statuses(sandbox, 1, recipientEmail=f"{seconds}@sandbox.example") == [200]
    assert sandbox.store.stats()["faults"] == {seconds: 1}


@pytest.mark.parametrize(
    "address",
    [
        *("ok@sandbox.example", "ok-always@sandbox.example", "ada@sandbox.example", "always@sandbox.example"),
        *("500@sandbox.example.org", "500@not-sandbox.example", "500-always-always@sandbox.example"),
    ],
)
def test_other_addresses_are_ordinary_recipients(sandbox, address):
    assert statuses(sandbox, 1, recipientEmail=address) == [200]
    assert sandbox.store.stats()["faults"] == {}


@pytest.mark.parametrize(
    "body",
    [
        single(subject="to 500@sandbox.example"),
        single(recipientEmail=["500@sandbox.example"]),
        single(recipientEmail=None, to="500@sandbox.example"),
        ["500@sandbox.example"],
        "500@sandbox.example",
        b'{"recipientEmail": "500@sandbox.example"',
        b'{"recipientEmail": "500@sandbox.example\xff"}',
        b'{"recipientEmail": "500@sandbox.example", "deep": ' + b"[" * 200_000,
    ],
)
def test_only_the_recipient_itself_asks_for_a_fault(sandbox, body):
    send(sandbox, body)
    assert sandbox.store.stats()["faults"] == {}


def test_a_script_comes_before_the_recipient(sandbox):
    sandbox.faults.script("503", "ok")
    body = single(recipientEmail="500@sandbox.example")
    replies = [send(sandbox, body, idempotency_key=key).status for key in ("order-1", "order-2", "order-1")]
    assert replies == [503, 200, 500]


def test_a_recipient_comes_before_chance(start):
    sandbox = start(fault_rate=1, fault_kinds=("503",))
    body = single(recipientEmail="500@sandbox.example")
    assert [send(sandbox, body, idempotency_key="order-1").status for _ in range(2)] == [500, 200]
    assert statuses(sandbox, 1) == [503]


def test_a_seed_gives_the_same_faults_again(start):
    switches = {"fault_rate": 0.5, "fault_kinds": ("500", "503", "429")}
    first, second = (statuses(start(fault_seed=7, **switches), 40) for _ in range(2))
    assert first == second
    assert set(first) == {200, 500, 503, 429}
    assert statuses(start(fault_seed=8, **switches), 40) != first


def test_a_seed_is_drawn_and_shown_when_none_is_given(start):
    one, other = start(fault_rate=0.5), start()
    assert one.faults.seed != other.faults.seed
    assert get(one, "/_sandbox/faults").json["fault_seed"] == one.faults.seed


def test_nothing_strikes_by_chance_without_a_rate(start):
    assert statuses(start(fault_kinds=("500",)), 20) == [200] * 20


def test_the_default_faults_by_chance_wait_at_most_a_second():
    assert [word for word in DEFAULT_KINDS if parse_fault(word).word != word] == []
    waits = [fault.seconds for word in DEFAULT_KINDS if (fault := parse_fault(word)).kind.number != "none"]
    assert max(waits) <= 1


def test_the_next_sends_can_be_made_to_fail_from_a_test(sandbox):
    sandbox.fail_next("500", "503")
    assert statuses(sandbox, 3) == [500, 503, 200]


def test_one_fault_of_the_script_can_be_taken_back(sandbox):
    sandbox.faults.script("500", "503", "500")
    sandbox.faults.remove(2, "500")
    assert statuses(sandbox, 3) == [500, 503, 200]


@pytest.mark.parametrize(("position", "word"), [(0, "500"), (1, "503"), (-1, "503"), (7, "503")])
def test_a_fault_that_has_moved_on_is_not_taken_for_another(sandbox, position, word):
    """A send may come between the look at the line and the deed."""
    sandbox.faults.script("500", "503")
    send(sandbox, single())
    text = f"^no fault {word} waits at place {position + 1} any more; look at the line again$"
    with pytest.raises(ValueError, match=text):
        sandbox.faults.remove(position, word)
    assert sandbox.faults.state()["script"] == ["503"]


def test_a_script_without_end_is_refused(sandbox):
    sandbox.faults.script(*["500"] * 999)
    with pytest.raises(ValueError, match=r"^at most 1000 faults may wait, and 999 do; take some back$"):
        sandbox.faults.script("503", "503")
    sandbox.faults.script("503")
    assert sandbox.faults.state()["script"] == ["500"] * 999 + ["503"]


def test_chance_can_begin_and_end_while_the_sandbox_runs(start):
    sandbox = start()
    sandbox.faults.by_chance(1, ("503", "504"), 7)
    first = statuses(sandbox, 20)
    assert set(first) == {503, 504}
    sandbox.faults.by_chance(1, ("503", "504"), 7)
    assert statuses(sandbox, 20) == first
    sandbox.faults.by_chance(0)
    assert statuses(sandbox, 20) == [200] * 20


def test_chance_without_kinds_and_seed_has_the_default_kinds_and_a_drawn_seed(sandbox):
    seeds = set()
    for _ in range(3):
        sandbox.faults.by_chance(0.5)
        seeds.add(sandbox.faults.seed)
    assert len(seeds) > 1
    assert sandbox.faults.state()["fault_kinds"] == [*DEFAULT_KINDS]


@pytest.mark.parametrize("wrong", [{"rate": 1.5}, {"rate": 0.5, "kinds": ("lots",)}])
def test_a_chance_that_is_not_understood_changes_nothing(start, wrong):
    sandbox = start(fault_rate=1, fault_kinds=("503",), fault_seed=7)
    before = sandbox.faults.state()
    with pytest.raises(ValueError, match=r"^fault_rate must be from 0 to 1, not 1.5$|^unknown fault 'lots'; known: "):
        sandbox.faults.by_chance(**wrong)
    assert sandbox.faults.state() == before


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_what_is_learnt_of_a_fault_follows_from_what_it_does(kind):
    """A client that hears nothing at all meets the end of a connection where the answer would begin."""
    untold = {"reset", "hangup", "silent"}
    expected = Learnt.NOT_TOLD if kind.accepts_mail else Learnt.NOTHING if kind.name in untold else Learnt.NOT_TAKEN
    assert kind.learnt == expected


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_a_fault_rate_outside_0_to_1_is_a_value_error(rate):
    with pytest.raises(ValueError, match=f"^fault_rate must be from 0 to 1, not {rate}$"):
        Switches(fault_rate=rate)


def test_an_unknown_kind_is_a_value_error():
    with pytest.raises(ValueError, match=r"^unknown fault 'lots'; known: 429, "):
        Switches(fault_kinds=("lots",))


def test_clear_drops_script_and_chance_and_forgets_which_keys_were_struck(start):
    sandbox = start(fault_rate=1, fault_kinds=("503",))
    body = single(recipientEmail="500@sandbox.example")
    assert send(sandbox, body, idempotency_key="order-1").status == 500
    sandbox.faults.script("504", "504")
    sandbox.faults.clear()
    assert statuses(sandbox, 2) == [200, 200]
    assert send(sandbox, body, idempotency_key="order-1").status == 500


def test_faults_can_be_scripted_listed_and_cleared_over_http(start):
    sandbox = start(fault_rate=0.25, fault_seed=7, fault_kinds=("lost",))
    ordered = ask(sandbox, "POST", "/_sandbox/faults", body={"script": ["500", "slow-0.5"]}, key=None).json
    assert ordered == get(sandbox, "/_sandbox/faults", key=None).json
    assert ordered["script"] == ["500", "slow-0.5"]
    assert (ordered["fault_rate"], ordered["fault_seed"], ordered["fault_kinds"]) == (0.25, 7, ["lost"])
    lost = {"word": "lost", "accepts": True, "meaning": "the connection is reset: the reply is lost"}
    assert lost in ordered["words"]
    cleared = ask(sandbox, "DELETE", "/_sandbox/faults", key=None).json
    assert (cleared["script"], cleared["fault_rate"]) == ([], 0)


def test_a_script_that_is_not_declared_as_json_is_refused(sandbox):
    """Browsers submit text/plain to other sites without asking."""
    body = json.dumps({"script": ["500"]}).encode()
    plain = ask(sandbox, "POST", "/_sandbox/faults", body=body, headers={"Content-Type": "text/plain"})
    assert (plain.status, plain.error) == (400, "Content-Type must be application/json")
    assert sandbox.faults.state()["script"] == []


@pytest.mark.parametrize("body", [{}, {"script": "500"}, {"script": [500]}, {"script": None}])
def test_a_script_over_http_is_an_array_of_words(sandbox, body):
    reply = ask(sandbox, "POST", "/_sandbox/faults", body=body)
    text = 'script must be an array of faults, such as {"script": ["500", "lost"]}'
    assert (reply.status, reply.error) == (400, text)


def test_chance_and_the_rate_limit_can_be_changed_over_http(sandbox):
    body = {"fault_rate": 1, "fault_kinds": ["503"], "fault_seed": 7, "rate_limit": "2/h"}
    changed = ask(sandbox, "POST", "/_sandbox/faults", body=body, key=None).json
    assert changed == get(sandbox, "/_sandbox/faults").json
    assert {name: changed[name] for name in body} == body
    assert statuses(sandbox, 2) == [503, 503]
    body = {"fault_rate": 0, "rate_limit": None}
    changed = ask(sandbox, "POST", "/_sandbox/faults", body=body, key=None).json
    assert (changed["fault_rate"], changed["rate_limit"]) == (0, None)
    assert statuses(sandbox, 3) == [200, 200, 200]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"fault_rate": "0.1"}, "fault_rate must be a number from 0 to 1"),
        ({"fault_rate": True}, "fault_rate must be a number from 0 to 1"),
        ({"fault_rate": 10**300}, f"fault_rate must be from 0 to 1, not {10**300}"),
        (
            {"fault_rate": 0.1, "fault_kinds": "500"},
            'fault_kinds must be an array of faults, such as ["500", "lost"]',
        ),
        ({"fault_rate": 0.1, "fault_seed": 0.5}, "fault_seed must be a whole number or null"),
        ({"fault_seed": 7}, "fault_kinds and fault_seed go with a fault_rate, such as 0.1"),
        ({"fault_kinds": ["500"]}, "fault_kinds and fault_seed go with a fault_rate, such as 0.1"),
        ({"rate_limit": 10}, "rate_limit must be such as 10/s, 100/m or 1000/h, or null for none"),
        ({"rate_limit": "10"}, "rate must be such as 10/s, 100/m or 1000/h, not '10'"),
        ({"script": ["500"] * 1001}, "script: at most 1000 faults may wait, and 0 do; take some back"),
    ],
)
def test_a_control_call_that_is_not_understood_in_all_parts_changes_nothing(sandbox, wrong, text):
    before = get(sandbox, "/_sandbox/faults").json
    right = {"script": ["500"], "rate_limit": "5/s"}
    reply = ask(sandbox, "POST", "/_sandbox/faults", body=right | wrong)
    assert (reply.status, reply.error) == (400, text)
    assert get(sandbox, "/_sandbox/faults").json == before


def test_an_unknown_word_over_http_is_400_with_the_known_ones(sandbox):
    reply = ask(sandbox, "POST", "/_sandbox/faults", body={"script": ["500", "lots"]})
    assert reply.status == 400
    assert reply.error.startswith("script: unknown fault 'lots'; known: 429, 429-after-N, ")
    assert sandbox.faults.state()["script"] == []
