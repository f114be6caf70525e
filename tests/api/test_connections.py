"""Connections, and what the environment says about them."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from django_migma.api import NoResponse
from django_migma.api.connections import close_pools, pool_for
from tests.api import servers
from tests.api.examples import ACCEPTED, KEY, client, send_request
from tests.api.servers import whole

ROOT = Path(__file__).parents[2]


def test_clients_and_threads_share_the_pool_of_a_host():
    """Whatever the path; another host, port or scheme has a pool of its own."""
    pool = pool_for("https://api.migma.test/v1")
    assert pool_for("https://api.migma.test/v2") is pool
    found = []
    thread = threading.Thread(target=lambda: found.append(pool_for("https://api.migma.test")))
    thread.start()
    thread.join()
    assert found == [pool]
    others = ["http://api.migma.test", "https://api.migma.test:8443", "https://api2.migma.test"]
    assert len({id(pool_for(url)) for url in ["https://api.migma.test", *others]}) == 4


def test_connections_are_kept_between_clients_and_threads(serve):
    server = serve(whole(ACCEPTED))
    for _ in range(3):
        client(server.url).send(send_request())
        thread = threading.Thread(target=client(server.url).send, args=(send_request(),))
        thread.start()
        thread.join()
    assert (server.connections, len(server.received)) == (1, 6)


def test_threads_at_the_same_time_have_connections_of_their_own(serve):
    """Threads do not wait for each other."""
    everybody = threading.Barrier(4)

    def together(exchange):
        everybody.wait(60)
        whole(ACCEPTED)(exchange)

    server = serve(together)
    sender = client(server.url, timeout=60, retry_deadline=60)
    threads = [threading.Thread(target=sender.send, args=(send_request(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (server.connections, len(server.received)) == (4, 4)


def test_after_closing_the_pools_the_next_request_opens_a_new_one(serve):
    server = serve(whole(ACCEPTED))
    sender = client(server.url)
    sender.send(send_request())
    close_pools()
    sender.send(send_request())
    assert server.connections == 2


def test_a_fork_shares_no_connection(serve):
    """The child opens its own; the parent's works on."""
    server = serve(whole(ACCEPTED))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.api.forked", server.url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"child": True, "status": None, "attempts": 1},
        {"child": False, "status": 0, "attempts": 1},
    ]
    received = [(json.loads(request.body)["subject"], request.connection) for request in server.received]
    assert received == [("before the fork", 1), ("in the child", 2), ("in the parent", 1)]


def test_a_netrc_does_not_override_the_key(serve, monkeypatch, tmp_path):
    """As it would with a session of requests."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login eve password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server = serve(whole(ACCEPTED))
    client(server.url).send(send_request())
    assert server.received[0].headers["Authorization"] == f"Bearer {KEY}"


def test_a_proxy_of_the_environment_is_used(serve, monkeypatch):
    """It was asked for the whole address. Read once per pool: a later change means the pools to come."""
    first, second = serve(whole(ACCEPTED)), serve(whole(ACCEPTED))
    monkeypatch.setenv("HTTP_PROXY", first.origin)
    sender = client("http://api.migma.test/v1", allow_http=True)
    sender.send(send_request())
    monkeypatch.setenv("HTTP_PROXY", second.origin)
    sender.send(send_request())
    assert [request.target for request in first.received] == ["http://api.migma.test/v1/sending"] * 2
    assert first.connections == 1
    assert second.received == []
    close_pools()
    sender.send(send_request())
    assert len(second.received) == 1


def test_no_proxy_is_used_where_the_environment_exempts_the_host(serve, monkeypatch):
    proxy, server = serve(servers.nothing), serve(whole(ACCEPTED))
    monkeypatch.setenv("HTTP_PROXY", proxy.origin)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert client(server.url).send(send_request()).attempts == 1
    assert proxy.connections == 0


def test_a_proxy_that_refuses_the_tunnel_means_that_nothing_was_sent(serve, monkeypatch):
    """The key did not reach the proxy either."""
    proxy = serve(whole(b"no", "403 Forbidden"))
    monkeypatch.setenv("HTTPS_PROXY", proxy.origin)
    with pytest.raises(NoResponse) as caught:
        client(max_retries=0).send(send_request())
    assert str(caught.value) == (
        f"The connection to Migma failed (no connection was made, ProxyError). {NoResponse.hint}"
    )
    assert caught.value.may_have_been_accepted is False
    [request] = proxy.received
    assert (request.method, request.target) == ("CONNECT", "api.migma.test:443")
    assert "Authorization" not in request.headers


def test_a_proxy_that_is_not_there_means_that_nothing_was_sent(closed_port, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port}")
    with pytest.raises(NoResponse, match=r"no connection was made, ProxyError") as caught:
        client("http://api.migma.test/v1", allow_http=True, max_retries=0).send(send_request())
    assert caught.value.may_have_been_accepted is False


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_ca_bundle_of_the_environment_is_used(serve, monkeypatch, tmp_path, variable):
    """Here it makes a server trusted whose certificate no authority of the system's signed."""
    servers.AUTHORITY.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv(variable, str(tmp_path / "authority.pem"))
    server = serve(whole(ACCEPTED), tls=True)
    assert server.url.startswith("https://")
    for _ in range(2):
        assert client(server.url).send(send_request()).id == "m1"
    assert server.connections == 1


def test_a_certificate_of_an_unknown_authority_is_refused_before_anything_is_sent(serve):
    """And the text tells why."""
    server = serve(whole(ACCEPTED), tls=True)
    with pytest.raises(NoResponse, match=r"no connection was made, .*CERTIFICATE_VERIFY_FAILED") as caught:
        client(server.url).send(send_request())
    assert caught.value.attempts == 1, "no wait mends a certificate"
    assert caught.value.may_have_been_accepted is False
    assert server.received == []


def test_a_ca_bundle_that_is_missing_is_told_by_name(serve, monkeypatch, tmp_path):
    missing = str(tmp_path / "missing.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", missing)
    server = serve(whole(ACCEPTED), tls=True)
    with pytest.raises(NoResponse) as caught:
        client(server.url, max_retries=0).send(send_request())
    assert str(caught.value) == (
        "The connection to Migma failed (no connection was made, There is no TLS CA certificate bundle "
        f"at {missing}). {NoResponse.hint}"
    )
    assert caught.value.may_have_been_accepted is False
    assert server.connections == 0


@pytest.mark.parametrize("silent", [True, False])
def test_a_handshake_that_fails_is_a_lost_connection(silent):
    """A server that takes the connection and does not speak TLS: to urllib3, that is a lost response."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def close_the_first():
            listener.accept()[0].close()

        thread = threading.Thread(target=(lambda: None) if silent else close_the_first)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/v1"
        with pytest.raises(NoResponse) as caught:
            client(url, timeout=(0.2 if silent else 20, 20), max_retries=0).send(send_request())
        thread.join()
    assert (caught.value.may_have_been_accepted, caught.value.attempts) == (True, 1)


def test_a_bundle_that_holds_no_certificate_is_found_before_anything_is_sent(monkeypatch, tmp_path, clock):
    """Nothing was accepted, and no wait mends it."""
    (tmp_path / "empty.pem").write_text("not a certificate")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "empty.pem"))
    with pytest.raises(
        NoResponse, match="no connection was made, There is no TLS CA certificate bundle at"
    ) as caught:
        client("https://127.0.0.1:9/v1", clock=clock).send(send_request())
    assert (caught.value.may_have_been_accepted, caught.value.attempts, clock.slept) == (False, 1, [])
