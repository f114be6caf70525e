"""The peak of this process's resident memory, in bytes."""

from __future__ import annotations

import re
import resource
import sys
from contextlib import suppress
from pathlib import Path

_STATUS, _FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def forget_peak() -> None:
    """Let the peak be what is resident now, where the kernel can do that."""
    with suppress(OSError):
        _FORGET.write_text("5")


def peak() -> int:
    """Not by getrusage where that can be helped: on Linux a child starts with its parent's figure."""
    with suppress(OSError):
        if found := re.search(r"^VmHWM:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE):
            return int(found[1]) * 1024
    figure = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return figure if sys.platform == "darwin" else figure * 1024
