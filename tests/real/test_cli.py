"""Command line, files, signals, pid files (compat parts 1 and 2, design section 8)."""
import json
import os
import re
import signal
import socket
import subprocess
import time

import pytest

from harness import (DEADLINE, HOST, KVMUX, NUTCRACKER, OK, PONG, TARGET, FakeServer, Process, Proxy, Raw, RedisServer, bulk, cpu_seconds, free_port, hold,
                     redis_pool, resp, sanitizer_report, spread, temp_dir, wait_until)

kvmux_only = pytest.mark.kvmux_only
pytestmark = pytest.mark.not_direct
BINARY = NUTCRACKER if TARGET == "nutcracker" else KVMUX
SELF = r"(kvmux|nutcracker): "


class Ran:
    def __init__(self, argv, **kw):
        p = subprocess.run(argv, stdin=kw.pop("stdin", subprocess.DEVNULL) if "input" not in kw else None, capture_output=True, timeout=30, **kw)
        self.rc, self.out, self.err = p.returncode, p.stdout.decode("utf-8", "replace"), p.stderr.decode("utf-8", "replace")
        assert not sanitizer_report(self.err), self.err
        self.both = self.out + self.err


def run(*args, **kw):
    return Ran([BINARY] + [str(a) for a in args], **kw)


def write(text, name="nutcracker.yml"):
    path = os.path.join(temp_dir("conf"), name)
    with open(path, "wb") as f:
        f.write(text if isinstance(text, bytes) else text.encode())
    return path


GOOD = "p:\n  listen: 127.0.0.1:22121\n  redis: true\n  servers:\n   - 127.0.0.1:6379:1\n"


@pytest.fixture(scope="module")
def good():
    return write(GOOD)


@pytest.fixture()
def as_nutcracker():
    path = os.path.join(temp_dir("bin"), "nutcracker")
    os.symlink(BINARY, path)
    return path


# ------------------------------------------------------------------------------------------------ that only tell

def check_version_block(text):
    lines = text.replace("\r\n", "\n").split("\n")
    assert re.fullmatch(r"This is (kvmux|nutcracker)-\d+\.\d+.*", lines[0]), text
    assert re.fullmatch(r"async event backend: \S+", lines[1])
    return lines[2:]


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_version(option):
    r = run(option)
    assert r.rc == 0 and r.out == ""
    rest = check_version_block(r.err)
    assert rest[-2:] == ["", ""] and all(l == "" or l.startswith("debugging assertions are enabled") for l in rest)


@kvmux_only
def test_version_under_the_name_nutcracker(as_nutcracker):
    r = Ran([as_nutcracker, "-V"])
    assert r.rc == 0 and r.out == ""
    check_version_block(r.err)


@pytest.mark.parametrize("option", ["-h", "--help", "--hel"])
def test_help(option):
    r = run(option)
    assert r.rc == 0 and r.out == ""
    rest = "\n".join(check_version_block(r.err))
    assert "Usage: " in rest and "Options:" in rest
    for o in ("-h, --help", "-V, --version", "-t, --test-conf", "-d, --daemonize", "-D, --describe-stats", "-v, --verbose", "-o, --output", "-c, --conf-file",
              "-s, --stats-port", "-a, --stats-addr", "-i, --stats-interval", "-p, --pid-file", "-m, --mbuf-size"):
        assert o in rest, o
    if TARGET == "kvmux":
        for o in ("--threads", "--admin", "--admin-token-file", "--where", "--hex", "--log-format"):
            assert o in rest, o


def test_describe_stats():
    r = run("-D")
    assert r.rc == 0 and r.out == ""
    check_version_block(r.err)
    assert re.search(r"^pool stats:\n  client_eof          \"# eof on client connections\"\n", r.err.replace("\r", ""), re.M)
    assert re.search(r"^\nserver stats:\n  server_eof          \"# eof on server connections\"\n", r.err.replace("\r", ""), re.M)


def test_precedence(good):
    assert "Usage: " in run("-t", "-h", "-c", good).err
    assert "This is" in run("-t", "-V", "-c", good).err
    assert "pool stats:" in run("-D", "-t", "-c", good).err
    assert "syntax is ok" in run("-t", "-d", "-c", good).err


# ------------------------------------------------------------------------------------------------ options that are wrong

WRONG_OPTIONS = [
    (["-v"], r"option -v requires a number"), (["-v", "abc"], r"option -v requires a number"), (["-v", "-1"], r"option -v requires a number"),
    (["-v", "1.5"], r"option -v requires a number"), (["-v", ""], r"option -v requires a number"),
    (["-s"], r"option -s requires a number"), (["-s", "x"], r"option -s requires a number"), (["-s", "70000"], r"option -s value 70000 is not a valid port"),
    (["-s", "0"], r"option -s value 0 is not a valid port"), (["-i"], r"option -i requires a number"), (["-i", "x"], r"option -i requires a number"),
    (["-m"], r"option -m requires a number"), (["-m", "0"], r"option -m requires a non-zero number"), (["-m", "x"], r"option -m requires a non-zero number"),
    (["-m", "511"], r"mbuf chunk size must be between 512 and 16777216 bytes"), (["-m", "16777217"], r"mbuf chunk size must be between 512 and 16777216 bytes"),
    (["-c"], r"option -c requires a file name"), (["-o"], r"option -o requires a file name"), (["-p"], r"option -p requires a file name"),
    (["-a"], r"option -a requires a string"), (["-z"], r"invalid option -- 'z'"), (["-?"], r"invalid option -- '.?'"), (["--nonsense"], r"invalid option"),
    (["--stats"], r"invalid option"),
]


