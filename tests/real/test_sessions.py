"""What belongs to a client's connection: the version of the protocol, the database, the name. Servers are asked before a
client changes its profile, and clients of different profiles share the proxy without noticing each other."""
import pytest

from harness import NIL, OK, PONG, FakeServer, Proxy, RedisServer, Timeout, bulk, redis_pool, resp, spread

pytestmark = pytest.mark.kvmux_only


@pytest.fixture()
def px(shards):
    with Proxy({"p": redis_pool(shards, timeout=10000)}) as p:
        yield p


def hello3(c):
    c.post(resp("HELLO", "3"))
    assert c.line() == b"%7\r\n"
    for _ in range(7):
        c.reply(), c.reply()


def test_versions_side_by_side(px):
    with px.client() as three, px.client() as two:
        hello3(three)
        assert two.cmd("HSET", "h", "f", "v") == b":1\r\n"
        assert two.cmd("SADD", "s", "m") == b":1\r\n"
        assert two.cmd("ZADD", "z", "1.5", "m") == b":1\r\n"
        for _ in range(3):
            three.post(resp("HGETALL", "h") + resp("SMEMBERS", "s") + resp("ZSCORE", "z", "m") + resp("GET", "none"))
            assert three.exact(4 + 7 + 7) == b"%1\r\n$1\r\nf\r\n$1\r\nv\r\n"
            assert three.exact(4 + 7) == b"~1\r\n$1\r\nm\r\n"
            assert three.exact(6 + 3) == b",1.5\r\n_\r\n"
            assert two.cmd("HGETALL", "h") == b"*2\r\n$1\r\nf\r\n$1\r\nv\r\n"
            assert two.cmd("SMEMBERS", "s") == b"*1\r\n$1\r\nm\r\n"
            assert two.cmd("GET", "none") == NIL


def test_split_replies_in_version_3(px):
    keys = spread(20)
    with px.client() as c:
        hello3(c)
        c.post(resp("MSET", *[x for k in keys for x in (k, "v" + k)]))
        assert c.line() == b"+OK\r\n"
        c.post(resp("MGET", *(keys + ["none"])))
        want = b"*21\r\n" + b"".join(bulk("v" + k) for k in keys) + b"_\r\n"
        assert c.exact(len(want)) == want
        c.post(resp("DEL", *keys))
        assert c.line() == b":20\r\n"


def test_back_to_version_2(px):
    with px.client() as c:
        hello3(c)
        c.post(resp("HELLO", "2") + resp("GET", "none"))
        assert c.reply().startswith(b"*14\r\n")
        assert c.reply() == NIL


def test_select_separates(px):
    keys = spread(12)
    with px.client() as a, px.client() as b:
        assert b.cmd("SELECT", "5") == OK
        for k in keys:
            assert a.cmd("SET", k, "zero") == OK
            assert b.cmd("GET", k) == NIL
            assert b.cmd("SET", k, "five") == OK
        assert [a.cmd("GET", k) for k in keys] == [bulk("zero")] * 12
        assert [b.cmd("GET", k) for k in keys] == [bulk("five")] * 12
        assert b.cmd("SELECT", "0") == OK
        assert b.cmd("GET", keys[0]) == bulk("zero")


def test_select_in_a_pipeline_keeps_the_order(px):
    keys = spread(8)
    with px.client() as c:
        requests = []
        for db in ("1", "2", "0", "1"):
            requests += [("SELECT", db)] + [("APPEND", k, db) for k in keys] + [("GET", k) for k in keys]
        got = c.pipeline(requests)
        at = 0
        for db, want in (("1", "1"), ("2", "2"), ("0", "0"), ("1", "11")):
            assert got[at] == OK
            assert got[at + 1 + len(keys):at + 1 + 2 * len(keys)] == [bulk(want)] * len(keys), db
            at += 1 + 2 * len(keys)


def test_database_that_does_not_exist(px):
    """Redis' own text; the server is not held responsible, and the client stays where it was."""
    with px.client() as c:
        assert c.cmd("SET", "k", "v") == OK
        for db in ("16", "9999", "-1"):
            assert c.cmd("SELECT", db) == b"-ERR DB index is out of range\r\n"
        assert c.cmd("SELECT", "x") == b"-ERR value is not an integer or out of range\r\n"
        assert c.cmd("GET", "k") == bulk("v")
        assert px.stats("p")["server_ejects"] == 0


def test_version_that_servers_do_not_speak():
    """A server of old answers HELLO with an error: clients get -NOPROTO, on which they step down, and plain traffic works."""
    import threading
    with FakeServer() as old:
        def serve():
            try:
                while True:
                    conn, request = old.request()
                    if b"HELLO" in request:
                        conn.post(b"-ERR unknown command `HELLO`\r\n")
                    else:
                        conn.post(b"+PONG\r\n" if b"PING" in request else bulk("old"))
                    conn.flush()
            except (OSError, ValueError, Timeout):
                pass  # the test is over

        threading.Thread(target=serve, daemon=True).start()
        with Proxy({"p": {"redis": True, "servers": [old.entry()], "auto_eject_hosts": True, "server_failure_limit": 1}}) as px, px.client() as c:
            for _ in range(3):
                assert c.cmd("HELLO", "3") == b"-NOPROTO unsupported protocol version\r\n"
            assert c.cmd("GET", "k") == bulk("old")
            assert px.stats("p")["server_ejects"] == 0


def test_names_and_ids(px):
    with px.client() as a, px.client() as b:
        assert a.cmd("CLIENT", "GETNAME") == NIL
        assert a.cmd("CLIENT", "SETNAME", "worker-1") == OK
        assert a.cmd("CLIENT", "GETNAME") == bulk("worker-1")
        assert b.cmd("CLIENT", "GETNAME") == NIL
        assert a.cmd("CLIENT", "ID") != b.cmd("CLIENT", "ID")
        assert a.cmd("CLIENT", "NO-EVICT", "on") == OK
        assert a.cmd("SELECT", "3") == OK
        assert a.cmd("CLIENT", "GETNAME") == bulk("worker-1")
        assert a.cmd("RESET") == b"+RESET\r\n"
        assert a.cmd("CLIENT", "GETNAME") == NIL
        assert a.cmd("PING") == PONG


def test_too_many_profiles(redis3):
    with Proxy({"p": redis_pool(redis3[:1], server_profiles=2)}) as px:
        clients = [px.client() for _ in range(6)]
        for db, c in enumerate(clients, 1):  # those that are idle make room
            assert c.cmd("SELECT", str(db)) == OK
            assert c.cmd("SET", "k", str(db)) == OK
        for db, c in enumerate(clients, 1):
            assert c.cmd("GET", "k") == bulk(str(db))
            c.close()
        assert px.stats("p", redis3[0].name)["server_connections"] <= 2 * 3


def test_password_and_versions(redis3):
    with RedisServer(requirepass="s3cret") as s, Proxy({"p": redis_pool([s], redis_auth="s3cret", redis_db=2)}) as px, px.client() as c:
        assert c.cmd("HELLO", "3").startswith(b"-NOAUTH ")
        c.post(resp("HELLO", "3", "AUTH", "default", "s3cret", "SETNAME", "n"))
        assert c.line() == b"%7\r\n"
        for _ in range(7):
            c.reply(), c.reply()
        c.post(resp("SET", "k", "v") + resp("HGETALL", "none"))
        assert c.line() == b"+OK\r\n" and c.line() == b"%0\r\n"
        assert s.keys(2) == {b"k"}
        assert c.cmd("CLIENT", "GETNAME") == bulk("n")
