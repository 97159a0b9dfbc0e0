"""Large replies go on while they arrive: every byte is the server's, and kvmux holds little of them.

KVMUX_FULL=1: values of 512 MiB too."""
import hashlib
import re
import socket
import threading

import pytest

from harness import DEADLINE, FULL, KVMUX, MemcachedServer, Proxy, RedisServer, mc_pool, redis_pool, resp, wait_until

MIB = 1 << 20
BIG = 64 * MIB
HUGE = 512 * MIB
with open(KVMUX, "rb") as _f:
    SANITIZED = re.search(rb"__[at]san_init", _f.read()) is not None
BLOCK = hashlib.shake_256(b"kvmux").digest(MIB)

pytestmark = pytest.mark.kvmux_only


def pieces(n, seed):
    """A value of n bytes that is like no other and has no period."""
    for i in range(0, n, MIB):
        head = b"%s:%d:" % (seed, i)
        yield (head + BLOCK[len(head):])[:n - i]


def digest(n, seed):
    h = hashlib.sha1()
    for p in pieces(n, seed):
        h.update(p)
    return h.hexdigest()


class Stream:
    """A client that reads values of any size without keeping them."""

    def __init__(self, addr, room=0):
        self.s = socket.socket()
        if room:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        self.s.settimeout(DEADLINE)
        self.s.connect(addr)
        self.buf = bytearray(MIB)
        self.have = memoryview(b"")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.s.close()

    def send(self, *args):
        self.s.sendall(resp(*args))

    def some(self, most):
        if not self.have:
            n = self.s.recv_into(self.buf)
            assert n > 0, "closed in the middle of a reply"
            self.have = memoryview(self.buf)[:n]
        part, self.have = self.have[:most], self.have[most:]
        return part

    def line(self):
        out = b""
        while not out.endswith(b"\r\n"):
            out += self.some(1)
        return out

    def payload(self, n):
        h = hashlib.sha1()
        while n > 0:
            part = self.some(n)
            h.update(part)
            n -= len(part)
        assert self.line() == b"\r\n"
        return h.hexdigest()

    def bulk(self):
        line = self.line()
        assert line[:1] == b"$", line
        return self.payload(int(line[1:]))

    def array(self):
        line = self.line()
        assert line[:1] == b"*", line
        return [self.bulk() for _ in range(int(line[1:]))]


def put(addr, key, n, command="SET"):
    """Piece by piece."""
    key = key.encode()
    with Stream(addr) as c:
        c.s.sendall(b"*3\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n$%d\r\n" % (len(command), command.encode(), len(key), key, n))
        for p in pieces(n, key if command == "SET" else b"element"):
            c.s.sendall(p)
        c.s.sendall(b"\r\n")
        return c.line()


def check_peak(px, mib):
    if SANITIZED:
        return  # freed memory is kept back, to notice who uses it
    with open("/proc/%d/status" % px.pid) as f:
        assert next(int(line.split()[1]) for line in f if line.startswith("VmHWM")) < mib * 1024


@pytest.fixture(scope="module")
def server():
    s = RedisServer()
    assert put(s.addr, "big", BIG) == b"+OK\r\n"
    assert put(s.addr, "mid", 3 * MIB) == b"+OK\r\n"
    for _ in range(3):
        put(s.addr, "list", BIG, "RPUSH")
    with s.client() as c:
        c.cmd("SET", "small", "x")
        c.pipeline([("RPUSH", "many", *["%06d" % (i * 100 + k) for k in range(100)]) for i in range(2000)])
    yield s
    s.stop()


@pytest.fixture
def px(server):
    with Proxy({"p": redis_pool([server], timeout=int(DEADLINE * 1000))}, threads=1) as p:
        yield p


def test_every_byte(px):
    with Stream(px.addr()) as c:
        c.send("GET", "big")
        c.send("GET", "small")
        c.send("MGET", "mid", "small", "mid")
        c.send("LRANGE", "list", "0", "-1")
        c.send("GET", "mid")
        assert c.bulk() == digest(BIG, b"big")
        small, mid = hashlib.sha1(b"x").hexdigest(), digest(3 * MIB, b"mid")
        assert c.bulk() == small
        assert c.array() == [mid, small, mid]
        assert c.array() == [digest(BIG, b"element")] * 3
        assert c.bulk() == mid
    assert px.stats("p")["streamed_replies"] >= 4
    assert px.stats("p")["broken_replies"] == 0
    assert 0 < px.stats("p")["moved_bytes"] < px.stats("p")["client_response_bytes"]