@pytest.mark.parametrize("args,text", WRONG_OPTIONS, ids=lambda x: " ".join(x) if isinstance(x, list) else "")
def test_wrong_option(args, text):
    r = run(*args)
    assert r.rc == 1 and r.out == ""
    first = r.err.split("\n")[0]
    assert re.match(SELF + text, first), first
    assert "Usage: " in r.err and "Options:" in r.err


@kvmux_only
@pytest.mark.parametrize("args", [["--threads"], ["--threads", "abc"], ["--threads", "-1"], ["--threads", "99999999999"], ["--where"], ["--admin"],
                                  ["--admin="], ["--admin-token-file"], ["--hex=1"], ["--admi", "none"]])
def test_wrong_new_option(args, good):
    r = run("-c", good, *args)
    assert r.rc == 1
    assert re.match(SELF + r".*(--threads|--where|--admin|--hex|--admi\b)", r.err)


def test_options_combine(good):
    for args in (["-tc", good], ["-t", "--conf-file=" + good], ["-t", "--conf", good], ["-t", "-c" + good], ["-t", "-c", good, "extra", "words"],
                 ["-t", "-c", good, "-v", "99"], ["-t", "-c", good, "-m", "512"], ["-t", "-c", good, "-m", "16777216"], ["-t", "-c", good, "--mbuf-size=1024"],
                 ["-t", "-c", good, "-i", "0"], ["--test-conf", "-c", good, "-s", "1", "-a", "127.0.0.1", "-o", "", "-v", "0"]):
        r = run(*args)
        assert r.rc == 0, (args, r.err)
        assert re.search(SELF + r"configuration file '%s' syntax is ok\n" % re.escape(good), r.err), r.err


# ------------------------------------------------------------------------------------------------ files: both take them

def pool(*lines, servers=("127.0.0.1:6379:1",), listen="127.0.0.1:22121", name="p"):
    out = ["%s:" % name] + (["  listen: %s" % listen] if listen else []) + ["  " + l for l in lines]
    if servers:
        out += ["  servers:"] + ["   - %s" % s for s in servers]
    return "\n".join(out) + "\n"


TAKEN = {
    "plain": pool(),
    "comments": "# head\n\n" + pool("hash: md5   # why not") + "# tail\n",
    "crlf": pool("timeout: 400").replace("\n", "\r\n"),
    "bom": "\ufeff" + pool(),
    "quoted": pool("redis: \"true\"", "timeout: \"400\"", "preconnect: 'false'"),
    "servers-first": "p:\n  servers:\n  - 127.0.0.1:6379:1\n  listen: 127.0.0.1:22121\n",
    "no-extra-indent": "p:\n  listen: 127.0.0.1:22121\n  servers:\n  - 127.0.0.1:6379:1 a\n  - 127.0.0.1:6379:1 b\n",
    "every-key": pool("hash: murmur", "hash_tag: \"{}\"", "distribution: modula", "timeout: 400", "backlog: 1024", "client_connections: 10", "tcpkeepalive: true",
                      "redis: true", "redis_auth: secret", "redis_db: 2", "preconnect: true", "auto_eject_hosts: true", "server_connections: 3",
                      "server_retry_timeout: 2000", "server_failure_limit: 1"),
    "zeroes": pool("timeout: 0", "backlog: 0", "client_connections: 0", "server_retry_timeout: 0", "server_failure_limit: 0", "redis_db: 0"),
    "tag-bare": pool("hash_tag: $$"),
    "random": pool("distribution: random"),
    "ipv6": pool(listen="::1:22121", servers=("::1:6379:1", "fe80::1:6380:2 six")),
    "unresolvable-server": pool(servers=("no-such-host.invalid:6379:1",)),
    "unix": pool(listen="/tmp/kvreal.never.sock 0660", servers=("/tmp/a.sock:1", "/tmp/b.sock:2 named")),
    "colon-in-name": pool(servers=("127.0.0.1:6379:1 a:b:c",)),
    "same-address-two-names": pool(servers=("127.0.0.1:6379:1 a", "127.0.0.1:6379:1 b")),
    "large-weight": pool(servers=("127.0.0.1:6379:2147483647", "127.0.0.1:6380:1")),
    "port-with-zero": pool(servers=("127.0.0.1:06379:1",)),
    "redis-db-of-memcached": pool("redis_db: 3"),
    "listen-by-name": pool(listen="localhost:22121"),
    "all-hashes": "".join(pool("hash: " + h, name="p%d" % i, listen="127.0.0.1:%d" % (22000 + i)) for i, h in enumerate(
        "one_at_a_time md5 crc16 crc32 crc32a fnv1_64 fnv1a_64 fnv1_32 fnv1a_32 hsieh murmur jenkins".split())),
    "quoted-pool-name": pool(name='"a b"'),
    "empty-name-of-a-server": pool(servers=('"127.0.0.1:6379:1 "',)),
    "forty-servers": pool(servers=["10.0.0.%d:6379:1" % i for i in range(1, 41)]),
    "no-newline-at-the-end": pool().rstrip("\n"),
}

