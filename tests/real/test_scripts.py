"""Scripts and functions: EVALSHA finds its script wherever its key lives, also on servers that lost it or never had it."""
import hashlib
import threading

import pytest
import redis

from harness import NIL, OK, Proxy, RedisServer, array, bulk, integer, key_on, redis_pool, resp, wait_until

pytestmark = pytest.mark.kvmux_only
QUEUED = b"+QUEUED\r\n"
NOSCRIPT = b"-NOSCRIPT No matching script. Please use EVAL.\r\n"
NOTBUSY = b"-NOTBUSY No scripts in execution right now.\r\n"
BODY = "return {KEYS[1], redis.call('incr', KEYS[1])}"
LIB = "#!lua name=mylib\nredis.register_function('mine', function(keys, args) return redis.call('incr', keys[1]) end)"


def sha(body):
    return hashlib.sha1(body.encode()).hexdigest()


@pytest.fixture(scope="module")
def own4():
    """Four servers that a test may restart."""
    servers = [RedisServer() for _ in range(4)]
    yield servers
    for s in servers:
        s.stop()


@pytest.fixture()
def px(own4):
    for s in own4:
        s.flush()
        with s.client() as c:
            assert c.cmd("SCRIPT", "FLUSH") == OK
            assert c.cmd("FUNCTION", "FLUSH") == OK
    with Proxy({"p": redis_pool(own4, timeout=10000, hash_tag="{}")}) as p:
        yield p


def spread_keys(px, servers):
    """One key on each server."""
    return [key_on(px, servers, i)[0].decode() for i in range(len(servers))]


def has(server, body):
    with server.client() as c:
        return c.cmd("SCRIPT", "EXISTS", sha(body)) == array(integer(1))


def test_one_eval_is_enough_for_all_servers(px, own4):
    """... and all workers: connections are spread over them."""
    keys = spread_keys(px, own4)
    body = "return ARGV[1] .. KEYS[1]"
    with px.client() as c:
        assert c.cmd("EVALSHA", sha(body), "1", keys[0], "x") == NOSCRIPT
        assert c.cmd("EVAL", body, "1", keys[0], "x") == bulk("x" + keys[0])
        assert sum(has(s, body) for s in own4) == 1
        for k in keys:
            assert c.cmd("EVALSHA", sha(body).upper(), "1", k, "y") == bulk("y" + k)
        assert sum(has(s, body) for s in own4) == 4
    px.wait_stat("p", "scripts", 2)

    def everywhere():
        with px.client() as o:
            return all(o.cmd("EVALSHA", sha(body), "1", k, "z") == bulk("z" + k) for k in keys)
    for _ in range(8):
        assert everywhere()


def test_restarted_server(px, own4):
    keys = spread_keys(px, own4)
    with px.client() as c:
        assert c.cmd("SCRIPT", "LOAD", BODY) == bulk(sha(BODY))
        assert all(has(s, BODY) for s in own4)
        for k in keys:
            c.cmd("DEL", k)
            assert c.cmd("EVALSHA", sha(BODY), "1", k) == array(bulk(k), integer(1))
        own4[2].stop()
        assert c.cmd("EVALSHA", sha(BODY), "1", keys[0]) == array(bulk(keys[0]), integer(2))
        assert c.cmd("SCRIPT", "LOAD", "return 'meanwhile'") == bulk(sha("return 'meanwhile'"))
        assert c.cmd("SCRIPT", "EXISTS", sha(BODY), sha("return 'meanwhile'"), "0" * 40) == array(integer(1), integer(1), integer(0))
        assert c.cmd("EVALSHA", sha(BODY), "1", keys[2]).startswith(b"-ERR ")
        own4[2].start()
        wait_until(lambda: c.cmd("GET", keys[2]) == NIL, "the server to be back")
        assert not has(own4[2], BODY)
        assert c.cmd("EVALSHA", sha(BODY), "1", keys[2]) == array(bulk(keys[2]), integer(1))
        assert c.cmd("EVALSHA", sha("return 'meanwhile'"), "1", keys[2]) == bulk("meanwhile")
        # in a transaction, by another worker's connections
    for _ in range(4):
        with px.client() as c:
            got = c.pipeline([("MULTI",), ("EVALSHA", sha(BODY), "1", keys[2]), ("EXEC",)])
            assert got[:2] == [OK, QUEUED] and got[2].startswith(b"*1\r\n*2\r\n")


