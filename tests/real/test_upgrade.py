"""SIGUSR2: another process takes over, under load. No connection is refused, no request is lost, clients keep their sessions."""
import json
import os
import re
import signal
import socket
import subprocess
import time

import pytest
import redis
from pymemcache.client.base import Client
from redis.backoff import NoBackoff
from redis.retry import Retry

from admin import get, post
from harness import (HOST, KVMUX, OK, PONG, MemcachedServer, Process, Proxy, Raw, RedisServer, _libc, array, bulk, free_port, mc_pool, redis_pool, resp,
                     temp_dir, wait_until)
from prom import parse_metrics
from test_reload import Load, once, redis_step
from tls_fixtures import Authority, connect

pytestmark = [pytest.mark.kvmux_only, pytest.mark.not_direct]
_libc.prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: the successors of our children become our children


class Adopted(Process):
    """A successor: no child of ours from the beginning."""

    def __init__(self, pid, out_path):
        self.pid, self.out_path, self.rc = pid, out_path, None
        self.p = self

    returncode = property(lambda self: self.rc)

    def alive(self):
        if self.rc is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # its parent has not ended yet
                return os.path.exists("/proc/%d" % self.pid)
            if pid:
                self.rc = os.waitstatus_to_exitcode(status)
        return self.rc is None

    def signal(self, sig):
        if self.alive():
            os.kill(self.pid, sig)

    def wait(self, deadline=None):
        wait_until(lambda: not self.alive(), "process %d to end" % self.pid, deadline)
        return self.rc


def pids(px):
    return [int(n) for n in re.findall(r" start version=\S+ pid=(\d+) ", px.log_text())]


def upgrade(px, ends=True):
    """Another process serves afterwards; the one before has ended with 0, or has not yet."""
    def outcomes():
        return px.log_text().count(" upgraded pid="), px.log_text().count(" upgrade_failed ")
    old, before, taken = px.proc, outcomes(), px.log_text().count(" took_over ")
    old.signal(signal.SIGUSR2)
    wait_until(lambda: outcomes() != before, "an outcome of the upgrade")
    assert outcomes() == (before[0] + 1, before[1]), px.log_text()[-2000:]
    px.proc = Adopted(pids(px)[-1], px.out)
    assert px.proc.pid != old.pid
    if ends:
        assert old.wait() == 0, px.log_text()[-3000:]
        wait_until(lambda: px.log_text().count(" took_over ") > taken, "the new one to know")
    return old


def refused_upgrade(px, why):
    """The old one goes on, and says why."""
    n = px.log_text().count(" upgrade_failed ")
    px.proc.signal(signal.SIGUSR2)
    wait_until(lambda: px.log_text().count(" upgrade_failed ") > n, "a refusal")
    assert re.search(why, px.log_text().split(" upgrade_failed ")[-1]), px.log_text()[-2000:]
    assert px.proc.alive()
    with px.client() as c:
        assert c.cmd("PING") == PONG


def mc_step(c, i):
    assert c.set("k" + i, "v" + i, noreply=False) is True
    assert c.get("k" + i) == b"v" + i.encode()
    c.set("q" + i, "w", noreply=True)
    assert c.get_many(["k" + i, "q" + i]) == {"k" + i: b"v" + i.encode(), "q" + i: b"w"}


class Stream:
    """Requests that never pause: 100 are always on their way, and each answer must be the right one."""

    def __init__(self, addr, request, answer):
        self.raw, self.request, self.answer, self.sent, self.got = Raw(addr), request, answer, 0, 0

    def step(self):
        while self.sent < self.got + 100:
            self.raw.post(self.request(self.sent))
            self.sent += 1
        want = b"".join(self.answer(n) for n in range(self.got, self.got + 50))
        assert self.raw.exact(len(want)) == want
        self.got += 50


def redis_stream(addr):
    return Stream(addr, lambda n: resp("ECHO" if n % 3 else "SET", "s%d" % n, *(() if n % 3 else ("v",))),
                  lambda n: bulk("s%d" % n) if n % 3 else OK)


def mc_stream(addr):
    return Stream(addr, lambda n: b"set m%d 0 0 2\r\nhi\r\nget m%d\r\n" % (n, n),
                  lambda n: b"STORED\r\nVALUE m%d 0 2\r\nhi\r\nEND\r\n" % n)