TAKEN_BY_KVMUX = {
    "document-start": "---\n" + pool(),
    "document-end": "---\n" + pool() + "...\n",
    "flow-list": "p:\n  listen: 127.0.0.1:22121\n  servers: [\"127.0.0.1:6379:1\", \"127.0.0.1:6380:1 b\"]\n",
    "servers-as-mappings": "p:\n  listen: 127.0.0.1:22121\n  servers:\n   - {host: 127.0.0.1, port: 6379, weight: 2, name: a}\n   - host: 127.0.0.1\n     port: 6380\n",
    "several-listens": "p:\n  listen:\n   - 127.0.0.1:22121\n   - 127.0.0.1:22122\n  servers:\n   - 127.0.0.1:6379:1\n",
    "brackets": pool(listen='"[::1]:22121"', servers=('"[::1]:6379:1"',)),
    "reuseport": pool("reuseport: true"),
    "tag-flow-quoted": pool("hash_tag: '{}'"),
    "multiget_failure": pool("multiget_failure: miss"),
    "kvmux-section": pool() + "kvmux:\n  threads: 2\n",
}


@pytest.mark.parametrize("name", TAKEN)
def test_file_that_nutcracker_takes_is_taken(name):
    path = write(TAKEN[name])
    theirs = Ran([NUTCRACKER, "-t", "-c", path])
    assert theirs.rc == 0, "the test is wrong: nutcracker does not take this file"
    r = run("-t", "-c", path)
    assert r.rc == 0, r.err
    assert re.search(r"configuration file '%s' syntax is ok\n" % re.escape(path), r.err) and r.out == ""


@kvmux_only
@pytest.mark.parametrize("name", TAKEN_BY_KVMUX)
def test_ordinary_yaml_is_taken_too(name):
    path = write(TAKEN_BY_KVMUX[name])
    r = run("-t", "-c", path)
    assert r.rc == 0, r.err


def test_file_from_standard_input(good):
    with open(good) as f:
        r = run("-t", "-c", "/dev/stdin", stdin=f)
    assert r.rc == 0, r.err


@kvmux_only
def test_file_from_a_pipe():
    p = subprocess.run([BINARY, "-t", "-c", "/dev/stdin"], input=GOOD.encode(), capture_output=True, timeout=20)
    assert p.returncode == 0, p.stderr


# ------------------------------------------------------------------------------------------------ files: both refuse them

# name -> (text, line of the problem or None, what the reason must contain)
REFUSED = {
    "unknown-key": (pool("hahs: md5"), 3, r"hahs.*\bhash\b"),
    "unknown-key-near": (pool("server_connection: 2"), 3, r"server_connections"),
    "duplicate-key": (pool("timeout: 1", "timeout: 2"), 4, r"timeout"),
    "not-a-number": (pool("timeout: abc"), 3, r"timeout.*abc|abc.*number|number"),
    "negative": (pool("timeout: -1"), 3, r"-1|number"),
    "fraction": (pool("timeout: 1.5"), 3, r"1\.5|number"),
    "overflow": (pool("timeout: 2147483648"), 3, r"2147483648|2147483647"),
    "not-a-boolean": (pool("redis: yes"), 3, r"true.*false"),
    "boolean-case": (pool("redis: True"), 3, r"true.*false"),
    "unknown-hash": (pool("hash: sha1"), 3, r"fnv1a_64"),
    "upper-case-hash": (pool("hash: FNV1A_64"), 3, r"fnv1a_64"),
    "unknown-distribution": (pool("distribution: ring"), 3, r"ketama"),
    "tag-of-three": (pool("hash_tag: \"{a}\""), 3, r"hash_tag|two"),
    "no-listen": (pool(listen=None), 1, r"listen"),
    "no-servers": (pool(servers=()), 1, r"servers"),
    "no-connections": (pool("server_connections: 0"), 3, r"server_connections"),
    "auth-of-memcached": (pool("redis_auth: x"), 3, r"redis_auth"),
    "listen-no-port": (pool(listen="127.0.0.1"), 2, r"listen|127\.0\.0\.1"),
    "listen-port-zero": (pool(listen="127.0.0.1:0"), 2, r"port|0"),
    "listen-port-large": (pool(listen="127.0.0.1:65536"), 2, r"65536|port"),
    "listen-unresolvable": (pool(listen="no-such-host.invalid:1"), 2, r"no-such-host"),
    "listen-permission": (pool(listen="/tmp/kvreal.never.sock 01777"), 2, r"1777|permission"),
    "server-no-weight": (pool(servers=("127.0.0.1:6379",)), 4, r"127\.0\.0\.1:6379|weight"),
    "server-weight-zero": (pool(servers=("127.0.0.1:6379:0",)), 4, r"weight|0"),
    "server-weight-text": (pool(servers=("127.0.0.1:6379:x",)), 4, r"weight|x"),
    "server-port-large": (pool(servers=("127.0.0.1:1:1", "127.0.0.1:65536:1")), 5, r"65536|port"),
    "server-two-blanks": (pool(servers=("127.0.0.1:6379:1  two blanks",)), 4, r"."),
    "server-twice": (pool(servers=("127.0.0.1:6379:1", "127.0.0.1:6379:2")), 5, r"127\.0\.0\.1:6379"),
    "name-twice": (pool(servers=("127.0.0.1:1:1 a", "127.0.0.1:2:1 a")), 5, r"\ba\b"),
    "same-listen": (pool(name="a") + pool(name="b"), 6, r"127\.0\.0\.1:22121"),
    "same-pool-name": (pool(name="a") + pool(name="a", listen="127.0.0.1:22122"), 5, r"\ba\b"),
    "empty-value": ("p:\n  listen: 127.0.0.1:22121\n  timeout:\n  servers:\n   - 127.0.0.1:6379:1\n", 3, r"timeout|empty"),
    "tab": ("p:\n\tlisten: 127.0.0.1:22121\n", 2, r"."),
    "broken-yaml": ("p:\n  listen: \"127.0.0.1:22121\n  servers:\n   - 127.0.0.1:6379:1\n", None, r"."),
    "empty-file": ("", None, r"."),
    "only-a-comment": ("# nothing\n", None, r"."),
    "a-scalar": ("hello\n", 1, r"."),
    "a-list": ("- a\n- b\n", 1, r"."),
    "pool-is-a-scalar": ("p: 5\n", 1, r"."),
    "too-deep": ("p:\n  listen: 127.0.0.1:22121\n  hash:\n    x: y\n  servers:\n   - 127.0.0.1:6379:1\n", None, r"."),
}


