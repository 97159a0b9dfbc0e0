"""Commands that wait at the server, and WATCH: each on a connection of its own, for as long as it lasts."""
import os
import signal
import sys
import threading
import time

import pytest
import redis

from harness import NIL, OK, Process, Proxy, RedisServer, bulk, hold, key_on, redis_pool, resp, temp_dir, wait_until

pytestmark = pytest.mark.kvmux_only
QUEUED = b"+QUEUED\r\n"
NILS = b"*-1\r\n"


@pytest.fixture()
def px(shards):
    with Proxy({"p": redis_pool(shards, timeout=400, hash_tag="{}")}) as p:
        yield p


def blocked(servers, n):
    """So many clients wait at the servers."""
    wait_until(lambda: sum(int(s.info("blocked_clients")) for s in servers) == n, "%d blocked clients" % n)


def test_pop_waits_longer_than_the_timeout_of_the_pool(px, redis3):
    """`timeout: 400` is for requests that should be answered at once; other clients go on meanwhile."""
    with px.client() as waiter, px.client() as other:
        waiter.post(resp("BLPOP", "{q}1", "{q}2", "0"))
        waiter.flush()
        blocked(redis3, 1)
        begin = time.monotonic()
        while time.monotonic() - begin < 1.0:
            assert other.cmd("SET", "{q}x", "y") == OK
        assert other.cmd("RPUSH", "{q}2", "job") == b":1\r\n"
        assert waiter.reply() == b"*2\r\n$4\r\n{q}2\r\n$3\r\njob\r\n"
        assert waiter.cmd("GET", "{q}x") == bulk("y")


def test_each_blocking_command(px):
    with px.client() as c:
        for req, push, want in (
                (("BRPOP", "{k}l", "5"), ("LPUSH", "{k}l", "v"), b"*2\r\n$4\r\n{k}l\r\n$1\r\nv\r\n"),
                (("BLMOVE", "{k}a", "{k}b", "LEFT", "RIGHT", "5"), ("LPUSH", "{k}a", "v"), b"$1\r\nv\r\n"),
                (("BRPOPLPUSH", "{k}c", "{k}b", "5"), ("LPUSH", "{k}c", "w"), b"$1\r\nw\r\n"),
                (("BLMPOP", "5", "2", "{k}d", "{k}e", "LEFT"), ("LPUSH", "{k}e", "v"), b"*2\r\n$4\r\n{k}e\r\n*1\r\n$1\r\nv\r\n"),
                (("BZPOPMIN", "{k}z", "5"), ("ZADD", "{k}z", "1", "m"), b"*3\r\n$4\r\n{k}z\r\n$1\r\nm\r\n$1\r\n1\r\n"),
                (("BZPOPMAX", "{k}z", "5"), ("ZADD", "{k}z", "2", "n"), b"*3\r\n$4\r\n{k}z\r\n$1\r\nn\r\n$1\r\n2\r\n"),
                (("BZMPOP", "5", "1", "{k}z", "MIN"), ("ZADD", "{k}z", "3", "o"), b"*2\r\n$4\r\n{k}z\r\n*1\r\n*2\r\n$1\r\no\r\n$1\r\n3\r\n")):
            with px.client() as other:
                c.post(resp(*req))
                c.flush()
                assert other.cmd(*push).startswith(b":")
                assert c.reply() == want, req
        for req in (("BLPOP", "{k}none", "0.01"), ("BZPOPMIN", "{k}none", "0.01")):
            assert c.cmd(*req) == NILS
        assert c.cmd("BLPOP", "{k}none", "x") == b"-ERR timeout is not a float or out of range\r\n"


def test_stream_readers(px, redis3):
    with px.client() as c, px.client() as other:
        c.post(resp("XREAD", "BLOCK", "0", "STREAMS", "{s}1", "$"))
        c.flush()
        blocked(redis3, 1)
        assert other.cmd("XADD", "{s}1", "1-1", "f", "v") == bulk("1-1")
        assert c.reply() == b"*1\r\n*2\r\n$4\r\n{s}1\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n"
        assert c.cmd("XREAD", "BLOCK", "10", "STREAMS", "{s}1", "$") == NILS


