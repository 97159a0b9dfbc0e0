"""One test for each row B1..B23 of compat part 6.1 and docs/migrating.md: what was wrong with nutcracker 0.5.0 and is not with
kvmux. (KVMUX_REAL_TARGET=nutcracker shows that they fail there.)"""
import json
import os
import re
import resource
import socket
import subprocess
import time

import pytest

from harness import (HOST, KVMUX, NUTCRACKER, OK, PONG, ROOT, TARGET, FakeServer, Process, Proxy, RedisServer, array, bulk, cpu_seconds,
                     free_port, hold, integer, mc_pool, redis_pool, resp, spread, temp_dir, wait_until)

pytestmark = pytest.mark.not_direct
BINARY = NUTCRACKER if TARGET == "nutcracker" else KVMUX


# ------------------------------------------------------------------------------------------------ databases

def in_db(server, key):
    return [db for db in (0, 3) if key in server.keys(db)]


def test_b1_auth_comes_before_select():
    with RedisServer(requirepass="pw") as s:
        with Proxy({"p": redis_pool([s], redis_auth="pw", redis_db=3, timeout=5000)}) as px, px.client() as c:
            assert c.cmd("AUTH", "pw") == OK
            assert c.cmd("SET", "k", "v") == OK
            assert in_db(s, b"k") == [3]
            px.wait_log(r"redis_db|database 0|nutcracker_db0", "the warning for those who come from nutcracker")
        with s.client() as d:
            d.cmd("FLUSHALL")
        with Proxy({"p": redis_pool([s], redis_auth="pw", redis_db=3, nutcracker_db0=True, timeout=5000)}) as px, px.client() as c:
            assert c.cmd("AUTH", "pw") == OK
            assert c.cmd("SET", "k", "v") == OK
            assert in_db(s, b"k") == [0], "optional: as nutcracker did"


def test_b2_redis_db_on_unix_sockets():
    with RedisServer(unix=True) as s:
        with Proxy({"p": redis_pool([s], redis_db=3)}) as px, px.client() as c:
            assert c.cmd("SET", "k", "v") == OK
            assert in_db(s, b"k") == [3]
            px.wait_log(r"redis_db|database 0|nutcracker_db0")
        s.flush()
        with Proxy({"p": redis_pool([s], redis_db=3, nutcracker_db0=True)}) as px, px.client() as c:
            assert c.cmd("SET", "k", "v") == OK
            assert in_db(s, b"k") == [0]


def test_b3_failing_select_is_a_failure_not_database_0():
    with RedisServer(databases=2) as s, Proxy({"p": redis_pool([s], redis_db=7, timeout=3000)}) as px, px.client() as c:
        assert c.cmd("SET", "k", "v").startswith(b"-ERR ")
        assert c.cmd("PING") == PONG
        assert s.keys(0) == set()
        px.wait_log(r"out of range", "the server's own words")


# ------------------------------------------------------------------------------------------------ clients and counters

@pytest.mark.parametrize("proto", ["redis", "memcached"])
def test_b4_client_connections_is_enforced(redis_alone, mc_alone, proto):
    pools = {"p": redis_pool([redis_alone], client_connections=5) if proto == "redis" else mc_pool([mc_alone], client_connections=5)}

    def asks(c):
        c.send(resp("PING") if proto == "redis" else b"version\r\n")
        return c.line().startswith((b"+PONG", b"VERSION"))
    with Proxy(pools, threads=3) as px:
        # who looked whether it listens may not have been accepted yet
        wait_until(lambda: px.stats()["p"]["client_accepted"] > 0 and px.stats()["p"]["client_connections"] == 0, "it to be alone")
        clients = [px.client() for _ in range(5)]
        assert all(asks(c) for c in clients)
        for _ in range(10):
            with px.client() as extra:
                got = extra.until_close()
                assert got == (b"-ERR " if proto == "redis" else b"SERVER_ERROR ") + b"max number of clients reached\r\n"
        assert all(asks(c) for c in clients)
        clients.pop().close()

        def room():
            with px.client() as c:
                return asks(c)
        wait_until(room, "a free place")
        for c in clients:
            c.close()


