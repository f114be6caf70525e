"""The mail that every contender sends: an order confirmation in text and HTML, about 2 KB."""

from typing import Any

from django.core.mail import EmailMultiAlternatives

SENDER = "Lumen Bikes <orders@lumenbikes.example>"
PROJECT_ID = "665f1c2ab7d3e4f5a6a70001"
_ITEMS = ("Front light, 70 lux", "Rear light with brake function", "Dynamo hub, 32 holes", "Cable set, 3 m", "Bell")
_ROW = '<tr><td style="padding:8px 0;border-bottom:1px solid #ddd">{}</td><td align="right">{}.00 EUR</td></tr>'
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Your order</title></head>
<body style="margin:0;background:#f4f4f4;font-family:Helvetica,Arial,sans-serif;color:#222">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0"><tr><td align="center">
<table role="presentation" width="600" cellpadding="24" style="background:#fff"><tr><td>
<h1 style="font-size:22px">Thank you for order {number}</h1>
<p>We have your order and pack it today. You get another mail with a tracking number when it leaves.</p>
<table role="presentation" width="100%" cellpadding="0" cellspacing="0">{rows}</table>
<p><a href="https://lumenbikes.example/orders/{number}/" style="color:#06c">See your order</a></p>
<p style="font-size:12px;color:#777">Lumen Bikes, 1 Harbour Road, Exampletown. You ordered, hence this mail.</p>
</td></tr></table></td></tr></table></body></html>
"""
_TEXT = "Thank you for order {number}.\n\nWe have your order and pack it today:\n\n{lines}\n\nLumen Bikes\n"


def order(number: int) -> tuple[str, str, str, str]:
    """Subject, text, HTML and recipient."""
    price = number % 90 + 10
    text = _TEXT.format(number=number, lines="\n".join(f"- {item}: {price}.00 EUR" for item in _ITEMS))
    html = _PAGE.format(number=number, rows="\n".join(_ROW.format(item, price) for item in _ITEMS))
    return f"Your order {number} at Lumen Bikes", text, html, f"customer-{number}@example.com"


def message(number: int) -> EmailMultiAlternatives:
    """An order as Django's message."""
    subject, text, html, recipient = order(number)
    made = EmailMultiAlternatives(subject, text, SENDER, [recipient])
    made.attach_alternative(html, "text/html")
    return made


def body(subject: str, html: str, recipient: str) -> dict[str, Any]:
    """The body of Migma's POST /v1/sending, for the bare loops."""
    sender = {"from": "orders@lumenbikes.example", "fromName": "Lumen Bikes", "projectId": PROJECT_ID}
    return {"recipientType": "email", "recipientEmail": recipient, "subject": subject, "template": html} | sender
