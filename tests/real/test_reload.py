"""Reload under load: nothing is lost, no reply is wrong, and connections of what did not change are the same ones afterwards."""
import os
import re
import signal
import subprocess
import threading

import pytest
import redis
from pymemcache.client.base import Client
from redis.backoff import NoBackoff
from redis.retry import Retry

from harness import (HOST, KVMUX, NIL, OK, PONG, MemcachedServer, Proxy, Raw, RedisServer, mc_pool, redis_pool, temp_dir, wait_until)

pytestmark = [pytest.mark.kvmux_only, pytest.mark.not_direct]
FLAGS = ["-v", "6"]


def once(px, pool="p"):
    """A client that neither connects again nor asks twice."""
    host, port = px.listens[pool]
    return redis.Redis(host=host, port=port, single_connection_client=True, retry=Retry(NoBackoff(), 0), socket_timeout=20)


class Load:
    """Threads that run step(client, number) until they are stopped; what one raises fails the test."""

    def __init__(self, n, connect, step):
        self.stop, self.errors, self.done = threading.Event(), [], [0] * n
        self.threads = [threading.Thread(target=self.run, args=(i, connect, step)) for i in range(n)]

    def run(self, i, connect, step):
        try:
            c = connect()
            while not self.stop.is_set():
                step(c, "%d:%d" % (i, self.done[i]))
                self.done[i] += 1
        except Exception as e:
            self.errors.append("%s after %d: %r" % (i, self.done[i], e))

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *exc):
        self.stop.set()
        for t in self.threads:
            t.join(30)
        assert not self.errors, self.errors

    def more(self, n=20):
        """Every thread has made n steps more."""
        before = list(self.done)
        wait_until(lambda: self.errors or all(d >= b + n for d, b in zip(self.done, before)), "the load to go on")


def redis_step(c, i):
    """A key that moves meanwhile is not there; anything else is a wrong reply."""
    key, value = "k:" + i, "v:" + i
    assert c.set(key, value) is True
    assert c.get(key) in (value.encode(), None)
    assert c.mget(key, key + "x") in ([value.encode(), None], [None, None])
    with c.pipeline(transaction=True) as p:
        p.set("{%s}t" % i, value).get("{%s}t" % i)
        assert p.execute() == [True, value.encode()]
    with c.pipeline(transaction=False) as p:
        for n in range(5):
            p.set("%s:%d" % (key, n), n).get("%s:%d" % (key, n))
        got = p.execute()
    assert all(got[2 * n] is True and got[2 * n + 1] in (b"%d" % n, None) for n in range(5)), got


def connections(server):
    """Ids of the connections that a server has."""
    with server.client() as c:
        own = c.value("CLIENT", "ID")
        return set(int(x) for x in re.findall(rb"^id=(\d+) ", c.value("CLIENT", "LIST"), re.M)) - {own}


def test_under_load():
    a, b, c, d = servers = [RedisServer() for _ in range(4)]
    named = [s.entry(name="s%d" % i) for i, s in enumerate(servers)]
    tagged = {"hash_tag": "{}", "timeout": 20000, "learn_commands": "false"}  # which takes a connection of its own for a moment
    first = {"p": redis_pool(named[:2], **tagged), "q": redis_pool([named[3]], **tagged)}
    variants = [
        redis_pool(named[:3], **tagged),                                           # a server more
        redis_pool([named[0], named[2]], **tagged),                                # one fewer
        redis_pool([a.entry(5, "s0"), named[1]], **tagged),      # weights
        redis_pool(named[:2], server_connections=3, **tagged),
        redis_pool(named[:2], server_connections=1, **dict(tagged, timeout=15000)),
        redis_pool([named[0], c.entry(name="s1")], **tagged),           # a server elsewhere
        redis_pool(named[:2], **tagged),
    ]
    with Proxy(first, flags=FLAGS) as px:
        with once(px, "q") as q, Load(4, lambda: once(px), redis_step) as load, Load(2, lambda: once(px, "q"), redis_step) as other:
            assert q.ping()
            load.more()
            other.more()
            before, stayed = connections(d), connections(a)
            for v in variants:
                px.reload({"p": v, "q": first["q"], "r": redis_pool([named[3]])})
                load.more()
                with px.client("r") as r:
                    assert r.cmd("PING") == PONG
            px.reload(first)
            load.more()
            other.more()
            assert q.ping()
            assert connections(d) == before
            assert len(px.stats()) > 0 and "r" not in px.stats()
        assert px.stats()["p"]["client_err"] == px.stats()["q"]["client_err"] == 0
        assert px.stats()["p"]["forward_error"] == 0
    for s in servers:
        s.stop()


