"""Large requests go on while they arrive: every byte gets to the server, kvmux holds little of them, and nobody waits for them.

KVMUX_FULL=1: values of 512 MiB too."""
import hashlib
import threading

import pytest

from harness import DEADLINE, FULL, MemcachedServer, Proxy, RedisServer, mc_pool, redis_pool, wait_until
from test_large import BIG, HUGE, MIB, Stream, check_peak, digest, pieces, put

pytestmark = pytest.mark.kvmux_only


@pytest.fixture
def server():
    with RedisServer() as s:
        yield s


@pytest.fixture
def px(server):
    with Proxy({"p": redis_pool([server], timeout=int(DEADLINE * 1000))}, threads=1) as p:
        yield p


def begin(c, n, *head, behind=0):
    """All of a request but its last argument of n bytes, and what stands behind it."""
    c.s.sendall(b"*%d\r\n" % (len(head) + 1 + behind) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a) for a in head) + b"$%d\r\n" % n)


def test_eight_set_and_get_at_a_time(px, server):
    failed = []

    def run(key):
        for _ in range(2):
            if put(px.addr(), key, BIG) != b"+OK\r\n":
                failed.append(key)
                return
            with Stream(px.addr()) as c:
                c.send("GET", key)
                if c.bulk() != digest(BIG, key.encode()):
                    failed.append(key)
                c.send("DEL", key)
                c.line()

    threads = [threading.Thread(target=run, args=("key%d" % i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failed == []
    check_peak(px, 64)
    assert px.stats("p")["streamed_requests"] == 16 and px.stats("p")["broken_requests"] == 0
    assert px.stats("p", server.name)["request_bytes"] > 16 * BIG
    assert 0 < px.stats("p")["moved_request_bytes"] < px.stats("p")["client_request_bytes"]


def test_order_and_arguments_behind(px, server):
    with Stream(px.addr()) as c:
        c.send("SET", "k", "small")
        c.send("GET", "k")
        begin(c, 3 * MIB, b"SET", b"k", behind=2)
        for p in pieces(3 * MIB, b"k"):
            c.s.sendall(p)
        c.s.sendall(b"\r\n$2\r\nEX\r\n$3\r\n100\r\n")
        c.send("GET", "k")
        c.send("TTL", "k")
        begin(c, 3 * MIB, b"RPUSH", b"l", b"first", behind=1)
        for p in pieces(3 * MIB, b"l"):
            c.s.sendall(p)
        c.s.sendall(b"\r\n$4\r\nlast\r\n")
        c.send("LRANGE", "l", "0", "-1")
        assert c.line() == b"+OK\r\n"
        assert c.bulk() == hashlib.sha1(b"small").hexdigest()
        assert c.line() == b"+OK\r\n"
        assert c.bulk() == digest(3 * MIB, b"k")
        assert c.line() in (b":100\r\n", b":99\r\n")
        assert c.line() == b":3\r\n"
        assert c.array() == [hashlib.sha1(b"first").hexdigest(), digest(3 * MIB, b"l"), hashlib.sha1(b"last").hexdigest()]


def test_others_do_not_wait(px, server):
    with Stream(px.addr()) as slow, px.client() as other:
        begin(slow, BIG, b"SET", b"k")
        slow.s.sendall(b"x" * MIB)
        wait_until(lambda: px.stats("p", server.name)["leases"] == 1, "the request is on its way")
        for i in range(200):
            assert other.cmd("SET", "small", str(i)) == b"+OK\r\n"
        slow.s.close()
        wait_until(lambda: px.stats("p")["broken_requests"] == 1, "the request is given up")
        assert other.cmd("GET", "k") == b"$-1\r\n"
    assert px.stats("p", server.name)["leases"] == 0


def test_the_server_dies_in_the_middle():
    with RedisServer() as mine, Proxy({"p": redis_pool([mine])}, threads=1) as px, Stream(px.addr()) as c:
        begin(c, 8 * MIB, b"SET", b"k")
        c.s.sendall(b"x" * MIB)
        wait_until(lambda: px.stats("p", mine.name)["request_bytes"] > MIB, "the server has a part of it")
        mine.kill9()
        assert c.line().startswith(b"-ERR ")
        c.s.sendall(b"x" * (7 * MIB) + b"\r\nPING\r\n")
        assert c.line() == b"+PONG\r\n"


def test_limits(px):
    with Stream(px.addr()) as c:
        begin(c, HUGE + 1, b"SET", b"k")
        assert c.line() == b"-ERR Protocol error: invalid bulk length\r\n"


def test_memcached():
    with MemcachedServer() as s, Proxy({"m": mc_pool([s])}, threads=1) as px, Stream(px.addr("m")) as c:
        c.s.sendall(b"set k 7 0 %d\r\n" % (3 * MIB) + b"".join(pieces(3 * MIB, b"k")) + b"\r\n")
        assert c.line() == b"STORED\r\n"
        c.s.sendall(b"set k 7 0 %d noreply\r\n" % MIB + b"".join(pieces(MIB, b"n")) + b"\r\nget k\r\n")
        assert c.line() == b"VALUE k 7 %d\r\n" % MIB
        assert c.payload(MIB) == digest(MIB, b"n")
        assert c.line() == b"END\r\n"
        c.s.sendall(b"set k 7 0 104857600\r\n")
        for _ in range(100):
            c.s.sendall(b"x" * MIB)
        c.s.sendall(b"\r\nget k\r\n")
        assert c.line() == b"SERVER_ERROR object too large for cache\r\n"  # said at its end, as memcached does
        assert c.line() == b"END\r\n"  # memcached removes what could not be replaced
        assert px.stats("m")["streamed_requests"] == 3 and px.stats("m")["broken_requests"] == 0
        check_peak(px, 64)


@pytest.mark.skipif(not FULL, reason="the long form")
def test_half_a_gigabyte(px):
    assert put(px.addr(), "huge", HUGE) == b"+OK\r\n"
    with Stream(px.addr()) as c:
        c.send("GET", "huge")
        assert c.bulk() == digest(HUGE, b"huge")
    check_peak(px, 64)
