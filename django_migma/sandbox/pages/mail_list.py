"""The list of the inbox: rows, filters and the search, as a page and as the part that a live page fetches again."""

from __future__ import annotations

import hashlib
import re
from math import ceil
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.http import HttpResponse

from django_migma.sandbox import verdicts
from django_migma.sandbox.pages.responses import clock_time, render
from django_migma.sandbox.pages.setup import first_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from django_migma.sandbox.exchanges import Mail
    from django_migma.sandbox.server import Request

PAGE_LENGTH = 50  # rows
_GLYPHS = 9  # of one row; more do not fit
KEPT = ("q", "tab", "width", "scheme")
"""What stays as it is from one mail to the next."""
# A word, perhaps with a prefix: to:ada, subject:"two words".
_WORD = re.compile(r'(?:(?P<name>[a-z]+):)?(?:"(?P<quoted>[^"]*)"|(?P<plain>\S+))', re.IGNORECASE)
_STATES: dict[str, Callable[[Mail], object]] = {
    "accepted": lambda mail: mail.is_accepted,
    "refused": lambda mail: mail.is_refused,
    "not-accepted": lambda mail: not mail.is_accepted and not mail.is_refused,
    "missing": lambda mail: mail.missing_variables,
    "test": lambda mail: mail.is_test,
    "repeated": lambda mail: mail.attempts > 1,
    "unread": lambda mail: not mail.is_read,
}
_FIELDS: dict[str, Callable[[Mail], str]] = {
    "to": lambda mail: mail.recipient,
    "subject": lambda mail: mail.subject,
    "template": lambda mail: mail.template,
    "email": lambda mail: mail.template,
    "key": lambda mail: mail.exchanges[0].idempotency_key or "",
}
_FILTERS = (("All", ""), ("Refused", "is:refused"), ("Not accepted", "is:not-accepted"),
            ("Missing variables", "is:missing"), ("Tests", "is:test"))  # fmt: skip


def inbox(request: Request) -> HttpResponse:
    """GET /: the list, and beside it what its signs mean, or how a first mail gets here."""
    first, deleted = first_steps(request), request.sandbox.store.inbox.deleted
    return render(
        request,
        "inbox.html",
        area="mail",
        list=listing(request),
        legend=verdicts.LEGEND,
        first=first,
        deleted=deleted if deleted and deleted.id == request.GET.get("deleted") else None,
    )


def fragment(request: Request) -> HttpResponse:
    """GET /_sandbox/list: what of the list changes, for a page that is open. 304 if it is what the page has."""
    response = render(request, "list.html", list=listing(request, request.GET.get("mail", "")))
    response["ETag"] = f'"{hashlib.sha256(response.content).hexdigest()[:24]}"'
    response["Cache-Control"] = "no-cache"
    if request.META.get("HTTP_IF_NONE_MATCH") == response["ETag"]:
        response.status_code, response.content = 304, b""
    return response


def listing(request: Request, current: str = "") -> dict[str, Any]:
    """What ``list.html`` shows; ``current`` is the id of the mail that is open."""
    mails = request.sandbox.store.inbox.mails()
    query = request.GET.get("q", "")
    found = search(mails, query)
    rows = max(_row_count(request), _rows_to(found, current))
    kept = {name: request.GET[name] for name in KEPT if request.GET.get(name)}
    without_query = {name: value for name, value in kept.items() if name != "q"}
    now = request.sandbox.store.clock()
    return {
        "address": f"/_sandbox/list?{urlencode(kept | {'rows': rows, 'mail': current})}",
        "query": query,
        "kept": without_query,
        "total": len(mails),
        "unread": sum(not mail.is_read for mail in mails),
        "newest": mails[0].id if mails else 0,
        "found": len(found),
        "back": f"?{urlencode({'q': query})}" if query else "",
        "clear": f"?{urlencode(without_query)}",
        "filters": _filters(mails, query, kept),
        "rows": [
            {
                "mail": mail,
                "address": f"/mail/{mail.id}?{urlencode(kept)}".removesuffix("?"),
                "here": mail.id == current,
                "time": clock_time(mail.last_at, now),
                "signs": _signs(mail),
                "more": max(0, mail.attempts - _GLYPHS),
                "chips": verdicts.chips(mail),
            }
            for mail in found[:rows]
        ],
        "older": _older(found[rows], kept | {"rows": rows + PAGE_LENGTH}) if len(found) > rows else "",
    }


def _older(first: Mail, choices: dict[str, Any]) -> str:
    """The longer list, from the first row on that was not shown."""
    return f"?{urlencode(choices)}#row-{first.id}"


def _row_count(request: Request) -> int:
    given = request.GET.get("rows", "")
    return int(given) if re.fullmatch("[0-9]{1,5}", given) else PAGE_LENGTH


def _rows_to(mails: Sequence[Mail], current: str) -> int:
    """How many rows, in whole pages, it takes to show the mail that is open; 0 if it is not among these."""
    place = next((number for number, mail in enumerate(mails, start=1) if mail.id == current), 0)
    return ceil(place / PAGE_LENGTH) * PAGE_LENGTH


def _signs(mail: Mail) -> Sequence[verdicts.Sign]:
    """One per request, from two requests on."""
    return [verdicts.sign(each) for each in mail.exchanges[:_GLYPHS]] if mail.attempts > 1 else []


def _filters(mails: Sequence[Mail], query: str, kept: dict[str, str]) -> list[dict[str, Any]]:
    counted = [(label, words, len(search(mails, words))) for label, words in _FILTERS]
    return [
        {
            "label": label,
            "count": count,
            "address": f"?{urlencode(kept | {'q': words})}",
            "here": query.strip() == words,
        }
        for label, words, count in counted
        if count or not words
    ]


def search(mails: Sequence[Mail], query: str) -> list[Mail]:
    """The mails that satisfy every word, in the order given. Each word is one pass over the mails that are left."""
    found = list(mails)
    for match in dict.fromkeys((each["name"], each["quoted"] or each["plain"]) for each in _WORD.finditer(query)):
        found = [mail for mail in found if _matches(mail, *match)]
    return found


def _matches(mail: Mail, name: str | None, text: str | None) -> bool:
    word, name = (text or "").casefold(), (name or "").lower()
    if name == "is" and word in _STATES:
        return bool(_STATES[word](mail))
    if name in _FIELDS:
        return word in _FIELDS[name](mail).casefold()
    word = f"{name}:{word}" if name else word
    return any(word in each.casefold() for each in _texts(mail))


def _texts(mail: Mail) -> list[str]:
    """What a plain word is looked for in: all that differs from mail to mail of one design."""
    values = [value for value in mail.variables.values() if isinstance(value, str)]
    return [field(mail) for field in _FIELDS.values()] + values