def test_connections_stay():
    """A server is added and removed: those to the other one are the same, all the time."""
    with RedisServer() as a, RedisServer() as b:
        one, two = (redis_pool(list, learn_commands="false") for list in ([a.entry(name="a")], [a.entry(name="a"), b.entry(name="b")]))
        with Proxy({"p": one}, flags=FLAGS) as px:
            with Load(4, lambda: once(px), redis_step) as load:
                load.more()
                before = connections(a)
                for pool in (two, one, two, one):
                    px.reload({"p": pool})
                    load.more()
                assert connections(a) == before
            wait_until(lambda: not connections(b), "connections to the server that went to close")


def test_memcached_under_load():
    servers = [MemcachedServer() for _ in range(3)]
    named = [s.entry(name="m%d" % i) for i, s in enumerate(servers)]

    def step(c, i):
        assert c.set("k" + i, "v" + i, noreply=False)
        assert c.get("k" + i) in (b"v" + i.encode(), None)
        c.set("n" + i, "v" + i, noreply=True)
        assert c.get("n" + i) in (b"v" + i.encode(), None)
        got = c.get_many(["k" + i, "n" + i])
        assert all(v == b"v" + i.encode() for v in got.values())

    with Proxy({"p": mc_pool(named[:2])}, flags=FLAGS) as px:
        with Load(4, lambda: Client(px.listens["p"], timeout=20), step) as load:
            for pool in (mc_pool(named), mc_pool(named[1:]), mc_pool(named, timeout=9000, server_connections=2), mc_pool(named[:2])) * 2:
                load.more()
                px.reload({"p": pool})
            load.more()
        assert px.stats()["p"]["forward_error"] == px.stats()["p"]["client_err"] == 0
    for s in servers:
        s.stop()


def test_errors_change_nothing(redis_alone):
    pools = {"p": redis_pool([redis_alone])}
    with Proxy(pools, flags=FLAGS) as px, px.client() as c, RedisServer() as other:
        assert c.cmd("SET", "a", "1") == OK
        px.reload({"p": redis_pool([other], nonsense=1)}, taken=False)
        px.wait_log(r"config_error at=\S+nutcracker\.yml:\d+:\d+ text=\"unknown key")
        taken = {"p": redis_pool([other]), "taken": redis_pool([other])}
        px.listens["taken"] = (HOST, other.port)
        px.reload(taken, taken=False)
        px.wait_log(r"config_error at=\S+:\d+:\d+ text=\"listen: .*Address already in use")
        assert c.cmd("GET", "a") == b"$1\r\n1\r\n"
        with px.client() as d:
            assert d.cmd("GET", "a") == b"$1\r\n1\r\n"
        px.reload({"p": redis_pool([other])})
        assert c.cmd("GET", "a") == NIL


def test_many_at_once(redis_alone):
    """Signals that come while a reload is under way are not lost: the last file is in use."""
    with Proxy({"p": redis_pool([redis_alone], timeout=999)}, flags=FLAGS) as px, Load(2, lambda: once(px), redis_step) as load:
        px.fixed = True
        for timeout in range(1000, 1020):
            px.pools["p"]["timeout"] = timeout
            px.write_conf()
            px.proc.signal(signal.SIGHUP)
        px.wait_log('what="timeout" name="" change=changed from="[0-9]+" to="1019"')
        load.more()


def test_as_nutcracker_sighup_only_opens_the_log(redis_alone):
    with RedisServer() as other, Proxy({"p": redis_pool([redis_alone])}, flags=FLAGS, argv0="nutcracker") as px, px.client() as c:
        assert c.cmd("SET", "only", "here") == OK
        px.pools["p"]["servers"] = [other]
        px.fixed = True
        px.write_conf()
        for s in (signal.SIGHUP, signal.SIGUSR1):
            os.rename(px.log, px.log + ".1")
            px.proc.signal(s)
            px.wait_log("action=reopen_log")
        assert c.cmd("GET", "only") == b"$4\r\nhere\r\n"
        assert "action=reload" not in px.log_text() + open(px.log + ".1").read()