@pytest.mark.parametrize("name", REFUSED)
def test_file_that_nutcracker_refuses_is_refused_with_its_place(name):
    text, line, reason = REFUSED[name]
    path = write(text)
    assert Ran([NUTCRACKER, "-t", "-c", path]).rc == 1, "the test is wrong: nutcracker takes this file"
    r = run("-t", "-c", path)
    assert r.rc == 1 and r.out == ""
    assert "configuration file '%s' syntax is invalid" % path in r.err
    if TARGET == "kvmux":
        place = r"(?::(\d+):(\d+))?" if line is None else r":(\d+):(\d+)"   # some problems are of the file as a whole
        found = re.findall(r"(?m)^(?:\w+: )?%s%s: (.+)$" % (re.escape(path), place), r.err)
        assert found, r.err
        assert line is None or line in [int(l) for l, _, _ in found], r.err
        assert any(re.search(reason, why) for l, _, why in found if line is None or int(l) == line), r.err


@kvmux_only
def test_number_that_nutcracker_took_as_garbage_is_refused():
    path = write(pool("timeout: 99999999999"))
    r = run("-t", "-c", path)
    assert r.rc == 1 and re.search(re.escape(path) + r":3:\d+: ", r.err)


@kvmux_only
def test_every_problem_in_one_run():
    path = write("a:\n  listen: 127.0.0.1:1\n  hahs: md5\n  timeout: x\n  servers:\n   - 127.0.0.1:1:0\n   - 127.0.0.1:1:1\nb:\n  listen: nowhere\n  redis: maybe\n"
                 "  servers:\n   - broken\n")
    r = run("-t", "-c", path)
    assert r.rc == 1
    lines = {int(l) for l in re.findall(re.escape(path) + r":(\d+):\d+: ", r.err)}
    assert lines >= {3, 4, 6, 9, 10, 12}, r.err


def test_file_that_is_not_there():
    r = run("-t", "-c", "/nonexistent/nutcracker.yml")
    assert r.rc == 1 and "/nonexistent/nutcracker.yml" in r.err
    if TARGET == "kvmux":
        assert "No such file or directory" in r.err


@kvmux_only
def test_start_with_a_broken_file_tells_the_reason():
    path = write(pool("hahs: md5"))
    r = run("-c", path)
    assert r.rc == 1 and re.search(re.escape(path) + r":3:\d+: ", r.both), r.both
    log = os.path.join(temp_dir(), "log")
    r = run("-c", path, "-o", log)
    with open(log) as f:
        assert r.rc == 1 and re.search(re.escape(path) + r":3:\d+: ", r.both + f.read())


@kvmux_only
def test_default_file_is_upstreams(as_nutcracker):
    d = temp_dir()
    os.mkdir(os.path.join(d, "conf"))
    with open(os.path.join(d, "conf", "nutcracker.yml"), "w") as f:
        f.write(GOOD)
    r = Ran([as_nutcracker, "-t"], cwd=d)
    assert r.rc == 0 and "'conf/nutcracker.yml' syntax is ok" in r.err, r.err


# ------------------------------------------------------------------------------------------------ starting, stopping

