"""cross_shard_blocking: rotate. Pops that wait for keys of several servers: the same answers as from one Redis, nothing taken for
somebody who is gone, nothing delivered twice, and losses only where one Redis loses too (docs/blocking.md)."""
import os
import random
import re
import signal
import sys
import threading

import pytest
import redis

from harness import OK, Process, Proxy, Raw, RedisServer, bulk, parse_resp, redis_pool, resp, spread, temp_dir, wait_until

pytestmark = pytest.mark.kvmux_only
NILS = b"*-1\r\n"


def pool(servers, **keys):
    return {"p": redis_pool(servers, cross_shard_blocking="rotate", **keys)}


def keys_by_server(px, servers, prefix="q:", n=80):
    """For each server some keys of its own, all of them gone again."""
    names = spread(n, prefix)
    with px.client() as c:
        assert all(r == OK for r in c.pipeline([("SET", k, "v") for k in names]))
        out = []
        for s in servers:
            here = s.keys()
            out.append([k for k in names if k.encode() in here])
        c.pipeline([("DEL", k) for k in names])
    assert all(len(k) >= 2 for k in out), [len(k) for k in out]
    return out


def blocked(servers, n):
    wait_until(lambda: sum(int(s.info("blocked_clients")) for s in servers) == n, "%d blocked clients" % n)


@pytest.fixture(scope="module")
def px(redis4):
    for s in redis4:
        s.flush()
    with Proxy(pool(redis4, timeout=2000)) as p:
        p.own = keys_by_server(p, redis4)
        p.one = [k[0] for k in p.own]
        yield p


CASES = [  # request for the four keys, what is put into a key, in a way that the answer tells
    (lambda k: ("BLPOP", *k, "0"), ("RPUSH", "v")),
    (lambda k: ("BRPOP", *k, "5"), ("RPUSH", "v")),
    (lambda k: ("BLMPOP", "0", "4", *k, "LEFT", "COUNT", "2"), ("RPUSH", "v", "w", "x")),
    (lambda k: ("BZPOPMIN", *k, "0"), ("ZADD", "1.5", "m", "2", "n")),
    (lambda k: ("BZPOPMAX", *k, "7"), ("ZADD", "1.5", "m", "2", "n")),
    (lambda k: ("BZMPOP", "0", "4", *k, "MIN", "COUNT", "2"), ("ZADD", "1", "m", "2", "n", "3", "o")),
]


@pytest.mark.parametrize("version", ["2", "3"])
@pytest.mark.parametrize("request_of, put", CASES, ids=[c[0]("abcd")[0].lower() for c in CASES])
def test_each_command_answers_as_one_redis(px, redis_alone, request_of, put, version):
    """What is there already, and what comes while it waits: at each of four servers."""
    with px.client() as c, px.client() as other, redis_alone.client() as alone:
        assert c.cmd("HELLO", version).startswith(b"*14" if version == "2" else b"%7")
        alone.cmd("HELLO", version)
        request = request_of(px.one)
        for k in px.one:
            for waits in (False, True):
                c.post(resp(*request))
                if waits:
                    c.flush()
                    blocked_somewhere(px)
                assert other.cmd(put[0], k, *put[1:]).startswith(b":")
                alone.cmd(put[0], k, *put[1:])
                want = alone.cmd(*request)
                assert c.reply() == want, (k, waits)
                other.cmd("DEL", k)
                alone.cmd("DEL", k)
        short = list(request)
        short[1 if short[0][-4:] == "MPOP" else -1] = "0.01"
        assert c.cmd(*short) == alone.cmd(*short) == (NILS if version == "2" else b"_\r\n")


def blocked_somewhere(px):
    """A client holds a connection of its own."""
    wait_until(lambda: sum(s["leases"] for n, s in px.stats("p").items() if isinstance(s, dict)) >= 1, "a client that waits")