def test_file_that_changes(redis_alone):
    pools = {"p": redis_pool([redis_alone])}

    def write(px, **keys):
        with open(px.conf + ".new", "w") as f:
            f.write("kvmux: {reload_on_change: true}\np: {listen: '%s:%d', redis: true, servers: ['%s'], %s}\n" %
                    (*px.listens["p"], redis_alone.entry(), ", ".join("%s: %s" % kv for kv in keys.items())))
        os.rename(px.conf + ".new", px.conf)

    with Proxy(pools, flags=FLAGS) as px, px.client() as c:
        write(px, timeout=400)
        px.proc.signal(signal.SIGHUP)
        px.wait_log("reload_done")
        write(px, timeout=401)
        px.wait_log('what="timeout" name="" change=changed from="400" to="401"')
        write(px, timeuot=402)
        px.wait_log("reload_failed")
        write(px, timeout=403)
        px.wait_log('from="401" to="403"')
        assert c.cmd("PING") == PONG


def test_unix_listener_comes_and_goes(redis_alone):
    folder = temp_dir("u")
    path = os.path.join(folder, "s")
    pool = redis_pool([redis_alone])
    with Proxy({"p": pool}, flags=FLAGS) as px:
        px.listens["u"] = path
        px.reload({"p": pool, "u": pool})
        with Raw(path) as c:
            assert c.cmd("PING") == PONG
            px.reload({"p": pool})
            assert c.until_close() == b""
        assert not os.path.exists(path)
        px.reload({"p": pool, "u": pool})
        with Raw(path) as c:
            assert c.cmd("PING") == PONG
    assert not os.path.exists(path)


def test_drain_under_load(redis_alone):
    """SIGTERM: what was asked is answered, or nothing of it; then the end of the connection, and exit code 0."""
    class Left(Exception):
        pass

    def step(c, i):
        want = b"".join(b"$%d\r\n%s\r\n" % (len(x), x.encode()) for x in ("%s:%d" % (i, n) for n in range(50)))
        c.post(b"".join(b"*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n" % (len(x), x.encode()) for x in ("%s:%d" % (i, n) for n in range(50))))
        c.post(b"*3\r\n$3\r\nSET\r\n$1\r\nd\r\n$1\r\n1\r\n*2\r\n$3\r\nGET\r\n$1\r\nd\r\n")
        want += b"+OK\r\n$1\r\n1\r\n"
        try:
            got = c.exact(len(want))
        except EOFError:
            got = bytes(c.inb)
            assert want.startswith(got) and (not got or got.endswith(b"\r\n"))
            raise Left
        assert got == want

    with Proxy({"p": redis_pool([redis_alone])}, flags=FLAGS) as px:
        load = Load(4, px.client, step)
        for t in load.threads:
            t.start()
        load.more(5)
        px.proc.signal(signal.SIGTERM)
        assert px.proc.wait() == 0
        for t in load.threads:
            t.join(20)
        assert len(load.errors) == 4 and all("Left" in e or "refused" in e for e in load.errors), load.errors
        px.expected_rc = 0


def test_diff_of_files():
    folder = temp_dir("diff")

    def write(name, text):
        path = os.path.join(folder, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    old = write("old", "p: {listen: '127.0.0.1:1', redis: true, redis_auth: geheim, servers: ['h:1:1 a', 'h:2:1 b']}\n")
    new = write("new", "p: {listen: '127.0.0.1:1', redis: true, redis_auth: neu, timeout: 400, servers: ['h:1:1 a', 'h:3:1 c']}\n")
    bad = write("bad", "p: {listen: 1}\n")

    def diff(*files):
        return subprocess.run([KVMUX, "-t", "--diff", *files], capture_output=True, text=True, timeout=20)

    same, other, wrong, few = diff(old, old), diff(old, new), diff(old, bad), diff(old)
    assert (same.returncode, same.stdout) == (0, "no differences\n")
    assert other.returncode == 0 and "geheim" not in other.stdout and "neu" not in other.stdout
    assert re.search(r"^p\n  - server b +h:2 weight 1\n  \+ server c +h:3 weight 1\n  ~ timeout +0 -> 400\n"
                     r"  ~ redis_auth +changed \(hidden\)\n  = keys +\d+\.\d\d % of the keys move \(exact\)\n$", other.stdout), other.stdout
    assert wrong.returncode == 1 and wrong.stderr.startswith(bad + ":1:")
    assert few.returncode == 1 and "two configuration files" in few.stderr