def test_under_load():
    """Three times, with redis-py, pymemcache, pipelines that never end, and clients that come and go: nothing is refused, lost or wrong."""
    def come_and_go(addr, i):
        with Raw(addr) as c:
            assert c.cmd("SET", "k" + i, i) == OK

    with RedisServer() as a, RedisServer() as b, MemcachedServer() as m:
        with Proxy({"p": redis_pool([a, b], hash_tag="{}"), "m": mc_pool([m])}) as px:
            def mc():
                return Client(px.addr("m"), timeout=60, connect_timeout=60)
            with Load(3, lambda: once(px), redis_step) as one, Load(2, mc, mc_step) as two, \
                    Load(1, lambda: redis_stream(px.addr("p")), lambda c, i: c.step()) as three, \
                    Load(1, lambda: mc_stream(px.addr("m")), lambda c, i: c.step()) as four, \
                    Load(2, lambda: px.addr("p"), come_and_go) as five:
                loads = (one, two, three, four, five)
                for _ in range(3):
                    for load in loads:
                        load.more()
                    upgrade(px)
                for load in loads:
                    load.more()
            assert len(set(pids(px))) == 4
            assert "upgrade_lost" not in px.log_text() and "drain_timeout" not in px.log_text()


def test_sessions():
    """Idle clients are the same afterwards: database, protocol, user, names, id; and a half request is finished there."""
    with RedisServer(requirepass="pw") as r:
        with r.client() as c:
            assert c.cmd("ACL", "SETUSER", "ann", "on", ">annpw", "~*", "+@all") == OK
        pool = redis_pool([r], redis_auth="pw", users=[{"name": "ann", "password": "annpw"}])
        with Proxy({"p": pool}, threads=3) as px:
            plain, db3, resp3, ann, silent, half, hushed = [px.client() for _ in range(7)]
            fresh = px.client()
            for c in (plain, db3, resp3, half, hushed):
                assert c.cmd("AUTH", "pw") == OK
            assert db3.cmd("SELECT", 3) == OK and db3.cmd("SET", "x", "in3") == OK
            assert b"proto" in resp3.cmd("HELLO", "3", "SETNAME", "three")
            assert ann.cmd("AUTH", "ann", "annpw") == OK
            assert plain.cmd("CLIENT", "SETNAME", "me") == OK and plain.cmd("CLIENT", "SETINFO", "lib-name", "lib") == OK
            hushed.send(resp("CLIENT", "REPLY", "OFF"))
            assert fresh.cmd("PING").startswith(b"-NOAUTH")
            ids = [c.value("CLIENT", "ID") for c in (plain, db3, resp3, ann)]
            assert plain.value("GET", "x") is None
            request = resp("SET", "h", "v" * 3000)
            half.send(request[:1000])
            px.wait_stat("p", "client_request_bytes", lambda n: n > 0)
            for _ in range(3):
                upgrade(px)
            assert b" cmd=get " in db3.value("CLIENT", "LIST", "ID", ids[0])
            half.send(request[1000:])
            assert half.reply() == OK
            assert plain.value("GET", "x") is None and db3.value("GET", "x") == b"in3"
            assert resp3.cmd("HGETALL", "none") == b"%0\r\n" and ann.value("ACL", "WHOAMI") == b"ann"
            assert [c.value("CLIENT", "ID") for c in (plain, db3, resp3, ann)] == ids
            assert plain.value("CLIENT", "GETNAME") == b"me" and resp3.cmd("CLIENT", "GETNAME") == bulk("three")
            assert re.search(rb"id=%d .*name=me .*lib-name=lib " % ids[0], plain.value("CLIENT", "INFO"))
            assert silent.cmd("PING").startswith(b"-NOAUTH") and fresh.cmd("PING").startswith(b"-NOAUTH")
            hushed.send(resp("SET", "quiet", "1") + resp("CLIENT", "REPLY", "ON"))
            assert hushed.reply() == OK and hushed.value("GET", "quiet") == b"1"
            with px.client() as c:  # nobody new has the id of somebody old
                assert c.cmd("AUTH", "pw") == OK and c.value("CLIENT", "ID") > max(ids)
            px.wait_stat("p", "client_connections", 8)