def gone(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


@kvmux_only
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_stop_signals_end_with_0_and_tidy_up(redis_alone, sig):
    pid_file = os.path.join(temp_dir(), "pid")
    px = Proxy({"p": redis_pool([redis_alone])}, unix_listen=True, flags=["-p", pid_file])
    try:
        with px.client() as c:
            assert c.cmd("SET", "a", "1") == OK
            with open(pid_file, "rb") as f:
                assert f.read() == b"%d" % px.pid, "decimal, no newline"
            px.proc.signal(sig)
            assert px.proc.wait() == 0
            assert c.until_close() == b""
        assert not os.path.exists(pid_file)
        assert not os.path.exists(px.addr())
    finally:
        px.stop()


@kvmux_only
def test_request_in_flight_is_finished_on_sigterm():
    with FakeServer() as s, Proxy({"p": redis_pool([s])}) as px, px.client() as c, px.client() as idle:
        c.send(resp("GET", "k"))
        up = s.accept()
        assert up.reply() == resp("GET", "k")
        px.proc.signal(signal.SIGTERM)
        assert idle.until_close() == b"", "idle clients are let go at once"
        wait_until(lambda: not can_connect(px.addr()), "listeners to be closed")
        assert px.proc.alive()
        up.send(bulk("late but good"))
        assert c.until_close() == bulk("late but good")
        assert px.proc.wait() == 0


@kvmux_only
def test_drain_is_bounded():
    with FakeServer() as s:
        px = Proxy({"p": redis_pool([s])}, start=False)
        px.stats_port = free_port()
        px.write_conf()
        with open(px.conf, "a") as f:
            f.write("kvmux:\n  drain_timeout: 300\n")
        px.keep_conf = px.fixed = True
        with px.start(), px.client() as c:
            c.send(resp("GET", "k"))
            up = s.accept()
            assert up.reply() == resp("GET", "k")
            t = time.monotonic()
            px.proc.signal(signal.SIGTERM)
            assert px.proc.wait() == 0
            assert 0.2 < time.monotonic() - t < 5
            got = c.until_close()
            assert got == b"" or got.startswith(b"-ERR ")


def can_connect(addr):
    s = socket.socket(socket.AF_UNIX if isinstance(addr, str) else socket.AF_INET)
    try:
        s.connect(addr)
        return True
    except OSError:
        return False
    finally:
        s.close()


def daemon_argv(px, pid_file, binary=None, extra=()):
    px.stats_port = free_port()
    px.write_conf()
    return [binary or BINARY, "-d", "-c", px.conf, "-o", px.log, "-s", str(px.stats_port), "-a", HOST, "-p", pid_file] + list(extra)


class Daemon:
    """Runs -d and ends what it left, by the pid in its file."""

    def __init__(self, px, binary=None):
        self.pid_file = os.path.join(px.dir, "pid")
        self.ran = Ran(daemon_argv(px, self.pid_file, binary))
        self.pid = None

    def __enter__(self):
        if self.ran.rc == 0:
            wait_until(lambda: os.path.getsize(self.pid_file) > 0, "the pid file")
            with open(self.pid_file, "rb") as f:
                self.content = f.read()
            self.pid = int(self.content)
        return self

    def __exit__(self, *exc):
        if self.pid and not gone(self.pid):
            os.kill(self.pid, signal.SIGKILL)


@kvmux_only
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_daemon(redis_alone, sig):
    px = Proxy({"p": redis_pool([redis_alone])}, start=False)
    with Daemon(px) as d:
        assert d.ran.rc == 0 and d.ran.out == "", d.ran.both
        assert d.content == b"%d" % d.pid
        with Raw(px.addr()) as c:   # no waiting: -d returns when the proxy listens
            assert c.cmd("SET", "dm", "1") == OK
        with open("/proc/%d/cmdline" % d.pid, "rb") as f:
            assert px.conf.encode() in f.read()
        assert os.getsid(d.pid) != os.getsid(0)
        os.kill(d.pid, sig)
        wait_until(lambda: gone(d.pid), "the daemon to end")
        assert not os.path.exists(d.pid_file)


@kvmux_only
def test_daemon_works_in_the_folder_it_was_started_in(redis_alone):
    """Relative names of log, pid file and configuration keep their meaning."""
    px = Proxy({"p": redis_pool([redis_alone])}, start=False)
    px.stats_port = free_port()
    px.write_conf()
    r = Ran([BINARY, "-d", "-c", "nutcracker.yml", "-o", "rel.log", "-p", "rel.pid", "-s", str(px.stats_port), "-a", HOST], cwd=px.dir)
    assert r.rc == 0, r.both
    with open(os.path.join(px.dir, "rel.pid")) as f:
        pid = int(f.read())
    try:
        with Raw(px.addr()) as c:
            assert c.cmd("PING") == PONG
        assert os.readlink("/proc/%d/cwd" % pid) == px.dir
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: gone(pid), "the daemon to end")
    assert not os.path.exists(os.path.join(px.dir, "rel.pid"))


@kvmux_only
@pytest.mark.parametrize("what", ["bad file", "address in use", "stats port in use", "log", "pid file"])
def test_daemon_reports_a_failed_start(redis_alone, what):
    px = Proxy({"p": redis_pool([redis_alone])}, start=False)
    pid_file = os.path.join(px.dir, "pid")
    argv = daemon_argv(px, pid_file)
    taken = socket.socket()
    try:
        if what == "bad file":
            argv[argv.index("-c") + 1] = write(pool("hahs: md5"))
        elif what == "address in use":
            taken.bind(px.addr())
            taken.listen()
        elif what == "stats port in use":
            taken.bind((HOST, px.stats_port))
            taken.listen()
        elif what == "log":
            argv[argv.index("-o") + 1] = "/nonexistent/log"
        else:
            argv[argv.index("-p") + 1] = "/nonexistent/pid"
        r = Ran(argv)
        assert r.rc == 1
        words = {"bad file": "hahs", "address in use": "ddress already in use", "stats port in use": "ddress already in use", "log": "/nonexistent/log",
                 "pid file": "/nonexistent/pid"}
        assert words[what] in r.err + px.log_text()
        assert not os.path.exists(pid_file)
        assert what in ("address in use",) or not can_connect(px.addr())
    finally:
        taken.close()


