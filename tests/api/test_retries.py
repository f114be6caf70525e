"""When to try again and how long to wait."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_migma.api import retries

# Sun, 06 Nov 1994 08:49:37 GMT
EPOCH = 784111777


@pytest.mark.parametrize(
    ("attempt", "ceiling"), [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (5, 8.0), (6, 8.0), (100_000, 8.0)]
)
def test_waits_double_up_to_a_ceiling_and_use_all_the_room_below_it(attempt, ceiling):
    """Full jitter: waits from the lower and the upper half both occur."""
    waits = [retries.backoff(attempt) for _ in range(200)]
    assert all(0 <= wait <= ceiling for wait in waits)
    assert min(waits) < ceiling / 2 < max(waits)


@pytest.mark.parametrize("seconds", [0.0, 0.2, 0.99])
def test_a_retry_after_below_a_second_does_not_replace_the_back_off(seconds):
    """Servers round down, and clocks differ: otherwise all attempts would be over in a moment."""
    waits = [retries.backoff(5, seconds) for _ in range(200)]
    assert all(seconds <= wait <= 8 for wait in waits)
    assert max(waits) > 4
    assert retries.backoff(5, 1.0) == 1.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        ("0.25", 0.25),
        ("86400", 86400.0),
        ("-5", 0.0),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 60.0),
        ("Sunday, 06-Nov-94 08:50:37 GMT", 60.0),
        ("Sun, 06 Nov 1994 09:50:37 +0100", 60.0),
        ("Sun, 06 Nov 1994 08:00:00 GMT", 0.0),
        (None, None),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("-inf", None),
        ("Sun, 36 Nov 1994 08:50:37 GMT", None),
        ("Sun, 06 Nov 99999 08:50:37 GMT", None),
        ("Sun,", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_garbage_counts_as_absent(value, seconds):
    assert retries.parse_retry_after(value, EPOCH) == seconds


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
def test_a_date_without_a_zone_is_in_gmt_wherever_we_are(zone):
    """The third form of RFC 9110, which recipients must accept, carries no zone and means GMT."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        seconds = retries.parse_retry_after("Sun Nov  6 08:50:37 1994", EPOCH)
    time.tzset()
    assert seconds == 60.0


@given(st.text())
def test_no_retry_after_header_breaks_anything(value):
    """Any text is seconds from 0 or nothing."""
    seconds = retries.parse_retry_after(value, EPOCH)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(
    ("status", "accepted"),
    [
        *((status, False) for status in (200, 400, 404, 422)),
        *((status, True) for status in (500, 501, 502, 504, 599)),
        *((status, None) for status in (401, 402, 403, 409, 429, 503)),
    ],
)
def test_what_a_status_says_about_acceptance(status, accepted):
    assert retries.acceptance(status, "SOME_CODE") is accepted


def test_a_409_without_a_word_may_be_another_request_that_still_runs():
    """With the word it is the conflict that Migma documents."""
    assert retries.acceptance(409, "IDEMPOTENCY_CONFLICT") is None
    assert retries.acceptance(409, "") is True