def test_restart_under_load(px, own4):
    """Nobody sees NOSCRIPT, whatever a connection was doing when its server went; every good answer is of its own key."""
    keys = spread_keys(px, own4)
    with px.client() as c:
        for k in keys:
            c.cmd("DEL", k)
        assert c.cmd("SCRIPT", "LOAD", BODY) == bulk(sha(BODY))
    px.wait_stat("p", "scripts", 2)  # both workers know it
    stop, wrong, good = threading.Event(), [], [0] * 4

    def ask(n):
        with px.client() as c:
            while not stop.is_set():
                k = keys[n]
                for r in c.pipeline([("EVALSHA", sha(BODY), "1", k)] * 4):
                    if r.startswith(b"*2\r\n" + bulk(k)):
                        good[n] += 1
                    elif not r.startswith(b"-ERR "):
                        wrong.append(r)
    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    try:
        wait_until(lambda: min(good) > 20, "a beginning")
        for _ in range(3):
            own4[1].stop()
            own4[1].start()
            before = list(good)
            wait_until(lambda: all(a > b + 20 for a, b in zip(good, before)), "all servers to be used again")
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert wrong == []


def test_emptied_behind_our_back(px, own4):
    keys = spread_keys(px, own4)
    body = "return redis.call('get', KEYS[1])"
    with px.client() as c:
        assert c.cmd("SCRIPT", "LOAD", body) == bulk(sha(body))
        for k in keys:
            assert c.cmd("EVALSHA_RO", sha(body), "1", k) == bulk("v:" + k)
        for s in own4:
            with s.client() as d:
                assert d.cmd("SCRIPT", "FLUSH") == OK
        for k in keys:
            assert c.cmd("EVALSHA_RO", sha(body), "1", k) == bulk("v:" + k)
        # what has requests behind it must not change its place: the first error passes, the next request brings the script
        with own4[0].client() as d:
            assert d.cmd("SCRIPT", "FLUSH") == OK
        got = c.pipeline([("EVALSHA", sha(body), "1", keys[0]), ("SET", keys[0], "new")])
        assert got == [NOSCRIPT, OK]
        assert c.cmd("EVALSHA", sha(body), "1", keys[0]) == bulk("new")


def test_redis_py_script(px, own4):
    r = redis.Redis(*px.addr())
    script = r.register_script(BODY)
    for k in spread_keys(px, own4):
        r.delete(k)
        assert script(keys=[k]) == [k.encode(), 1]
    with r.pipeline() as p:
        script(keys=[k], client=p)
        p.get(k)
        assert p.execute() == [[k.encode(), 2], b"2"]
    r.script_flush()
    assert not any(has(s, BODY) for s in own4)
    assert script(keys=[k]) == [k.encode(), 3]
    assert r.script_exists(sha(BODY), "f" * 40) == [True, False]  # it said NOSCRIPT once, and redis-py loaded it again
    assert r.script_load(BODY) == sha(BODY)
    assert r.script_exists(sha(BODY), "f" * 40) == [True, False]
    r.close()


def test_flush_is_a_flush(px, own4):
    keys = spread_keys(px, own4)
    with px.client() as c:
        for how in (("SCRIPT", "FLUSH"), ("SCRIPT", "FLUSH", "ASYNC"), ("SCRIPT", "FLUSH", "SYNC")):
            assert c.cmd("SCRIPT", "LOAD", BODY) == bulk(sha(BODY))
            px.wait_stat("p", "scripts", 2)
            assert c.cmd(*how) == OK
            assert [c.cmd("EVALSHA", sha(BODY), "1", k) for k in keys] == [NOSCRIPT] * 4
            px.wait_stat("p", "scripts", 0)
        assert c.cmd("SCRIPT", "FLUSH", "x").startswith(b"-ERR ")


def test_errors_are_the_servers(px):
    with px.client() as c:
        assert c.cmd("SCRIPT", "LOAD", "this is not lua").startswith(b"-ERR Error compiling script")
        assert c.cmd("EVALSHA", sha("this is not lua"), "0") == NOSCRIPT
        assert c.cmd("EVALSHA", "short", "0") == NOSCRIPT
        assert c.cmd("EVAL", "return redis.error_reply('NOSCRIPT of my own')", "0") == b"-NOSCRIPT of my own\r\n"
        assert c.cmd("EVALSHA", sha(BODY), "2", "a", "b", "c")[:1] == b"-"
        assert c.cmd("EVAL", BODY, "1")[:1] == b"-"
        assert c.cmd("SCRIPT", "KILL") == NOTBUSY
        assert c.cmd("FUNCTION", "KILL") == NOTBUSY
        assert c.cmd("SCRIPT", "EXISTS") == b"-ERR wrong number of arguments for 'script|exists' command\r\n"