def test_b5_fragments_are_counted(redis4):
    with Proxy({"p": redis_pool(redis4)}) as px, px.client() as c:
        assert px.stats("p")["fragments"] == 0
        c.cmd("MGET", *spread(50))
        assert px.stats("p")["fragments"] == 4
        c.cmd("GET", "one")
        assert px.stats("p")["fragments"] == 4


def test_b6_server_connections_gauge_of_unix_sockets():
    with RedisServer(unix=True) as s, Proxy({"p": redis_pool([s])}) as px, px.client() as c:
        assert px.stats("p", s.name)["server_connections"] == 0
        assert c.cmd("SET", "a", "1") == OK
        assert px.stats("p", s.name)["server_connections"] == 1
        s.kill9()
        px.wait_stat("p", "server_connections", 0, s.name)


# ------------------------------------------------------------------------------------------------ routing

def test_b7_zunion_zinter_zdiff_go_by_their_keys(redis4):
    with Proxy({"p": redis_pool(redis4, hash_tag="{}")}) as px, px.client() as c:
        for i in range(12):   # twelve tags: all servers, whatever owns the key "2"
            a, b = "{t%d}a" % i, "{t%d}b" % i
            c.pipeline([("DEL", a), ("DEL", b), ("ZADD", a, "1", "x", "2", "y"), ("ZADD", b, "1", "x")])
            assert c.value("ZUNION", "2", a, b) == [b"x", b"y"] or c.value("ZUNION", "2", a, b) == [b"y", b"x"]
            assert c.value("ZINTER", "2", a, b) == [b"x"]
            assert c.value("ZDIFF", "2", a, b) == [b"y"]


def test_b8_exists_counts_on_all_servers(redis4):
    with Proxy({"p": redis_pool(redis4)}) as px, px.client() as c:
        keys = spread(40, "b8:")
        c.cmd("MSET", *[x for k in keys for x in (k, "1")])
        assert c.cmd("EXISTS", *keys) == integer(40)


# ------------------------------------------------------------------------------------------------ what one side sends wrong

