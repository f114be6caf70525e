"""/faults: what strikes the next sends, by buttons; faults by chance; the rate limit; and keys that are refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django_migma.sandbox.faults import DEFAULT_KINDS, Learnt, parse_fault
from django_migma.sandbox.pages.forms import FieldError, do
from django_migma.sandbox.pages.responses import render

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.http import HttpResponse

    from django_migma.sandbox.pages.forms import Form
    from django_migma.sandbox.server import Request, Sandbox


@dataclass(frozen=True, kw_only=True)
class Button:
    """One fault, ordered by a click. ``right``: what a good client does, where its box says something else."""

    word: str
    title: str
    sentence: str
    right: str = ""
    is_rare: bool = False  # folded away


# Twelve seconds are longer than most clients wait for an answer.
BUTTONS = (
    Button(word="lost", title="Lost reply", sentence="The connection is reset before the reply."),
    Button(word="half", title="Half a reply", sentence="Half of the body, then the connection ends."),
    Button(word="empty", title="Empty reply", sentence="A success without its body."),
    Button(word="slow-12", title="Slow, 12 s", sentence="The body comes 12 seconds after the headers."),
    Button(
        word="busy-12",
        title="Busy, 12 s",
        sentence="Taking the mail lasts 12 seconds; a repeat meanwhile gets 409.",
        right="one mail, 2 requests or more",
        is_rare=True,
    ),
    Button(word="drip", title="Dripping", sentence="The body comes byte by byte, for eight minutes.", is_rare=True),
    Button(word="endless", title="Endless", sentence="The body never ends.", is_rare=True),
    Button(
        word="close",
        title="Goodbye",
        sentence="The whole reply, then an unannounced end.",
        right="one mail, 1 request",
        is_rare=True,
    ),
    Button(word="429", title="429", sentence="Too many requests. It does not say how long to wait."),
    Button(word="429-after-5", title="429, wait 5 s", sentence="Too many requests: come back in 5 seconds."),
    Button(
        word="429-date-5",
        title="429, by date",
        sentence="Too many requests: come back at a time of day.",
        is_rare=True,
    ),
    Button(word="500", title="500", sentence="Migma fails inside."),
    Button(word="503", title="503", sentence="Out of service. It does not say for how long.", is_rare=True),
    Button(
        word="503-after-5", title="503, wait 5 s", sentence="Out of service: come back in 5 seconds.", is_rare=True
    ),
    Button(
        word="503-date-5", title="503, by date", sentence="Out of service: come back at a time of day.", is_rare=True
    ),
    Button(
        word="redirect",
        title="302",
        sentence="To another address, which answers with a success.",
        right="does not follow it, nor call the mail sent",
        is_rare=True,
    ),
    Button(word="502", title="502 page", sentence="A proxy's web page: Bad Gateway."),
    Button(word="504", title="504 page", sentence="A proxy's web page: Gateway Timeout.", is_rare=True),
    Button(
        word="html",
        title="200 page",
        sentence="A success with a proxy's web page: Please sign in.",
        right="tries again, as it is no answer of Migma's",
        is_rare=True,
    ),
    Button(word="reset", title="Reset", sentence="The connection is reset."),
    Button(word="hangup", title="Hang up", sentence="The connection ends without a byte."),
    Button(word="silent-12", title="Silence, 12 s", sentence="Nothing for 12 seconds, then the end."),
)
_TITLES = {button.word: button.title for button in BUTTONS} | {"ok": "As usual"}


@dataclass(frozen=True, kw_only=True)
class Box:
    """The faults of which an application learns the same, and what a good one does then."""

    learnt: Learnt
    title: str
    right: str
    note: str = ""
    label: str  # of its usual faults, where faults by chance are chosen

    @property
    def parts(self) -> list[list[Button]]:
        """Its buttons: the usual ones, and the rare ones, which may be none."""
        buttons = [button for button in BUTTONS if parse_fault(button.word).kind.learnt is self.learnt]
        return [[button for button in buttons if button.is_rare == rare] for rare in (False, True)]

    @property
    def usual_words(self) -> list[str]:
        return [word for word in DEFAULT_KINDS if parse_fault(word).kind.learnt is self.learnt]


BOXES = (
    Box(
        learnt=Learnt.NOT_TOLD,
        title="It took the mail, your app does not learn it",
        right="asks again under the same key. One mail, 2 requests.",
        note="Without an Idempotency-Key the second request is a second mail.",
        label="mail taken, not told",
    ),
    Box(
        learnt=Learnt.NOT_TAKEN,
        title="It did not, and says so",
        right="waits as it is told, and tries again. One mail, 2 requests.",
        label="refused, and told so",
    ),
    Box(
        learnt=Learnt.NOTHING,
        title="It did not, and your app learns nothing",
        right="tries again. One mail, 2 requests.",
        note="Your app cannot tell this from a lost reply, so its key must be the same.",
        label="nothing taken, nothing told",
    ),
)
_MAX_ERROR = 400  # characters
_SHOWN = 12  # of the faults in line; a script may have a thousand
_PERIODS = {"s": "second", "m": "minute", "h": "hour"}


def page(
    request: Request, *, status: int = 200, typed: Form | None = None, errors: Form | None = None
) -> HttpResponse:
    """GET /faults, and what comes back with an error after a form: ``typed`` is what it sent."""
    sandbox = request.sandbox
    state = sandbox.faults.state()
    return render(
        request,
        "faults.html",
        area="faults",
        status=status,
        line=[_place(position, word) for position, word in enumerate(state["script"][:_SHOWN])],
        hidden=max(0, len(state["script"]) - _SHOWN),
        boxes=BOXES,
        words=(typed or {}).get("words", ""),
        chance=_chance(state, typed or {}),
        limit=_limit(sandbox.store.rate_limiter.rate, typed or {}),
        keys=sandbox.keys,
        honours_keys=sandbox.switches.idempotency,
        errors=errors or {},
    )


def deed(request: Request) -> HttpResponse:
    """POST /faults."""
    return do(request, _DEEDS, page)


def _place(position: int, word: str) -> dict[str, Any]:
    return {"value": f"{position} {word}", "number": position + 1, "word": word, "title": _TITLES.get(word, word)}


def _chance(state: Mapping[str, Any], typed: Form) -> dict[str, Any]:
    """The form for faults by chance: as it was sent if it was, else as things are."""
    is_on = state["fault_rate"] > 0
    kinds = ",".join(state["fault_kinds"])
    return {
        "is_on": is_on,
        "now": f"{state['fault_rate']:.4g}",
        "percent": f"{100 * state['fault_rate']:.4g}",
        "drawn": state["fault_seed"],
        "share": typed.get("share", f"{100 * state['fault_rate']:.4g}" if is_on else "10"),
        "seed": typed.get("seed", str(state["fault_seed"]) if is_on else ""),
        "choices": _choices(kinds, typed.get("kinds", kinds)),
    }


def _choices(now: str, chosen: str) -> list[dict[str, Any]]:
    """Sets of kinds, by their words: all usual ones, those of a box, and those of now if they are none of these."""
    sets = {",".join(DEFAULT_KINDS): "anything usual"}
    sets |= {",".join(box.usual_words): box.label for box in BOXES}
    sets.setdefault(now, now)
    return [{"value": words, "label": label, "chosen": words == chosen} for words, label in sets.items()]


def _limit(rate: str, typed: Form) -> dict[str, Any]:
    count, _, period = rate.partition("/")
    chosen = typed.get("per", period or "m")
    return {
        "is_on": bool(rate),
        "now": f"{count} per {_PERIODS[period]}" if rate else "",
        "count": typed.get("count", count or "100"),
        "periods": [{"value": value, "label": label, "chosen": value == chosen} for value, label in _PERIODS.items()],
    }


def _add(sandbox: Sandbox, form: Form) -> str:
    """One fault of a button, or several that were typed, with commas or spaces between them."""
    words = re.findall(r"[^\s,]+", form.get("words", ""))
    if not words:
        raise FieldError("words", "Name a fault, such as lost, or several: 500, lost, ok.")
    try:
        sandbox.fail_next(*words)
    except ValueError as error:
        raise FieldError("words", _sentence(error)) from None
    return "/faults"


def _remove(sandbox: Sandbox, form: Form) -> str:
    position, _, word = form.get("place", "").partition(" ")
    try:
        sandbox.faults.remove(int(position) if re.fullmatch("[0-9]{1,4}", position) else -1, word)
    except ValueError:
        raise FieldError("line", "That fault is no longer there: a send has come meanwhile.") from None
    return "/faults"


def _clear(sandbox: Sandbox, _form: Form) -> str:
    sandbox.faults.clear()
    return "/faults"


def _set_chance(sandbox: Sandbox, form: Form) -> str:
    share = form.get("share", "").replace(",", ".").strip(" %")
    if not re.fullmatch(r"[0-9]{1,3}(?:\.[0-9]{1,4})?", share) or float(share) > 100:
        raise FieldError("share", "A number from 0 to 100, such as 10.")
    seed = form.get("seed", "").strip()
    if not re.fullmatch("-?[0-9]{1,18}|", seed):
        raise FieldError("seed", "A whole number, or nothing for any.")
    kinds = re.findall(r"[^\s,]+", form.get("kinds", ""))
    try:
        sandbox.faults.by_chance(float(share) / 100, kinds, int(seed) if seed else None)
    except ValueError as error:
        raise FieldError("kinds", _sentence(error)) from None
    return "/faults#chance"


def _end_chance(sandbox: Sandbox, _form: Form) -> str:
    sandbox.faults.by_chance(0)
    return "/faults#chance"


def _set_limit(sandbox: Sandbox, form: Form) -> str:
    count, period = form.get("count", "").strip(), form.get("per", "")
    if period not in _PERIODS:
        raise FieldError("count", "Choose second, minute or hour.")
    try:
        sandbox.rate_limit(f"{count}/{period}")
    except ValueError:
        raise FieldError("count", "A whole number from 1 to 999999.") from None
    return "/faults#limit"


def _end_limit(sandbox: Sandbox, _form: Form) -> str:
    sandbox.rate_limit(None)
    return "/faults#limit"


def _sentence(error: ValueError) -> str:
    """An error as people read it. It may quote what was typed, all of it."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:_MAX_ERROR]}{'…' if len(text) > _MAX_ERROR else '.'}"


_DEEDS = {
    "add": _add,
    "remove": _remove,
    "clear": _clear,
    "chance": _set_chance,
    "no-chance": _end_chance,
    "limit": _set_limit,
    "no-limit": _end_limit,
}
