"""The benchmark of the inbox, with little mail: it is sent, fetched and shown, and the tables are in order."""

import subprocess
import sys

from benchmarks.processes import ROOT
from tests.browser.chromium import path_or_skip


def test_it_runs_end_to_end(tmp_path):
    path_or_skip()
    tables = tmp_path / "inbox.rst"
    arguments = ["--quick", "--rounds", "1", "--seconds", "0.5", "--output", tables]
    command = [sys.executable, "-m", "benchmarks.inbox", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Two viewers to nobody" in tables.read_text()
    rendered = subprocess.run(
        [sys.executable, "-m", "docutils", "--strict", tables], capture_output=True, check=False
    )
    assert (rendered.returncode, rendered.stderr) == (0, b"")
