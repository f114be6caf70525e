"""The API keys of the sandbox and what each may do."""

from __future__ import annotations

from dataclasses import asdict, dataclass

# Union of Migma's authentication page, its changelog of 30 June 2026 and its published agent skills.
_READ = frozenset({
    "audience:read", "campaign:read", "domain:read", "email:read", "template:read", "webhook:read",
})  # fmt: skip
_WRITE = frozenset({
    "audience:write", "campaign:write", "domain:write", "email:preview", "email:send", "email:validate",
    "email:write", "project:write", "webhook:write",
})  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Constants, the same in every sandbox. They open nothing elsewhere."""

    full: str = "sk_test_sandbox_full"  # every permission
    no_send: str = "sk_test_sandbox_no_send"  # may read everything, may not send
    revoked: str = "sk_test_sandbox_revoked"  # once valid: 401


KEYS = Keys()
PERMISSIONS = {"full": _READ | _WRITE, "no_send": _READ}
_NAMES = {key: name for name, key in asdict(KEYS).items()}


def name_of(key: str) -> str | None:
    """``full``, ``no_send`` or ``revoked``; None for a key nobody issued."""
    return _NAMES.get(key)
