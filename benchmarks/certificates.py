"""A certificate for 127.0.0.1, made anew for each run, and the CA bundles that a client may know it by."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import certifi
import trustme

BUNDLE_VARIABLES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
"""The first is read by requests, the second by the ssl module, which Django's SMTP backend uses."""


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """Paths of PEM files: the server's key and certificate, and the bundles by name."""

    server: Path
    bundles: dict[str, Path]


@contextmanager
def certificates() -> Iterator[Certificates]:
    """``single``: our authority alone. ``system``: the system's authorities (else those of certifi) and ours."""
    authority = trustme.CA()
    with TemporaryDirectory() as folder:
        root = Path(folder)
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(root / "server.pem")
        own = authority.cert_pem.bytes()
        (root / "single.pem").write_bytes(own)
        (root / "system.pem").write_bytes(_system_bundle().read_bytes() + b"\n" + own)
        bundles = {name: root / f"{name}.pem" for name in ("single", "system")}
        yield Certificates(server=root / "server.pem", bundles=bundles)


def _system_bundle() -> Path:
    found = Path(ssl.get_default_verify_paths().openssl_cafile)
    return found if found.is_file() else Path(certifi.where())


def size_of_system_bundle() -> int:
    """How many certificates the larger bundle holds, ours not counted."""
    return _system_bundle().read_bytes().count(b"-----BEGIN CERTIFICATE-----")
