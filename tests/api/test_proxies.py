"""Behind a proxy, a lost reply is a lost reply, and a proxy that cannot be used is no doubt."""

from __future__ import annotations

import pytest

from django_migma.api import NoResponse
from tests.api import servers
from tests.api.examples import ACCEPTED, client, send_request
from tests.api.proxies import Socks, Tunnel
from tests.api.servers import drip, raw, whole


@pytest.fixture
def trusted(monkeypatch, tmp_path):
    servers.AUTHORITY.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))


@pytest.fixture(params=["forwarded", "tunnelled", "by SOCKS", "by SOCKS in TLS"])
def behind_a_proxy(request, serve, monkeypatch, trusted):
    """Make a server that answers so, which is reached through a proxy alone; in the first case, it is the proxy."""
    stopped = []

    def start(*answers):
        if request.param == "forwarded":
            server = serve(*answers)
            monkeypatch.setenv("HTTP_PROXY", server.origin)
            return server, "http://api.migma.test/v1"
        server = serve(*answers, tls="SOCKS" not in request.param or "TLS" in request.param)
        proxy = Socks() if "SOCKS" in request.param else Tunnel()
        stopped.append(proxy)
        monkeypatch.setenv("ALL_PROXY", proxy.origin)
        return server, server.url

    yield start
    for tunnel in stopped:
        tunnel.stop()


def sender(url, **options):
    return client(url, allow_http=True, **options)


def test_connections_are_kept(behind_a_proxy):
    server, url = behind_a_proxy(whole(ACCEPTED))
    assert [sender(url).send(send_request()).id for _ in range(3)] == ["m1"] * 3
    assert server.connections == 1


@pytest.mark.parametrize("loss", [servers.nothing, servers.reset, raw(b"HTT")], ids=["closed", "reset", "cut"])
def test_a_lost_reply_leaves_doubt(behind_a_proxy, loss):
    """Also on a connection that was kept."""
    server, url = behind_a_proxy(whole(ACCEPTED), loss)
    sender(url).send(send_request())
    with pytest.raises(NoResponse, match=r"Idempotency key: a$") as caught:
        sender(url, max_retries=0).send(send_request(), idempotency_key="a")
    assert "no connection was made" not in str(caught.value)
    assert (caught.value.may_have_been_accepted, caught.value.attempts) == (True, 1)
    assert len(server.received) == 2


def test_a_connection_that_was_kept_too_long_is_replaced(behind_a_proxy):
    """By a second attempt with the same key."""
    server, url = behind_a_proxy(servers.nothing, whole(ACCEPTED))
    result = sender(url).send(send_request())
    assert result.attempts == 2
    assert {request.headers["Idempotency-Key"] for request in server.received} == {result.idempotency_key}


def test_an_answer_that_drips_is_left(behind_a_proxy):
    """The connections behind a proxy are ours, too."""
    _, url = behind_a_proxy(drip)
    with pytest.raises(NoResponse, match="Migma did not answer in time") as caught:
        sender(url, timeout=(20, 0.1), max_retries=0).send(send_request())
    assert caught.value.may_have_been_accepted is True


@pytest.mark.parametrize("proxy", ["nonsense://127.0.0.1:9", "http://"])
def test_a_proxy_that_makes_no_sense_is_no_doubt(serve, clock, monkeypatch, proxy):
    """And no wait mends it."""
    server = serve(whole(ACCEPTED))
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(
        NoResponse, match=r"no connection was made, \w+: see the proxies of the environment"
    ) as caught:
        client(server.url, clock=clock).send(send_request())
    assert (caught.value.may_have_been_accepted, caught.value.attempts, clock.slept) == (False, 1, [])
    assert server.received == []


def test_a_socks_proxy_that_is_not_there_means_that_nothing_was_sent(closed_port, monkeypatch):
    """Its connections are made by PySocks."""
    monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{closed_port}")
    with pytest.raises(NoResponse, match="no connection was made") as caught:
        client("http://api.migma.test/v1", allow_http=True, max_retries=0).send(send_request())
    assert caught.value.may_have_been_accepted is False