def test_those_who_are_busy():
    """They finish what they do, and then go over too; who listens to a channel, or waits for ever, is closed at the deadline."""
    with RedisServer() as r, Proxy({"p": redis_pool([r])}) as px:
        with open(px.conf, "a") as f:
            f.write("kvmux:\n  drain_timeout: 60000\n")
        px.proc.signal(signal.SIGHUP)
        px.wait_log("reload_done")
        txn, watch, wait, late, sub, left = [px.client() for _ in range(6)]
        assert txn.cmd("MULTI") == OK and txn.cmd("SET", "t", "1") == b"+QUEUED\r\n"
        assert watch.cmd("WATCH", "w") == OK
        for c in (sub, left):
            assert c.cmd("SUBSCRIBE", "ch").endswith(b":1\r\n")
        wait.send(resp("BLPOP", "list", "0"))
        late.send(resp("BLPOP", "never", "0"))
        wait_until(lambda: r.info("blocked_clients") == "2", "both to wait")
        old = upgrade(px, ends=False)
        for _ in range(2):   # as systemd does when the whole service is stopped
            old.signal(signal.SIGTERM)
        px.wait_log("action=none")
        assert left.cmd("UNSUBSCRIBE").endswith(b":0\r\n")
        assert txn.cmd("EXEC") == array(OK)
        assert watch.cmd("MULTI") == OK and watch.cmd("SET", "w", "1") == b"+QUEUED\r\n" and watch.cmd("EXEC") == array(OK)
        with px.client() as c:
            assert c.value("RPUSH", "list", "x") == 1
            assert wait.reply() == array(bulk("list"), bulk("x"))
            for busy in (txn, watch, wait, left):
                wait_until(lambda: b"id=%d " % busy.value("CLIENT", "ID") in c.value("CLIENT", "LIST"), "it to be over there")
            px.proc.signal(signal.SIGUSR2)
            px.wait_log("upgrade_failed reason=\"the process before this one still drains\"")
            assert c.value("PUBLISH", "ch", "hi") == 1 and b"hi" in sub.reply()
        old.signal(signal.SIGTERM)
        old.signal(signal.SIGINT)
        assert old.wait() == 0
        assert late.until_close() == b"" and sub.until_close() == b""
        assert txn.value("GET", "t") == b"1"


def test_access_log(tmp_path):
    """The new process appends to the same file; what the old one answered is there as well."""
    path = str(tmp_path / "access")
    with RedisServer() as r, Proxy({"p": redis_pool([r])}, threads=1, section={"access_log": path, "access_log_sample": "1"}) as px:
        with px.client() as c:
            assert c.cmd("SET", "before", "1") == OK
            upgrade(px)
            assert c.cmd("SET", "after", "1") == OK

            def keys():
                with open(path) as f:
                    return [json.loads(line)["key"] for line in f if line.endswith("\n")]
            wait_until(lambda: keys() == ["before", "after"], "a line of each process")


def test_tls():
    """What TLS has agreed upon stays in its process: such a client is served there until the deadline, and told by a FIN."""
    ca = Authority()
    near = ca.issue("near")
    with RedisServer() as r, Proxy({"p": redis_pool([r], tls_certificate=near.crt, tls_key=near.key)}) as px:
        with open(px.conf, "a") as f:
            f.write("kvmux:\n  drain_timeout: 1000\n")
        px.proc.signal(signal.SIGHUP)
        px.wait_log("reload_done")
        with connect(px, ca) as c:
            assert c.cmd("SET", "a", "1") == OK
            old = upgrade(px, ends=False)
            assert c.value("GET", "a") == b"1"
            with connect(px, ca) as other:
                assert other.value("GET", "a") == b"1"
            assert c.until_close() == b""
            assert old.wait() == 0


def test_broken_successors():
    with RedisServer() as r, Proxy({"p": redis_pool([r])}) as px:
        with open(px.conf) as f:
            good = f.read()
        with open(px.conf, "a") as f:
            f.write("  no_such_key: 1\n")
        refused_upgrade(px, r"nutcracker.yml:\d+:\d+: .*no_such_key")
        with open(px.conf, "w") as f:
            f.write(good.replace(":%d\n" % px.listens["p"][1], ":1\n").replace(HOST, "192.0.2.1"))
        refused_upgrade(px, "192.0.2.1")
        with open(px.conf, "w") as f:
            f.write(good)
        upgrade(px)
        with px.client() as c:
            assert c.cmd("PING") == PONG