STREAM = [("XADD", "{k}s", "1-1", "f", "v"), ("XGROUP", "CREATE", "{k}s", "g", "0")]
WAITS = [  # preparation, request that waits, what ends the wait
    ([], ("BLPOP", "{k}l", "{k}m", "0"), ("RPUSH", "{k}m", "v")),
    ([], ("BRPOP", "{k}l", "5"), ("RPUSH", "{k}l", "v")),
    ([], ("BLMOVE", "{k}l", "{k}m", "LEFT", "RIGHT", "0"), ("RPUSH", "{k}l", "v")),
    ([], ("BRPOPLPUSH", "{k}l", "{k}m", "0"), ("RPUSH", "{k}l", "v")),
    ([], ("BLMPOP", "0", "2", "{k}l", "{k}m", "RIGHT", "COUNT", "2"), ("RPUSH", "{k}m", "v", "w", "x")),
    ([], ("BZPOPMIN", "{k}z", "0"), ("ZADD", "{k}z", "1.5", "m", "2", "n")),
    ([], ("BZPOPMAX", "{k}z", "{k}y", "3.5"), ("ZADD", "{k}z", "1.5", "m", "2", "n")),
    ([], ("BZMPOP", "0", "2", "{k}z", "{k}y", "MIN"), ("ZADD", "{k}y", "1.5", "m")),
    (STREAM, ("XREAD", "COUNT", "3", "BLOCK", "0", "STREAMS", "{k}s", "{k}t", "$", "0"), ("XADD", "{k}s", "2-1", "f", "w")),
    (STREAM, ("XREADGROUP", "GROUP", "g", "me", "BLOCK", "5000", "STREAMS", "{k}s", "2-0"), None),
    (STREAM + [("XREADGROUP", "GROUP", "g", "me", "STREAMS", "{k}s", ">")],
     ("XREADGROUP", "GROUP", "g", "me", "BLOCK", "0", "STREAMS", "{k}s", ">"), ("XADD", "{k}s", "2-1", "f", "w")),
]


@pytest.mark.parametrize("version", ["2", "3"])
@pytest.mark.parametrize("prepare, request_, push", WAITS, ids=[str(i) + w[1][0].lower() for i, w in enumerate(WAITS)])
def test_answers_are_those_of_redis(px, redis_alone, shards, prepare, request_, push, version):
    """After waiting, in both versions of the protocol, byte for byte."""
    answers = []
    for target, servers in ((px, shards), (redis_alone, [redis_alone])):
        with target.client() as c, target.client() as other:
            other.pipeline([("DEL", "{k}" + x) for x in "lmzyst"])
            other.pipeline(prepare)
            assert c.cmd("HELLO", version).startswith((b"*14", b"%7"))
            c.send(resp(*request_) + resp("ECHO", "behind"))
            if push:
                blocked(servers, 1)
                other.cmd(*push)
            answers.append(c.replies(2))
    assert answers[0] == answers[1]


def test_requests_behind_it_keep_their_order(px, redis3):
    with px.client() as c, px.client() as other:
        c.post(resp("SET", "{o}a", "1") + resp("BLPOP", "{o}q", "0") + resp("GET", "{o}a") + resp("PING"))
        c.flush()
        blocked(redis3, 1)
        assert other.cmd("SET", "{o}a", "2") == OK
        assert other.cmd("LPUSH", "{o}q", "x") == b":1\r\n"
        assert [c.reply() for _ in range(4)] == [OK, b"*2\r\n$4\r\n{o}q\r\n$1\r\nx\r\n", bulk("2"), b"+PONG\r\n"]


@pytest.mark.parametrize("behind", [b"", resp("PING"), resp("SET", "{g}x", "y" * 1000) * 40], ids=["alone", "ping_behind", "much_behind"])
def test_client_that_leaves_takes_nothing(px, redis3, behind):
    """Its connection at the server closes, so that the next element is for somebody else."""
    with px.client() as c, px.client() as other:
        c.post(resp("BLPOP", "{g}q", "0") + behind)
        c.flush()
        blocked(redis3, 1)
        c.close()
        blocked(redis3, 0)
        assert other.cmd("LPUSH", "{g}q", "element") == b":1\r\n"
        assert other.cmd("LPOP", "{g}q") == bulk("element")


