"""What the demo sends, and how it tells what has arrived."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from functools import partial
from pathlib import Path
from typing import Any

import requests
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, send_mail

from django_migma.batches import Batch, send_batch
from django_migma.exceptions import MigmaError
from django_migma.message import MigmaMessage
from django_migma.sandbox import account

BUYER = "robin@example.com"
LETTER_TAG = "Coffee letter"


@dataclass(frozen=True, kw_only=True)
class Send:
    """One mail of the demo: what it shows, who gets it, and how it is sent. No recipient occurs in two."""

    what: str
    recipients: tuple[str, ...]
    run: Callable[[], object]


def demo_sends(site: str, user_email: str) -> list[Send]:
    """Ways in which a Django site sends mail. The last two are pages of the site itself.

    An order also mails its invoice, which is not in this list: it does not go through Migma.
    """
    readers, archive = ("reader-1@example.com", "reader-2@example.com"), "archive@example.com"
    new = {"ada@example.com": "Ada", "bo@example.com": "Bo"}
    return [
        Send(what="Plain text", recipients=("visitor@example.com",), run=partial(send_text, "visitor@example.com")),
        Send(what="HTML", recipients=(*readers, archive), run=partial(send_html, readers, archive)),
        Send(what="Stored email", recipients=tuple(new), run=partial(send_stored, new, site)),
        Send(
            what="Password reset",
            recipients=(user_email,),
            run=partial(submit, f"{site}/accounts/password_reset/", {"email": user_email}),
        ),
        Send(
            what="Order receipt",
            recipients=(BUYER,),
            run=partial(submit, f"{site}/order/", {"first_name": "Robin", "email": BUYER}),
        ),
    ]


def newsletter(site: str) -> Send:
    """Another way, for many readers. It takes no queue: one request is all that the site sends."""
    return Send(what="Newsletter", recipients=(account.COFFEE_LETTER_TAG,), run=partial(send_letter, site))


def send_text(recipient: str) -> None:
    """Django's shortest way."""
    text = "Hello,\n\nwe open at eight, and on Sundays at ten.\nThe way to us: https://fernhill.example/visit\n"
    send_mail("Our opening hours", text, None, [recipient])


def send_html(readers: Sequence[str], archive: str) -> None:
    """Text and HTML to several people. Each gets a mail of their own."""
    message = EmailMultiAlternatives("This week's roast", "Night Train is back.", to=readers, bcc=[archive])
    message.attach_alternative("<h2>Night Train is back</h2><p>Cocoa, toast and <b>brown sugar</b>.</p>", "text/html")
    message.send()


def send_stored(first_names: Mapping[str, str], site: str) -> None:
    """An email stored at Migma, by its key, with variables for everybody and for each."""
    MigmaMessage(
        subject="Welcome to Fernhill Coffee",
        to=list(first_names),
        template_id="welcome",
        merge_global_data={"shop_url": f"{site}/order/"},
        merge_data={address: {"first_name": name} for address, name in first_names.items()},
    ).send()


def send_letter(site: str) -> Batch:
    """An email stored at Migma to everybody with a tag, whose addresses Migma keeps.

    The key stands for this letter: a second call sends nothing, and returns the same batch.
    """
    variables = {"shop_url": f"{site}/order/"}
    return send_batch("letter", tag=LETTER_TAG, variables=variables, idempotency_key="coffee-letter-2026-05")


def submit(url: str, fields: Mapping[str, Any]) -> None:
    """Fill in a form of the site and send it, as a browser does; one bag of each coffee where it asks for coffee."""
    with requests.Session() as session:
        page = session.get(url, timeout=10).text
        bags = dict.fromkeys(re.findall(r'name="(bags_\d+)"', page), 1)
        token = {"csrfmiddlewaretoken": session.cookies["csrftoken"]}
        session.post(url, data={**fields, **bags, **token}, timeout=60).raise_for_status()