@pytest.mark.parametrize("bad", [b"*2\r\n$3\r\nGET\r\n$\r\n", b"*2\r\n$3\r\nGET\r\n$\r\n\r\n", b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$\r\nabc\r\n"])
def test_b9_broken_bulk_header_harms_only_its_sender(bad):
    with RedisServer() as s, Proxy({"p": redis_pool([s], timeout=5000)}, threads=1) as px, px.client() as other:
        assert other.cmd("SET", "k", "v") == OK
        before = int(s.info("total_connections_received"))
        for _ in range(10):
            other.post(resp("GET", "k"))
            with px.client() as c:
                c.post(bad)
                assert c.until_close().startswith(b"-ERR Protocol error")
            assert other.reply() == bulk("v")
        assert int(s.info("total_connections_received")) - before <= 2, "no new server connection (these are info's own)"


def test_b10_last_bytes_and_fin_together():
    """A server that answers one of two requests and closes in the same moment: no time-out is set, nothing may hang."""
    with FakeServer() as s, Proxy({"p": redis_pool([s])}, threads=1) as px, px.client(deadline=5) as c:
        for i in range(20):
            c.send(resp("GET", "a") + resp("GET", "b"))
            up = s.accept()
            assert up.reply() == resp("GET", "a")
            assert up.reply() == resp("GET", "b")
            up.s.setblocking(True)
            up.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)   # bytes and FIN in one segment
            up.s.sendall(bulk("first %d" % i))
            up.close()
            assert c.reply() == bulk("first %d" % i)
            assert c.reply() == b"-ERR unknown\r\n"


def test_b11_move_is_answered(redis_alone):
    with Proxy({"p": redis_pool([redis_alone])}) as px, px.client() as c:
        a, b = c.pipeline([("MOVE", "k", "1"), ("PING",)])
        assert a in (b":0\r\n", b":1\r\n") and b == PONG


@pytest.mark.parametrize("proto", ["redis", "memcached"])
def test_b12_error_of_a_split_get_keeps_the_connection(redis_alone, mc_alone, proto):
    dead = "%s:%d:1 dead" % (HOST, free_port())
    keys = spread(30)
    if proto == "redis":
        with Proxy({"p": redis_pool([redis_alone.entry(name="alive"), dead])}) as px, px.client() as c:
            for _ in range(3):
                got = c.pipeline([["MGET"] + keys, ("PING",), ["MGET"] + keys, ("PING",)])
                assert got == [b"-ERR Connection refused\r\n", PONG] * 2
    else:
        with Proxy({"p": mc_pool([mc_alone.entry(name="alive"), dead])}) as px, px.client() as c:
            for _ in range(3):
                assert c.mc_get(*keys) is None and c.error == b"SERVER_ERROR Connection refused\r\n"


def test_b13_error_does_not_lose_earlier_replies(redis_alone):
    with Proxy({"p": redis_pool([redis_alone])}) as px, px.client() as c:
        c.cmd("SET", "k", "v")
        for _ in range(20):
            a, b, d = c.pipeline([("GET", "k"), ("BOGUS",), ("GET", "k")])
            assert (a, d) == (bulk("v"), bulk("v")) and b.startswith(b"-ERR unknown command")
        c.post(resp("GET", "k") * 100 + b"*1\r\n:1\r\n")
        got = c.until_close()
        assert got.startswith(bulk("v") * 100 + b"-ERR Protocol error")


def test_b13_memcached(mc_alone):
    with Proxy({"p": mc_pool([mc_alone])}) as px, px.client() as c:
        assert c.mc_set("k", "v") == b"STORED\r\n"
        c.send(b"get k\r\nbogus\r\nget k\r\n")
        v = b"VALUE k 0 1\r\nv\r\nEND\r\n"
        assert c.exact(len(v) * 2 + 7) == v + b"ERROR\r\n" + v


# ------------------------------------------------------------------------------------------------ operations

def test_b14_few_descriptors():
    """More clients than descriptors: nobody spins, nobody dies, those who are in are served, room is used when it comes."""
    with RedisServer() as s, Proxy({"p": redis_pool([s], timeout=5000)}, limits={resource.RLIMIT_NOFILE: 64}, threads=1) as px:
        first = px.client()
        assert first.cmd("SET", "k", "v") == OK
        crowd = [px.client() for _ in range(100)]
        for c in crowd:
            c.send(resp("GET", "k"))
        assert first.cmd("GET", "k") == bulk("v")
        served = [c for c in crowd[:10] if c.reply() == bulk("v")]
        assert len(served) == 10
        before = cpu_seconds(px.pid)
        hold(1.0, lambda: first.cmd("GET", "k") == bulk("v") or pytest.fail("a client that was in"), poll=0.1)
        assert cpu_seconds(px.pid) - before < 0.5
        if TARGET == "kvmux":
            px.wait_log(r"(?i)descriptors|too many open files")
        for c in crowd:
            c.close()

        def fresh():
            with px.client(deadline=1) as c:
                return c.cmd("GET", "k") == bulk("v")
        wait_until(fresh, "accepting to go on")
        if TARGET == "kvmux":
            assert px.stats()["accept_paused"] >= 1
        first.close()


def test_b15_interval_0_does_not_spin(redis_alone):
    with Proxy({"p": redis_pool([redis_alone])}, flags=["-i", "0"]) as px, px.client() as c:
        assert c.cmd("SET", "k", "v") == OK
        before = cpu_seconds(px.pid)
        hold(1.0, lambda: None, poll=0.1)
        assert cpu_seconds(px.pid) - before < 0.2


def test_b16_reasons_are_shown():
    path = os.path.join(temp_dir(), "f.yml")
    with open(path, "w") as f:
        f.write("p:\n  listen: 127.0.0.1:22121\n  redis: maybe\n  servers:\n   - 127.0.0.1:6379:1\n")
    t = subprocess.run([BINARY, "-t", "-c", path], capture_output=True, timeout=20)
    assert t.returncode == 1 and re.search(rb":3:\d+: .*(true|false)", t.stderr)
    log = path + ".log"
    d = subprocess.run([BINARY, "-d", "-c", path, "-o", log, "-s", str(free_port()), "-a", HOST], capture_output=True, timeout=20)
    assert d.returncode == 1 and re.search(rb":3:\d+: .*(true|false)", d.stderr)


def test_b17_names_are_escaped_in_the_statistics():
    weird = 'a"b\\c'
    with RedisServer() as s, Proxy({'po"ol\\': redis_pool([s.entry(name=weird)])}) as px:
        doc = json.loads(px.stats_raw())
        assert weird in doc['po"ol\\']
        with px.client() as c:
            assert c.cmd("SET", "k", "v") == OK
        assert px.stats('po"ol\\', weird)["requests"] == 1


def test_b18_star_and_unix_socket_of_another(redis_alone):
    """The star still means loopback (kept), with a warning; a socket with a living owner is refused (fixed)."""
    port = free_port()
    px = Proxy({"p": redis_pool([redis_alone])}, listens={"p": (HOST, port)}, start=False)
    px.stats_port = free_port()
    px.write_conf()
    with open(px.conf) as f:
        text = f.read().replace("listen: %s:%d" % (HOST, port), "listen: \"*:%d\"" % port)
    with open(px.conf, "w") as f:
        f.write(text)
    px.proc = Process(px.argv(), px.out)
    with px:
        def loopback():
            for family, host in ((socket.AF_INET6, "::1"), (socket.AF_INET, HOST)):
                with socket.socket(family) as s:
                    if s.connect_ex((host, port)) == 0:
                        s.settimeout(10)
                        s.sendall(resp("PING"))
                        return s.recv(100) == PONG
        wait_until(loopback, "somebody on loopback")
        if TARGET == "kvmux":
            px.wait_log(re.escape("*:%d" % port) + r"|loopback|0\.0\.0\.0")

    with Proxy({"p": redis_pool([redis_alone])}, unix_listen=True) as owner:
        thief = Proxy(owner.pools, listens=owner.listens, start=False)
        thief.stats_port = free_port()
        thief.write_conf()
        thief.proc = Process(thief.argv(), thief.out)
        try:
            assert thief.proc.wait(5) == 1
        finally:
            if thief.proc.alive():
                thief.proc.kill9()
        with owner.client() as c:
            assert c.cmd("PING") == PONG
        assert owner.stats("p")["client_connections"] >= 0


def test_b19_stats_port_has_one_owner(redis_alone):
    with Proxy({"p": redis_pool([redis_alone])}) as px:
        second = Proxy({"p": redis_pool([redis_alone])}, start=False, stats_port=px.stats_port)
        second.write_conf()
        second.proc = Process(second.argv(), second.out)
        assert second.proc.wait() == 1
        assert "ddress already in use" in second.output() + second.log_text()


def test_b20_random_chooses_once_per_key(redis4):
    """Every server has all keys, each with its own value of v:SERVER: a fragment that was grouped for one server and sent to another
    would still give values, but in the wrong places if it was cut differently. All values must be there, of some server."""
    keys = spread(64, "b20:")
    for i, s in enumerate(redis4):
        with s.client() as d:
            for k in keys:
                d.cmd("SET", k, "%s@%d" % (k, i))
    with Proxy({"p": redis_pool(redis4, distribution="random")}) as px, px.client() as c:
        seen = set()
        for _ in range(50):
            got = c.value("MGET", *keys)
            for k, v in zip(keys, got):
                name, at = v.decode().split("@")
                assert name == k
                seen.add(at)
            assert c.cmd("EXISTS", *keys) == integer(64)
        assert seen == {"0", "1", "2", "3"}
        st = px.stats("p")
        assert sum(st[s.name]["requests"] for s in redis4) == st["fragments"], "as many requests as parts"


def test_b21_one_late_request_fails_alone():
    with FakeServer() as s, Proxy({"p": redis_pool([s], timeout=1500)}, threads=1) as px, px.client() as a, px.client() as b:
        t0 = time.monotonic()
        a.send(resp("GET", "slow"))
        up = s.accept()
        assert up.reply() == resp("GET", "slow")
        wait_until(lambda: time.monotonic() - t0 > 1.0, "the second request's turn")
        b.send(resp("GET", "fast"))
        assert up.reply() == resp("GET", "fast")
        assert a.reply() == b"-ERR Connection timed out\r\n"
        assert 1.3 < time.monotonic() - t0 < 2.3
        up.send(bulk("too late") + bulk("in time"))
        assert b.reply() == bulk("in time"), "its own reply, not the late one of the other"
        a.send(resp("GET", "again"))
        u, request = s.request()   # on this connection or, the first being suspect, on a new one
        assert request == resp("GET", "again")
        u.send(bulk("good"))
        assert a.reply() == bulk("good")
        if TARGET == "kvmux":
            assert px.stats("p", s.name)["request_timeouts"] == 1
            assert px.stats("p")["late_replies"] == 1


def test_b22_eval_whose_numkeys_straddles_a_buffer(redis_alone):
    for flags, lengths in ((["-m", "512"], range(380, 480)), ([], list(range(16240, 16345)) + list(range(65440, 65545)))):
        with Proxy({"p": redis_pool([redis_alone], timeout=5000)}, flags=flags) as px, px.client() as c:
            for n in lengths:
                script = "return {KEYS[1],KEYS[12]}" + " " * (n - 25)
                keys = ["{e}%d" % i for i in range(12)]
                assert c.cmd(*(["EVAL", script, "12"] + keys)) == array(bulk(keys[0]), bulk(keys[11])), n


def tcp_timers(pid, port):
    """timer kinds (2: keepalive) of this process' established connections to a port."""
    inodes = set()
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            m = re.match(r"socket:\[(\d+)\]", os.readlink("/proc/%d/fd/%s" % (pid, fd)))
        except FileNotFoundError:
            continue
        if m:
            inodes.add(m.group(1))
    out = []
    with open("/proc/net/tcp") as f:
        next(f)
        for line in f:
            x = line.split()
            if x[9] in inodes and x[3] == "01" and int(x[2].rsplit(":", 1)[1], 16) == port:
                out.append(int(x[5].split(":")[0], 16))
    return out


def test_b23_server_connections_have_keepalive(redis_alone):
    """And client connections, as they always had with tcpkeepalive: true."""
    with Proxy({"p": redis_pool([redis_alone], tcpkeepalive=True)}) as px, px.client() as c:
        assert c.cmd("SET", "k", "v") == OK
        wait_until(lambda: tcp_timers(px.pid, redis_alone.port) == [2], "keepalive on the server connection")
        mine = c.s.getsockname()[1]
        wait_until(lambda: tcp_timers(px.pid, mine) == [2], "keepalive on the client connection")


def test_every_row_has_a_test_and_stands_in_the_migration_page():
    with open(os.path.join(ROOT, "docs", "migrating.md"), encoding="utf-8") as f:
        page = f.read()
    for i in range(1, 24):
        assert [n for n in globals() if re.match(r"test_b%d_" % i, n)], i
        assert re.search(r"(?m)^\| B%d \|" % i, page), i