CHILD = r"""
import sys
sys.path.insert(0, sys.argv[1])
from harness import Raw
c = Raw((sys.argv[2], int(sys.argv[3])), 60)
c.send(sys.argv[4].encode())
c.reply()
"""


@pytest.mark.parametrize("how", ["fin", "reset", "half_close", "kill"])
@pytest.mark.parametrize("request_", ["BLPOP {g}q 0\r\n", "BLMPOP 30 1 {g}q LEFT\r\n"], ids=["for_ever", "with_a_time"])
def test_lease_ends_with_the_client(px, shards, how, request_):
    """However it goes; nothing is lost, whoever pushes right then."""
    def gauge():
        return sum(px.stats("p", s.name)["leases"] for s in shards)
    with px.client() as other:
        for _ in range(3):
            c = child = None
            if how == "kill":
                child = Process([sys.executable, "-c", CHILD, os.path.dirname(os.path.abspath(__file__)), *map(str, px.addr()), request_],
                                os.path.join(temp_dir("child"), "out"))
            else:
                c = px.client()
                c.send(request_.encode())
            blocked(shards, 1)
            assert gauge() == 1
            if child:
                child.kill9()
            else:
                {"fin": c.close, "reset": c.abort, "half_close": c.half_close}[how]()
            blocked(shards, 0)
            wait_until(lambda: gauge() == 0, "the lease to end")
            assert other.cmd("LPUSH", "{g}q", "element") == b":1\r\n" and other.cmd("LPOP", "{g}q") == bulk("element")


def test_silent_server_is_noticed():
    """A reply that is late by the command's own time and `timeout:`; one that may wait for ever may."""
    with RedisServer() as s, Proxy({"p": redis_pool([s], timeout=200)}) as px, px.client() as timed, px.client() as ever, px.client() as one:
        timed.send(resp("BLPOP", "q", "0.3"))
        ever.send(resp("BLPOP", "q", "0"))
        blocked([s], 2)
        begin = time.monotonic()
        s.proc.signal(signal.SIGSTOP)
        assert one.cmd("GET", "k") == b"-ERR Connection timed out\r\n"
        assert timed.reply() == b"-ERR Connection timed out\r\n"
        assert time.monotonic() - begin > 0.3
        assert not ever.peek_closed() and not ever.inb
        s.proc.signal(signal.SIGCONT)
        wait_until(lambda: one.cmd("RPUSH", "q", "v") == b":1\r\n", "the server")
        assert ever.reply() == b"*2\r\n$1\r\nq\r\n$1\r\nv\r\n"


def test_own_time_may_be_longer_than_the_timeout_of_the_pool(redis3):
    with Proxy({"p": redis_pool(redis3[:1], timeout=50)}) as px, px.client() as c:
        for req in (("BLPOP", "nothing", "0.5"), ("XREAD", "BLOCK", "300", "STREAMS", "nothing", "$"), ("BLMOVE", "nothing", "x", "LEFT", "LEFT", "0.2")):
            assert c.cmd(*req) in (NILS, NIL), req


def test_drain_while_clients_wait():
    """kvmux ends though they could wait for ever; nothing is taken for them."""
    with RedisServer() as s, Proxy({"p": redis_pool([s])}) as px:
        waiters = [px.client() for _ in range(5)]
        for i, w in enumerate(waiters):
            w.send(resp("WATCH", "x") if i == 4 else resp("BLPOP", "q", "0"))
        blocked([s], 4)
        assert px.stop() == 0
        assert [w.until_close() for w in waiters[:4]] == [b""] * 4
        with s.client() as c:
            assert c.cmd("RPUSH", "q", "v") == b":1\r\n" and c.cmd("LLEN", "q") == b":1\r\n"


