"""The Migma API in Python, without Django: `MigmaClient`, what it takes and returns, and the errors it raises.

All but the errors are imported lazily: the email backend needs few of these modules to start.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import errors
from .errors import *  # noqa: F403 - all that it exports

if TYPE_CHECKING:
    from .client import MigmaClient
    from .resources import (
        BatchStatus,
        Campaign,
        CampaignStats,
        Domain,
        Email,
        EmailLog,
        EmailSummary,
        GenerationStatus,
        Page,
        Project,
        Segment,
        Tag,
    )
    from .types import CampaignRequest, SendRequest, SendResult, TestSendRequest, TestSendResult

__all__ = [
    "BatchStatus",
    "Campaign",
    "CampaignRequest",
    "CampaignStats",
    "Domain",
    "Email",
    "EmailLog",
    "EmailSummary",
    "GenerationStatus",
    "MigmaClient",
    "Page",
    "Project",
    "Segment",
    "SendRequest",
    "SendResult",
    "Tag",
    "TestSendRequest",
    "TestSendResult",
]
_MODULES = dict.fromkeys(__all__, "resources") | {
    "MigmaClient": "client",
    **dict.fromkeys(("CampaignRequest", "SendRequest", "SendResult", "TestSendRequest", "TestSendResult"), "types"),
}
__all__ += errors.__all__


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)
