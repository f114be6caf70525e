"""The Migma API in Python, without Django: `MigmaClient`, what it takes and returns, and the errors it raises.

An address book: a module is imported when a name of it is asked for, since the email backend needs few of them to
start.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import MigmaClient
    from .errors import (
        APIError,
        AuthenticationError,
        Conflict,
        Forbidden,
        InvalidAddress,
        InvalidRequest,
        InvalidResponse,
        MigmaError,
        MissingVariables,
        NoResponse,
        NotFound,
        RateLimited,
        SendFailed,
        SerializationError,
        ServerError,
        StoredEmailNotFound,
        Timeout,
        UnsupportedFeature,
    )
    from .resources import BatchStatus, Domain, Email, EmailSummary, GenerationStatus, Page, Project
    from .types import SendRequest, SendResult, TestSendRequest, TestSendResult

__all__ = [
    "APIError",
    "AuthenticationError",
    "BatchStatus",
    "Conflict",
    "Domain",
    "Email",
    "EmailSummary",
    "Forbidden",
    "GenerationStatus",
    "InvalidAddress",
    "InvalidRequest",
    "InvalidResponse",
    "MigmaClient",
    "MigmaError",
    "MissingVariables",
    "NoResponse",
    "NotFound",
    "Page",
    "Project",
    "RateLimited",
    "SendFailed",
    "SendRequest",
    "SendResult",
    "SerializationError",
    "ServerError",
    "StoredEmailNotFound",
    "TestSendRequest",
    "TestSendResult",
    "Timeout",
    "UnsupportedFeature",
]

_HOMES = {
    **dict.fromkeys(
        ("BatchStatus", "Domain", "Email", "EmailSummary", "GenerationStatus", "Page", "Project"), "resources"
    ),
    "MigmaClient": "client",
    **dict.fromkeys(("SendRequest", "SendResult", "TestSendRequest", "TestSendResult"), "types"),
}
"""In which module a public name lives, where it is no error."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES.get(name, 'errors')}", __name__), name)
