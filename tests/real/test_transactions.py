"""MULTI, EXEC and DISCARD without a connection of their own: the batch goes out in one piece on a shared connection."""
import threading

import pytest
import redis

from harness import NIL, OK, FakeServer, Proxy, RedisServer, Timeout, bulk, key_on, redis_pool, resp

pytestmark = pytest.mark.kvmux_only
QUEUED = b"+QUEUED\r\n"


@pytest.fixture()
def px(shards):
    with Proxy({"p": redis_pool(shards, timeout=10000, hash_tag="{}")}) as p:
        yield p


def test_all_or_nothing_in_order(px):
    with px.client() as c:
        for round in range(3):
            got = c.pipeline([("MULTI",), ("SET", "{a}1", str(round)), ("INCR", "{a}1"), ("LPUSH", "{a}l", "x"), ("EXEC",), ("GET", "{a}1")])
            assert got == [OK, QUEUED, QUEUED, QUEUED, b"*3\r\n+OK\r\n:%d\r\n:%d\r\n" % (round + 1, round + 1), bulk(str(round + 1))]


def test_redis_py_pipeline(px):
    r = redis.Redis(*px.addr())
    with r.pipeline() as p:  # transaction=True is the default
        p.set("{u}name", "x").incr("{u}n").hset("{u}h", "f", "v").hgetall("{u}h")
        assert p.execute() == [True, 1, 1, {b"f": b"v"}]
    with pytest.raises(redis.ResponseError):
        with r.pipeline() as p:
            p.set("{u}name", "x").lpush("{u}name", "y").execute()
    assert r.get("{u}name") == b"x"
    r.close()


def test_errors_while_queueing_abort(px):
    with px.client() as c:
        for bad in (("NOSUCH", "x"), ("GET",), ("SUBSCRIBE", "ch"), ("SELECT", "1")):
            a, b, d, e = c.pipeline([("MULTI",), bad, ("SET", "k", "v"), ("EXEC",)])
            assert a == OK and b.startswith(b"-ERR ") and d == QUEUED, bad
            assert e == b"-EXECABORT Transaction discarded because of previous errors.\r\n"
            assert c.cmd("GET", "k") == NIL
        # the server's own verdict at run time
        a, b, d, e = c.pipeline([("MULTI",), ("SET", "k", "v"), ("LPUSH", "k", "x"), ("EXEC",)])
        assert e.startswith(b"*2\r\n+OK\r\n-WRONGTYPE ")


def test_small_print(px):
    with px.client() as c:
        assert c.cmd("EXEC") == b"-ERR EXEC without MULTI\r\n"
        assert c.cmd("DISCARD") == b"-ERR DISCARD without MULTI\r\n"
        assert c.pipeline([("MULTI",), ("EXEC",)]) == [OK, b"*0\r\n"]
        assert c.pipeline([("MULTI",), ("SET", "k", "v"), ("DISCARD",), ("GET", "k")]) == [OK, QUEUED, OK, NIL]
        assert c.pipeline([("MULTI",), ("MULTI",), ("SET", "k", "v"), ("EXEC",)]) == [
            OK, b"-ERR MULTI calls can not be nested\r\n", QUEUED, b"*1\r\n+OK\r\n"]
        assert c.pipeline([("MULTI",), ("PING",), ("ECHO", "hi"), ("EXEC",)]) == [OK, QUEUED, QUEUED, b"*2\r\n+PONG\r\n$2\r\nhi\r\n"]
        assert c.pipeline([("MULTI",), ("RESET",), ("EXEC",)]) == [OK, b"+RESET\r\n", b"-ERR EXEC without MULTI\r\n"]


