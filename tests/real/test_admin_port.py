"""Where the admin port listens, and that nothing that is sent there stops the rest."""
import http.client
import os
import re
import signal
import socket

import pytest

from admin import ask, get, post
from harness import HOST, KVMUX, PONG, FakeServer, Process, Proxy, Raw, free_port, redis_pool, spread, temp_dir, wait_until
from prom import parse_metrics

pytestmark = [pytest.mark.kvmux_only, pytest.mark.not_direct]


@pytest.fixture(scope="module")
def px(redis3):
    with Proxy({"alpha": redis_pool(redis3)}, admin=True) as px:
        yield px


# ------------------------------------------------------------------------------------------------ where it listens

def start_failing(px):
    p = Process(px.argv(), px.out)
    rc = p.wait()
    return rc, px.output() if px.proc else open(px.out).read()


def test_a_taken_address(redis_alone):
    with Proxy({"p": redis_pool([redis_alone])}, admin=True) as first:
        px = Proxy({"p": redis_pool([redis_alone])}, start=False, admin="%s:%d" % (HOST, first.admin_port), stats_port=free_port())
        px.write_conf()
        rc, said = start_failing(px)
        assert rc == 1 and "ddress already in use" in said + px.log_text() and str(first.admin_port) in said + px.log_text()
        assert get(first, "/health").text == "alive\n"


def test_a_taken_default_is_a_warning(redis_alone):
    """Whoever has 22280 on this machine, a second kvmux starts all the same and says that it has no admin port."""
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((HOST, 22280))
        taken.listen(1)
    except OSError:
        pass
    px = Proxy({"p": redis_pool([redis_alone])}, start=False)
    plain = px.argv
    px.argv = lambda: [a for a in plain() if a not in ("--admin", "none")]
    with px.start():
        px.wait_log(r"listen_admin_failed reason=\"127\.0\.0\.1:22280: [Aa]ddress already in use\"")
        with px.client() as c:
            assert c.cmd("PING") == PONG
    taken.close()


def test_as_nutcracker_there_is_none(redis_alone):
    path = os.path.join(temp_dir("bin"), "nutcracker")
    os.symlink(KVMUX, path)
    px = Proxy({"p": redis_pool([redis_alone])}, start=False, threads=0)
    plain, px.binary = px.argv, lambda: path
    px.argv = lambda: [a for a in plain() if a not in ("--admin", "none")]
    with px.start():
        assert "admin" not in px.log_text()