def attempt(send: Send) -> None:
    """Send, and say what went wrong; whether the mail has arrived is for the sandbox to tell."""
    try:
        send.run()
    except (MigmaError, requests.RequestException) as error:
        print(f"{send.what}: {error}")


def differences(sends: Sequence[Send], accepted: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the sandbox accepted against what it should have: a line for each mail that is missing or too much."""
    times = Counter(map(recipient, accepted))
    expected = {address: send.what for send in sends for address in send.recipients}
    lines = [f"Missing: {what} to {address}" for address, what in expected.items() if not times[address]]
    lines += [f"Too much: mail to {address}" for address in times if times[address] > (address in expected)]
    return lines


def recipient(message: Mapping[str, Any]) -> str:
    """An address, or the id of the tag of a newsletter."""
    body = message["body"]
    return str(body.get("recipientEmail") or body["recipientId"])


def wait_for_worker(sends: Sequence[Send], seconds: float) -> list[str]:
    """Wait until the queue is empty. Returns a line for each mail that Migma has not accepted by then."""
    from django_migma.models import Delivery  # noqa: PLC0415 - when this file is imported, there are no settings yet

    deadline = time.monotonic() + seconds
    while Delivery.objects.on_their_way().exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    rows = Delivery.objects.exclude(status=Delivery.Status.FALLBACK)  # the invoice goes to the buyer as well
    statuses = dict(rows.values_list("recipient", "status"))
    expected = {address: send.what for send in sends for address in send.recipients}
    found = {address: statuses.get(address, "not there") for address in expected}
    accepted = Delivery.Status.ACCEPTED
    return [f"Queue: {expected[to]} to {to} is {status}" for to, status in found.items() if status != accepted]


def invoices(folder: Path) -> list[EmailMessage]:
    """The mail that the mailer of FALLBACK has written to files."""
    texts = [part for path in folder.glob("*.log") for part in path.read_bytes().split(b"\n" + b"-" * 79 + b"\n")]
    return [message_from_bytes(text, policy=default) for text in texts if text.strip()]


def invoice_problems(found: Sequence[EmailMessage], buyer: str) -> list[str]:
    """A line if the mail in files is not exactly one invoice with its PDF."""
    shown = [(message["To"], [part.get_content()[:5] for part in message.iter_attachments()]) for message in found]
    expected = [(buyer, [b"%PDF-"])]
    return [] if shown == expected else [f"The invoice to {buyer} with its PDF should be the only mail in files."]


def print_invoices(found: Sequence[EmailMessage], folder: str) -> None:
    """What the mailer of FALLBACK sent; while the demo runs, also where it is."""
    for message in found:
        names = ", ".join(str(part.get_filename()) for part in message.iter_attachments())
        print(f"Not through Migma, but to a file: {message['Subject']!r} to {message['To']}, with {names}")
    print(f"  {folder}\n" if folder else "")


def print_table(sends: Sequence[Send], accepted: Sequence[Mapping[str, Any]], sandbox_url: str) -> None:
    """What the sandbox accepted, in the order of the sends; below each line, while the sandbox runs, its address."""
    what = {address: send.what for send in sends for address in send.recipients}
    order = {address: number for number, address in enumerate(what)}
    line = "{:<15} {:<21} {:<32} {:<13} {}".format
    print("\n" + line("What", "Recipient", "Subject", "Content", "Status"))
    for message in sorted(accepted, key=lambda message: order.get(recipient(message), len(order))):
        address, status = recipient(message), message["answer"]["status"]
        shown = address if "@" in address else f"tag {LETTER_TAG}"
        print(line(what.get(address, "?"), shown, message["subject"], content_route(message["body"]), status))
        if sandbox_url:
            print(f"  {sandbox_url}/mail/{message['id']}")
    print()


def content_route(body: Mapping[str, Any]) -> str:
    """In which of the three ways a mail got its content."""
    if "emailId" not in body:
        return "raw HTML"
    return "layout" if body["emailId"] == settings.MIGMA["LAYOUT_EMAIL_ID"] else "stored email"