def test_errors_are_those_of_redis(px, redis_alone):
    with px.client() as c, px.client() as other, redis_alone.client() as alone:
        for to in (other, alone):
            assert to.cmd("SET", px.one[2], "a string") == OK
        for req in (("BLPOP", *px.one, "0"), ("BLPOP", *px.one, "x"), ("BRPOP", *px.one, "-1"), ("BZPOPMIN", *px.one, "1"),
                    ("BLMPOP", "0", "4", *px.one, "SIDEWAYS"), ("BLMPOP", "0", "4", *px.one, "LEFT", "COUNT", "0"),
                    ("BLMPOP", "0", "5", *px.one, "LEFT"), ("BZMPOP", "0", "4", *px.one, "LEFT"), ("BLPOP", *px.one, "1e400")):
            want = alone.cmd(*req)
            assert want.startswith(b"-") and c.cmd(*req) == want, req
        other.cmd("DEL", px.one[2])
        alone.cmd("DEL", px.one[2])
        # what cannot be asked server by server
        for req in (("XREAD", "BLOCK", "0", "STREAMS", *px.one[:2], "$", "$"), ("BLMOVE", *px.one[:2], "LEFT", "LEFT", "0"),
                    ("BRPOPLPUSH", *px.one[:2], "0"), ("XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", *px.one[:2], ">", ">")):
            assert c.cmd(*req).startswith(b"-CROSSSLOT "), req
        assert c.pipeline([("MULTI",), ("BLPOP", *px.one, "0"), ("EXEC",)])[1].startswith(b"-CROSSSLOT ")
        assert c.pipeline([("MULTI",), ("BLPOP", *px.own[0][:2], "0"), ("EXEC",)])[2] == b"*1\r\n*-1\r\n"
        assert c.cmd("WATCH", px.one[0]) == OK
        assert c.cmd("BLPOP", *px.one, "0.1") == b"-ERR this client watches keys of another server\r\n"
        assert c.cmd("UNWATCH") == OK


def test_the_first_key_with_an_element_wins(px):
    """k1 at A, k2 at B, k3 at A: the order of the keys counts, not that of the servers."""
    a, b = px.own[0], px.own[1]
    keys = [a[0], b[0], a[1], b[1]]
    with px.client() as c:
        for full in ([1, 2], [2, 3], [0, 1, 2, 3], [1, 3], [3]):
            for i in full:
                assert c.cmd("RPUSH", keys[i], "e%d" % i) == b":1\r\n"
            for i in full:
                assert c.value("BLPOP", *keys, "0") == [keys[i].encode(), b"e%d" % i]


def test_requests_behind_it_wait(px):
    with px.client() as c, px.client() as other:
        c.post(resp("SET", px.one[0] + "x", "1") + resp("BRPOP", *px.one, "0") + resp("GET", px.one[0] + "x") + resp("PING"))
        c.flush()
        blocked_somewhere(px)
        assert other.cmd("SET", px.one[0] + "x", "2") == OK
        assert other.cmd("LPUSH", px.one[3], "job") == b":1\r\n"
        got = c.replies(4)
        assert got[0] == OK and parse_resp(got[1]) == [px.one[3].encode(), b"job"] and got[2:] == [bulk("2"), b"+PONG\r\n"]


@pytest.mark.parametrize("how", ["close", "abort", "half_close"])
def test_client_that_leaves_takes_nothing(px, redis4, how):
    with px.client() as other:
        for _ in range(5):
            clients = [px.client() for _ in range(6)]
            for c in clients:
                c.send(resp("BLPOP", *px.one, "0"))
            blocked_somewhere(px)
            for c in clients:
                getattr(c, how)()
            wait_until(lambda: all(px.stats("p", s.name)["leases"] == 0 for s in redis4), "the leases to end")
            blocked(redis4, 0)
            for k in px.one:
                assert other.cmd("RPUSH", k, "e") == b":1\r\n" and other.cmd("LPOP", k) == bulk("e")
            for c in clients:
                c.close()