@kvmux_only
def test_pid_file_in_the_foreground(redis_alone):
    """As upstream wrote it: whenever -p is given."""
    pid_file = os.path.join(temp_dir(), "pid")
    with Proxy({"p": redis_pool([redis_alone])}, flags=["-p", pid_file]) as px:
        with open(pid_file, "rb") as f:
            assert f.read() == b"%d" % px.pid
    assert not os.path.exists(pid_file)


def second_start_fails(first, listens=None, stats_port=None, words=()):
    px = Proxy(first.pools, start=False, listens=listens or {n: (HOST, free_port()) for n in first.pools}, stats_port=stats_port or free_port())
    px.write_conf()
    px.proc = Process(px.argv(), px.out)
    assert px.proc.wait() == 1
    said = px.output() + px.log_text()
    assert "ddress already in use" in said, said
    for w in words:
        assert w in said, said


@pytest.mark.parametrize("threads", [1, 3])
def test_two_processes_on_one_address(redis_alone, threads):
    with Proxy({"p": redis_pool([redis_alone])}, threads=threads) as px:
        second_start_fails(px, listens=px.listens, words=["%s:%d" % px.addr()])
        with px.client() as c:
            assert c.cmd("PING") == PONG


def test_two_processes_on_one_stats_port(redis_alone):
    with Proxy({"p": redis_pool([redis_alone])}) as px:
        second_start_fails(px, stats_port=px.stats_port, words=[str(px.stats_port)])
        assert px.stats()["service"]


@kvmux_only
def test_two_processes_on_one_unix_socket(redis_alone):
    with Proxy({"p": redis_pool([redis_alone])}, unix_listen=True) as px:
        second_start_fails(px, listens=px.listens, words=[px.addr()])
        with px.client() as c:
            assert c.cmd("PING") == PONG, "the socket still is the first one's"


@kvmux_only
def test_left_over_unix_socket_is_replaced(redis_alone):
    px = Proxy({"p": redis_pool([redis_alone])}, unix_listen=True)
    px.proc.kill9()
    assert os.path.exists(px.addr())
    again = Proxy(px.pools, listens=px.listens)
    with again, again.client() as c:
        assert c.cmd("PING") == PONG


def test_unix_listener_permissions(redis_alone):
    path = os.path.join(temp_dir(), "s")
    px = Proxy({"p": redis_pool([redis_alone])}, listens={"p": path}, start=False)
    px.stats_port = free_port()
    px.write_conf()
    with open(px.conf) as f:
        text = f.read().replace("listen: " + path, "listen: %s 0600" % path)
    with open(px.conf, "w") as f:
        f.write(text)
    px.keep_conf = True
    with px.start(), px.client() as c:
        assert os.stat(path).st_mode & 0o777 == 0o600
        assert c.cmd("PING") == PONG


@kvmux_only
def test_several_listen_addresses(redis_alone):
    a, b = free_port(), free_port()
    px = Proxy({"p": redis_pool([redis_alone])}, listens={"p": (HOST, a)}, start=False)
    px.stats_port = free_port()
    px.write_conf()
    with open(px.conf) as f:
        text = f.read().replace("listen: %s:%d" % (HOST, a), "listen: [\"%s:%d\", \"%s:%d\"]" % (HOST, a, HOST, b))
    with open(px.conf, "w") as f:
        f.write(text)
    px.keep_conf = True
    with px.start():
        for port in (a, b):
            with Raw((HOST, port)) as c:
                assert c.cmd("PING") == PONG


# ------------------------------------------------------------------------------------------------ running

def test_log_is_reopened_on_sighup(redis_alone):
    with Proxy({"p": redis_pool([redis_alone])}, flags=["-v", "6"]) as px:
        wait_until(px.log_text, "first lines")
        os.rename(px.log, px.log + ".1")
        px.proc.signal(signal.SIGHUP)
        wait_until(lambda: os.path.exists(px.log), "a new log file")
        with px.client() as c:
            assert c.cmd("PING") == PONG
        assert px.proc.alive()
        if TARGET == "kvmux":
            px.proc.signal(signal.SIGUSR1)
            with px.client() as c:
                assert c.cmd("PING") == PONG


def test_log_level_changes_by_signal(redis_alone):
    with Proxy({"p": redis_pool([redis_alone])}, flags=["-v", "5"]) as px:
        px.proc.signal(signal.SIGTTIN)
        px.wait_log(r"(?i)level\D{0,40}6")
        px.proc.signal(signal.SIGTTOU)
        px.wait_log(r"(?i)level\D{0,40}5")
        with px.client() as c:
            assert c.cmd("PING") == PONG


def test_signals_that_do_not_end_it(redis_alone):
    with Proxy({"p": redis_pool([redis_alone])}) as px:
        for s in (signal.SIGPIPE, signal.SIGHUP) + (() if TARGET == "kvmux" else (signal.SIGUSR2,)):
            px.proc.signal(s)
            with px.client() as c:
                assert c.cmd("PING") == PONG
        assert px.proc.alive()


