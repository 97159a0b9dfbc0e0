"""Clients that speak memcached's binary protocol: what a plain memcached answers them is the truth, byte for byte but for the numbers of cas."""
import os
import random
import re
import shutil
import struct
import subprocess

import pytest

from binary import *  # noqa: F401,F403
from harness import HERE, FakeServer, MemcachedServer, Proxy, mc_pool, spread

pytestmark = [pytest.mark.kvmux_only, pytest.mark.not_direct]
FULL = os.environ.get("KVMUX_FULL") == "1"


@pytest.fixture(scope="module")
def mc3():
    servers = [MemcachedServer() for _ in range(3)]
    yield servers
    for s in servers:
        s.stop()


@pytest.fixture(scope="module")
def one(mc3):
    with Proxy({"one": mc_pool(mc3[:1], timeout=10000)}) as p:
        yield p


@pytest.fixture(scope="module")
def three(mc3):
    with Proxy({"three": mc_pool(mc3, timeout=10000, server_connections=2)}) as p:
        yield p


@pytest.fixture(params=["one", "three"])
def px(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(autouse=True)
def empty(mc3, mc_alone):
    for s in mc3 + [mc_alone]:
        s.flush()


@pytest.fixture()
def c(px):
    with px.client() as client:
        yield client


@pytest.fixture()
def plain(mc_alone):
    with mc_alone.client() as client:
        yield client


def same(answers):
    return [a.same() for a in answers]


A = store(SET, b"a", b"10", 7)
ODD = b"a b\r\n\0c"
TALK = {
    "get": A + b"".join(request(op, k, opaque=op) for op in (GET, GETK, GETQ, GETKQ) for k in (b"a", b"none")),
    "get-cas": A + request(GET, b"a", cas=99),
    "set": store(SET, b"a", b"") + store(SET, b"a", b"x" * 100, 0xffffffff, 100) + request(GETK, b"a") + store(SETQ, b"a", b"y", 1) + request(GET, b"a"),
    "add": store(ADD, b"a", b"1", 1) + store(ADD, b"a", b"2", 2) + store(ADDQ, b"a", b"3") + store(ADDQ, b"b", b"4") + request(GET, b"a") + request(GET, b"b"),
    "replace": store(REPLACE, b"a", b"1") + store(REPLACEQ, b"a", b"1") + A + store(REPLACE, b"a", b"2") + store(REPLACEQ, b"a", b"3") + request(GET, b"a"),
    "append": request(APPEND, b"a", value=b"1") + request(PREPENDQ, b"a", value=b"1") + A + b"".join(
        request(op, b"a", value=b"%d" % op) for op in (APPEND, PREPEND, APPENDQ, PREPENDQ)) + request(APPEND, b"a") + request(GET, b"a"),
    "wrong-cas": A + b"".join(f(op, b"a", b"x", cas=9 << 40) + f(op, b"none", b"x", cas=9 << 40) for f, op in (
        (store, SET), (store, ADD), (store, REPLACE), (store, SETQ), (store, ADDQ), (store, REPLACEQ))) + b"".join(
        request(op, k, value=b"x", cas=9 << 40) for op in (APPEND, PREPEND, APPENDQ, PREPENDQ) for k in (b"a", b"none")) + b"".join(
        request(op, k, cas=9 << 40) for op in (DELETE, DELETEQ) for k in (b"a", b"none")) + b"".join(
        delta(op, k, 1, cas=9 << 40, exptime=e) for op in (INCR, DECR, INCRQ) for e in (NEVER_MADE, 0) for k in (b"a", b"none", b"n%d" % op)) + request(GET, b"a"),
    "delete": A + request(DELETE, b"a") + request(DELETE, b"a") + request(DELETEQ, b"a") + A + request(DELETEQ, b"a") + request(GET, b"a"),
    "delta": delta(INCR, b"n", 1, 5, NEVER_MADE) + delta(INCRQ, b"n", 1, 5, NEVER_MADE) + delta(DECR, b"n", 1, 5) + b"".join(
        delta(op, b"n", d, 1) for op in (INCR, DECR) for d in (0, 1, 1000, 2**64 - 1, 2**63)) + delta(INCRQ, b"n", 5) + delta(DECRQ, b"n", 2) + request(
        GET, b"n") + delta(DECR, b"n", 2**64 - 1) + request(GET, b"n") + delta(INCR, b"big", 0, 2**64 - 1) + delta(INCR, b"big", 1) + request(GETK, b"n"),
    "delta-bad": store(SET, b"a", b"abc") + delta(INCR, b"a", 1) + delta(DECRQ, b"a", 1) + store(SET, b"a", b"1" * 25) + delta(INCR, b"a", 1) + store(
        SET, b"a", b"") + delta(DECR, b"a", 1) + store(SET, b"a", b" 1") + delta(INCR, b"a", 1) + request(GET, b"a"),
    "touch": A + b"".join(touch(op, k, 100, opaque=op) for op in (TOUCH, GAT, GATQ, GATK, GATKQ) for k in (b"a", b"none")) + request(GET, b"a"),
    "expired": store(SET, b"a", b"1", 0, 2592001) + request(GET, b"a") + A + touch(TOUCH, b"a", 2592001) + request(GET, b"a") + A + touch(
        GAT, b"a", 2592001) + request(GETK, b"a") + delta(INCR, b"n", 1, 1, 2592001) + request(GET, b"n"),
    "late": b"".join(store(SET, b"a", b"1", 0, t) + request(GET, b"a") + touch(GAT, b"a", t) + request(GET, b"a") + delta(INCR, b"n%d" % t, 1, 3, t - 1) + request(
        GET, b"n%d" % t) for t in (1, 2592000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff)),
    "keyless": request(VERSION) + request(NOOP, opaque=1) + request(FLUSH) + request(FLUSHQ) + A + request(FLUSH, extras=b"\0\0\0\0") + request(
        GET, b"a") + A + request(FLUSHQ, extras=b"\0\0\0\0") + request(GETQ, b"a") + request(NOOP),
    "stat": request(STAT, b"nosuch") + request(NOOP),
    "odd-keys": b"".join(store(SET, k, b"v", i) + request(GET, k) + request(GETK, k) + touch(GATK, k, 0) + request(APPEND, k, value=b"w") + request(
        GETKQ, k) + delta(INCR, k + b"n", 1, 5) + request(DELETE, k) + request(GETK, k) for i, k in enumerate((
            ODD, b" ", b"\n", b"\0", b"\r", b"\r\n", b"END\r\n", b"\t\v", b"\x7f", b"\xff\xfe", b"k", b"kk ", b"k k", b"k\r", bytes(range(185)), bytes(range(70, 256)), b"b"))),
    "key-250": b"".join(store(SET, k, b"v") + request(GETK, k) + request(DELETE, k) for k in (b"k" * 250, b"\x01" * 250, b"\xff" * 250, b" " * 185)),
    "values": b"".join(store(SET, b"v%d" % i, v) + request(GETK, b"v%d" % i) for i, v in enumerate((
        b"\r\n", b"\r\nEND\r\n", b"HD\r\n", b"VA 2\r\nxx\r\n", b"\0" * 100, bytes(range(256)), b"\x80" * 30, b"x" * 8190, b"x" * 8192, b"x" * 70000, b"x" * 1000000))),
    "opaque": A + b"".join(request(GETK, b"a", opaque=o) for o in (0, 1, 0x80000000, 0xffffffff, 0x81818181)),
    "unknown": b"".join(request(op, opaque=op) for op in (0x1f, 0x25, 0x26, 0x30, 0x40, 0x80, 0x99, 0xff)) + A,
    "pipeline": b"".join(store(SETQ, b"k%d" % i, b"v%d" % i, i) for i in range(0, 200, 2)) + b"".join(
        request(GETKQ, b"k%d" % i, opaque=i) for i in range(200)) + request(NOOP, opaque=1) + b"".join(request(DELETEQ, b"k%d" % i, opaque=i) for i in range(200)),
}


@pytest.mark.parametrize("name", TALK)
def test_like_memcached(c, plain, name):
    want = same(talk(plain, TALK[name]))
    assert same(talk(c, TALK[name])) == want
    assert same(talk(c, A + request(GET, b"a")))[1][-1] == b"10", "in step afterwards"


LAST = {
    "quit": A + request(QUIT),
    "quitq": A + request(QUITQ),
    "quit-behind": request(QUIT) + A,
    "key-over-body": A + request(GET, nkey=5, nbody=3) + b"12345",
    "extras-over-body": request(GET, b"abc", nextras=4, nbody=5) + b"1234",
    "key-251": request(GET, b"k" * 251),
    "key-251-unknown": request(0x99, b"k" * 251),
    "get-extras": request(GET, b"a", b"ee"),
    "get-no-key": request(GET),
    "getq-no-key": request(GETQ),
    "getkq-value": A + request(GETKQ, b"a", value=b"v"),
    "noop-key": request(NOOP, b"a"),
    "version-key": request(VERSION, b"a"),
    "quit-key": request(QUIT, b"a"),
    "set-no-extras": request(SET, b"a", value=b"v"),
    "set-no-key": store(SET, b"", b"v"),
    "setq-extras-4": request(SETQ, b"a", b"1234", b"v"),
    "delete-value": request(DELETE, b"a", value=b"v"),
    "incr-value": request(INCR, b"a", b"x" * 20, b"v"),
    "incr-extras": request(INCR, b"a", b"x"),
    "touch-no-extras": request(TOUCH, b"a"),
    "append-extras": request(APPEND, b"a", b"1234"),
    "flush-extras": request(FLUSH, extras=b"12345678"),
    "flush-key": request(FLUSH, b"k"),
    "stat-extras": request(STAT, extras=b"xx"),
}


@pytest.mark.parametrize("name", LAST)
def test_last_words(c, plain, name):
    """What memcached answers before it closes."""
    want = same(last_words(plain, LAST[name]))
    assert same(last_words(c, LAST[name])) == want


def test_otherwise_than_memcached(c, px):
    """Each of these is in docs/migrating.md."""
    for op in (0x20, 0x21, 0x22):
        a, b = talk(c, request(op) + request(op, b"PLAIN", value=b"\0user\0password"))
        assert (a.op, a.status, a.value) == (b.op, b.status, b.value) == (op, 0x81, b"SASL is not supported by kvmux")
    a, = talk(c, request(0x99, b"key", b"extras", b"value"))
    assert (a.status, a.value) == (0x81, b"Unknown command"), "and in step"
    a, = talk(c, request(VERBOSITY, extras=b"\0\0\0\1"))
    assert (a.op, a.status, a.value) == (VERBOSITY, 0, b"")
    a, b = talk(c, store(SET, b" " * 187, b"v") + request(GETQ, b"\n" * 250))
    assert a.status == b.status == 4 and b"186 bytes" in a.value
    a, = talk(c, request(STAT, b"reset"))
    assert a.status == 0x83 and b"refused by kvmux" in a.value
    for wrong in (b"get a\r\n", b"\x81" + b"\0" * 23, b"\0"):
        with px.client() as d:
            a, b = last_words(d, request(NOOP) + wrong)
            assert (a.status, b.op, b.status) == (0, 0, 4) and b"0x80" in b.value
    for wrong in (request(TOUCH, b"a", b"1234", b"v"), request(STAT, value=b"v")):
        with px.client() as d:
            a, = last_words(d, wrong)
            assert (a.status, a.value) == (4, b"Invalid arguments")
    with px.client() as d:
        a, = last_words(d, request(SET, b"a", b"12345678", nbody=(1 << 30) + 10))
        assert (a.op, a.status, a.value) == (SET, 3, b"Too large.")


def test_stat(c):
    answers = talk(c, request(STAT) + request(STAT, b"items"))
    assert [a.key for a in answers if a.key == b""] == [b"", b""] and all(a.status == 0 and a.op == STAT for a in answers)
    stats = {a.key: a.value for a in answers}
    assert stats[b"kvmux_pool"] in (b"one", b"three") and int(stats[b"pid"]) > 1


def test_text_and_binary_on_one_port(px):
    with px.client() as text, px.client() as binary:
        text.mc_prepare()
        assert text.mc_set("k", "from text", 5) == b"STORED\r\n"
        a, = talk(binary, request(GETK, b"k"))
        assert (a.extras, a.key, a.value) == (b"\0\0\0\5", b"k", b"from text")
        assert talk(binary, store(SET, b"k", b"from binary", 9))[0].status == 0
        assert text.mc(b"get k\r\n") == b"VALUE k 9 11\r\nfrom binary\r\nEND\r\n"
        assert text.mc(b"\x80bc\r\n") == b"ERROR\r\n", "a text client stays one"


def test_cas_is_the_servers(c):
    s1, = talk(c, A)
    g, s2 = talk(c, request(GET, b"a") + store(SET, b"a", b"2", cas=s1.cas))
    assert g.cas == s1.cas and s2.status == 0 and s2.cas not in (0, s1.cas)
    stale, i = talk(c, store(SET, b"a", b"3", cas=s1.cas) + delta(INCR, b"a", 1, cas=s2.cas))
    assert stale.status == 2 and i.status == 0 and i.value == struct.pack("!Q", 3)
    ap, = talk(c, request(APPEND, b"a", value=b"x", cas=i.cas))
    g, d = talk(c, request(GET, b"a") + request(DELETE, b"a", cas=ap.cas))
    assert (g.value, g.cas, d.status) == (b"3x", ap.cas, 0)


def test_lives_where_text_lives(three, mc3):
    keys = spread(90)
    with three.client() as b:
        answers = talk(b, b"".join(store(SETQ, k.encode(), b"v") for k in keys))
        assert answers == []
    there = [s.holds(keys) for s in mc3]
    assert all(there) and sum(len(t) for t in there) == 90
    with three.client() as t:
        t.mc_prepare()
        assert t.mc_get(*keys) and all(t.mc(b"get %s\r\n" % k.encode()).startswith(b"VALUE") for k in keys)


def test_too_large(px, mc_alone):
    """The old item goes with it, also for an add or an append, for which memcached keeps it in binary: ms does so."""
    for n in (4 << 20, 6 << 20):
        data = A + b"".join(f(b"x" * n) for f in (lambda v: store(SET, b"big", v), lambda v: store(ADDQ, b"big", v), lambda v: request(APPEND, b"a", value=v))) + request(
            GETQ, b"big") + store(SET, b"a", b"x" * n) + request(GET, b"a")
        with mc_alone.client() as d, px.client(deadline=60) as c:
            want = same(talk(d, data))
            assert want[1][3] == 3
            assert same(talk(c, data)) == want


def test_every_cut(px, mc_alone):
    data = A + request(GETKQ, b"none") + store(SETQ, b"a b", b"\r\nxx") + request(GETK, b"a b") + delta(INCR, b"a", 5) + request(0x99, b"k") + request(GETK, b"none")
    with mc_alone.client() as d:
        want = same(talk(d, data.replace(request(0x99, b"k"), request(0x99))))
    with px.client() as c:
        for i in range(1, len(data)):
            talk(c, request(DELETEQ, b"none"))
            c.send(data[:i])
            assert same(talk(c, data[i:])) == want, i


# ------------------------------------------------------------------------------------------------ at random

# Whether memcached adds in place, and so keeps the length of a number that became shorter with blanks, hangs on answers that
# are still in its hands, hence on how requests arrive: nothing is appended to these keys, and blanks do not count. Of values that are
# blank, or 2^63 and more, it reads on into what lies behind them in its memory: no such ones here.
NUMBERS = (b"n", b"m", b"n o")
WORDS = (b"a", b"b", b"c d", b"e\n", b"k" * 249)


def alike(answers):
    return [x[:-1] + (re.sub(rb"^(\d+) +$", rb"\1", x[-1]),) for x in same(answers)]


def some_request(r):
    numeric = r.random() < 0.4
    key = r.choice(NUMBERS if numeric else WORDS) + (b"%d" % r.randrange(3) if r.random() < 0.5 else b"")
    cas = r.choice((0, 0, 0, 0, 0, 1 << 50))
    more = {"opaque": r.getrandbits(32)}
    kind = r.random()
    value = r.choice((b"%d" % r.choice((0, 1, 99, 2**63 - 1, r.getrandbits(20))), b"x")) if numeric else r.randbytes(r.choice((0, 1, 5, 100, 9000)))
    exptime = r.choice((0, 0, 1000, 2592001, 0x7fffffff, 0x80000001))
    if kind < 0.3:
        return request(r.choice((GET, GETQ, GETK, GETKQ)), key, **more)
    if kind < 0.55:
        return store(r.choice((SET, ADD, REPLACE, SETQ, ADDQ, REPLACEQ)), key, value, r.getrandbits(32), exptime, cas=cas, **more)
    if kind < 0.7 and not numeric:
        return request(r.choice((APPEND, PREPEND, APPENDQ, PREPENDQ)), key, value=value[:200], cas=cas, **more)
    if kind < 0.8 and numeric:
        return delta(r.choice((INCR, DECR, INCRQ, DECRQ)), key, r.choice((0, 1, 7, r.getrandbits(30))), r.getrandbits(r.choice((1, 10, 40))),
                     r.choice((NEVER_MADE, NEVER_MADE, 0, 1000, 2592001)), cas=cas, **more)
    if kind < 0.9:
        return touch(r.choice((TOUCH, GAT, GATQ, GATK, GATKQ)), key, exptime, **more)
    if kind < 0.96:
        return request(r.choice((DELETE, DELETEQ)), key, cas=cas, **more)
    return r.choice((request(NOOP, **more), request(VERSION, **more), request(0x77, **more), request(STAT, b"nosuch", **more)))


@pytest.mark.parametrize("seed", range(40 if FULL else 4))
def test_random_streams(c, plain, seed):
    r = random.Random(seed)
    for _ in range(60):
        batch = [some_request(r) for _ in range(r.randrange(1, 60))]
        got, want = alike(talk(c, b"".join(batch))), alike(talk(plain, b"".join(batch)))
        assert got == want, [x for x in zip(got, want) if x[0] != x[1]][:3]


# ------------------------------------------------------------------------------------------------ when servers fail

def test_one_server_dies(mc3):
    """Its keys have errors that say why and whose they are; the others' do not wait; whoever connects is let in."""
    with MemcachedServer() as victim, Proxy({"p": mc_pool(mc3[:2] + [victim], timeout=5000)}) as px, px.client() as c:
        keys = [k.encode() for k in spread(60)]
        assert talk(c, b"".join(store(SETQ, k, k) for k in keys)) == []
        gone = {k.encode() if isinstance(k, str) else k for k in victim.holds([k.decode() for k in keys])}
        assert 0 < len(gone) < 60
        victim.stop()
        answers = talk(c, b"".join(request(GETKQ, k, opaque=i) for i, k in enumerate(keys)))
        assert [a.opaque for a in answers] == list(range(60))
        for a, k in zip(answers, keys):
            assert (a.status, a.key, a.value) == ((0, k, k) if k not in gone else (0x84, b"", a.value)), a
            assert k not in gone or a.value in (b"unknown", b"Connection refused"), a
        with px.client() as d:
            a, = talk(d, request(VERSION))
            assert a.status == 0 and re.match(rb"\d+\.\d+", a.value)


def test_no_answer_goes_astray(mc3):
    """Many clients with full pipelines while a server dies and comes back: each answer is its request's, in order, none is missing."""
    r = random.Random(5)
    with MemcachedServer() as victim, Proxy({"p": mc_pool(mc3[:2] + [victim], timeout=5000)}) as px:
        clients = [px.client() for _ in range(8)]
        expected = [[] for _ in clients]
        fine = errors = 0
        for turn in range(40):
            if turn == 10:
                victim.stop()
            if turn == 25:
                victim.start()
            for n, c in enumerate(clients):
                for i in range(r.randrange(1, 40)):
                    key, opaque = b"astray %d %d" % (n, r.randrange(50)), r.getrandbits(32)
                    loud = r.random() < 0.5
                    c.post(store(SET if loud else SETQ, key, b"value of " + key, opaque=opaque) + request(GETK, key, opaque=opaque ^ 1))
                    expected[n].append((key, opaque, loud))
                c.post(request(NOOP, opaque=turn))
            for n, c in enumerate(clients):
                for key, opaque, loud in expected[n]:
                    a = response_of(c)
                    if loud or a.op == SETQ:
                        assert (a.op, a.opaque) == (SET if loud else SETQ, opaque) and a.status in (0, 0x84), a
                        a = response_of(c)
                    assert (a.op, a.opaque) == (GETK, opaque ^ 1), a
                    assert a.status in (0, 1, 0x84) and (a.status == 0x84 or a.key == key), a
                    assert a.status != 0 or a.value == b"value of " + key
                    fine, errors = fine + (a.status == 0), errors + (a.status == 0x84)
                expected[n].clear()
                a = response_of(c)
                assert (a.op, a.opaque) == (NOOP, turn), a
        assert errors > 100 and fine > 1000
        for c in clients:
            c.close()


def test_old_server_says_so(mc3):
    """A server without meta commands: an error that says what is missing."""
    with FakeServer() as old, Proxy({"p": mc_pool([old], timeout=5000)}) as px, px.client() as c:
        c.send(request(GET, b"a"))
        with old.accept() as s:
            assert s.until(b"\r\n") == b"mg a f c v\r\n"
            s.send(b"ERROR\r\n")
            a = response_of(c)
    assert a.status == 0x84 and b"memcached 1.6" in a.value


# ------------------------------------------------------------------------------------------------ what applications use

def test_memccapable(px):
    tool = shutil.which("memccapable")
    assert tool, "memccapable is missing (Debian package libmemcached-tools)"
    host, port = px.addr()
    p = subprocess.run([tool, "-b", "-h", host, "-p", str(port)], stdin=subprocess.DEVNULL, capture_output=True, timeout=120, text=True)
    results = re.findall(r"^binary (\S+) *\[(\w+)", p.stdout, re.M)
    assert len(results) >= 26 and all(r == "pass" for _, r in results) and p.returncode == 0, p.stdout + p.stderr