def test_many_small_elements(px):
    with Stream(px.addr()) as c:
        c.send("LRANGE", "many", "0", "-1")
        assert c.line() == b"*200000\r\n"
        for i in range(200000):
            assert c.line() == b"$6\r\n"
            assert c.line() == b"%06d\r\n" % i
        c.send("GET", "small")
        assert c.line() == b"$1\r\n" and c.line() == b"x\r\n"


def test_inside_a_transaction(px):
    with Stream(px.addr()) as c:
        for args in (("MULTI",), ("GET", "big"), ("GET", "small"), ("EXEC",)):
            c.send(*args)
        assert [c.line() for _ in range(3)] == [b"+OK\r\n", b"+QUEUED\r\n", b"+QUEUED\r\n"]
        assert c.array() == [digest(BIG, b"big"), hashlib.sha1(b"x").hexdigest()]


def test_eight_at_a_time_need_little_memory(px):
    want, got = digest(BIG, b"big"), []

    def run():
        with Stream(px.addr()) as c:
            for _ in range(2):
                c.send("GET", "big")
                got.append(c.bulk())

    threads = [threading.Thread(target=run) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert got == [want] * 16
    check_peak(px, 64)


def test_many_read_and_write(px, server):
    """All ask over one connection before anybody knows that the values are large; later each has its own, and writes beside it."""
    n, want, got = 16 * MIB, digest(BIG, b"big"), []
    start = threading.Barrier(24)

    def run(i):
        key = "many%d" % i
        with Stream(px.addr(), room=65536) as c:
            start.wait()
            if i < 4:
                c.send("GET", "big")
                got.append(c.bulk() == want)
            for _ in range(2):
                got.append(put(px.addr(), key, n) == b"+OK\r\n")
                c.send("GET", key)
                got.append(c.bulk() == digest(n, key.encode()))

    threads = [threading.Thread(target=run, args=(i,)) for i in range(24)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert got == [True] * (24 * 4 + 4)
    check_peak(px, 64)
    assert px.stats("p", server.name)["leases"] == 0
    with server.client() as c:
        c.cmd("DEL", *["many%d" % i for i in range(24)])


def test_a_client_that_does_not_read(px, server):
    with Stream(px.addr(), room=4096) as slow, Stream(px.addr()) as other:
        slow.send("GET", "big")
        wait_until(lambda: px.stats("p", server.name)["reply_pauses"] > 0, "its connection is not read on")
        for _ in range(100):
            other.send("GET", "small")
            assert other.bulk() == hashlib.sha1(b"x").hexdigest()
        check_peak(px, 32)
        assert slow.bulk() == digest(BIG, b"big")


def test_the_server_dies_in_the_middle():
    with RedisServer() as mine:
        put(mine.addr, "big", BIG)
        with Proxy({"p": redis_pool([mine])}, threads=1) as px, Stream(px.addr(), room=4096) as c:
            c.send("GET", "big")
            assert c.line() == b"$%d\r\n" % BIG
            mine.kill9()
            with pytest.raises((AssertionError, ConnectionError)):
                c.payload(BIG)
            wait_until(lambda: px.stats("p")["broken_replies"] == 1, "the client was closed with a reason")


def test_memcached():
    with MemcachedServer() as s, Proxy({"m": mc_pool([s])}, threads=1) as px:
        values = {b"k%d" % i: b"".join(pieces(3 * MIB - i, b"k%d" % i)) for i in range(4)}
        with px.client("m") as c:
            for k, v in values.items():
                c.mc_set(k, v)
            assert c.mc_get(*values) == values
            c.send(b"mg k1 v\r\nget k2\r\n")
            assert c.exact(len(b"VA 3145727\r\n") + 3 * MIB - 1 + 2) == b"VA 3145727\r\n" + values[b"k1"] + b"\r\n"
            assert c.until(b"END\r\n").startswith(b"VALUE k2 0 3145726\r\n")
        assert px.stats("m")["streamed_replies"] >= 3


@pytest.mark.skipif(not FULL, reason="the long form")
def test_half_a_gigabyte():
    with RedisServer() as s:
        assert put(s.addr, "huge", HUGE) == b"+OK\r\n"
        with Proxy({"p": redis_pool([s])}, threads=1) as px, Stream(px.addr()) as c:
            c.send("GET", "huge")
            assert c.bulk() == digest(HUGE, b"huge")
            check_peak(px, 64)