def test_keys_on_several_servers(redis3):
    with Proxy({"p": redis_pool(redis3, timeout=10000)}) as px, px.client() as c:
        here, there = key_on(px, redis3, 0)[0], key_on(px, redis3, 1)[0]
        c.cmd("DEL", here, there)
        a, b, d, e = c.pipeline([("MULTI",), ("SET", here, "1"), ("SET", there, "1"), ("EXEC",)])
        assert (a, b) == (OK, QUEUED) and d.startswith(b"-CROSSSLOT ") and e.startswith(b"-EXECABORT ")
        assert c.cmd("EXISTS", here, there) == b":0\r\n"


def test_size_limit(redis3):
    with Proxy({"p": redis_pool(redis3[:1], transaction_limit=2048)}) as px, px.client() as c:
        got = c.pipeline([("MULTI",)] + [("SET", "k%d" % i, "v" * 500) for i in range(6)] + [("EXEC",)])
        assert got[0] == OK and got[1] == QUEUED and got[-2].startswith(b"-ERR the transaction is larger than transaction_limit")
        assert got[-1].startswith(b"-EXECABORT ")


def test_counters_end_exact(px):
    """Many clients on the same keys, transactions among plain requests on the same shared connections."""
    def work(n):
        with px.client() as c:
            for i in range(100):
                got = c.pipeline([("INCR", "{x}plain"), ("MULTI",), ("INCR", "{x}a"), ("DECR", "{x}b"), ("EXEC",), ("GET", "k%d" % n)])
                assert got[1:4] == [OK, QUEUED, QUEUED] and got[4].startswith(b"*2\r\n:") and got[5] == NIL
    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    with px.client() as c:
        assert c.cmd("MGET", "{x}plain", "{x}a", "{x}b") == b"*3\r\n$3\r\n800\r\n$3\r\n800\r\n$4\r\n-800\r\n"


def test_server_that_refuses_transactions():
    """Its first answer to MULTI is an error: nothing of the transaction runs."""
    seen = []
    with FakeServer() as s:
        def serve():
            try:
                while True:
                    conn, request = s.request()
                    seen.append(request)
                    conn.post(b"-NOPERM no MULTI for you\r\n" if b"MULTI" in request or b"EXEC" in request else OK)
                    conn.flush()
            except (OSError, ValueError, Timeout):
                pass
        threading.Thread(target=serve, daemon=True).start()
        with Proxy({"p": {"redis": True, "servers": [s.entry()]}}) as px, px.client() as c:
            for _ in range(2):
                got = c.pipeline([("MULTI",), ("SET", "k", "v"), ("EXEC",), ("SET", "plain", "v")])
                assert got == [OK, QUEUED, b"-ERR the server refuses transactions\r\n", OK]
    assert not any(b"$1\r\nk\r\n" in r for r in seen)


def test_version_3(px):
    with px.client() as c:
        c.post(resp("HELLO", "3"))
        assert c.line() == b"%7\r\n"
        for _ in range(14):
            c.reply()
        c.post(resp("MULTI") + resp("HSET", "{h}", "f", "v") + resp("HGETALL", "{h}") + resp("EXEC"))
        want = OK + QUEUED + QUEUED + b"*2\r\n:1\r\n%1\r\n$1\r\nf\r\n$1\r\nv\r\n"
        assert c.exact(len(want)) == want


def test_each_server_proves_itself_also_when_each_pick_is_another(shards):
    """`distribution: random`, and no key: the server that answered the empty transaction must be the one that gets the real one."""
    pools = {"p%d" % i: None for i in range(24)}
    with RedisServer(rename_command="MULTI NOMULTI") as odd:  # it would carry out one by one what stands between MULTI and EXEC
        servers = [shards[0], odd]
        with Proxy({name: redis_pool(servers, timeout=10000, distribution="random") for name in pools}, threads=1) as px:
            for name in pools:
                with px.client(name) as c:
                    got = c.pipeline([("MULTI",), ("PING",), ("EXEC",)])
                    assert got in ([OK, QUEUED, b"*1\r\n+PONG\r\n"], [OK, QUEUED, b"-ERR the server refuses transactions\r\n"]), got
        with odd.client() as c:
            assert b"cmdstat_ping" not in c.cmd("INFO", "commandstats")