@kvmux_only
def test_log_says_what_an_operator_needs():
    """start, listen, server up and down with the reason; key=value."""
    with RedisServer() as s:
        with Proxy({"p": redis_pool([s])}) as px:
            with px.client() as c:
                assert c.cmd("SET", "a", "1") == OK
                s.kill9()
                wait_until(lambda: c.cmd("GET", "a").startswith(b"-ERR"), "the failure")
            px.wait_log(re.escape("%s:%d" % px.addr()), "the listen address")
            px.wait_log(re.escape(s.name), "the server")
            line = px.wait_log(r"(?m)^.*%s.*$" % re.escape(s.name)).group(0)
            assert re.search(r"\b\w+=\S+", line), line


@kvmux_only
def test_log_as_json():
    with RedisServer() as s:
        with Proxy({"p": redis_pool([s])}, flags=["--log-format", "json"]) as px:
            with px.client() as c:
                s.kill9()
                wait_until(lambda: c.cmd("GET", "a").startswith(b"-ERR"), "the failure")
            px.wait_log("connect_failed|server_failed")
            lines = [json.loads(line) for line in px.log_text().splitlines()]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", x["time"]) and x["level"] and x["event"] for x in lines)
    start = next(x for x in lines if x["event"] == "start")
    assert start["level"] == "notice" and start["pid"] == px.pid and start["pools"] == 1
    failed = next(x for x in lines if x["event"] in ("connect_failed", "server_failed"))
    assert failed["pool"] == "p" and failed["server"] == s.name and failed["reason"]


@kvmux_only
@pytest.mark.parametrize("form", ["text", "json"])
def test_log_to_syslog(redis_alone, form):
    if os.path.exists("/dev/log") or not os.access("/dev", os.W_OK):
        pytest.skip("this system has a syslog of its own, or /dev is not ours")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.bind("/dev/log")
        try:
            syslog.settimeout(DEADLINE)
            # A later -o counts; the harness gives one of its own.
            with Proxy({"p": redis_pool([redis_alone])}, flags=["-o", "syslog:local3", "--log-format", form]) as px:
                line = ""
                while not re.search(r'listen( pool=|")', line):
                    line = syslog.recv(4096).decode()
        finally:
            os.unlink("/dev/log")
    m = re.match(r"<(\d+)>.*kvmux\[%d\]: (.*)" % px.pid, line)
    assert m and int(m.group(1)) == (16 + 3) * 8 + 5, line  # facility local3, level notice
    assert json.loads(m.group(2))["event"] == "listen" if form == "json" else m.group(2).startswith("listen "), line


@kvmux_only
@pytest.mark.parametrize("args,text", [
    (["--log-format", "xml"], r"option --log-format requires text or json"), (["--log-format"], r"option --log-format requires text or json"),
    (["-o", "syslog:mars"], r"option -o syslog:mars: no such facility"),
])
def test_wrong_log_option(good, args, text):
    r = run("-c", good, *args)
    assert r.rc == 1 and re.match(SELF + text, r.err), r.err


def listening_addresses(port):
    out = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table) as f:
                next(f)
                for line in f:
                    local, state = line.split()[1], line.split()[3]
                    host, p = local.rsplit(":", 1)
                    if state == "0A" and int(p, 16) == port:
                        out.add(host)
        except FileNotFoundError:
            pass
    return out


def start_by_hand(px, binary, args=()):
    px.stats_port = free_port()
    px.write_conf()
    px.proc = Process([binary, "-c", px.conf, "-o", px.log, "-s", str(px.stats_port)] + list(args), px.out)
    wait_until(lambda: px.is_up() or not px.proc.alive(), "start")
    assert px.proc.alive(), px.output() + px.log_text()
    return px


def tasks(pid):
    return len(os.listdir("/proc/%d/task" % pid))


@kvmux_only
def test_name_decides_defaults(redis_alone, as_nutcracker):
    """As nutcracker: stats for everybody and one worker. As kvmux: stats on loopback, one worker per core."""
    pools = {"p": redis_pool([redis_alone])}
    cores = len(os.sched_getaffinity(0))
    with start_by_hand(Proxy(pools, start=False), as_nutcracker) as one, start_by_hand(Proxy(pools, start=False), BINARY) as many:
        assert "00000000" in listening_addresses(one.stats_port)
        assert listening_addresses(many.stats_port) == {"0100007F"}
        wait_until(lambda: one.stats()["threads"] == 1 and many.stats()["threads"] == cores, "workers: 1 and %d" % cores)
        wait_until(lambda: tasks(many.pid) - tasks(one.pid) == cores - 1, "as many threads of the system")


@kvmux_only
def test_threads(redis_alone):
    pools = {"p": redis_pool([redis_alone])}
    with Proxy(pools, threads=1) as one:
        for n in (1, 2, 5):
            with Proxy(pools, threads=n) as px:
                wait_until(lambda: tasks(px.pid) - tasks(one.pid) == n - 1, "%d workers" % n)
                clients = [px.client() for _ in range(20)]
                for i, c in enumerate(clients):
                    assert c.cmd("SET", "th:%d" % i, i) == OK
                for i, c in enumerate(clients):
                    assert c.cmd("GET", "th:%d" % i) == bulk(i)
                    c.close()
                assert px.stats("p", redis_alone.name)["requests"] == 40, "stats are added up over all workers"


