"""Newsletters: a stored email to everybody in a segment or with a tag, once, and followed until it ends."""

from .audiences import Audience, find_audience
from .following import BATCH, CAMPAIGN, Batch, BatchCounts, BatchThrottle, batch_of, find_batch
from .prepared import PreparedBatch
from .sending import prepare_batch, send_batch

__all__ = [
    "BATCH",
    "CAMPAIGN",
    "Audience",
    "Batch",
    "BatchCounts",
    "BatchThrottle",
    "PreparedBatch",
    "batch_of",
    "find_audience",
    "find_batch",
    "prepare_batch",
    "send_batch",
]
