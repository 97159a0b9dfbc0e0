"""Who may come, and how much a request may have: allow, proxy_from behind a real haproxy, client_request_limit, client_max_arguments; and as
whom kvmux meets them: user, group."""
import grp
import os
import pwd
import re
import shutil
import signal
import socket
import struct
import subprocess

import pytest

from harness import HOST, KVMUX, OK, PONG, Process, Proxy, Raw, free_port, mc_pool, redis_pool, resp, temp_dir, wait_until
from test_upgrade import upgrade
from tls_fixtures import Authority, TlsRaw

pytestmark = [pytest.mark.kvmux_only, pytest.mark.not_direct]

BALANCER = "127.0.0.7"   # what haproxy connects from
HEADER = b"\r\n\r\n\0\r\nQUIT\n"


def header(ip="10.1.2.3", port=1025):
    return HEADER + b"\x21\x11\0\x0c" + socket.inet_aton(ip) + socket.inet_aton(HOST) + struct.pack(">HH", port, 22121)


def come_from(addr, source):
    return Raw.of(socket.create_connection(addr, 10, (source, 0)))


class Haproxy:
    """In front of `to`: {port of its own: (address, more words of its server line)}."""

    def __init__(self, to):
        self.dir = temp_dir("haproxy")
        path = os.path.join(self.dir, "conf")
        with open(path, "w") as f:
            f.write("defaults\n mode tcp\n timeout connect 10s\n timeout client 60s\n timeout server 60s\n")
            for i, (port, (addr, words)) in enumerate(to.items()):
                f.write("listen l%d\n bind %s:%d\n source %s\n server s %s:%d send-proxy-v2 %s\n" % ((i, HOST, port, BALANCER) + tuple(addr) + (words,)))
        self.proc = Process(["haproxy", "-db", "-f", path], os.path.join(self.dir, "out"))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.proc.kill9()


def test_strangers_are_told(redis3):
    with Proxy({"p": redis_pool(redis3, allow=["127.0.0.2", "10.0.0.0/8"])}) as px:
        before = px.stats("p")["client_strangers"]   # who looked whether it is up
        with come_from(px.addr("p"), "127.0.0.2") as friend:
            assert friend.cmd("PING") == PONG
            with px.client() as stranger:
                assert stranger.reply() == b"-ERR this address is not allowed\r\n"
                stranger.until_close()
            assert friend.cmd("PING") == PONG
        wait_until(lambda: px.stats("p")["client_strangers"] == before + 1, "the metric")
        assert re.search(r"client_refused pool=p client=127\.0\.0\.1:\d+ reason=\"not in allow\"", px.log_text())


def test_unix_sockets_are_not_concerned(redis3):
    with Proxy({"p": redis_pool(redis3, allow="10.0.0.0/8")}, unix_listen=True) as px:
        with px.client() as c:
            assert c.cmd("PING") == PONG


@pytest.mark.skipif(shutil.which("haproxy") is None and not os.path.exists("/usr/sbin/haproxy"), reason="haproxy is not installed")
def test_behind_haproxy(redis3):
    """In plain and in TLS: the client's address is what CLIENT LIST, SLOWLOG and the log show; haproxy's own checks are let in."""
    ca = Authority()
    near = ca.issue("near")
    plain, tls = free_port(), free_port()
    pool = redis_pool(redis3, allow="127.0.0.1", proxy_from=BALANCER, tls_certificate=near.crt, tls_key=near.key, slowlog_slower_than=0)
    with Proxy({"p": pool}, admin=True) as px:
        to = {plain: (px.addr("p"), "check inter 100ms"), tls: (px.tls["p"], "")}
        with Haproxy(to):
            wait_until(lambda: can_connect(plain) and can_connect(tls), "haproxy to listen")
            with Raw((HOST, plain)) as c, TlsRaw((HOST, tls), ca.context()) as t:
                for who in (c, t):
                    mine = b"127.0.0.1:%d" % who.s.getsockname()[1]
                    assert who.cmd("SET", "proxied", "x" * 100000) == OK
                    assert len(who.value("GET", "proxied")) == 100000
                    assert b" addr=" + mine + b" " in who.cmd("CLIENT", "INFO")
                    assert b" addr=" + mine + b" " in who.cmd("CLIENT", "LIST")
                    assert mine in b" ".join(x[4] for x in who.value("SLOWLOG", "GET", "100"))
        assert px.stats("p")["client_strangers"] == 0


