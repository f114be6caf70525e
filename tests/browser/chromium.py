"""Finds the chromium of this machine for the browser tests. None is ever downloaded."""

import os
import shutil
import sys

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = (
    "No chromium was found, so the browser tests do NOT run. "
    "Install one (on Debian: apt-get install chromium), or give its path in CHROMIUM."
)


def path() -> str | None:
    """The path of the browser that ``CHROMIUM`` names, or of the first that is found; None without one."""
    named = os.environ.get("CHROMIUM")
    return next(filter(None, map(shutil.which, [named] if named else NAMES)), None)


def path_or_skip() -> str:
    """The same. Without one the test is skipped, or fails where ``REQUIRE_BROWSER`` is set."""
    found = path()
    if not found and os.environ.get("REQUIRE_BROWSER"):
        pytest.fail(f"REQUIRE_BROWSER is set. {MISSING}", pytrace=False)
    return found or pytest.skip(MISSING)


def main() -> int:
    """Print the path, or complain on stderr. Returns the exit status."""
    found = path()
    print(found or MISSING, file=sys.stdout if found else sys.stderr)
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
