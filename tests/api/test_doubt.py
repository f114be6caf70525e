"""``may_have_been_accepted``: what a caller may conclude from a failure."""

from __future__ import annotations

from itertools import pairwise

import pytest
import requests
from urllib3.exceptions import MaxRetryError, NewConnectionError

from django_migma.api import (
    APIError,
    AuthenticationError,
    Conflict,
    Forbidden,
    InvalidRequest,
    InvalidResponse,
    MigmaError,
    NoResponse,
    RateLimited,
    ServerError,
    Timeout,
)
from tests.api.examples import SENDING, client, refusal, send_request

REFUSED = requests.ConnectionError(MaxRetryError(None, SENDING, NewConnectionError(None, "refused")))
LOST = requests.ConnectionError("Connection aborted.")
LATE = requests.ReadTimeout("Read timed out.")
NO_ENVELOPE = "<html>"

STORIES = [
    ([REFUSED], NoResponse, False),
    ([REFUSED, REFUSED], NoResponse, False),
    ([LOST], NoResponse, True),
    ([LATE], Timeout, True),
    ([NO_ENVELOPE], InvalidResponse, True),
    ([500], ServerError, True),
    ([502], ServerError, True),
    ([504], ServerError, True),
    ([503], ServerError, False),
    ([503, 503, 503], ServerError, False),
    ([429], RateLimited, False),
    ([429, 429, 503], ServerError, False),
    ([429, REFUSED], NoResponse, False),
    ([400], InvalidRequest, False),
    ([401], AuthenticationError, False),
    ([409], Conflict, True),
    ([LOST, REFUSED], NoResponse, True),
    ([LOST, 429], RateLimited, True),
    ([LOST, 503], ServerError, True),
    ([LOST, 401], AuthenticationError, True),
    ([LOST, 403], Forbidden, True),
    ([LOST, 409], Conflict, True),
    ([500, 429, REFUSED], NoResponse, True),
    ([NO_ENVELOPE, 503], ServerError, True),
    ([LOST, 400], InvalidRequest, False),
    ([500, 422], InvalidRequest, False),
    ([429, LOST], NoResponse, True),
]


def label(story):
    return " then ".join(str(event) for event in story)


@pytest.mark.parametrize(("story", "kind", "accepted"), STORIES, ids=[label(story) for story, _, _ in STORIES])
def test_what_a_failure_says_about_acceptance(wire, story, kind, accepted):
    """True where any attempt may have been accepted and no later one proves the contrary; the text names the key."""
    for event in story:
        if isinstance(event, int):
            wire.post(SENDING, status=event, json=refusal("no"))
        else:
            wire.post(SENDING, body=event)
    with pytest.raises(MigmaError) as caught:
        client(max_retries=len(story) - 1).send(send_request(), idempotency_key="order-1")
    assert type(caught.value) is kind
    assert caught.value.may_have_been_accepted is accepted
    assert str(caught.value).endswith("Idempotency key: order-1") is (accepted or kind is Conflict)
    assert caught.value.attempts == len(story)


@pytest.mark.parametrize("status", [400, 404, 422])
@pytest.mark.parametrize("body", ["<html>nginx</html>", '{"message": "no route"}', '{"success": true}', ""])
def test_a_refusal_that_is_not_migmas_proves_nothing_about_an_earlier_attempt(wire, status, body):
    """A load balancer answers 404 while a site is rolled out."""
    wire.post(SENDING, body=LOST)
    wire.post(SENDING, status=status, body=body)
    with pytest.raises(APIError) as caught:
        client().send(send_request(), idempotency_key="order-1")
    assert (caught.value.status_code, caught.value.may_have_been_accepted) == (status, True)
    assert str(caught.value).endswith("Idempotency key: order-1")


def test_every_story_has_its_place():
    """No two of them are the same."""
    assert all(one != other for one, other in pairwise(sorted(label(story) for story, _, _ in STORIES)))
