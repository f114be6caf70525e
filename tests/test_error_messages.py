"""Errors as sentences for people: what happened, and what they can do from a page or a terminal."""

import pytest

from django_migma.error_messages import explain
from django_migma.exceptions import (
    APIError,
    AuthenticationError,
    ConfigurationError,
    Conflict,
    Forbidden,
    InvalidRequest,
    InvalidResponse,
    MigmaError,
    MissingVariables,
    NoResponse,
    NotFound,
    RateLimited,
    ServerError,
    Timeout,
)

LATER = "Try again later; if it lasts, see Migma's status page."
CONNECTION = "Check API_URL, DNS, proxy and firewall, and try again."


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (InvalidRequest("What happened"), "Correct what Migma names, and try again."),
        (AuthenticationError("What happened"), AuthenticationError.hint),
        (Forbidden("What happened"), "Give the API key the permission email:send in Migma's dashboard."),
        (NotFound("What happened"), NotFound.hint),
        (Conflict("What happened"), LATER),
        (RateLimited("What happened"), "Wait a minute, then try again."),
        (RateLimited("What happened", retry_after=0.2), "Wait 1 s, then try again."),
        (RateLimited("What happened", retry_after=59.6), "Wait 60 s, then try again."),
        (ServerError("What happened"), LATER),
        (APIError("What happened"), APIError.hint),
        (NoResponse("What happened"), CONNECTION),
        (Timeout("What happened"), CONNECTION),
        (InvalidResponse("What happened"), InvalidResponse.hint),
        (MissingVariables("What happened", hint="Pass them."), "Pass them."),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_of_migma_gives_its_reason_and_what_a_person_can_do(error, advice):
    error.idempotency_key, error.may_have_been_accepted, error.attempts = "k", True, 3
    assert explain(error) == f"What happened. {advice}"


@pytest.mark.parametrize(
    ("status", "reason"), [(429, "Migma's rate limit is used up."), (0, "RATE_LIMIT is used up.")]
)
def test_a_rate_limit_that_stopped_a_request_is_named_without_other_settings(status, reason):
    error = RateLimited("Beyond RETRY_DEADLINE", status_code=status, retry_after=36.2)
    assert explain(error) == f"{reason} Wait 36 s, then try again."


def test_without_advice_the_reason_stands_alone():
    assert explain(MigmaError("What happened.")) == "What happened."


def test_the_permission_is_the_one_that_was_needed():
    error = Forbidden("What happened")
    assert explain(error, permission="email:read").endswith("the permission email:read in Migma's dashboard.")


@pytest.mark.parametrize("error", [ConfigurationError("API_KEY is not set."), ValueError("Bad."), TypeError("Bad.")])
def test_texts_that_were_written_for_people_are_shown(error):
    assert explain(error) == str(error)


def test_of_other_errors_only_the_type_is_named():
    assert explain(OSError("password=hunter2")) == "The site's own code raised OSError, and nothing was sent."
