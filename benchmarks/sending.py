"""How each contender sends. A plan is made before the clock starts; calling it sends and counts what was accepted."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Callable
from typing import Any

import django
import requests
from django.core import mail

from . import orders
from .contenders import CONTENDERS, Address

Plan = Callable[[], int]


def plan(contender: str, shape: str, count: int, address: Address) -> Plan:
    """Prepare to send so many mails: as a ``list``, from a ``generator``, or by ``send_mail`` one after another."""
    if loop := CONTENDERS[contender].loop:
        pages = [orders.html(number) for number in range(count)]
        return lambda: _LOOPS[loop](pages, address)
    return _SHAPES[shape](count)


def _list(count: int) -> Plan:
    messages = list(orders.mails(count))
    return lambda: _mailer().send_messages(messages)


def _generator(count: int) -> Plan:
    return lambda: _mailer().send_messages(orders.mails(count))


def _send_mail(count: int) -> Plan:
    written = [(orders.subject(n), orders.text(n), orders.recipient(n), orders.html(n)) for n in range(count)]
    return lambda: sum(
        mail.send_mail(subject, text, orders.SENDER, [recipient], html_message=html)
        for subject, text, recipient, html in written
    )


_SHAPES: dict[str, Callable[[int], Plan]] = {"list": _list, "generator": _generator, "send_mail": _send_mail}


def _mailer() -> Any:
    """The default mailer."""
    return mail.mailers.default if django.VERSION >= (6, 1) else mail.get_connection()


def _requests(pages: list[str], address: Address) -> int:
    accepted = 0
    with requests.Session() as session:
        session.headers["Authorization"] = "Bearer sk_test_benchmark"
        for number, page in enumerate(pages):
            response = session.post(f"{address.origin}/v1/sending", json=orders.body(number, page), timeout=10)
            response.raise_for_status()
            accepted += response.json()["success"]
    return accepted


def _http_client(pages: list[str], address: Address) -> int:
    accepted = 0
    headers = {"Authorization": "Bearer sk_test_benchmark", "Content-Type": "application/json"}
    connection = _connection(address)
    for number, page in enumerate(pages):
        connection.request("POST", "/v1/sending", json.dumps(orders.body(number, page)).encode(), headers)
        accepted += json.loads(connection.getresponse().read())["success"]
    connection.close()
    return accepted


def _connection(address: Address) -> http.client.HTTPConnection:
    if address.tls:
        context = ssl.create_default_context()
        return http.client.HTTPSConnection("127.0.0.1", address.port, timeout=10, context=context)
    return http.client.HTTPConnection("127.0.0.1", address.port, timeout=10)


_LOOPS: dict[str, Callable[[list[str], Address], int]] = {"requests": _requests, "http.client": _http_client}
