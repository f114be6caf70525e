"""What the tabs of a mail show, beside the mail itself: variables, requests, JSON, source, links."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django_migma.sandbox import verdicts
from django_migma.sandbox.faults import Reply
from django_migma.sandbox.pages import snippets
from django_migma.sandbox.pages.mail_frame import MAX_PARSED, links
from django_migma.sandbox.pages.responses import clock_time
from django_migma.sandbox.placeholders import VariableState

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

    from django_migma.sandbox.exchanges import Exchange, Mail
    from django_migma.sandbox.options import Switches
    from django_migma.sandbox.placeholders import VariableUse
    from django_migma.sandbox.server import Request

MAX_SHOWN = 1_000_000  # characters that a page shows without being asked
_MAX_VALUE = 2_000  # characters of a variable
_MAX_ROWS = 500  # variables or links


def variables_tab(request: Request, mail: Mail) -> dict[str, Any]:
    used = mail.variables_used
    rows = [_variable(use, request.sandbox.switches) for use in used[:_MAX_ROWS]]
    return {"rows": rows, "more": max(0, len(used) - _MAX_ROWS)}


def _variable(use: VariableUse, switches: Switches) -> dict[str, Any]:
    is_text = isinstance(use.value, str)
    value = use.value if is_text else json.dumps(use.value, ensure_ascii=False)
    is_missing = use.state is VariableState.MISSING
    return {
        "name": use.name,
        "value": "" if is_missing else value[:_MAX_VALUE],
        "length": len(value) if len(value) > _MAX_VALUE else 0,
        "is_html": is_text and re.search("<[a-z]", value, re.IGNORECASE) is not None,
        "places": [(place, count if count > 1 else "") for place, count in use.places.items()],
        "states": [(sign, with_code(text)) for sign, text in _states(use, switches)],
    }


def _states(use: VariableUse, switches: Switches) -> Iterable[tuple[verdicts.Sign, str]]:
    """The state of a variable, and what Migma is not known to do with it."""
    if use.state is VariableState.MISSING:
        blank = "the reader sees nothing there (`--missing-variables blank`)"
        yield (
            verdicts.Sign("✕", "missing", "bad"),
            blank if switches.missing_variables == "blank" else f"the reader sees `{{{{{use.name}}}}}`",
        )
        return
    if use.state is VariableState.UNUSED:
        yield verdicts.Sign("!", "unused", "warn"), f"did you mean `{use.meant}`?" if use.meant else ""
        return
    yield verdicts.Sign("✓", "filled", "good"), ""
    unknown = verdicts.Sign("?", "unknown", "warn")
    if not isinstance(use.value, str):
        yield unknown, "how Migma writes what is no text; send text"
    elif "body" in use.places and re.search("[<>&]", use.value):
        here = "escaped" if switches.escape_variables else "left as it is"
        yield unknown, f"whether Migma escapes it; here it is {here} (`--escape-variables`)"


def requests_tab(request: Request, mail: Mail) -> dict[str, Any]:
    first = mail.exchanges[0]
    now = request.sandbox.store.clock()
    return {
        "verdict": [(tone, with_code(text)) for tone, text in verdicts.verdict(mail)],
        "steps": [_step(request, mail, each) for each in mail.exchanges],
        "gap_before": verdicts.kept_before_gap(mail) + 1 + mail.dropped if mail.dropped else 0,
        "key": first.idempotency_key,
        "key_life": _key_life(request, first),
        "key_name": first.key_name or "unknown",
        "began": clock_time(mail.at, now),
    }


def _step(request: Request, mail: Mail, exchange: Exchange) -> dict[str, Any]:
    first = mail.exchanges[0]
    is_repeat = exchange is not first and exchange.body == first.body
    return {
        "number": verdicts.request_number(mail, exchange),
        "when": "0 ms" if exchange is first else f"+ {duration(exchange.at - mail.at)}",
        "sign": verdicts.sign(exchange),
        "did": with_code(verdicts.did(mail, exchange)),
        "fault": f"{verdicts.STRUCK} {exchange.fault.word}" if exchange.fault.strikes else "",
        "saw": verdicts.saw(exchange),
        "is_repeat": is_repeat,
        "is_lost": exchange.reply is not Reply.WHOLE,
        "request": f"{snippets.head(exchange)}\n\n{_cut(snippets.readable(exchange.body))}",
        "answer": f"{exchange.status}\n\n{_cut(snippets.readable(exchange.answer))}",
        "curl": "" if is_repeat else snippets.curl(exchange, request.sandbox.url),
    }


def _cut(text: str) -> str:
    limit = snippets.MAX_COPIED
    return text if len(text) <= limit else f"{text[:limit]}\n… and {len(text) - limit} characters more"


def _key_life(request: Request, first: Exchange) -> str:
    sandbox = request.sandbox
    if first.idempotency_key is None:
        return ""
    if not sandbox.switches.idempotency:
        return "ignored by this sandbox"
    until = sandbox.store.idempotency.forgotten_at(first.key_name, first.idempotency_key)
    left = until - sandbox.store.clock() if until is not None else None
    # A key under which nothing was accepted or refused may be used with another body at once.
    return f"forgotten in {duration(left)}" if left and left.total_seconds() > 0 else "not in use"


def duration(time: timedelta) -> str:
    """Such as ``412 ms``, ``1.43 s``, ``3 min 20 s`` or ``23 h 41 min``."""
    seconds = time.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def with_code(text: str) -> list[tuple[bool, str]]:
    """A text in pieces; those that stood in backquotes are code."""
    return [(number % 2 == 1, piece) for number, piece in enumerate(text.split("`")) if piece]


def json_tab(request: Request, mail: Mail) -> dict[str, Any]:
    main = mail.main
    body = snippets.readable(main.body)
    return {
        "request_head": snippets.head(main),
        **_shown(request, body),
        "answer_status": main.status,
        "answer": _cut(snippets.readable(main.answer)),
        "curl": snippets.curl(main, request.sandbox.url),
        "python": snippets.django_code(main),
    }


def source_tab(request: Request, mail: Mail) -> dict[str, Any]:
    return _shown(request, mail.rendered.html)


def _shown(request: Request, text: str) -> dict[str, Any]:
    """A text, or only its size if it is large and was not asked for."""
    is_shown = len(text) <= MAX_SHOWN or request.GET.get("whole") == "1"
    return {
        "text": text if is_shown else "",
        "size": f"{len(text) / 1_000_000:.1f} MB",
        "is_shown": is_shown,
        "whole": f"?{urlencode(request.GET.dict() | {'whole': '1'})}",
    }


def links_tab(_request: Request, mail: Mail) -> dict[str, Any]:
    html = mail.rendered.html
    found = links(html)
    return {"links": found[:_MAX_ROWS], "more": max(0, len(found) - _MAX_ROWS), "is_cut": len(html) > MAX_PARSED}
