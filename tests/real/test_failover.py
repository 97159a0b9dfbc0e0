"""kill -9 of real servers (compat parts 4.5 and 6, issue list 8), as the tutorials walk through it, for both protocols."""
import time

import pytest

from harness import (DEADLINE, HOST, NIL, OK, PONG, TARGET, MemcachedServer, Proxy, RedisServer, array, bulk, hold, integer, mc_pool, redis_pool,
                     resp, spread, wait_until)

kvmux_only = pytest.mark.kvmux_only
pytestmark = pytest.mark.not_direct
RETRY = 2000   # server_retry_timeout of these pools, msec
REFUSED = b"Connection refused\r\n"


class Redis:
    """The few words the walk-through needs, for either protocol."""
    name = "redis"
    server = RedisServer
    refused = b"-ERR " + REFUSED

    @staticmethod
    def pool(servers, **kw):
        return redis_pool(servers, **kw)

    def __init__(self, px):
        self.c = px.client()

    def set(self, key, value):
        return self.c.cmd("SET", key, value)

    def get(self, key):
        got = self.c.cmd("GET", key)
        return got if got.startswith(b"-") else None if got == NIL else got.split(b"\r\n")[1]

    stored = OK

    @staticmethod
    def held(server, keys):
        return server.keys() & {k.encode() for k in keys}


class Memcached(Redis):
    name = "memcached"
    server = MemcachedServer
    refused = b"SERVER_ERROR " + REFUSED
    stored = b"STORED\r\n"

    @staticmethod
    def pool(servers, **kw):
        return mc_pool(servers, **kw)

    def set(self, key, value):
        return self.c.mc_set(key, value)

    def get(self, key):
        got = self.c.mc_get(key)
        return self.c.error if got is None else got.get(key.encode())

    @staticmethod
    def held(server, keys):
        return server.holds(keys)


@pytest.fixture(params=[Redis, Memcached], ids=lambda p: p.name)
def proto(request):
    return request.param


@pytest.fixture()
def world(proto):
    """Four servers and keys sorted by the server that has them."""
    made = []

    def make(**keys):
        servers = [proto.server() for _ in range(4)]
        made.extend(servers)
        px = Proxy({"p": proto.pool(servers, timeout=3000, **keys)})
        made.append(px)
        client = proto(px)
        all_keys = spread(100, "fo:")
        for k in all_keys:
            assert client.set(k, "first") == proto.stored
        owned = [sorted(k.decode() for k in proto.held(s, all_keys)) for s in servers]
        assert min(map(len, owned)) > 3 and sum(map(len, owned)) == 100
        return px, servers, owned, client
    yield make
    for m in reversed(made):
        m.stop()


def write_somewhere_else(proto, client, key, servers, victim):
    """Until the key is stored, by a server that is not the victim."""
    wait_until(lambda: client.set(key, "second") == proto.stored, "key of the killed server to be written elsewhere")
    assert client.get(key) == b"second"
    new = [i for i, s in enumerate(servers) if i != victim and proto.held(s, [key])]
    assert len(new) == 1
    return new[0]


@pytest.mark.parametrize("limit", [1, 2])
def test_killed_server_is_ejected_and_comes_back(world, proto, limit):
    px, servers, owned, client = world(auto_eject_hosts=True, server_retry_timeout=RETRY, server_failure_limit=limit)
    victim = 1
    servers[victim].kill9()
    write_somewhere_else(proto, client, owned[victim][0], servers, victim)
    for i, keys in enumerate(owned):
        for k in keys[:4]:
            if i == victim:
                assert client.set(k, "moved") == proto.stored, "once ejected, all its keys are elsewhere"
            else:
                assert client.get(k) == b"first", "keys of the others stay where they were"
    st = px.stats("p")
    assert st["server_ejects"] >= 1
    at = st[servers[victim].name]["server_ejected_at"] / 1e6
    assert abs(at - time.time()) < 60
    assert all(st[s.name]["server_ejected_at"] == 0 for i, s in enumerate(servers) if i != victim)

    servers[victim].start()

    def back():
        assert client.set(owned[victim][1], "third") in (proto.stored, proto.refused)
        return proto.held(servers[victim], owned[victim])
    wait_until(back, "the restarted server to get its keys back")
    for k in owned[victim]:
        assert client.set(k, "fourth") == proto.stored
    assert len(proto.held(servers[victim], owned[victim])) == len(owned[victim])
    for i, keys in enumerate(owned):
        for k in keys:
            assert client.get(k) == (b"fourth" if i == victim else b"first")


@kvmux_only
def test_ejected_server_that_stays_dead_gets_no_traffic(world, proto):
    """nutcracker puts it back unseen after each retry time, and clients pay; kvmux asks it first: not one error more."""
    px, servers, owned, client = world(auto_eject_hosts=True, server_retry_timeout=400, server_failure_limit=1)
    victim = 2
    servers[victim].kill9()
    write_somewhere_else(proto, client, owned[victim][0], servers, victim)
    key = owned[victim][1]
    wait_until(lambda: client.set(key, "x") == proto.stored, "ring of every worker")
    n = hold(2.5, lambda: (client.set(key, "y") == proto.stored) or pytest.fail("error while the dead server is ejected"))
    assert n > 50
    assert px.stats("p")["server_ejects"] == 1


