"""The inbox: the newest mails that an application meant, accepted or not, with what happened to each request."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from django_migma.sandbox.exchanges import Mail

if TYPE_CHECKING:
    from collections.abc import Callable

    from django_migma.sandbox.exchanges import Exchange

MAX_BYTES = 64 * 1024 * 1024
"""Of bodies and answers in all. Of the newest mail the first and the last exchange stay, however large they are."""
FIRST = 5
LAST = 45
"""How many exchanges of a mail are kept from its beginning and from its end."""


class Inbox:
    """Safe to use from any thread. A mail is found by its id ("1", "2", …) or by a message id of Migma's."""

    def __init__(self, *, max_mails: int) -> None:
        self._max_mails = max_mails
        self._changed = threading.Condition()
        self._version = 0
        self._closed = False
        self._last_id = 0
        self._mails: dict[str, Mail] = {}  # by id, oldest first
        self._ids: dict[tuple[str, ...], str] = {}  # by what the exchanges of a mail have in common
        self._size = 0
        self.deleted: Mail | None = None  # the last one: it can be put back

    @property
    def version(self) -> int:
        """Counts changes."""
        return self._version

    def record(self, exchange: Exchange) -> None:
        """Add it to its mail, or begin one."""
        with self._changed:
            group = _group(exchange)
            mail = self._mails.get(self._ids.get(group, ""))
            if mail is None:
                self._last_id += 1
                mail = Mail(id=str(self._last_id), exchanges=(exchange,))
                self._ids[group] = mail.id
            else:
                mail = _joined(mail, exchange)
            self._put(mail)
            self._drop_oldest()
            self._notify()

    def mails(self) -> list[Mail]:
        """Newest first, by their first request."""
        with self._changed:
            return list(reversed(self._mails.values()))

    def mail(self, mail_id: str) -> Mail | None:
        with self._changed:
            return self._find(mail_id)

    def mark_read(self, mail_id: str) -> None:
        with self._changed:
            mail = self._find(mail_id)
            if mail is not None and not mail.is_read:
                self._put(replace(mail, is_read=True))
                self._notify()

    def delete(self, mail_id: str) -> Mail | None:
        """Take a mail out and return it. Later requests under its key begin a new one."""
        with self._changed:
            mail = self._find(mail_id)
            if mail is not None:
                self._remove(mail)
                self.deleted = mail
                self._notify()
            return mail

    def restore(self, mail: Mail) -> None:
        """Put a deleted mail back in its place, together with what came under its key meanwhile."""
        with self._changed:
            group = _group(mail.exchanges[0])
            later = self._mails.get(self._ids.get(group, ""))
            if later is not None and later.id != mail.id:
                self._remove(later)
                for exchange in later.exchanges:
                    mail = _joined(mail, exchange)
                mail = replace(mail, dropped=mail.dropped + later.dropped)
            self._ids[group] = mail.id
            self.deleted = None
            self._put(mail)
            self._mails = dict(sorted(self._mails.items(), key=lambda item: int(item[0])))
            self._drop_oldest()
            self._notify()

    def clear(self) -> None:
        """Forget all mails. Ids go on counting: an open page must not show another mail under the same address."""
        with self._changed:
            self._mails.clear()
            self._ids.clear()
            self._size = 0
            self.deleted = None
            self._notify()

    def wait(self, version: int, timeout: float) -> int:
        """Wait at most ``timeout`` seconds for another version than this one; return the version."""
        self.wait_until(lambda: self._version != version, timeout)
        return self._version

    def wait_until(self, condition: Callable[[], bool], timeout: float) -> None:
        """Wait at most ``timeout`` seconds until the condition is true. It is checked after every change."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or condition(), timeout)

    def close(self) -> None:
        """End every wait, now and later."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _find(self, mail_id: str) -> Mail | None:
        if mail_id in self._mails:
            return self._mails[mail_id]
        mails = reversed(self._mails.values())
        return next((mail for mail in mails if any(mail_id == each.id for each in mail.messages)), None)

    def _put(self, mail: Mail) -> None:
        if (earlier := self._mails.get(mail.id)) is not None:
            self._size -= earlier.size
        self._mails[mail.id] = mail
        self._size += mail.size

    def _drop_oldest(self) -> None:
        while len(self._mails) > 1 and (len(self._mails) > self._max_mails or self._size > MAX_BYTES):
            self._remove(next(iter(self._mails.values())))
        # What is left may be one mail that is too large: exchanges from its middle go.
        while self._size > MAX_BYTES and len((mail := next(reversed(self._mails.values()))).exchanges) > 2:
            self._put(_without(mail, len(mail.exchanges) // 2))

    def _remove(self, mail: Mail) -> None:
        del self._mails[mail.id]
        self._ids.pop(_group(mail.exchanges[0]), None)
        self._size -= mail.size

    def _notify(self) -> None:
        self._version += 1
        self._changed.notify_all()


def _group(exchange: Exchange) -> tuple[str, ...]:
    """What the exchanges of one mail have in common. Without an Idempotency-Key, a mail has only one."""
    key = exchange.idempotency_key
    return (str(exchange.number),) if key is None else (exchange.endpoint, exchange.key_name, key)


def _joined(mail: Mail, exchange: Exchange) -> Mail:
    """The mail with a further exchange, in the order in which the requests came, which is not that of the answers."""
    if exchange.body == mail.exchanges[-1].body:  # a repeat: keep one object, as a body may have 10 MB
        exchange = replace(exchange, body=mail.exchanges[-1].body)
    mail = replace(mail, exchanges=tuple(sorted((*mail.exchanges, exchange), key=lambda each: each.number)))
    return mail if len(mail.exchanges) <= FIRST + LAST else _without(mail, FIRST)


def _without(mail: Mail, place: int) -> Mail:
    """The mail without the exchange at a place, or the next one if that is the accepted one: the mail is about it."""
    if mail.exchanges[place] is mail.main:
        place += 1
    return replace(mail, exchanges=mail.exchanges[:place] + mail.exchanges[place + 1 :], dropped=mail.dropped + 1)