def test_server_dies_under_many_who_wait():
    """Each gets an error; who waits elsewhere notices nothing; the restarted server serves all again."""
    servers = [RedisServer() for _ in range(2)]
    with Proxy({"p": redis_pool(servers)}) as px, px.client() as other:
        keys = [key_on(px, servers, i, prefix="w%d:" % i)[0] for i in range(2)]
        other.cmd("DEL", *keys)
        waiters = [[px.client() for _ in range(20)] for _ in range(2)]
        for i in range(2):
            for w in waiters[i]:
                w.send(resp("BLPOP", keys[i], "0") + resp("PING"))
        blocked(servers, 40)
        servers[0].stop()
        for w in waiters[0]:
            first, second = w.replies(2)
            assert first.startswith(b"-ERR ") and second == b"+PONG\r\n"
        hold(0.1, lambda: [w.peek_closed() for w in waiters[1]])
        assert not any(w.inb or w.eof for w in waiters[1])
        servers[0].start()
        wait_until(lambda: other.cmd("EXISTS", keys[0]) == b":0\r\n", "the restarted server")
        for w in waiters[0]:
            w.send(resp("BLPOP", keys[0], "0"))
        blocked(servers, 40)
        for k in keys:
            assert other.cmd("RPUSH", k, *["v"] * 20) == b":20\r\n"
        for w in waiters[0] + waiters[1]:
            assert w.reply().startswith(b"*2\r\n")
            w.close()
    for s in servers:
        s.stop()


def test_redis_py_blocks(px):
    r, other = redis.Redis(*px.addr()), redis.Redis(*px.addr())
    for push, pop, want in (
            (lambda: other.rpush("{k}r", "a"), lambda: r.blpop("{k}r", 5), (b"{k}r", b"a")),
            (lambda: other.rpush("{k}r", "b"), lambda: r.brpop(["{k}q", "{k}r"], 5), (b"{k}r", b"b")),
            (lambda: other.rpush("{k}r", "c"), lambda: r.brpoplpush("{k}r", "{k}u", 5), b"c"),
            (lambda: other.rpush("{k}r", "d"), lambda: r.blmove("{k}r", "{k}u", 5), b"d"),
            (lambda: other.zadd("{k}v", {"m": 1}), lambda: r.bzpopmin("{k}v", 5), (b"{k}v", b"m", 1.0)),
            (lambda: other.zadd("{k}v", {"m": 1}), lambda: r.bzpopmax("{k}v", 5), (b"{k}v", b"m", 1.0)),
            (lambda: other.xadd("{k}x", {"f": "v"}, id="1-1"), lambda: r.xread({"{k}x": "0"}, block=5000), [[b"{k}x", [(b"1-1", {b"f": b"v"})]]])):
        t = threading.Timer(0.05, push)
        t.start()
        assert pop() == want
        t.join()
    assert r.blpop("{k}none", 1) is None
    other.delete("{k}u", "{k}x")
    r.close()
    other.close()


def test_server_dies_while_somebody_waits(redis3):
    with RedisServer() as s, Proxy({"p": redis_pool([s])}) as px, px.client() as c:
        c.post(resp("BLPOP", "q", "0"))
        c.flush()
        blocked([s], 1)
        s.proc.kill9()
        assert c.reply().startswith(b"-ERR ")
        s.start()
        wait_until(lambda: c.cmd("SET", "k", "v") == OK, "the restarted server")


def test_keys_on_several_servers(redis3):
    with Proxy({"p": redis_pool(redis3)}) as px, px.client() as c:
        here, there = key_on(px, redis3, 0)[0], key_on(px, redis3, 1)[0]
        assert c.cmd("BLPOP", here, there, "1").startswith(b"-CROSSSLOT ")
        assert c.cmd("WATCH", here, there).startswith(b"-CROSSSLOT ")
        assert c.cmd("PING") == b"+PONG\r\n"


def test_limit_and_reuse(redis3):
    with RedisServer() as s, Proxy({"p": redis_pool([s], server_leases=3)}, threads=1) as px:
        waiters = [px.client() for _ in range(3)]
        for i, w in enumerate(waiters):
            w.post(resp("BLPOP", "q%d" % i, "0"))
            w.flush()
        blocked([s], 3)
        with px.client() as c:
            assert c.cmd("BLPOP", "other", "0").startswith(b"-ERR too many clients wait at this server")
            assert px.stats("p", s.name)["leases"] == 3 and px.stats("p", s.name)["lease_refusals"] == 1
            assert c.cmd("WATCH", "k").startswith(b"-ERR too many clients wait at this server")
            for i in range(3):
                assert c.cmd("LPUSH", "q%d" % i, "v") == b":1\r\n"
            for w in waiters:
                assert w.reply().startswith(b"*2\r\n")
            for _ in range(30):  # free connections are used again
                assert c.cmd("BLPOP", "other", "0.001") == NILS
        assert px.stats("p", s.name)["connects"] <= 4
        assert px.stats("p", s.name)["leases"] == 0 and px.stats("p", s.name)["lease_refusals"] == 2
        for w in waiters:
            w.close()


