"""The mail that the shop sends, and the design of one that Django sends. All but the invoice are emails stored at
Migma, called by the keys that staff gave them in the admin; an id of 24 hex digits would do as well.

Whether Migma escapes variables is not documented: what people typed is escaped here.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import django
from django.contrib.auth import get_user_model
from django.core.mail import EmailMessage, get_connection
from django.utils.formats import date_format
from django.utils.html import escape, format_html_join
from django.utils.http import urlsafe_base64_decode
from django.utils.timezone import localdate

from django_migma.message import MigmaMessage
from django_migma.models import Delivery

from .invoice import invoice_pdf

if django.VERSION >= (6, 1):
    from django.core.mail import mailers
if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.utils.safestring import SafeString

    from .models import Order

Status = Delivery.Status
_WORDS = {
    Status.WAITING: "on its way",
    Status.SENDING: "on its way",
    Status.ACCEPTED: "sent",
    Status.FALLBACK: "sent",
    Status.DELIVERED: "delivered",
    Status.OPENED: "delivered",
    Status.CLICKED: "delivered",
    Status.BOUNCED: "refused by your mail server: is the address right?",
    Status.SUPPRESSED: "not sent, since earlier mail to this address came back",
    Status.UNKNOWN: "perhaps sent: we are looking into it",
}
_TROUBLE = "not sent yet: we are looking into it"
_ROW = '<tr><td>{}</td><td align="center">{}</td><td align="right">€ {}</td></tr>'
# What templates/registration make of a password reset: its subject, and its link on a line of its own.
_RESET_SUBJECT = "Choose a new password"
_RESET_LINK = re.compile(r"^https?://\S+/reset/(?P<user>[\w-]+)/[\w-]+/$", re.MULTILINE)


def send_welcome(user: User, shop_url: str) -> None:
    """Welcome somebody who has signed up. Raises `django_migma.exceptions.MigmaError`."""
    MigmaMessage(
        subject="Welcome to Fernhill Coffee",
        to=[user.email],
        template_id="welcome",
        merge_global_data={"first_name": escape(user.first_name), "shop_url": shop_url},
        idempotency_key=f"{_user_key(user)}welcome",
    ).send()


def _user_key(user: User) -> str:
    # Databases that share an account at Migma share its keys: a user's number alone would come again.
    return f"user-{user.pk}-{user.date_joined.isoformat()}-"


def send_receipt(order: Order, order_url: str) -> None:
    """Mail an order's receipt and its invoice, in one call and two ways. Raises as above.

    The receipt goes through Migma: sending it again within a day is one mail. The invoice has a PDF, which Migma
    cannot carry: the mailer of MIGMA["FALLBACK"] sends it.
    """
    connection = mailers.default if django.VERSION >= (6, 1) else get_connection()
    connection.send_messages([_receipt(order, order_url), _invoice(order)])


def _receipt(order: Order, order_url: str) -> MigmaMessage:
    return MigmaMessage(
        subject=f"Your receipt for order {order.number}",
        to=[order.email],
        template_id="receipt",
        merge_global_data={
            "first_name": escape(order.first_name),
            "order_number": order.number,
            "order_date": date_format(localdate(order.placed_at), "j F Y"),
            "items_html": _rows(order),
            "total": f"€ {order.total}",
            "order_url": order_url,
        },
        idempotency_key=_key(order, "receipt"),
    )


def _invoice(order: Order) -> EmailMessage:
    text = f"Hello {order.first_name},\n\nthe invoice for your order {order.number} is attached.\n"
    message = EmailMessage(f"Your invoice for order {order.number}", text, to=[order.email])
    message.idempotency_key = _key(order, "invoice")
    message.attach(f"invoice-{order.number}.pdf", invoice_pdf(order), "application/pdf")
    return message


def _key(order: Order, what: str) -> str:
    return f"order-{order.token}-{what}"


@dataclass(frozen=True, kw_only=True)
class SentMail:
    """A mail to a customer: ``words`` say what became of it, ``at`` is when."""

    subject: str
    words: str
    at: dt.datetime


def mail_of_order(order: Order) -> list[SentMail]:
    """What became of the mail about an order, the first first."""
    return _sent_under(_key(order, ""))


def mail_of_user(user: User) -> list[SentMail]:
    """The same for the mail about an account. Empty until the transaction of its sign-up is over."""
    return _sent_under(_user_key(user))


def _sent_under(prefix: str) -> list[SentMail]:
    return [
        SentMail(subject=row.subject, words=_WORDS.get(row.status, _TROUBLE), at=row.finished_at or row.created_at)
        for row in Delivery.objects.for_key(prefix).reverse()
    ]


def design_password_reset(message: EmailMessage, **kwargs: Any) -> None:
    """Send Django's password reset as a stored email: a receiver of `django_migma.signals.pre_send`.

    Of its text only the link is used. It names the user, whose first name is looked up: nothing that somebody typed
    stands where it could pass for the link.
    """
    link = message.subject == _RESET_SUBJECT and _RESET_LINK.search(message.body)
    if link:
        user = get_user_model().objects.get(pk=urlsafe_base64_decode(link["user"]).decode())
        message.template_id = "password-reset"
        message.merge_global_data = {"first_name": escape(user.first_name or "there"), "reset_url": link[0]}


def _rows(order: Order) -> SafeString:
    lines = order.lines.select_related("coffee")
    return format_html_join("", _ROW, ((line.coffee, line.bags, line.price) for line in lines))