def test_redis_py_waits_as_sidekiq_and_celery_do(px):
    r = redis.Redis(*px.addr())
    assert r.brpop(px.one, timeout=1) is None
    got = []

    def work():
        w = redis.Redis(*px.addr())
        while True:
            item = w.brpop(px.one, timeout=2)
            if item is None or item[1] == b"stop":
                break
            got.append(item[1])
        w.close()
    workers = [threading.Thread(target=work) for _ in range(5)]
    for w in workers:
        w.start()
    for i in range(200):
        r.lpush(px.one[i % 4], "%d" % i)
    wait_until(lambda: len(got) == 200, "all jobs")
    for w in workers:
        r.lpush(px.one[0], "stop")
    for w in workers:
        w.join()
    assert sorted(got) == sorted(b"%d" % i for i in range(200))
    r.close()


def test_server_that_is_down_is_passed_over(redis4):
    servers = [RedisServer() for _ in range(3)]
    with Proxy(pool(servers, timeout=500)) as px, px.client() as c, px.client() as other:
        one = [k[0] for k in keys_by_server(px, servers)]
        c.send(resp("BLPOP", *one, "0"))
        blocked_somewhere(px)
        servers[0].stop()
        servers[1].proc.signal(signal.SIGSTOP)
        assert other.cmd("RPUSH", one[2], "v") == b":1\r\n"
        assert parse_resp(c.reply()) == [one[2].encode(), b"v"]
        assert c.cmd("BLPOP", *one, "0.1") == NILS  # one lives
        servers[2].stop()
        assert c.cmd("BLPOP", *one, "0").startswith(b"-ERR ")
        servers[1].proc.signal(signal.SIGCONT)
        servers[0].start()
        servers[2].start()
        c.send(resp("BLPOP", *one, "0"))
        wait_until(lambda: other.cmd("RPUSH", one[0], "back") == b":1\r\n", "the restarted server")
        assert parse_resp(c.reply()) == [one[0].encode(), b"back"]
    for s in servers:
        s.stop()


def test_limit_of_leases(redis4):
    """A client takes one connection at a time; where a server has none left, others are asked."""
    with Proxy(pool(redis4[:2], server_leases=2), threads=1) as px, px.client() as c, px.client() as other:
        own = keys_by_server(px, redis4[:2])
        one = [k[0] for k in own]
        waiters = [px.client() for _ in range(2)]
        for w in waiters:
            w.send(resp("BLPOP", own[0][1], "0"))
        blocked(redis4[:2], 2)
        assert px.stats("p", redis4[0].name)["leases"] == 2
        assert other.cmd("RPUSH", one[1], "v") == b":1\r\n"
        assert c.value("BLPOP", *one, "0") == [one[1].encode(), b"v"]
        assert px.stats("p", redis4[0].name)["lease_refusals"] >= 1
        assert c.cmd("BLPOP", one[0], "1").startswith(b"-ERR too many clients wait at this server")
        for w in waiters:
            w.send(resp("BLPOP", own[1][1], "0"))
            w.close()


# ---------------------------------------------------------------------------------------------- everybody dies

# A consumer of its own process, so that it can be killed: one line for each answer, "-" for none. It ends with its parent.
CONSUMER = r"""
import os, random, sys
sys.path.insert(0, sys.argv[1])
from harness import Raw, parse_resp, resp
addr, out, keys = (sys.argv[2], int(sys.argv[3])), os.open(sys.argv[4], os.O_WRONLY | os.O_APPEND | os.O_CREAT), sys.argv[5:]
while True:
    try:
        with Raw(addr, 60) as c:
            while True:
                random.shuffle(keys)
                reply = parse_resp(c.cmd("BRPOP", *keys, "0.3"))
                if not isinstance(reply, Exception):
                    os.write(out, (reply[1] if reply else b"-") + b"\n")
    except (OSError, EOFError):
        pass
"""


class Consumer:
    def __init__(self, addr, keys):
        self.path = os.path.join(temp_dir("consumer"), "got")
        self.argv = [sys.executable, "-c", CONSUMER, os.path.dirname(os.path.abspath(__file__)), addr[0], str(addr[1]), self.path] + keys
        self.start()

    def start(self):
        self.proc = Process(self.argv, self.path + ".err")

    def lines(self):
        try:
            with open(self.path, "rb") as f:
                return f.read().split(b"\n")[:-1]
        except FileNotFoundError:
            return []

    def kill(self):
        self.proc.kill9()
        self.start()