def can_connect(port):
    with socket.socket() as s:
        return s.connect_ex((HOST, port)) == 0


def test_who_sends_no_header(redis3):
    with Proxy({"p": redis_pool(redis3, proxy_from=BALANCER)}) as px:
        with come_from(px.addr("p"), BALANCER) as c:
            c.send(resp("PING"))
            c.until_close()
        with px.client() as c:
            c.send(header())     # nobody trusts this one
            assert c.reply().startswith(b"-ERR")
        wait_until(lambda: "a load balancer's header (PROXY protocol, version 2) is missing or broken" in px.log_text(), "the reason")


def test_the_address_survives_an_upgrade(redis3):
    with Proxy({"p": redis_pool(redis3, proxy_from=BALANCER, allow="10.0.0.0/8")}) as px:
        with come_from(px.addr("p"), BALANCER) as c:
            c.send(header("10.9.8.7", 4711) + resp("PING"))
            assert c.reply() == PONG
            upgrade(px)
            assert b" addr=10.9.8.7:4711 " in c.cmd("CLIENT", "INFO")


def test_too_large_a_request(redis3, mc2):
    pools = {"p": redis_pool(redis3, client_request_limit=100000, client_max_arguments=100),
             "m": mc_pool(mc2, client_request_limit=100000, client_max_arguments=100)}
    with Proxy(pools) as px:
        with px.client("p") as c:
            assert c.cmd("SET", "a", "x" * 99000) == OK
            c.send(resp("SET", "a", "x" * 100000))
            assert c.reply() == b"-ERR Protocol error: request is larger than client_request_limit\r\n"
            c.until_close()
        with px.client("p") as c:
            assert len(c.value("MGET", *range(99))) == 99
            c.send(resp("MGET", *range(100)))
            assert c.reply() == b"-ERR Protocol error: request has more arguments than client_max_arguments\r\n"
            c.until_close()
        with px.client("m") as c:
            assert c.mc_set("a", "x" * 99000) == b"STORED\r\n"
            c.send(b"set a 0 0 100000\r\n" + b"x" * 100000 + b"\r\n")
            assert c.line() == b"SERVER_ERROR object too large for cache (client_request_limit)\r\n"
            c.until_close()
        wait_until(lambda: px.stats("p")["client_over_limit"] == 2 and px.stats("m")["client_over_limit"] == 1, "the metrics")


# ------------------------------------------------------------------------------------------------ privileges

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def ids_of(pid):
    with open("/proc/%d/status" % pid) as f:
        text = f.read()
    return [re.search(r"^%s:\s*(.*)$" % k, text, re.M).group(1).split() for k in ("Uid", "Gid", "Groups")]


