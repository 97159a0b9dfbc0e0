"""SIGUSR2: another process takes over, under load. No connection is refused, no request is lost, clients keep their sessions."""
import os
import re
import signal
import socket
import subprocess

import pytest
import redis
from pymemcache.client.base import Client
from redis.backoff import NoBackoff
from redis.retry import Retry

from harness import (HOST, KVMUX, OK, PONG, MemcachedServer, Proxy, Raw, RedisServer, _libc, free_port, mc_pool, redis_pool, temp_dir,
                     wait_until)
from test_reload import Load, once, redis_step

pytestmark = [pytest.mark.kvmux_only, pytest.mark.not_direct]
_libc.prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: the successors of our children become our children


class Adopted:
    """As harness.Process, for a successor."""

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

    def kill9(self):
        self.signal(signal.SIGKILL)
        return self.wait()

    def output(self):
        with open(self.out_path, "rb") as f:
            return f.read().decode("utf-8", "replace")


def pids(px):
    return [int(n) for n in re.findall(r" start version=\S+ pid=(\d+) ", px.log_text())]


def upgrade(px, ends=True):
    """Another process serves afterwards; the one before has ended with 0, or has not yet."""
    def outcomes():
        return px.log_text().count(" upgraded pid="), px.log_text().count(" upgrade_failed ")
    old, before = px.proc, outcomes()
    old.signal(signal.SIGUSR2)
    wait_until(lambda: outcomes() != before, "an outcome of the upgrade")
    assert outcomes() == (before[0] + 1, before[1]), px.log_text()[-2000:]
    px.proc = Adopted(pids(px)[-1], px.out)
    assert px.proc.pid != old.pid
    if ends:
        assert old.wait() == 0, px.log_text()[-3000:]
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
        env = dict(os.environ, NOTIFY_SOCKET=self.path, LISTEN_FDS=str(len(sockets)))

        def prepare():
            for i, s in enumerate(sockets):
                os.dup2(s.fileno(), 40 + i)
            for i in range(len(sockets)):
                os.dup2(40 + i, 3 + i)
        p = subprocess.Popen(["/usr/bin/python3", "-c", code] + px.argv() + list(argv), env=env, preexec_fn=prepare, close_fds=False,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return Adopted(p.pid, px.log)


def test_service_manager():
    folder = temp_dir("sockets")
    path = os.path.join(folder, "s")
    tcp, unix = socket.create_server((HOST, 0)), socket.socket(socket.AF_UNIX)
    unix.bind(path)
    unix.listen()
    manager = Manager()
    with RedisServer() as r:
        px = Proxy({"p": redis_pool([r]), "q": redis_pool([r])}, listens={"p": tcp.getsockname(), "q": path}, start=False)
        px.stats_port = free_port()
        px.write_conf()
        px.proc = manager.run(px, [tcp, unix])
        try:
            assert manager.hears() == ["MAINPID=%d" % px.pid, "READY=1"]
            tcp.close()
            unix.close()
            for pool in "pq":
                with px.client(pool) as c:
                    assert c.cmd("PING") == PONG
            px.proc.signal(signal.SIGHUP)
            said = manager.hears()
            assert said[0] == "RELOADING=1" and re.fullmatch(r"MONOTONIC_USEC=[1-9]\d*", said[1])
            assert manager.hears()[-1] == "READY=1"
            upgrade(px)
            assert manager.hears() == ["MAINPID=%d" % px.pid, "READY=1"]
            for pool in "pq":
                with px.client(pool) as c:
                    assert c.cmd("PING") == PONG
            px.proc.signal(signal.SIGTERM)
            assert manager.hears() == ["STOPPING=1"]
            assert px.proc.wait() == 0
            assert os.path.exists(path)  # it is the manager's
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
        assert "LISTEN_FDS: descriptor 3 is not a listening stream socket" in px.log_text()
    a.close()
    b.close()