class Ledger:
    """Who put what in, and who got what out."""

    def __init__(self, addr, keys, nconsumers):
        self.addr, self.keys = addr, keys
        self.lock = threading.Lock()
        self.put, self.maybe = set(), set()
        self.over, self.enough = threading.Event(), threading.Event()
        self.consumers = [Consumer(addr, keys) for _ in range(nconsumers)]

    def produce(self, name, n):
        """Puts elements of its own: so many at least, and on until it is told that they are enough. Never far ahead of the consumers."""
        def connect():
            return wait_until(lambda: Raw(self.addr), "the proxy")
        rng, c, done, i = random.Random(name), connect(), 0, 0
        while (done < n or not self.enough.is_set()) and not self.over.is_set():
            e, key = b"%s.%d" % (name.encode(), i), rng.choice(self.keys)
            try:
                if re.match(rb":\d\d", c.cmd("LLEN", key)):
                    continue
                i += 1
                ok = c.cmd("LPUSH", key, e).startswith(b":")
            except (OSError, EOFError):
                ok, c = False, connect()
            with self.lock:
                (self.put if ok else self.maybe).add(e)
            done += ok
        c.close()

    def got(self):
        return [e for c in self.consumers for e in c.lines() if e != b"-"]

    def flow(self, n=20):
        """Until so many more came out."""
        seen = len(self.got())
        wait_until(lambda: len(self.got()) >= seen + n, "elements that flow")

    def settle(self, servers):
        """Until the queues are empty and every consumer has found nothing twice since."""
        wait_until(lambda: not any(s.keys() for s in servers), "empty queues")
        seen = [c.lines().count(b"-") for c in self.consumers]
        wait_until(lambda: all(c.lines().count(b"-") >= n + 2 for c, n in zip(self.consumers, seen)), "consumers that find nothing")

    def lost(self):
        got = self.got()
        assert len(got) == len(set(got)), "an element was delivered twice"
        assert set(got) <= self.put | self.maybe
        return len(self.put - set(got))


@pytest.mark.parametrize("threads", [1, 2])
def test_nothing_twice_and_no_more_lost_than_by_one_redis(threads):
    """Each death may take the element that was on its way to somebody who was part of it: a consumer one, a server or kvmux
    one for each consumer. Without deaths nothing is lost. (appendfsync always: a server that wakes up knows what it gave away.)"""
    servers = [RedisServer(appendonly="yes", appendfsync="always") for _ in range(4)]
    with Proxy(pool(servers, timeout=2000), threads=threads) as px:
        keys = [k for own in keys_by_server(px, servers) for k in own[:2]]
        px.keep_conf = px.fixed = True
        book = Ledger(px.addr(), keys, 6)

        def kill_consumers():
            for i in range(12):
                book.flow(10)
                book.consumers[i % 6].kill()
            return 12

        def kill_server():
            book.flow()
            servers[1].proc.kill9()
            servers[1].start()
            return 6

        def kill_proxy():
            book.flow()
            px.proc.kill9()
            px.start()
            return 6
        producers = []
        try:
            for tag, deaths in (("quiet", None), ("consumers", kill_consumers), ("server", kill_server), ("proxy", kill_proxy), ("calm", None)):
                before = book.lost()
                book.enough.clear()
                producers = [threading.Thread(target=book.produce, args=("%s%d" % (tag, i), 200)) for i in range(3)]
                for p in producers:
                    p.start()
                allowed = deaths() if deaths else 0
                book.enough.set()
                for p in producers:
                    p.join()
                book.settle(servers)
                assert book.lost() - before <= allowed, tag
        finally:
            book.over.set()
            for p in producers:
                p.join()
            for c in book.consumers:
                c.proc.kill9()
    for s in servers:
        s.stop()
