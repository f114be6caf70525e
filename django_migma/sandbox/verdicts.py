"""What became of a mail, in words: a few sentences for the whole, two for each request, and the signs of the list.

Texts may hold words in backquotes, which the pages show as code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django_migma.sandbox.exchanges import Result
from django_migma.sandbox.faults import Reply
from django_migma.sandbox.inbox import FIRST, LAST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django_migma.sandbox.exchanges import Exchange, Mail


@dataclass(frozen=True)
class Sign:
    """A state as glyph, word and tone ("good", "bad", "warn" or none): never a colour alone."""

    glyph: str
    word: str
    tone: str = ""


STRUCK = "⚡\N{VARIATION SELECTOR-15}"  # as text, not as a coloured picture
_SIGNS = {
    Result.ACCEPTED: Sign("✓", "accepted", "good"),
    Result.REPLAYED: Sign("↻", "same answer again", "good"),
    Result.REFUSED: Sign("✕", "refused", "bad"),
    Result.CONFLICT: Sign("≠", "conflict", "bad"),
    Result.LIMITED: Sign("◔", "over the rate limit", "warn"),
    Result.UNTOUCHED: Sign(STRUCK, "struck by a fault", "warn"),
}
LEGEND = (
    (_SIGNS[Result.ACCEPTED], "the sandbox took it: this is the mail"),
    (_SIGNS[Result.REPLAYED], "it knew the idempotency key, and made no second mail"),
    (_SIGNS[Result.UNTOUCHED], "the sandbox did not look at it"),
    (_SIGNS[Result.LIMITED], "the API key has to wait"),
    (_SIGNS[Result.REFUSED], "something is wrong with the request"),
    (_SIGNS[Result.CONFLICT], "the idempotency key is in use for another body"),
)
_SAW = {
    "429-after": "429, wait {fault.seconds:g} s",
    "429-date": "429, wait until a date {fault.seconds:g} s ahead",
    "503-after": "503, wait {fault.seconds:g} s",
    "503-date": "503, wait until a date {fault.seconds:g} s ahead",
    "502": "502 with a proxy's page",
    "504": "504 with a proxy's page",
    "html": "200 with a proxy's page",
    "redirect": "302 to another address",
    "reset": "nothing: connection reset",
    "lost": "nothing: connection reset",
    "hangup": "nothing: the connection ended",
    "silent": "nothing for {fault.seconds:g} s, then the end",
    "half": "{status}, but half of the body",
    "empty": "{status} without a body",
    "slow": "{answer}, its body {fault.seconds:g} s late",
    "busy": "{answer}, {fault.seconds:g} s late",
    "drip": "{status}, the body byte by byte",
    "endless": "{status}, a body without end",
    "close": "{answer}, then the end of the connection",
}
"""What the application saw, by the kind of the fault; ``answer`` for all others."""
_REPLY_WORDS = {
    Reply.NONE: "was lost",
    Reply.HALF: "did not arrive whole",
    Reply.LATE: "came late",
}
_NOT_WHOLE = {Reply.NONE, Reply.HALF}
_WAYS_OUT = (
    (r"the domain (\S+) is not verified", r"Start with `--verified-domain \1` to accept it."),
    (r"--accept-template", "Start with `--accept-template` to accept it."),
    (
        r"^(?:Email|Conversation|Project) not found",
        "Start with `--any-id` to accept any id, or take one from Stored emails.",
    ),
    (r"^(?:Segment|Tag) not found", "The sandbox has segments and tags of its own."),
    (r"API key (?:lacks|was revoked)|API key$|Missing API key", "Set-up has the keys that may send."),
    (r"^variables: no value for", "Give these variables, or start without `--missing-variables error`."),
)
"""What to do about a refusal, by its text."""
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_MAX_PATHS = 5
_MAX_PROBLEM = 500  # characters of an error, which may quote what was sent


def sign(exchange: Exchange) -> Sign:
    if exchange.result is Result.REPLAYED and exchange.status >= 400:
        return Sign("↻", "same refusal again", "bad")
    return _SIGNS[exchange.result]


def chips(mail: Mail) -> list[Sign]:
    """What is unusual of a mail; nothing for an ordinary one."""
    found = []
    if mail.is_refused:
        found.append(Sign("✕", f"refused {_refusal(mail).status}", "bad"))
    elif not mail.is_accepted:
        found.append(Sign(STRUCK, "not accepted", "warn"))
    if len(mail.messages) > 1:
        found.append(Sign("!", f"accepted {len(mail.messages)} times", "bad"))
    if mail.is_accepted and _exchanges(mail, Result.CONFLICT):
        found.append(_SIGNS[Result.CONFLICT])
    if _is_untold(mail):
        found.append(Sign(STRUCK, "reply lost", "warn"))
    if missing := len(mail.missing_variables):
        found.append(Sign("!", _count(missing, "missing variable"), "warn"))
    if mail.is_test:
        found.append(Sign("", "test"))
    return found


def outcome(mail: Mail) -> Sign:
    """What became of a mail, in a word or two."""
    if mail.is_accepted and len(mail.messages) < 2:
        word = "accepted once" if mail.attempts == 1 else f"one mail from {mail.attempts} requests"
        return Sign("✓", f"{word}, reply lost", "warn") if _is_untold(mail) else Sign("✓", word, "good")
    return chips(mail)[0]


def verdict(mail: Mail) -> list[tuple[str, str]]:
    """Sentences on the whole, each with its tone: how many mails from how many requests, why, and what to do."""
    return [("", _opening(mail)), *_story(mail), *_conflicts(mail), *_doubts(mail)]


def _opening(mail: Mail) -> str:
    requests = _count(mail.attempts, "request")
    if mail.is_accepted:
        count = max(1, len(mail.messages))
        return f"One mail from {requests}." if count == 1 else f"{count} mails from {requests}."
    if mail.is_refused:
        problem = _refusal(mail).problem
        return f"No mail. Refused: {_short(problem)}{'' if problem.endswith('.') else '.'}{_way_out(problem)}"
    struck, limited = len(_exchanges(mail, Result.UNTOUCHED)), len(_exchanges(mail, Result.LIMITED))
    if struck and limited:
        return f"No mail. {struck} met a fault, {limited} came over the rate limit."
    what = "met a fault" if struck else "came over the rate limit"
    who = {1: "The only request", 2: "Both requests"}.get(mail.attempts, f"All {requests}")
    return f"No mail. {who} {what}."


def _short(problem: str) -> str:
    """The error text without what the way out says better."""
    text = re.sub(r" \(verified: .*\)$|: template \(raw HTML\).*", "", problem, flags=re.DOTALL).removeprefix(
        "from: "
    )
    return text if len(text) <= _MAX_PROBLEM else f"{text[:_MAX_PROBLEM]}…"


def _way_out(problem: str) -> str:
    for pattern, text in _WAYS_OUT:
        if match := re.search(pattern, problem):
            return " " + match.expand(text)
    return ""


def _story(mail: Mail) -> Iterator[tuple[str, str]]:
    """Why an accepted mail took several requests, and what its reply met."""
    if not mail.is_accepted:
        return
    taken = _exchanges(mail, Result.ACCEPTED)[:1]
    before = [each for each in mail.exchanges if taken and each.number < taken[0].number]
    if before:
        is_struck = all(each.result is Result.UNTOUCHED for each in before)
        what = "met a fault before anything was looked at" if is_struck else "came to nothing"
        yield "", f"The first {'request' if len(before) == 1 else f'{len(before)} requests'} {what}."
    for each in taken:
        if each.reply in _REPLY_WORDS:
            which = "" if mail.attempts == 1 else f" to {_which(mail, each)}"
            yield "", f"The reply{which} {_REPLY_WORDS[each.reply]}."
    for each in _replays(mail)[-1:]:
        which = _which(mail, each)
        lost = f"but the reply to {which} {_REPLY_WORDS[each.reply]}" if each.reply in _NOT_WHOLE else ""
        end = lost or f"so {which} got the first answer again"
        yield "", f"Your app repeated it under the same idempotency key, {end}."
    if _is_untold(mail) and mail.exchanges[-1].message:
        yield "warn", "Your app has not asked again so far, so it cannot know."


def _is_untold(mail: Mail) -> bool:
    """Whether the mail is there, and no answer that says so has arrived whole."""
    answers = [*_exchanges(mail, Result.ACCEPTED), *_replays(mail)]
    return mail.is_accepted and all(each.reply in _NOT_WHOLE for each in answers)


def _replays(mail: Mail) -> list[Exchange]:
    return [each for each in _exchanges(mail, Result.REPLAYED) if each.status < 400]


def _conflicts(mail: Mail) -> Iterator[tuple[str, str]]:
    for each in _exchanges(mail, Result.CONFLICT)[:1]:
        yield "bad", f"Conflict: {_why_conflict(mail, each)}."


def _why_conflict(mail: Mail, exchange: Exchange) -> str:
    """Why a request under a known key was refused with 409; says which fields differ from the first body."""
    if "another request body" not in exchange.problem:
        return "the first request under this key was still being processed"
    first = next((each for each in mail.exchanges if each.result in {Result.ACCEPTED, Result.REFUSED}), None)
    if first is None:
        return "the key was used for another body, which is no longer kept"
    try:
        paths = list(dict.fromkeys(_differences(first.payload, exchange.payload)))
    except RecursionError:
        return "the key was used for another body, which has too many levels to be compared"
    if not paths:
        return "the key was used for another body; only its writing differs, not its values"
    shown = ", ".join(f"`{path}`" for path in paths[:_MAX_PATHS])
    more = f" and {len(paths) - _MAX_PATHS} more" if len(paths) > _MAX_PATHS else ""
    verb = "this differs" if len(paths) == 1 else "these differ"
    return f"the key was used for another body; {verb}: {shown}{more}"


def _differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in {**one, **other}:
            if name not in one or name not in other:
                yield f"{path}{name}"
            else:
                yield from _differences(one[name], other[name], f"{path}{name}.")
    elif one != other:
        yield path.removesuffix(".")


def _doubts(mail: Mail) -> Iterator[tuple[str, str]]:
    """What is wrong with the way in which the application sends, however it went this time."""
    if mail.exchanges[0].idempotency_key is None:
        if not mail.main.is_test:
            which = "second mail" if mail.is_accepted else "mail of its own"
            yield "bad", f"No key: a repeat of this request is a {which}."
    elif len(mail.messages) > 1 and not mail.messages[0].switches.idempotency:
        yield "bad", "This sandbox ignores idempotency keys (`--ignore-keys`), so each request became a mail."
    elif len(mail.messages) > 1:
        yield "bad", "The key was used again after its 24 hours, so the sandbox no longer knew it."


def did(mail: Mail, exchange: Exchange) -> str:
    """What the sandbox did with one request."""
    match exchange.result:
        case Result.ACCEPTED:
            is_first = len(mail.messages) < 2 or exchange.message is mail.messages[0]
            return "took it: this is the mail" if is_first else "took it: a further mail"
        case Result.REPLAYED if exchange.status < 400:
            return "knew the key: same answer, no second mail"
        case Result.REPLAYED:
            return "knew the key: same refusal again"
        case Result.REFUSED:
            return f"refused it: {_short(exchange.problem)}"
        case Result.CONFLICT:
            return f"refused it: {_why_conflict(mail, exchange)}"
        case Result.LIMITED:
            return "did not look: over the rate limit"
    return "struck before looking"


def saw(exchange: Exchange) -> str:
    """What the application saw of the answer, if it waited for it."""
    word = exchange.message.answer.get("status", "") if exchange.message else ""
    answer = f"{exchange.status} {word}".strip()
    if exchange.result is Result.REPLAYED:
        answer += ", replayed"
    text = _SAW.get(exchange.fault.kind.name, "{answer}")
    return text.format(answer=answer, status=exchange.status, fault=exchange.fault)


def _refusal(mail: Mail) -> Exchange:
    """The last request that was refused for what it is."""
    return [each for each in mail.exchanges if each.result in {Result.REFUSED, Result.CONFLICT}][-1]


def _exchanges(mail: Mail, result: Result) -> list[Exchange]:
    return [each for each in mail.exchanges if each.result is result]


def kept_before_gap(mail: Mail) -> int:
    """How many requests are kept before those that are not; 0 if all are. Of large ones, those in the middle go."""
    if not mail.dropped:
        return 0
    kept = len(mail.exchanges)
    return FIRST if kept >= FIRST + LAST else (kept + 1) // 2


def request_number(mail: Mail, exchange: Exchange) -> int:
    """The number of a request of a mail, from 1; those that are no longer kept count as well."""
    index = mail.exchanges.index(exchange)
    return index + 1 + (mail.dropped if index >= kept_before_gap(mail) else 0)


def _which(mail: Mail, exchange: Exchange) -> str:
    """Such as "the third"."""
    number = request_number(mail, exchange)
    return f"the {_ORDINALS[number - 1]}" if number <= len(_ORDINALS) else f"request {number}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