def test_admin_word():
    """POST /upgrade: whoever asks hears the outcome, from the process that was asked."""
    with RedisServer() as r, Proxy({"p": redis_pool([r])}, admin=True) as px, px.client() as c:
        with open(px.conf) as f:
            good = f.read()
        with open(px.conf, "a") as f:
            f.write("  no_such_key: 1\n")
        assert re.match(r".*nutcracker.yml:\d+:\d+: .*no_such_key", post(px, "/upgrade", 409).text)
        with open(px.conf, "w") as f:
            f.write(good)
        for done in range(1, 11):
            old = px.proc
            assert post(px, "/upgrade").text == "another process serves, this one drains\n"
            px.proc = Adopted(pids(px)[-1], px.out)
            assert old.wait() == 0 and px.proc.pid != old.pid
            assert c.cmd("PING") == PONG and get(px, "/health").text == "alive\n"
            wait_until(lambda: px.log_text().count(" took_over ") == done, "the new one to know")
        assert px.log_text().count(" admin_post action=upgrade ") == 11


def test_admin_word_twice():
    """A second one is refused at once while the first waits; a third by signal changes nothing for either."""
    folder = temp_dir("bin")
    exe = os.path.join(folder, "kvmux")

    class Moved(Proxy):
        def binary(self):
            return exe

    os.symlink(KVMUX, exe)
    with RedisServer() as r, Moved({"p": redis_pool([r])}, admin=True) as px:
        with open(px.conf, "a") as f:
            f.write("kvmux:\n  upgrade_timeout: 60000\n")
        post(px, "/reload")
        px.wait_log("reload_done")
        os.unlink(exe)
        gate = os.path.join(folder, "gate")
        os.mkfifo(gate)
        with open(exe, "w") as f:   # waits until we open the gate, and then ends
            f.write("#!/bin/sh\nread x < %s\nexit 3\n" % gate)
        os.chmod(exe, 0o755)
        with Raw((HOST, px.admin_port)) as first:
            first.send(b"POST /upgrade HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            px.wait_log("action=upgrade")
            assert post(px, "/upgrade", 409).text == "another upgrade is under way\n"
            refused_upgrade(px, "another upgrade is under way")
            with open(gate, "w") as f:
                f.write("\n")
            said = first.until_close()
            assert said.startswith(b"HTTP/1.1 409 ") and said.endswith(b"the new program ended without a word\n"), said
        post(px, "/drain", 202)


def test_no_program():
    """The file of the program is gone, then is something that ends, then is silent, then is right again."""
    folder = temp_dir("bin")
    exe = os.path.join(folder, "kvmux")

    def put(text):
        if os.path.exists(exe):
            os.unlink(exe)
        with open(exe, "w") as f:
            f.write(text)
        os.chmod(exe, 0o755)

    class Moved(Proxy):
        def binary(self):
            return exe

    os.symlink(KVMUX, exe)
    with RedisServer() as r, Moved({"p": redis_pool([r])}) as px:
        with open(px.conf, "a") as f:
            f.write("kvmux:\n  upgrade_timeout: 500\n")
        px.proc.signal(signal.SIGHUP)
        px.wait_log("reload_done")
        os.unlink(exe)
        refused_upgrade(px, "No such file")
        put("#!/bin/sh\nexit 3\n")
        refused_upgrade(px, "without a word")
        put("#!/bin/sh\nexec tail -f /dev/null\n")
        refused_upgrade(px, "upgrade_timeout")
        os.unlink(exe)
        os.symlink(KVMUX, exe)
        upgrade(px)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a name space")
def test_first_process_of_a_container():
    """All would end with it: it goes on instead."""
    with RedisServer() as r:
        px = Proxy({"p": redis_pool([r])}, start=False, admin=True)
        px.stats_port, px.admin_port = free_port(), free_port()
        px.write_conf()
        outer = Process(["unshare", "--pid", "--fork", "--kill-child"] + px.argv(), px.out)
        try:
            px.wait_log("listen_admin")
            wait_until(lambda: get(px, "/health"), "it to serve")
            assert "first process of a container" in post(px, "/upgrade", 409).text
            post(px, "/drain", 202)
            assert outer.wait() == 0
        finally:
            outer.kill9()


def test_unix_and_pid_file():
    """-d, a pid file and unix sockets: files are the successor's, and are gone when the last one has ended."""
    folder = temp_dir("run")
    pid_file, path = os.path.join(folder, "pid"), os.path.join(folder, "s")
    with RedisServer() as r:
        px = Proxy({"p": redis_pool([r])}, listens={"p": path}, start=False)
        px.stats_port = free_port()
        px.write_conf()
        subprocess.run(px.argv() + ["-d", "-p", pid_file], check=True, timeout=60)

        def pid():
            with open(pid_file) as f:
                return int(f.read())
        first = Adopted(pid(), px.log)
        second = None
        try:
            with Raw(path) as c:
                assert c.cmd("SET", "a", "1") == OK
            os.kill(first.pid, signal.SIGUSR2)
            second = Adopted(wait_until(lambda: pid() != first.pid and pid(), "another pid in the file"), px.log)
            assert first.wait() == 0
            assert pid() == second.pid and os.path.exists(path)
            with Raw(path) as c:
                assert c.value("GET", "a") == b"1"
            again = subprocess.run(px.argv() + ["-p", pid_file], timeout=60)
            assert again.returncode == 1 and "held by another running process (%d)" % second.pid in px.log_text()
            second.signal(signal.SIGTERM)
            assert second.wait() == 0
            assert os.listdir(folder) == []
        finally:
            for p in filter(None, (first, second)):
                p.kill9()


def test_changed_file():
    """The successor reads the file: new addresses are bound, vanished ones closed, more workers share the sockets, fewer take them all."""
    with RedisServer() as r:
        pools = {"p": redis_pool([r]), "q": redis_pool([r])}
        with Proxy(pools, threads=0, start=False) as px:
            px.write_conf()
            px.fixed = True
            for threads, names in ((2, "pq"), (5, "pr"), (1, "pq"), (3, "pqr")):
                before = dict(px.listens)
                px.pools = {n: dict(redis_pool([r])) for n in names}
                for n in names:
                    px.listens.setdefault(n, (HOST, free_port()))
                px.write_conf()
                with open(px.conf, "a") as f:
                    f.write("kvmux:\n  threads: %d\n" % threads)
                if px.proc is None:
                    px.keep_conf = True
                    px.start()
                else:
                    upgrade(px)
                for n in names:
                    for _ in range(20):
                        with px.client(n) as c:
                            assert c.cmd("PING") == PONG
                for n in set(before) - set(names):
                    with pytest.raises(ConnectionRefusedError):
                        px.client(n)
                px.listens = {n: px.listens[n] for n in names}
                assert px.stats()["p"]["client_connections"] >= 0


class Manager:
    """A service manager: gives listening sockets, and hears what it is told."""

    def __init__(self):
        self.path = os.path.join(temp_dir("manager"), "notify")
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.s.bind(self.path)
        self.s.settimeout(60)

    def hears(self):
        return self.s.recv(4096).decode().split("\n")

    def run(self, px, sockets, argv=()):
        """As systemd does: descriptors from 3 on, LISTEN_PID is the process itself."""
        code = "import os,sys\nos.environ['LISTEN_PID']=str(os.getpid())\nos.execv(sys.argv[1],sys.argv[1:])"
        env = dict(os.environ, NOTIFY_SOCKET=self.path, LISTEN_FDS=str(len(sockets)),
                   LISTEN_FDNAMES=":".join("socket-%d" % i for i in range(len(sockets))))

        def prepare():
            for i, s in enumerate(sockets):
                os.dup2(s.fileno(), 40 + i)
            for i in range(len(sockets)):
                os.dup2(40 + i, 3 + i)
        p = subprocess.Popen(["/usr/bin/python3", "-c", code] + px.argv() + list(argv), env=env, preexec_fn=prepare, close_fds=False,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return Adopted(p.pid, px.log)


def parent_of(pid):
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(r"^PPid:\s*(\d+)", f.read(), re.M).group(1))


def test_service_manager():
    folder = temp_dir("sockets")
    path = os.path.join(folder, "s")
    tcp, unix = socket.create_server((HOST, 0)), socket.socket(socket.AF_UNIX)
    unix.bind(path)
    unix.listen()
    manager = Manager()
    with RedisServer() as r:
        px = Proxy({"p": redis_pool([r]), "q": redis_pool([r])}, listens={"p": tcp.getsockname(), "q": path}, start=False, admin=True)
        px.stats_port, px.admin_port = free_port(), free_port()
        px.write_conf()
        px.proc = manager.run(px, [tcp, unix])
        try:
            serving = ["READY=1", "STATUS=serving 2 pools with 2 workers"]
            me = ["MAINPID=%d" % px.pid]
            assert manager.hears() == me + serving
            tcp.close()
            unix.close()
            for pool in "pq":
                with px.client(pool) as c:
                    assert c.cmd("PING") == PONG
            px.proc.signal(signal.SIGHUP)
            said = manager.hears()
            now = time.clock_gettime(time.CLOCK_MONOTONIC)
            assert said[0] == "RELOADING=1" and 0 <= now - int(re.fullmatch(r"MONOTONIC_USEC=([1-9]\d*)", said[1]).group(1)) / 1e6 < 60
            assert said[2:] == ["STATUS=reloading"] and manager.hears() == me + serving
            post(px, "/reload")   # whoever asks for it
            assert manager.hears()[0] == "RELOADING=1" and manager.hears() == me + serving
            with open(px.conf) as f:
                good = f.read()
            for text, more, refused in (("nonsense", "; the last reload was refused, the log says why", 1), (good, "", 0)):
                with open(px.conf, "w") as f:
                    f.write(text)
                px.proc.signal(signal.SIGHUP)
                assert manager.hears()[0] == "RELOADING=1" and manager.hears() == me + serving[:1] + [serving[1] + more]
                assert parse_metrics(get(px, "/metrics").text).value("kvmux_reload_refused") == refused
            before = px.pid
            with px.client("p") as waits:   # the one before lives on while it drains
                waits.send(resp("BLPOP", "list", "0"))
                wait_until(lambda: r.info("blocked_clients") == "1", "it to wait")
                upgrade(px, ends=False)
                me = ["MAINPID=%d" % px.pid]
                assert manager.hears() == me + serving
                # else systemd would not wait for its end
                assert parent_of(px.pid) != before and os.path.exists("/proc/%d" % before)
            with open("/proc/%d/environ" % px.pid, "rb") as f:   # those were for the one before
                assert b"LISTEN_" not in f.read()
            for pool in "pq":
                with px.client(pool) as c:
                    assert c.cmd("PING") == PONG
            px.proc.signal(signal.SIGTERM)
            assert manager.hears() == ["STOPPING=1", "STATUS=draining", "EXTEND_TIMEOUT_USEC=10000000"]
            assert px.proc.wait() == 0
            assert os.path.exists(path)  # it is the manager's
        finally:
            px.proc.kill9()


def test_service_without_notification():
    """As the main process of a systemd service of Type=simple, whose end is that of all processes of the service."""
    with RedisServer() as r:
        px = Proxy({"p": redis_pool([r])}, start=False)
        px.stats_port = free_port()
        px.write_conf()
        p = subprocess.Popen(["sh", "-c", 'SYSTEMD_EXEC_PID=$$ exec "$@"', "sh"] + px.argv(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        px.proc = Adopted(p.pid, px.log)
        try:
            px.wait_log("listen pool=p")
            refused_upgrade(px, r"the service needs Type=notify and NotifyAccess=all")
            with px.client() as c:
                assert c.cmd("PING") == PONG
        finally:
            px.proc.kill9()


def test_wrong_descriptors():
    """LISTEN_FDS that are no listening sockets: a clear error. Those for another process are left alone."""
    a, b = socket.socketpair()
    with RedisServer() as r:
        px = Proxy({"p": redis_pool([r])}, start=False)
        px.stats_port = free_port()
        px.write_conf()
        p = Manager().run(px, [a])
        assert p.wait() == 1
        assert "LISTEN_FDS: descriptor 3 (socket-0) is not a listening stream socket" in px.log_text()
    a.close()
    b.close()
