"""Processes of this folder's modules: in the checkout, and in an environment that says nothing of networks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .certificates import BUNDLE_VARIABLES
from .counting import Totals

ROOT = Path(__file__).resolve().parents[1]
_UNWANTED = {"no_proxy", "http_proxy", "https_proxy", "all_proxy", "curl_ca_bundle", "ssl_cert_dir"} | {
    name.lower() for name in BUNDLE_VARIABLES
}


def environment(bundle: Path | None = None) -> dict[str, str]:
    """This process's environment without proxies and with no CA bundle but this one."""
    kept = {name: value for name, value in os.environ.items() if name.lower() not in _UNWANTED}
    return kept | (dict.fromkeys(BUNDLE_VARIABLES, str(bundle)) if bundle else {})


def ask(module: str, question: Mapping[str, Any], bundle: Path | None = None) -> dict[str, Any]:
    """Run a module of this folder in a fresh Python; JSON goes in and comes out. Raises RuntimeError if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}"],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(bundle),
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"benchmarks.{module} failed at {json.dumps(question)}:\n{done.stderr}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server, seen from here."""

    port: int
    process: subprocess.Popen[str]

    def totals(self) -> Totals:
        """What it has counted so far."""
        assert self.process.stdin
        print("totals", file=self.process.stdin, flush=True)
        return Totals(**_line(self.process))


@contextmanager
def server(kind: str, *, delay: float = 0, certificate: Path | None = None) -> Iterator[Server]:
    """Run a server (``http`` or ``smtp``) on a free loopback port. ``delay`` is in seconds."""
    command = [sys.executable, "-m", "benchmarks.serving", kind, "--delay", str(delay)]
    if certificate:
        command += ["--certificate", str(certificate)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, env=environment(), **pipes) as process:  # leaving closes its input
        yield Server(port=_line(process)["port"], process=process)


def _line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("A benchmark server has ended early; its error stands above.")
    fact: dict[str, Any] = json.loads(line)
    return fact