@ROOT
def test_privileges_are_dropped(redis3):
    """For good, with all groups; the log is still reopened, a reload and an upgrade work, and a low port that was open stays open."""
    nobody = pwd.getpwnam("nobody")
    low = next(p for p in range(700, 1024) if not can_connect(p))
    folder = temp_dir("open")
    os.chmod(folder, 0o777)
    os.chmod(os.path.dirname(folder), 0o755)
    pools = {"p": redis_pool(redis3)}
    px = Proxy(pools, listens={"p": (HOST, low)}, section={"user": "nobody", "group": "daemon"}, start=False,
               flags=["-p", os.path.join(folder, "pid")])
    px.log, px.conf = os.path.join(folder, "log"), os.path.join(folder, "conf.yml")
    px.start()
    with px:
        def check():
            uids, gids, groups = ids_of(px.pid)
            assert set(uids) == {str(nobody.pw_uid)} and set(gids) == {str(grp.getgrnam("daemon").gr_gid)}
            assert set(groups) <= {str(g) for g in os.getgrouplist("nobody", grp.getgrnam("daemon").gr_gid)}
        px.wait_log(" privileges_dropped user=nobody ")   # who listens is not through yet
        check()
        assert os.stat(px.log).st_uid == nobody.pw_uid
        os.rename(px.log, px.log + ".1")
        px.proc.signal(signal.SIGUSR1)
        wait_until(lambda: os.path.exists(px.log) and "action=reopen_log" in px.log_text(), "the log to be opened anew")
        px.reload({"p": redis_pool(redis3, timeout=5000)})
        taken = next(p for p in range(700, 1024) if not can_connect(p) and p != low)
        px.listens["q"] = (HOST, taken)
        px.reload({"p": redis_pool(redis3), "q": redis_pool(redis3)}, taken=False)
        assert "Permission denied" in px.log_text()
        px.pools = pools
        px.write_conf()
        with px.client() as c:
            upgrade(px)
            assert c.cmd("PING") == PONG
        check()
        with px.client() as c:
            assert c.cmd("PING") == PONG


@ROOT
def test_access_log_in_a_folder_of_root(redis3):
    """The user could not make it there. It becomes his, a renamed one is followed by what logrotate made; what is not a plain file stays root's."""
    nobody = pwd.getpwnam("nobody")
    folder = temp_dir("logs")
    os.chmod(folder, 0o755)
    os.chmod(os.path.dirname(folder), 0o755)
    path, target = os.path.join(folder, "access"), os.path.join(folder, "target")
    section = {"user": "nobody", "access_log": path, "access_log_sample": "1"}
    with Proxy({"p": redis_pool(redis3)}, section=section) as px:
        def ask(key, file):
            with px.client() as c:
                c.cmd("GET", key)
            wait_until(lambda: key in open(file).read(), "the line of " + key)
        px.wait_log(" privileges_dropped user=nobody ")
        ask("first", path)
        assert os.stat(path).st_uid == nobody.pw_uid and "access_log_failed" not in px.log_text()
        os.rename(path, path + ".1")
        open(path, "w").close()
        os.chown(path, nobody.pw_uid, nobody.pw_gid)     # as `create` of logrotate does
        px.proc.signal(signal.SIGUSR1)
        px.wait_log("action=reopen_log")
        ask("second", path)
        assert "second" not in open(path + ".1").read()
    open(target, "w").close()
    for plant in (os.symlink, os.link):
        os.unlink(path)
        plant(target, path)
        with Proxy({"p": redis_pool(redis3)}, section=section) as px:
            px.wait_log("access_log_failed file=%s" % path)
            assert os.stat(target).st_uid == 0


@ROOT
def test_whom_it_cannot_become(redis3):
    for section, text in (({"user": "no-such-user"}, "user: there is no user 'no-such-user' on this machine"),
                          ({"user": "nobody", "group": "no-such-group"}, "group: there is no group 'no-such-group' on this machine")):
        px = Proxy({"p": redis_pool(redis3)}, section=section, start=False)
        px.write_conf()
        done = subprocess.run([KVMUX, "-c", px.conf, "-s", str(free_port()), "--admin", "none"], capture_output=True, text=True, timeout=20)
        assert done.returncode == 1 and text in done.stderr
        done = subprocess.run([KVMUX, "-t", "-c", px.conf], capture_output=True, text=True, timeout=20)
        assert done.returncode == 1 and text in done.stderr and "is invalid" in done.stderr
    os.chmod(os.path.dirname(px.dir), 0o755)
    os.chmod(px.dir, 0o777)
    with open(px.conf, "w") as f:
        f.write("p:\n  listen: %s:%d\n  redis: true\n  servers: [127.0.0.1:1:1]\nkvmux: {user: daemon}\n" % (HOST, free_port()))
    done = subprocess.run([KVMUX, "-c", px.conf, "-s", str(free_port()), "--admin", "none"], capture_output=True, text=True, timeout=20, user="nobody")
    assert done.returncode == 1 and "user: only root can become 'daemon'; start kvmux as root, or as 'daemon'" in done.stderr
