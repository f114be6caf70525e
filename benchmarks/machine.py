"""Where and with what was measured."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from .certificates import size_of_system_bundle

PACKAGES = ("django-migma", "django", "requests", "urllib3", "django-anymail")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """``versions`` holds those of Python and of `PACKAGES`, ``revision`` is our commit; ``date`` is UTC."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    versions: dict[str, str]
    revision: str
    date: str
    certificates_in_system_bundle: int

    def __str__(self) -> str:
        named = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        return (
            f"{self.processor}, {self.cores} cores, {self.memory_gib:.0f} GiB, {self.system}. {named}. "
            f"Revision {self.revision}, {self.date}."
        )


def this_machine() -> Machine:
    """The one that this process runs on."""
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        memory_gib=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
        system=f"{platform.system()} {platform.release().partition('-')[0]}",
        versions={"Python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        revision=_revision(),
        date=datetime.now(UTC).date().isoformat(),
        certificates_in_system_bundle=size_of_system_bundle(),
    )


def _revision() -> str:
    """The commit that is checked out; with a plus where something was changed since, empty outside a checkout."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--exclude=*"],  # noqa: S607 - whichever git there is
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip()


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()