@kvmux_only
def test_all_clients_and_workers_move_together(world, proto):
    """Once one client sees a key elsewhere, no other client (of another worker) reads or writes it at the old place."""
    px, servers, owned, client = world(auto_eject_hosts=True, server_retry_timeout=60000, server_failure_limit=1)
    others = [proto(px) for _ in range(12)]
    victim = 0
    servers[victim].kill9()
    write_somewhere_else(proto, client, owned[victim][0], servers, victim)
    wait_until(lambda: all(o.set(owned[victim][1], "x") == proto.stored for o in others), "all clients to write elsewhere")
    for o in others:
        for k in owned[victim]:
            assert o.set(k, "y") == proto.stored
    assert px.stats("p")["server_ejects"] == 1


def test_without_ejection_only_its_keys_fail(world, proto):
    px, servers, owned, client = world(server_retry_timeout=RETRY)
    victim = 3
    servers[victim].kill9()
    wait_until(lambda: client.get(owned[victim][0]) == proto.refused, "the refusal")

    def check():
        assert client.get(owned[victim][1]) == proto.refused
        assert client.set(owned[victim][2], "x") == proto.refused
        for i in range(3):
            assert client.get(owned[i][0]) == b"first"
    hold(1.0, check)
    servers[victim].start()
    wait_until(lambda: client.set(owned[victim][0], "again") == proto.stored, "its keys to work again")
    assert client.get(owned[victim][0]) == b"again"
    assert proto.held(servers[victim], owned[victim]) == {owned[victim][0].encode()}
    assert px.stats("p")["server_ejects"] == 0


def test_all_servers_dead(world, proto):
    px, servers, owned, client = world(auto_eject_hosts=True, server_retry_timeout=RETRY, server_failure_limit=1)
    for s in servers:
        s.kill9()
    wait_until(lambda: all(client.set(k[0], "x") == proto.refused for k in owned), "every key to be refused")
    for s in servers:
        s.start()
    for keys in owned:
        wait_until(lambda: client.set(keys[0], "back") == proto.stored, "all servers to be used again")
    wait_until(lambda: all(client.set(k, "home") == proto.stored and proto.held(servers[i], [k]) for i, keys in enumerate(owned) for k in keys[:3]),
               "keys to be at home again")


def test_requests_in_flight_when_the_server_dies_get_one_error_each(proto):
    """A pipeline to a server that is stopped (so that nothing is answered), then killed: an error for each, in order, and
    the connection lives."""
    import signal
    with proto.server() as s, Proxy({"p": proto.pool([s], timeout=15000)}) as px:
        client = proto(px)
        assert client.set("k", "v") == proto.stored
        s.proc.signal(signal.SIGSTOP)
        if proto is Memcached:
            client.c.post(b"get k\r\n" * 50)
        else:
            client.c.post(b"".join(resp("GET", "k") for _ in range(50)))
        client.c.flush()
        px.wait_stat("p", "out_queue", lambda v: v >= 1, s.name) if px.kind == "kvmux" else None
        s.kill9()
        got = [client.c.line() for _ in range(50)]
        assert all(g.startswith((b"-ERR ", b"SERVER_ERROR ")) for g in got)
        s.start()
        wait_until(lambda: client.set("k", "v2") == proto.stored, "the restarted server")
        assert client.get("k") == b"v2"


@kvmux_only
def test_idle_connections_closed_by_the_server_are_no_failure():
    """Redis' own `timeout` closes idle clients: opened again without an error and without an ejection."""
    with RedisServer(timeout=1) as s, RedisServer() as other:
        with Proxy({"p": redis_pool([s, other], auto_eject_hosts=True, server_failure_limit=1, server_retry_timeout=60000)}) as px, px.client() as c:
            keys = spread(20)
            for _ in range(2):
                for k in keys:
                    assert c.cmd("SET", k, "1") == OK
                before = px.stats("p", s.name)["server_eof"]
                px.wait_stat("p", "server_eof", lambda v: v > before, s.name, deadline=DEADLINE)
            assert px.stats("p")["server_ejects"] == 0 and px.stats("p")["forward_error"] == 0


# ------------------------------------------------------------------------------------------------ the server's own errors

@kvmux_only
def test_oom_passes_through():
    with RedisServer(maxmemory_policy="noeviction") as s:
        with Proxy({"p": redis_pool([s], auto_eject_hosts=True, server_failure_limit=1, server_retry_timeout=60000)}) as px, px.client() as c, s.client() as d:
            assert c.cmd("SET", "k", "v") == OK
            assert d.cmd("CONFIG", "SET", "maxmemory", "1") == OK   # more is in use already
            want = d.cmd("SET", "more", "x")
            assert want.startswith(b"-OOM ")
            assert c.cmd("SET", "more", "x") == want
            assert c.cmd("GET", "k") == bulk("v")
            a, b, e = c.pipeline([("SET", "more", "x"), ("GET", "none"), ("MSET", "m1", "x", "m2", "y")])
            assert (a, b, e) == (want, NIL, want)
            st = px.stats("p")
            assert st["server_ejects"] == 0 and st[s.name]["server_err"] == 0 and st[s.name]["server_eof"] == 0


