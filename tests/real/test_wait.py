"""WAIT with real replicas: the servers that a client wrote through, and the smallest number of replicas among them."""
import signal

import pytest
import redis

from harness import OK, Proxy, RedisServer, bulk, integer, key_on, redis_pool, resp, wait_until

pytestmark = pytest.mark.kvmux_only
QUEUED = b"+QUEUED\r\n"


@pytest.fixture(scope="module")
def family():
    """Two masters: the first has two replicas, the second one."""
    masters = [RedisServer(repl_diskless_sync_delay=0) for _ in range(2)]
    replicas = [RedisServer(replicaof="%s %d" % masters[m].addr) for m in (0, 0, 1)]
    for m, n in ((0, 2), (1, 1)):
        wait_until(lambda: masters[m].info("connected_slaves") == str(n), "%d replicas" % n)
    for r in replicas:
        wait_until(lambda: r.info("master_link_status") == "up", "a replica to be in step")
    yield masters, replicas
    for s in replicas + masters:
        s.stop()


@pytest.fixture()
def px(family):
    with Proxy({"p": redis_pool(family[0], timeout=300)}) as p:
        yield p


def test_smallest_number(px, family):
    masters, replicas = family
    a, b = (key_on(px, masters, i)[0] for i in (0, 1))
    with px.client() as c:
        # nothing written: as a server answers a connection that wrote nothing, of all servers
        wait_until(lambda: c.cmd("WAIT", "0", "0") == integer(1), "the replicas to be known")
        assert c.cmd("SET", a, "1") == OK
        assert c.cmd("WAIT", "2", "0") == integer(2)
        assert c.cmd("SET", b, "1") == OK
        assert c.cmd("WAIT", "1", "0") == integer(1)
    with px.client() as c:
        got = c.pipeline([("SET", a, "2"), ("WAIT", "2", "0"), ("GET", a)])
        assert got == [OK, integer(2), bulk("2")]
        assert c.cmd("EVAL", "return redis.call('incr', KEYS[1])", "1", b) == integer(2)
        assert c.cmd("WAIT", "1", "0") == integer(1)


def test_waits_for_what_was_written(px, family):
    """Replicas that stand still have not got it; WAIT comes back at its own time-out, which is longer than the pool's."""
    masters, replicas = family
    key = key_on(px, masters, 0)[0]
    with px.client() as c, px.client() as other:
        assert c.cmd("SET", key, "seen") == OK
        assert c.cmd("WAIT", "2", "0") == integer(2)
        replicas[0].proc.signal(signal.SIGSTOP)
        try:
            assert c.cmd("SET", key, "unseen") == OK
            assert c.cmd("WAIT", "2", "700") == integer(1)
            c.post(resp("WAIT", "2", "0"))
            c.flush()
            wait_until(lambda: masters[0].info("blocked_clients") == "1", "WAIT to wait")
            for _ in range(20):
                assert other.cmd("GET", key) == bulk("unseen")
        finally:
            replicas[0].proc.signal(signal.SIGCONT)
        assert c.reply() == integer(2)


def test_client_that_leaves(px, family):
    masters, replicas = family
    key = key_on(px, masters, 1)[0]
    c = px.client()
    assert c.cmd("SET", key, "x") == OK
    c.post(resp("WAIT", "5", "0") + resp("GET", key))
    c.flush()
    wait_until(lambda: masters[1].info("blocked_clients") == "1", "WAIT to wait")
    c.abort()
    wait_until(lambda: masters[1].info("blocked_clients") == "0", "the server to be told")
    with px.client() as c:
        assert c.cmd("SET", key, "y") == OK
        assert c.cmd("WAIT", "1", "0") == integer(1)


def test_inside_a_transaction(px, family):
    """There it does not wait, as at a server."""
    key = key_on(px, family[0], 0)[0]
    with px.client() as c:
        got = c.pipeline([("MULTI",), ("SET", key, "1"), ("WAIT", "9", "0"), ("EXEC",)])
        assert got[:3] == [OK, QUEUED, QUEUED] and got[3].startswith(b"*2\r\n+OK\r\n:")
        assert c.cmd("WAIT", "2", "0") == integer(2)


def test_errors_and_redis_py(px, family):
    key = key_on(px, family[0], 1)[0]
    with px.client() as c:
        assert c.cmd("WAIT", "x", "0") == b"-ERR value is not an integer or out of range\r\n"
        assert c.cmd("WAIT", "1", "-1") == b"-ERR timeout is negative\r\n"
        assert c.cmd("WAIT", "1") == b"-ERR wrong number of arguments for 'wait' command\r\n"
    r = redis.Redis(*px.addr())
    r.set(key, "x")
    assert r.wait(1, 0) == 1
    r.close()


def test_no_replicas(redis3):
    with Proxy({"p": redis_pool(redis3)}) as px, px.client() as c:
        assert c.cmd("WAIT", "0", "0") == integer(0)
        assert c.cmd("SET", "k", "v") == OK
        assert c.cmd("WAIT", "0", "0") == integer(0)
        assert c.cmd("WAIT", "1", "50") == integer(0)