def test_optimistic_locking_ends_exact(px):
    """redis-py's WATCH loop from many threads: no update is lost."""
    def work():
        r = redis.Redis(*px.addr())
        for _ in range(25):
            with r.pipeline() as p:
                while True:
                    try:
                        p.watch("{w}n")
                        n = int(p.get("{w}n") or 0)
                        p.multi()
                        p.set("{w}n", n + 1)
                        p.execute()
                        break
                    except redis.WatchError:
                        continue
        r.close()
    threads = [threading.Thread(target=work) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    with px.client() as c:
        assert c.cmd("GET", "{w}n") == bulk("150")


def test_watch_small_print(px):
    with px.client() as c, px.client() as other:
        def run():
            return c.pipeline([("MULTI",), ("SET", "{w}k", "mine"), ("EXEC",)])[2]
        assert c.cmd("WATCH", "{w}k") == OK and run() == b"*1\r\n+OK\r\n"
        assert c.cmd("WATCH", "{w}k", "{w}l") == OK
        assert other.cmd("SET", "{w}l", "theirs") == OK
        assert run() == NILS
        assert run() == b"*1\r\n+OK\r\n"  # the watch is over
        assert c.cmd("WATCH", "{w}k") == OK and other.cmd("SET", "{w}k", "x") == OK and c.cmd("UNWATCH") == OK
        assert run() == b"*1\r\n+OK\r\n"
        assert c.cmd("WATCH", "{w}k") == OK and other.cmd("SET", "{w}k", "x") == OK
        assert c.pipeline([("MULTI",), ("SET", "{w}k", "y"), ("DISCARD",)])[2] == OK
        assert run() == b"*1\r\n+OK\r\n"
        assert c.cmd("UNWATCH") == OK
        assert c.pipeline([("MULTI",), ("WATCH", "{w}k"), ("SET", "{w}k", "z"), ("EXEC",)]) == [
            OK, b"-ERR WATCH inside MULTI is not allowed\r\n", QUEUED, b"*1\r\n+OK\r\n"]
        # in one pipeline: the watch stands before the next request is looked at
        assert c.pipeline([("WATCH", "{w}k"), ("SET", "{w}k", "own"), ("MULTI",), ("GET", "{w}k"), ("EXEC",)])[-1] == NILS
        assert c.pipeline([("WATCH", "{w}k"), ("MULTI",), ("NOSUCH",), ("EXEC",)])[-1].startswith(b"-EXECABORT ")
        assert c.pipeline([("WATCH", "{w}k"), ("MULTI",), ("EXEC",)])[-1] == b"*0\r\n"
        assert run() == b"*1\r\n+OK\r\n"


def test_watch_and_half_close(px):
    """Everything in one write with a FIN behind it, as from a shell: all of it is answered."""
    with px.client() as c:
        c.send(resp("WATCH", "{w}h") + resp("MULTI") + resp("INCR", "{w}h") + resp("EXEC"))
        c.half_close()
        assert c.until_close() == OK + OK + QUEUED + b"*1\r\n:1\r\n"


def test_leases_of_other_databases_make_room():
    with RedisServer() as s, Proxy({"p": redis_pool([s], server_leases=2)}, threads=1) as px, px.client() as c:
        for db in ("1", "2", "3", "4"):
            assert c.cmd("SELECT", db) == OK
            assert c.cmd("BLPOP", "q", "0.001") == NILS


def test_watch_is_lost_with_its_server(redis3):
    with RedisServer() as s, Proxy({"p": redis_pool([s])}) as px, px.client() as c:
        assert c.cmd("WATCH", "k") == OK
        s.proc.kill9()
        s.start()
        wait_until(lambda: c.cmd("SET", "other", "v") == OK, "the restarted server")
        got = c.pipeline([("MULTI",), ("SET", "k", "v"), ("EXEC",)])
        assert got[2].startswith(b"-EXECABORT ") and c.cmd("GET", "k") == NIL
        assert c.pipeline([("MULTI",), ("SET", "k", "v"), ("EXEC",)])[2] == b"*1\r\n+OK\r\n"