@pytest.mark.parametrize("addr", ["22280", "127.0.0.1", "127.0.0.1:", ":22280", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:x", "/" + "x" * 200])
def test_wrong_address(redis_alone, addr):
    px = Proxy({"p": redis_pool([redis_alone])}, start=False, admin=addr, stats_port=free_port())
    px.write_conf()
    rc, said = start_failing(px)
    assert rc == 1 and "admin address" in said + px.log_text()


def test_wrong_token_file(redis_alone):
    px = Proxy({"p": redis_pool([redis_alone])}, start=False, admin="%s:%d" % (HOST, free_port()), flags=["--admin-token-file", "/nonexistent"],
               stats_port=free_port())
    px.write_conf()
    rc, said = start_failing(px)
    assert rc == 1 and "/nonexistent" in said + px.log_text()


# ------------------------------------------------------------------------------------------------ what is not nice

def test_malformed_requests(px):
    for data in (b"\r\n\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00" * 20, b"GET /metrics HTTP/1.1\r\n\r\n",
                 b"GET " + b"/" * 30000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 30000 + b"\r\n\r\n",
                 b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
                 b"POST /drain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
                 b"POST /drain HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"):
        with Raw((HOST, px.admin_port)) as c:
            c.send(data)
            c.s.shutdown(socket.SHUT_WR)
            said = c.until_close()
            assert not said or re.match(rb"HTTP/1\.[01] [45]\d\d ", said), (data[:60], said[:100])
        assert get(px, "/health").text == "alive\n"
    assert px.proc.alive() and get(px, "/ready").text == "ready\n"


def test_bodies_are_bounded(px):
    assert "4096" in post(px, "/server/eject", 413, body=b"x" * 5000).text
    chunked = b"POST /server/eject HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + b"800\r\n" + b"x" * 0x800 + b"\r\n"
    with Raw((HOST, px.admin_port)) as c:
        c.send(chunked + (b"800\r\n" + b"x" * 0x800 + b"\r\n") * 5)
        c.until_close()
    post(px, "/server/eject", 400, body=b"&&&=&a&%zz=%zz&" * 50, headers={"Content-Type": "application/x-www-form-urlencoded"})
    post(px, "/server/eject", 400, body=b"&".join(b"f%d=1" % i for i in range(3)), headers={"Content-Type": "application/x-www-form-urlencoded"})
    post(px, "/server/eject", 400, body=b'{"pool": "alpha"}', headers={"Content-Type": "application/json"})


def test_requests_behind_each_other(px):
    c = http.client.HTTPConnection(HOST, px.admin_port, timeout=20)
    for path in ("/health", "/metrics", "/clients", "/pools", "/nope", "/health") * 5:
        c.request("GET", path)
        assert c.getresponse().read()
    c.close()
    with Raw((HOST, px.admin_port)) as raw:
        raw.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 9 + b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert raw.until_close().count(b"alive\n") == 10


def test_many_connections(px):
    """Beyond the limit connections are closed, the others go on; afterwards there is room again."""
    conns = [Raw((HOST, px.admin_port)) for _ in range(90)]
    wait_until(lambda: sum(c.peek_closed() for c in conns) >= 26, "26 of 90 to be closed")
    assert not conns[0].peek_closed()
    with px.client("alpha") as c:
        assert c.cmd("PING") == PONG
    for c in conns:
        c.close()
    wait_until(lambda: ask(px, "/health").status == 200, "room again")
    assert parse_metrics(get(px, "/metrics").text).value("kvmux_admin_dropped_total") >= 26


def test_who_takes_too_long_is_closed(px):
    """However it trickles: half a request is given ten seconds in all."""
    before = parse_metrics(get(px, "/metrics").text).value("kvmux_admin_dropped_total")
    with Raw((HOST, px.admin_port), deadline=60) as c:
        c.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n")

        def closed():
            c.send(b"X-A: b\r\n")
            return c.peek_closed()
        wait_until(closed, "the end of a connection that sends one header after the other", 60, poll=0.2)
    assert parse_metrics(get(px, "/metrics").text).value("kvmux_admin_dropped_total") == before + 1


def test_descriptors_above_1023(redis_alone):
    """The admin port works when a process has more than a select() could watch."""
    with Proxy({"p": redis_pool([redis_alone])}, admin=True) as px:
        clients = [socket.create_connection(px.addr()) for _ in range(1100)]   # no Raw: the test itself uses select()
        try:
            wait_until(lambda: get(px, "/clients?limit=10000").json()["total"] == 1100, "all clients")
            assert len(os.listdir("/proc/%d/fd" % px.pid)) > 1100
        finally:
            for c in clients:
                c.close()


def test_a_slow_reader_stops_nobody(redis_alone):
    """Readers of /metrics who take nothing: control still ejects a dead server, and answers others."""
    many = [redis_alone.entry(name="name-of-a-server-%04d" % i) for i in range(400)]
    with FakeServer() as fake:
        port = fake.port
    dead = "%s:%d:1 dead" % (HOST, port)
    with Proxy({"big": redis_pool(many, learn_commands="false"),
                "p": redis_pool([redis_alone, dead], auto_eject_hosts="true", server_failure_limit="1", learn_commands="false")}, admin=True) as px:
        stuck = []
        for _ in range(20):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            s.connect((HOST, px.admin_port))
            s.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            stuck.append(s)
        with px.client("p") as c:
            def ejected():
                for key in spread(20):
                    c.cmd("GET", key)
                return px.stats("p", "dead")["server_ejected_at"] > 0
            wait_until(ejected, "the ejection of a dead server")
        assert len(get(px, "/metrics").body) > 500000
        assert get(px, "/pools").json()["pools"]
        for s in stuck:
            s.close()


def test_end_while_clients_are_asked(redis_alone):
    """SIGTERM in the middle of everything: no sanitizer's word, exit 0."""
    with Proxy({"p": redis_pool([redis_alone])}, admin=True) as px:
        conns = [Raw((HOST, px.admin_port)) for _ in range(10)]
        for c in conns:
            c.send(b"GET /clients HTTP/1.1\r\nHost: localhost\r\n\r\nGET /metrics HTTP/1.1\r\nHost: loc")
        px.proc.signal(signal.SIGTERM)
        assert px.proc.wait() == 0
