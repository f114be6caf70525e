"""Proxies that let through what they are asked for: CONNECT or SOCKS, then bytes in both directions."""

from __future__ import annotations

import contextlib
import socket
import threading


class Tunnel:
    """Listens on a free port of this machine until it is stopped."""

    scheme = "http"

    def __init__(self) -> None:
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.origin = f"{self.scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def stop(self) -> None:
        """Close every socket and wait for every thread."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        for end in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for end in (self._listener, *self._open):
            end.close()

    def _start(self, target, *arguments) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                self._open.append(client)
                self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        with client.makefile("rb") as stream:  # the next bytes come when the client has its answer
            asked, *_ = iter(lambda: stream.readline().strip(), b"")
        host, port = asked.split()[1].decode().rsplit(":", 1)
        server = socket.create_connection((host, int(port)))
        self._open.append(server)
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self._start(_pump, client, server)
        self._start(_pump, server, client)


class Socks(Tunnel):
    """The same by SOCKS 5, for addresses of IP version 4 and without a password."""

    scheme = "socks5"

    def _connect(self, client: socket.socket) -> None:
        client.recv(64)
        client.sendall(b"\x05\x00")
        asked = client.recv(64)
        host, port = socket.inet_ntoa(asked[4:8]), int.from_bytes(asked[8:10])
        server = socket.create_connection((host, port))
        self._open.append(server)
        client.sendall(b"\x05\x00\x00\x01" + bytes(6))
        self._start(_pump, client, server)
        self._start(_pump, server, client)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
