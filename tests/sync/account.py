"""A Migma project on a faked wire, whose list and conversations are what a test says."""

import json
import re

import requests

API = "http://127.0.0.1:9/v1"
PROJECT = "665f1c2ab7d3e4f5a6a70001"


def conversation_id(number):
    return f"665f1c2ab7d3e4f5a6c7{number:04}"


def email_id(number):
    return f"665f1c2ab7d3e4f5a6b7{number:04}"


def email(number, **fields):
    """An email as a conversation's status shows it."""
    about = {"subject": f"Subject {number}", "preheader": "", "html": f"<p>{number}</p>", "status": "ready"}
    return {"emailId": email_id(number), **about, **fields}


def refusal(status, **headers):
    """An answer of Migma's that says no."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, headers, json.dumps({"success": False, "error": "No"})


UNREACHABLE = requests.ConnectionError(OSError("Connection refused"))


class Account:
    """Answers for Migma. Each list and each conversation may be anything."""

    def __init__(self, mock):
        self.items, self.conversations, self.singles, self.pages, self.asked = [], {}, {}, None, []
        self.size = 100
        mock.add_callback("GET", f"{API}/projects/emails", self._list)
        mock.add_callback("GET", re.compile(rf"{API}/projects/emails/[^/]+/status"), self._status)
        mock.add_callback("GET", re.compile(rf"{API}/emails/\w+$"), self._single)

    def add(self, number, *emails, **item):
        """A conversation, with one email of the same number unless they are given."""
        listed = {"conversationId": conversation_id(number), "title": f"Title {number}", "status": "completed"}
        self.items.append(listed | item)
        self.holds(number, *(emails or [email(number)]))

    def holds(self, number, *emails):
        data = {"conversationId": conversation_id(number), "status": "completed", "result": {"emails": list(emails)}}
        self.conversations[conversation_id(number)] = data

    def shows(self, number, answer=None, **fields):
        """Let an email be read by its id, though no list holds it; or answer with this."""
        found = email(number, conversationId=conversation_id(9999), **fields)
        self.singles[email_id(number)] = answer or found

    def fails(self, number, status):
        """Let a conversation be refused; it is on the list."""
        self.breaks(number, refusal(status))

    def breaks(self, number, answer):
        """Let a conversation answer with this: data, a whole answer, an exception, or a function that returns one."""
        self.add(number)
        self.conversations[conversation_id(number)] = answer

    def _list(self, request):
        self.asked.append(request.params)
        page = int(request.params["page"])
        if self.pages is not None:
            return self._answer(self.pages(page))
        start, total = (page - 1) * self.size, len(self.items)
        paging = {"total": total, "page": page, "hasMore": start + self.size < total}
        return self._answer({"emails": self.items[start : start + self.size], "pagination": paging})

    def _status(self, request):
        number = request.url.split("/")[-2]
        self.asked.append(number)
        return self._answer(self.conversations[number])

    def _single(self, request):
        number = request.url.rpartition("/")[2]
        self.asked.append(number)
        return self._answer(self.singles[number])

    def _answer(self, answer):
        if callable(answer):
            answer = answer()
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, tuple):
            return answer
        return (200, {}, json.dumps({"success": True, "data": answer}))

    @property
    def read(self):
        """The numbers of the conversations that were asked for."""
        return [int(asked[-4:]) for asked in self.asked if isinstance(asked, str)]
