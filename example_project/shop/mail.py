"""The mail that the shop sends. Both are emails stored at Migma, filled with variables.

Whether Migma escapes variables is not documented: what people typed is escaped here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.utils.formats import date_format
from django.utils.html import escape, format_html_join
from django.utils.timezone import localdate

from django_migma.message import MigmaMessage

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.utils.safestring import SafeString

    from .models import Order

_ROW = '<tr><td>{}</td><td align="center">{}</td><td align="right">€ {}</td></tr>'


def send_welcome(user: User, shop_url: str) -> None:
    """Welcome somebody who has signed up. Raises `django_migma.exceptions.MigmaError`."""
    MigmaMessage(
        subject="Welcome to Fernhill Coffee",
        to=[user.email],
        template_id=settings.WELCOME_EMAIL_ID,
        merge_global_data={"first_name": escape(user.first_name), "shop_url": shop_url},
        idempotency_key=f"user-{user.pk}-welcome",
    ).send()


def send_receipt(order: Order, order_url: str) -> None:
    """Mail an order's receipt. Sending it again within a day is one mail. Raises as above."""
    MigmaMessage(
        subject=f"Your receipt for order {order.number}",
        to=[order.email],
        template_id=settings.RECEIPT_EMAIL_ID,
        merge_global_data={
            "first_name": escape(order.first_name),
            "order_number": order.number,
            "order_date": date_format(localdate(order.placed_at), "j F Y"),
            "items_html": _rows(order),
            "total": f"€ {order.total}",
            "order_url": order_url,
        },
        idempotency_key=f"order-{order.pk}-receipt",
    ).send()


def _rows(order: Order) -> SafeString:
    lines = order.lines.select_related("coffee")
    return format_html_join("", _ROW, ((line.coffee, line.bags, line.price) for line in lines))