@pytest.mark.parametrize("auth", [False, True], ids=["plain", "auth_db"])
def test_running_script_is_killed(auth):
    """Through kvmux, although the script blocks the connection that everybody shares."""
    options = {"requirepass": "s3cret"} if auth else {}
    servers = [RedisServer(busy_reply_threshold=50, **options) for _ in range(3)]
    pool = redis_pool(servers, timeout=20000, **({"redis_auth": "s3cret", "redis_db": 3} if auth else {}))
    try:
        with Proxy({"p": pool}) as px, px.client() as slow, px.client() as c:
            if auth:
                assert slow.cmd("AUTH", "s3cret") == OK and c.cmd("AUTH", "s3cret") == OK
            slow.send(resp("EVAL", "while true do end", "1", "k"))
            assert wait_until(lambda: c.cmd("SCRIPT", "KILL") == OK, "the script to be killed")
            assert b"Script killed by user" in slow.reply()
            assert c.cmd("SCRIPT", "KILL") == NOTBUSY
            assert c.cmd("SET", "k", "v") == OK
            # one that has written cannot be killed: that is what counts, not that the others have nothing to do
            slow.send(resp("EVAL", "redis.call('set', KEYS[1], 'x'); while true do end", "1", "k"))
            got = wait_until(lambda: (lambda r: r if not r.startswith(b"-NOTBUSY") else None)(c.cmd("SCRIPT", "KILL")), "the script to run")
            assert got.startswith(b"-UNKILLABLE ")
            for s in servers:
                s.proc.kill9()
            assert slow.reply().startswith(b"-ERR ")
    finally:
        for s in servers:
            s.stop()


def test_functions(px, own4):
    keys = spread_keys(px, own4)
    with px.client() as c:
        assert c.cmd("FUNCTION", "LOAD", LIB) == bulk("mylib")
        for k in keys:
            c.cmd("DEL", k)
            assert c.cmd("FCALL", "mine", "1", k) == integer(1)
        assert c.cmd("FUNCTION", "LOAD", LIB).startswith(b"-ERR Library 'mylib' already exists")
        assert c.cmd("FUNCTION", "LOAD", "REPLACE", LIB) == bulk("mylib")
        assert b"mylib" in c.cmd("FUNCTION", "LIST") and b"running_script" in c.cmd("FUNCTION", "STATS")
        dump = c.value("FUNCTION", "DUMP")
        assert c.cmd("FUNCTION", "DELETE", "mylib") == OK
        assert c.cmd("FCALL", "mine", "1", keys[0]) == b"-ERR Function not found\r\n"
        assert c.cmd("FUNCTION", "RESTORE", dump) == OK
        assert [c.cmd("FCALL", "mine", "1", k) for k in keys] == [integer(2)] * 4
        assert c.cmd("FUNCTION", "FLUSH") == OK
        assert c.cmd("FUNCTION", "LIST") == b"*0\r\n"


def test_many_bodies_stay_within_the_bound(own4):
    """Clients that make up a script for each request, on two workers: what is remembered is bounded."""
    with Proxy({"p": redis_pool(own4, timeout=10000, script_cache=16384)}) as px:
        wrong = []

        def ask(n):
            with px.client() as c:
                for i in range(300):
                    body = "return '%d of %d'" % (i, n)
                    want = bulk("%d of %d" % (i, n))
                    got = c.cmd("EVAL", body, "1", "k%d" % i), c.cmd("EVALSHA", sha(body), "1", "k%d" % i)
                    wrong.extend(g for g in got if g != want)
                    if n == 0 and i % 50 == 0:
                        wrong.extend([] if c.cmd("SCRIPT", "LOAD", BODY) == bulk(sha(BODY)) else ["load"])
        threads = [threading.Thread(target=ask, args=(n,)) for n in range(6)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert wrong == []
        st = px.stats("p")
        assert 0 < st["script_bytes"] <= 2 * 16384 and 0 < st["scripts"] < 400
        assert st["script_evictions"] > 1000
