"""Starts servers and clients, in an environment without proxies and with the package that is to be measured."""

from __future__ import annotations

import compileall
import json
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import certifi
import trustme

ROOT = Path(__file__).resolve().parents[1]
_BUNDLES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
"""The first is read by requests, the second by the ssl module, which Django's SMTP backend uses."""
_PROXIES = {"NO_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}
_UNWANTED = {*_PROXIES, *_BUNDLES, "CURL_CA_BUNDLE", "SSL_CERT_DIR", "COVERAGE_PROCESS_CONFIG"}


class Laboratory:
    """What all processes of a benchmark share: a certificate for 127.0.0.1, and a copy of each checkout's package.

    With copies, work on the source does not disturb a measurement, and all packages are found in the same way.
    """

    def __init__(self, folder: Path, checkouts: Mapping[str, Path]) -> None:
        self._folder = folder
        for name, checkout in checkouts.items():
            copy = self._packages(name) / "django_migma"
            shutil.copytree(checkout / "django_migma", copy, ignore=shutil.ignore_patterns("__pycache__"))
            compileall.compile_dir(copy, quiet=1)
        authority = trustme.CA()
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
        own, system = authority.cert_pem.bytes(), Path(ssl.get_default_verify_paths().openssl_cafile)
        known = (system if system.is_file() else Path(certifi.where())).read_bytes()
        (folder / "own.pem").write_bytes(own)
        (folder / "system.pem").write_bytes(known + b"\n" + own)

    def run(self, measure: str, *, checkout: str = "", bundle: str = "", **question: Any) -> dict[str, Any]:
        """Answer of a fresh client process. Raises RuntimeError if it fails."""
        command = [sys.executable, "-P", "-m", "benchmarks.client"]
        asked, env = json.dumps({"measure": measure} | question), self.environment(checkout, bundle)
        done = subprocess.run(command, input=asked, capture_output=True, text=True, env=env, check=False)
        if done.returncode:
            raise RuntimeError(f"The client process failed at {asked}:\n{done.stderr}")
        return json.loads(done.stdout)

    @contextmanager
    def server(self, kind: str, *, delay: float = 0, tls: bool = False) -> Iterator[Server]:
        """Run a server (``http`` or ``smtp``) on a free loopback port. ``delay`` is in seconds."""
        certificate = [str(self._folder / "server.pem")] if tls else []
        with self.started("benchmarks.servers", kind, str(delay), *certificate) as server:
            yield server

    @contextmanager
    def started(self, module: str, *arguments: str) -> Iterator[Server]:
        """Run a module that serves as `benchmarks.servers` does."""
        command = [sys.executable, "-P", "-m", module, *arguments]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, env=self.environment(), **pipes) as process:  # leaving closes its input
            yield Server(process)

    def _packages(self, checkout: str) -> Path:
        return self._folder / f"packages-{checkout}"

    def environment(self, checkout: str = "", bundle: str = "") -> dict[str, str]:
        """That of a process which uses the package of a checkout, without proxies."""
        kept = {name: value for name, value in os.environ.items() if name.upper() not in _UNWANTED}
        kept["PYTHONPATH"] = os.pathsep.join([str(self._packages(checkout)), str(ROOT)])
        return kept | (dict.fromkeys(_BUNDLES, str(self._folder / f"{bundle}.pem")) if bundle else {})


class Server:
    """A running server, seen from here."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.port: int = self._read()["port"]

    def counts(self) -> dict[str, Any]:
        """What it has counted so far."""
        return self.ask("counts")

    def ask(self, question: str) -> dict[str, Any]:
        """Its answer to a line."""
        print(question, file=self._process.stdin, flush=True)
        return self._read()

    def _read(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RuntimeError("A benchmark server has ended early; its error stands above.")
        return json.loads(line)