@kvmux_only
def test_busy_passes_through():
    with RedisServer(busy_reply_threshold=50) as s:
        with Proxy({"p": redis_pool([s], auto_eject_hosts=True, server_failure_limit=1, server_retry_timeout=60000, timeout=15000)}) as px:
            with px.client() as c, s.client() as slow, s.client() as d:
                assert c.cmd("SET", "k", "v") == OK
                slow.send(resp("EVAL", "while true do end", "0"))
                want = wait_until(lambda: (lambda r: r if r.startswith(b"-BUSY") else None)(d.cmd("GET", "k")), "the server to be busy")
                assert c.cmd("GET", "k") == want
                assert d.cmd("SCRIPT", "KILL") == OK
                assert slow.reply().startswith(b"-ERR")
                assert c.cmd("GET", "k") == bulk("v")
                assert px.stats("p")["server_ejects"] == 0


@kvmux_only
def test_loading_passes_through():
    with RedisServer(key_load_delay=0, loading_process_events_interval_bytes=1024) as s:
        with s.client() as d:
            d.pipeline([("SET", "load:%d" % i, "x" * 200) for i in range(3000)])
            assert d.cmd("SAVE") == OK
        with Proxy({"p": redis_pool([s], auto_eject_hosts=True, server_failure_limit=1, server_retry_timeout=60000)}) as px, px.client() as c:
            assert c.cmd("GET", "load:1") == bulk("x" * 200)
            s.kill9()
            s.options["key_load_delay"] = 1000   # microseconds a key: 3 s
            s.start(wait=False)
            loading = wait_until(lambda: (lambda r: r if r.startswith(b"-LOADING") else None)(s.client().cmd("GET", "load:1")), "the server to load")

            def through():
                r = c.cmd("GET", "load:1")
                return r if r.startswith(b"-LOADING") else None
            assert wait_until(through, "-LOADING through the proxy (or it was ejected for it)", deadline=2.8) == loading
            wait_until(lambda: c.cmd("GET", "load:1") == bulk("x" * 200), "the data")
            # the killed connection may have counted as a failure, -LOADING may not
            assert px.stats("p")["server_ejects"] <= 1


@kvmux_only
def test_readonly_and_other_errors_pass_through():
    with RedisServer(min_replicas_to_write=1) as s, Proxy({"p": redis_pool([s])}) as px, px.client() as c, s.client() as d:
        want = d.cmd("SET", "k", "v")
        assert want.startswith(b"-NOREPLICAS")
        assert c.cmd("SET", "k", "v") == want
        assert c.cmd("MSET", "k", "v", "l", "w") == want
        assert c.cmd("DEL", "k", "l") == want


# ------------------------------------------------------------------------------------------------ time-outs

def test_timeout_of_a_silent_server():
    import signal
    with RedisServer() as s, RedisServer() as ok, Proxy({"p": redis_pool([s, ok], timeout=400)}) as px, px.client() as c:
        keys = spread(40)
        for k in keys:
            assert c.cmd("SET", k, "1") == OK
        mine = [k for k in keys if k.encode() in s.keys()]
        other = [k for k in keys if k not in mine]
        s.proc.signal(signal.SIGSTOP)
        try:
            t = time.monotonic()
            assert c.cmd("GET", mine[0]) == b"-ERR Connection timed out\r\n"
            assert 0.3 < time.monotonic() - t < 5
            assert c.cmd("GET", other[0]) == bulk("1")
            if TARGET == "kvmux":
                assert px.stats("p", s.name)["request_timeouts"] >= 1
        finally:
            s.proc.signal(signal.SIGCONT)
        wait_until(lambda: c.cmd("GET", mine[0]) == bulk("1"), "the server after its pause")
        for k in keys:
            assert c.cmd("GET", k) == bulk("1")


@kvmux_only
def test_mget_over_a_silent_server_is_one_error_and_the_connection_stays():
    import signal
    with RedisServer() as s, RedisServer() as ok, Proxy({"p": redis_pool([s, ok], timeout=400)}) as px, px.client() as c:
        keys = spread(40)
        assert c.cmd("MSET", *[x for k in keys for x in (k, "1")]) == OK
        s.proc.signal(signal.SIGSTOP)
        try:
            a, b = c.pipeline([["MGET"] + keys, ("PING",)])
            assert a == b"-ERR Connection timed out\r\n" and b == PONG
        finally:
            s.proc.signal(signal.SIGCONT)
        wait_until(lambda: c.cmd("MGET", *keys) == array(*[bulk("1")] * 40), "all values again")
        assert c.cmd("DEL", *keys) == integer(40)