@kvmux_only
def test_mbuf_size_is_a_hint(redis_alone):
    with Proxy({"p": redis_pool([redis_alone])}, flags=["-m", "512"]) as px, px.client() as c:
        k = "k" * 5000
        assert c.cmd("SET", k, "v" * 100000) == OK
        assert c.cmd("GET", k) == bulk("v" * 100000)


def test_stats_reader_that_speaks_http(redis_alone):
    with Proxy({"p": redis_pool([redis_alone])}) as px, Raw((HOST, px.stats_port)) as c:
        try:
            c.send(b"GET / HTTP/1.0\r\n\r\n")
        except OSError:
            pass
        got = c.until_close()
        assert got.startswith(b'{"service":') and got.endswith(b"}\n")


@kvmux_only
def test_stats_reader_that_does_not_read_blocks_nobody(redis_alone):
    with Proxy({"p": redis_pool([redis_alone])}) as px:
        stuck = [Raw((HOST, px.stats_port)) for _ in range(20)]
        for _ in range(5):
            assert px.stats()["uptime"] >= 0
        with px.client() as c:
            assert c.cmd("PING") == PONG
        for s in stuck:
            s.close()


@kvmux_only
def test_stats_on_a_unix_path(redis_alone):
    path = os.path.join(temp_dir(), "stats")
    px = Proxy({"p": redis_pool([redis_alone])}, start=False)
    px.stats_port = free_port()
    px.write_conf()
    px.proc = Process([BINARY, "-c", px.conf, "-o", px.log, "-s", str(px.stats_port), "-a", path], px.out)
    with px:
        wait_until(lambda: can_connect(path), "the stats socket")
        with Raw(path) as c:
            assert c.until_close().startswith(b'{"service":')


@kvmux_only
def test_stats_are_fresh_at_once(redis_alone):
    with Proxy({"p": redis_pool([redis_alone])}, flags=["-i", "30000"]) as px, px.client() as c:
        assert px.stats("p", redis_alone.name)["requests"] == 0
        for i in range(1, 6):
            c.cmd("GET", "x")
            assert px.stats("p", redis_alone.name)["requests"] == i


@kvmux_only
def test_idle_proxy_uses_no_cpu(redis_alone):
    with Proxy({"p": redis_pool([redis_alone], auto_eject_hosts=True)}, flags=["-i", "0"]) as px, px.client() as c:
        assert c.cmd("SET", "a", "1") == OK
        before = cpu_seconds(px.pid)
        hold(1.0, lambda: None, poll=0.1)
        assert cpu_seconds(px.pid) - before < 0.15


# ------------------------------------------------------------------------------------------------ --where

@pytest.fixture()
def where_conf():
    return write("alpha:\n  listen: 127.0.0.1:22121\n  redis: true\n  hash_tag: \"{}\"\n  servers:\n   - 10.0.0.1:6379:1 one\n   - 10.0.0.2:6379:1 two\n   - /run/x.sock:1 three\n"
                 "beta:\n  listen: 127.0.0.1:22122\n  servers:\n   - 10.0.0.3:11211:1\n")


@kvmux_only
def test_where(where_conf):
    r = run("-c", where_conf, "--where", "alpha", "a", "b c", "{a}x")
    assert r.rc == 0 and r.err == ""
    rows = [l.split("\t") for l in r.out.splitlines()]
    assert [x[0] for x in rows] == ["a", "b c", "{a}x"]
    address = {"one": "10.0.0.1:6379", "two": "10.0.0.2:6379", "three": "/run/x.sock"}
    assert all(address[name] == addr for _, name, addr in rows)
    assert rows[0][1] == rows[2][1], "hash tag"


@kvmux_only
def test_where_reads_keys_from_standard_input(where_conf):
    keys = spread(200) + ["with blank", "ключ"]
    r = run("-c", where_conf, "--where", "alpha", input=("\n".join(keys) + "\n").encode())
    assert r.rc == 0
    rows = [l.split("\t") for l in r.out.splitlines()]
    assert [x[0] for x in rows] == keys
    assert {x[1] for x in rows} == {"one", "two", "three"}
    one = run("-c", where_conf, "--where", "alpha", keys[7])
    assert one.out.splitlines()[0].split("\t") == rows[7]


@kvmux_only
def test_where_hex(where_conf):
    plain = run("-c", where_conf, "--where", "alpha", "abc").out.rstrip("\n").split("\t")
    r = run("-c", where_conf, "--hex", "--where", "alpha", b"abc".hex(), "00ff0a")
    rows = [l.split("\t") for l in r.out.splitlines()]
    assert r.rc == 0 and [x[0] for x in rows] == ["616263", "00ff0a"] and rows[0][1:] == plain[1:]
    assert run("-c", where_conf, "--hex", "--where", "alpha", "6").rc == 1
    assert run("-c", where_conf, "--hex", "--where", "alpha", "xy").rc == 1


@kvmux_only
def test_where_unnamed_server_and_errors(where_conf):
    assert run("-c", where_conf, "--where", "beta", "k").out == "k\t10.0.0.3\t10.0.0.3:11211\n"
    r = run("-c", where_conf, "--where", "gamma", "k")
    assert r.rc == 1 and "gamma" in r.err and r.out == ""
    assert run("-c", "/nonexistent", "--where", "alpha", "k").rc == 1
