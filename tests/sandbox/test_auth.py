"""Keys and permissions."""

from __future__ import annotations

import pytest

from django_migma.sandbox.protocol import KEYS
from tests.sandbox.asking import ask, batch, get, send, single

CHALLENGE = 'Bearer resource_metadata="https://api.migma.ai/.well-known/oauth-protected-resource"'
MISSING = "Missing API key: send it as Authorization: Bearer <key>"
READ = [
    "/v1/projects",
    "/v1/tags?projectId=665f1c2ab7d3e4f5a6a70001",
    "/v1/segments?projectId=665f1c2ab7d3e4f5a6a70001",
    "/v1/projects/emails?projectId=665f1c2ab7d3e4f5a6a70001",
    "/v1/projects/emails/665f1c2ab7d3e4f5a6c70001/status",
    "/v1/emails/665f1c2ab7d3e4f5a6b70001",
    "/v1/domains",
    "/v1/domains/managed",
    "/v1/webhooks/events",
]


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (None, MISSING),
        (KEYS.full, MISSING),
        ("Bearer", MISSING),
        ("Bearer  ", MISSING),
        (f"ApiKey {KEYS.full}", MISSING),
        ("Bearer sk_test_nobody", "Invalid API key"),
        (f"Bearer {KEYS.revoked}", "This API key was revoked"),
    ],
)
def test_without_a_valid_key_everything_is_401_with_a_challenge(sandbox, header, text):
    headers = {} if header is None else {"Authorization": header}
    for path in READ:
        reply = get(sandbox, path, key=None, headers=headers)
        assert (reply.status, reply.error) == (401, text)
        assert reply.headers["WWW-Authenticate"] == CHALLENGE


def test_the_scheme_counts_in_any_case(sandbox):
    headers = {"Authorization": f"bearer {KEYS.full}"}
    assert get(sandbox, "/v1/domains", key=None, headers=headers).status == 200


@pytest.mark.parametrize("path", READ)
@pytest.mark.parametrize("key", [KEYS.full, KEYS.no_send])
def test_both_valid_keys_may_read(sandbox, key, path):
    assert get(sandbox, path, key=key).status == 200


@pytest.mark.parametrize("path", ["/v1/sending", "/v1/emails/test/send"])
def test_a_key_without_the_permission_is_403_naming_it(sandbox, path):
    reply = ask(sandbox, "POST", path, body=single(), key=KEYS.no_send)
    assert (reply.status, reply.error) == (403, "This API key lacks the permission email:send")
    assert sandbox.store.messages() == []


def test_a_key_that_only_reads_may_follow_a_batch(sandbox):
    batch_id = send(sandbox, batch()).data["batchId"]
    assert get(sandbox, f"/v1/sending/batches/{batch_id}", key=KEYS.no_send).status == 200


def test_all_keys_look_like_test_keys():
    assert all(key.startswith("sk_test_") for key in (KEYS.full, KEYS.no_send, KEYS.revoked))
