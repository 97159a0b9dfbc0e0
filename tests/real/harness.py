"""Real servers, a real proxy, raw sockets.

Everything listens on loopback, every wait has a deadline, nothing sleeps to synchronise. Only processes started here
are ever signalled, by pid.

    with RedisServer() as r, Proxy(pools={"p": redis_pool([r])}) as px:
        c = px.client("p")
        assert c.cmd("SET", "a", "1") == b"+OK\\r\\n"

Environment: KVMUX path of the binary (default build/kvmux of this project); NUTCRACKER path of the original;
KVMUX_REAL_TARGET kvmux | nutcracker | direct: what the tests that are not about kvmux alone run against
(nutcracker, direct: to check the tests themselves); KVMUX_FULL=1 the long forms.
"""
import ctypes
import hashlib
import json
import os
import random
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
KVMUX = os.path.abspath(os.environ.get("KVMUX") or os.path.join(ROOT, "build", "kvmux"))
NUTCRACKER = os.environ.get("NUTCRACKER") or shutil.which("nutcracker", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
TARGET = os.environ.get("KVMUX_REAL_TARGET", "kvmux")
FULL = os.environ.get("KVMUX_FULL") == "1"
DEADLINE = float(os.environ.get("KVMUX_REAL_DEADLINE", "20"))
HOST = "127.0.0.1"

_libc = ctypes.CDLL(None, use_errno=True)


# ------------------------------------------------------------------------------------------------ waiting

class Timeout(AssertionError):
    pass


def wait_until(condition, what="condition", deadline=None, poll=0.01):
    """The first true value of condition(); AssertionError at the deadline. Connection errors count as false."""
    end = time.monotonic() + (deadline or DEADLINE)
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
        except (OSError, EOFError, Timeout) as e:
            last = e
        if time.monotonic() > end:
            raise Timeout("waited %.1f s for: %s%s" % (deadline or DEADLINE, what, " (last error: %r)" % last if last else ""))
        time.sleep(poll)


def hold(seconds, check, poll=0.02):
    """check() again and again for so long: for what must NOT happen within a time."""
    end = time.monotonic() + seconds
    n = 0
    while time.monotonic() < end:
        check()
        n += 1
        time.sleep(poll)
    return n


# ------------------------------------------------------------------------------------------------ ports, folders, processes

_ports_given = set()


def free_port():
    """A port that nobody holds and that no outgoing connection is given (below the ephemeral range). Two test runs may
    still pick the same one: whoever starts a server on it notices (Server.start) and takes another."""
    while True:
        port = random.SystemRandom().randint(12000, 32000)
        if port in _ports_given:
            continue
        with socket.socket() as s:
            try:
                s.bind((HOST, port))
            except OSError:
                continue
        _ports_given.add(port)
        return port


_base = None


def base_dir():
    global _base
    if _base is None:
        _base = tempfile.mkdtemp(prefix="kvreal.")
        os.chmod(_base, 0o755)
    return _base


def temp_dir(name="d"):
    return tempfile.mkdtemp(prefix=name + ".", dir=base_dir())


def remove_base():
    global _base
    if _base:
        shutil.rmtree(_base, ignore_errors=True)
    _base = None


def _die_with_parent():
    _libc.prctl(1, signal.SIGKILL)


class Process:
    """A child of ours: killed when the test run ends, however it ends."""
    live = {}

    def __init__(self, argv, stdout, env=None, limits=None, cwd=None, argv0=None, stderr=subprocess.STDOUT):
        def prepare():
            _die_with_parent()
            for which, value in (limits or {}).items():
                resource.setrlimit(which, (value, value))
        self.out_path = stdout
        with open(stdout, "ab") as out:
            self.p = subprocess.Popen(argv if argv0 is None else [argv0] + list(argv[1:]), executable=argv[0], stdin=subprocess.DEVNULL,
                                      stdout=out, stderr=stderr, preexec_fn=prepare, env=env, cwd=cwd)
        self.pid = self.p.pid
        Process.live[self.pid] = self

    def alive(self):
        return self.p.poll() is None

    def signal(self, sig):
        """SIGSTOP returns when the process has really stopped."""
        if self.alive():
            self.p.send_signal(sig)
            if sig == signal.SIGSTOP:
                wait_until(lambda: open("/proc/%d/stat" % self.pid).read().rsplit(")", 1)[1].split()[0] == "T", "the process to stop")

    def wait(self, deadline=None):
        try:
            rc = self.p.wait(deadline or DEADLINE)
        except subprocess.TimeoutExpired:
            raise Timeout("process %d does not end; its output:\n%s" % (self.pid, self.output()[-3000:]))
        Process.live.pop(self.pid, None)
        return rc

    def kill9(self):
        self.signal(signal.SIGKILL)
        return self.wait()

    def output(self):
        with open(self.out_path, "rb") as f:
            return f.read().decode("utf-8", "replace")


def kill_leftovers():
    for p in list(Process.live.values()):
        p.kill9()


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ------------------------------------------------------------------------------------------------ RESP bytes

def resp(*args):
    """A request as RESP2 clients send it."""
    parts = [b"*%d\r\n" % len(args)]
    for a in args:
        a = to_bytes(a)
        parts.append(b"$%d\r\n%s\r\n" % (len(a), a))
    return b"".join(parts)


def to_bytes(a):
    if isinstance(a, bytes):
        return a
    if isinstance(a, (int, float)):
        return b"%d" % a if isinstance(a, int) else repr(a).encode()
    return a.encode("utf-8")


def bulk(v):
    if v is None:
        return b"$-1\r\n"
    v = to_bytes(v)
    return b"$%d\r\n%s\r\n" % (len(v), v)


def array(*items):
    return b"*%d\r\n%s" % (len(items), b"".join(items))


def integer(n):
    return b":%d\r\n" % n


OK = b"+OK\r\n"
PONG = b"+PONG\r\n"
NIL = b"$-1\r\n"


def resp_end(buf, pos):
    """Where the reply that starts at pos ends, or -1 when it is not complete."""
    left = 1
    while left:
        eol = buf.find(b"\r\n", pos)
        if eol < 0:
            return -1
        kind = buf[pos]
        left -= 1
        if kind in b"+-:_,#(":
            pos = eol + 2
        elif kind in b"$=!":
            n = int(buf[pos + 1:eol])
            pos = eol + 2
            if n >= 0:
                pos += n + 2
                if pos > len(buf):
                    return -1
        elif kind in b"*~>":
            n = int(buf[pos + 1:eol])
            pos = eol + 2
            left += max(n, 0)
        elif kind in b"%|":
            left += 2 * int(buf[pos + 1:eol])
            pos = eol + 2
        else:
            raise AssertionError("not RESP at offset %d: %r" % (pos, bytes(buf[pos:pos + 200])))
    return pos


def parse_resp(raw):
    """One raw reply as Python: bytes, int, None, list; errors as RespError."""
    value, end = _parse(raw, 0)
    assert end == len(raw), raw
    return value


class RespError(Exception):
    pass


def _parse(b, pos):
    eol = b.index(b"\r\n", pos)
    kind, head = b[pos:pos + 1], bytes(b[pos + 1:eol])
    pos = eol + 2
    if kind == b"+":
        return head, pos
    if kind == b"-":
        return RespError(head.decode("utf-8", "replace")), pos
    if kind == b":":
        return int(head), pos
    if kind == b"$":
        n = int(head)
        return (None, pos) if n < 0 else (bytes(b[pos:pos + n]), pos + n + 2)
    if kind == b"*":
        n = int(head)
        if n < 0:
            return None, pos
        out = []
        for _ in range(n):
            v, pos = _parse(b, pos)
            out.append(v)
        return out, pos
    raise AssertionError("not RESP2: %r" % bytes(b[:100]))


# ------------------------------------------------------------------------------------------------ raw client

class Raw:
    """One connection, bytes as they are. Sends and receives at the same time, so that no pipeline can block itself."""

    def __init__(self, addr, deadline=None):
        self.deadline = deadline or DEADLINE
        if isinstance(addr, str):
            self.s = socket.socket(socket.AF_UNIX)
        else:
            self.s = socket.socket()
            self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.s.settimeout(self.deadline)
        try:
            self.s.connect(addr)
        except OSError:
            self.s.close()
            raise
        self._begin()

    @classmethod
    def of(cls, connected):
        """Around a socket that is connected already."""
        raw = cls.__new__(cls)
        raw.s, raw.deadline = connected, DEADLINE
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw._begin()
        return raw

    def _begin(self):
        self.s.setblocking(False)
        self.inb = bytearray()
        self.out = b""
        self.eof = False
        self.reset = False

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.s.close()

    def abort(self):
        """Close with a RST."""
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.s.close()

    def half_close(self):
        self.flush()
        try:
            self.s.shutdown(socket.SHUT_WR)
        except OSError:   # the peer has closed already
            pass

    def _pump(self, end, want_read=True):
        """One round of reading and writing; False when the time is over."""
        left = end - time.monotonic()
        if left <= 0:
            return False
        r, w, _ = select.select([self.s] if want_read and not self.eof else [], [self.s] if self.out else [], [], left)
        if w:
            try:
                n = self.s.send(self.out)
                self.out = self.out[n:]
            except (BrokenPipeError, ConnectionResetError):
                self.out = b""
        if r:
            try:
                data = self.s.recv(1 << 20)
            except ConnectionResetError:
                data, self.reset = b"", True
            except BlockingIOError:
                return True
            if data:
                self.inb += data
            else:
                self.eof = True
        return True

    def send(self, data):
        """Queue and send; returns when the kernel has it all (replies that arrive meanwhile are kept)."""
        self.out = memoryview(bytes(self.out) + data) if self.out else memoryview(data)
        self.flush()

    def flush(self):
        end = time.monotonic() + self.deadline
        while self.out:
            if self.eof:
                self.out = b""
                return
            if not self._pump(end):
                raise Timeout("cannot send: the peer does not read")

    def post(self, data):
        """Queue; sent while replies are waited for."""
        self.out = memoryview(bytes(self.out) + data) if self.out else memoryview(data)

    def need(self, done, what):
        end = time.monotonic() + self.deadline
        while True:
            value = done()
            if value is not None:
                return value
            if self.eof:
                raise EOFError("closed while waiting for %s; got %r" % (what, bytes(self.inb[:400])))
            if not self._pump(end):
                raise Timeout("no %s in %.1f s; got %r" % (what, self.deadline, bytes(self.inb[:400])))

    def take(self, n):
        data = bytes(memoryview(self.inb)[:n])
        del self.inb[:n]
        return data

    def exact(self, n):
        self.need(lambda: True if len(self.inb) >= n else None, "%d bytes" % n)
        return self.take(n)

    def line(self):
        n = self.need(lambda: (self.inb.find(b"\n") + 1) or None, "a line")
        return self.take(n)

    def until(self, tail):
        state = [0]

        def done():
            i = self.inb.find(tail, max(0, state[0] - len(tail)))
            state[0] = len(self.inb)
            return None if i < 0 else i + len(tail)
        return self.take(self.need(done, repr(tail)))

    def reply(self):
        def done():
            if not self.inb:
                return None
            end = resp_end(self.inb, 0)
            return end if end > 0 else None
        return self.take(self.need(done, "a reply"))

    def replies(self, n):
        out, state = [], [0]

        def done():
            while len(out) < n:
                if state[0] >= len(self.inb):
                    return None
                end = resp_end(self.inb, state[0])
                if end < 0:
                    return None
                out.append(bytes(memoryview(self.inb)[state[0]:end]))
                state[0] = end
            return True
        try:
            self.need(done, "%d replies" % n)
        except (EOFError, Timeout) as e:
            raise type(e)("%d of %d replies, then: %s" % (len(out), n, str(e)[:600]))
        del self.inb[:state[0]]
        return out

    def cmd(self, *args):
        self.post(resp(*args))
        return self.reply()

    def value(self, *args):
        return parse_resp(self.cmd(*args))

    def pipeline(self, requests):
        """Raw replies of many requests (tuples or raw bytes), sent in one go."""
        self.post(b"".join(r if isinstance(r, bytes) else resp(*r) for r in requests))
        return self.replies(len(requests))

    def until_close(self):
        """Everything up to the peer's close. Fails when it does not close."""
        end = time.monotonic() + self.deadline
        while not self.eof:
            if not self._pump(end):
                raise Timeout("not closed in %.1f s; got %r" % (self.deadline, bytes(self.inb[:400])))
        return self.take(len(self.inb))

    def peek_closed(self):
        """Whether the peer has closed, without waiting."""
        if not self.eof:
            r, _, _ = select.select([self.s], [], [], 0)
            if r:
                self._pump(time.monotonic() + 1)
        return self.eof

    # memcached: a request whose answer ends with bytes that nothing else contains tells where the answers before it end

    SENTINEL = b"set kv:sentinel 0 0 8\r\nSENTINEL\r\n"

    def mc(self, data):
        """Send raw memcached bytes; returns all that is answered to them. (The sentinel is stored again each time, because
        of flush_all; where the data swallows that request, what it swallows is part of the answer.)"""
        self.post(data + self.SENTINEL + b"get kv:sentinel\r\n")
        tail = b"VALUE kv:sentinel 0 8\r\nSENTINEL\r\nEND\r\n"
        got = self.until(tail)[:-len(tail)]
        return got[:-8] if got.endswith(b"STORED\r\n") else got

    def mc_prepare(self):
        self.send(self.SENTINEL)
        got = self.line()
        assert got == b"STORED\r\n", got
        return self

    def mc_lines(self, data, n):
        """Send, read n lines."""
        self.post(data)
        return [self.line() for _ in range(n)]

    def mc_get(self, *keys, cmd=b"get"):
        """Values by key of one get; None instead when the answer is an error line (in .error)."""
        self.post(cmd + b" " + b" ".join(to_bytes(k) for k in keys) + b"\r\n")
        out = {}
        self.error = None
        while True:
            head = self.line()
            if head == b"END\r\n":
                return out
            if not head.startswith(b"VALUE "):
                self.error = head
                return None
            f = head.split()
            out[f[1]] = self.exact(int(f[3]))
            assert self.exact(2) == b"\r\n"

    def mc_set(self, key, value, flags=0, exptime=0):
        value = to_bytes(value)
        self.post(b"set %s %d %d %d\r\n%s\r\n" % (to_bytes(key), flags, exptime, len(value), value))
        return self.line()


# ------------------------------------------------------------------------------------------------ real servers

class Server:
    """Starts on a free port, again on another when somebody else was quicker; restart() keeps the port."""
    tries = 8

    def __init__(self, start=True, unix=False, **options):
        self.dir = temp_dir(self.kind)
        self.port = None
        self.unix = os.path.join(self.dir, "s") if unix else None
        self.options = options
        self.proc = None
        if start:
            self.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    @property
    def addr(self):
        return self.unix or (HOST, self.port)

    def entry(self, weight=1, name=None):
        """Its line of a servers: list."""
        text = "%s:%d" % (self.unix, weight) if self.unix else "%s:%d:%d" % (HOST, self.port, weight)
        return text + (" " + name if name else "")

    @property
    def name(self):
        """What nutcracker calls it when the entry has no name."""
        return self.unix + ":" if self.unix else "%s:%d" % (HOST, self.port)

    def start(self, wait=True):
        fixed = self.port is not None
        for _ in range(self.tries):
            if not fixed:
                self.port = free_port()
            self.proc = Process(self.argv(), os.path.join(self.dir, "out"))
            if not wait:
                return self
            try:
                wait_until(lambda: self.ready() or not self.proc.alive(), "%s on port %d" % (self.kind, self.port))
            except Timeout:
                raise Timeout("%s does not answer: %s" % (self.kind, self.proc.output()[-2000:]))
            if self.proc.alive() and self.ready():
                return self
            assert not fixed, "%s does not start again on port %d: %s" % (self.kind, self.port, self.proc.output()[-2000:])
        raise AssertionError("%s does not start: %s" % (self.kind, self.proc.output()[-2000:]))

    def stop(self):
        if self.proc and self.proc.alive():
            self.proc.kill9()

    kill9 = stop

    def client(self):
        return Raw(self.addr)


class RedisServer(Server):
    kind = "redis"

    def argv(self):
        argv = ["redis-server", "--port", str(self.port), "--bind", HOST, "--save", "", "--appendonly", "no", "--daemonize", "no",
                "--dir", self.dir, "--protected-mode", "no"]
        if self.unix:
            argv += ["--unixsocket", self.unix, "--unixsocketperm", "777"]
        for k, v in self.options.items():
            argv += ["--" + k.replace("_", "-")] + (v.split() if isinstance(v, str) and v else [str(v)])
        return [shutil.which(argv[0]) or "/usr/bin/redis-server"] + argv[1:]

    def ready(self):
        with Raw(self.addr, deadline=3) as c:
            if "requirepass" in self.options:
                c.cmd("AUTH", self.options["requirepass"])
            return b"process_id:%d\r\n" % self.proc.pid in c.cmd("INFO", "server")

    def client(self, db=0):
        c = Raw(self.addr)
        if "requirepass" in self.options:
            assert c.cmd("AUTH", self.options["requirepass"]) == OK
        if db:
            assert c.cmd("SELECT", db) == OK
        return c

    def keys(self, db=0):
        with self.client(db) as c:
            return set(c.value("KEYS", "*"))

    def flush(self):
        with self.client() as c:
            assert c.cmd("FLUSHALL") == OK

    def info(self, field):
        with self.client() as c:
            text = c.value("INFO").decode()
        return re.search(r"^%s:(.*?)\r?$" % re.escape(field), text, re.M).group(1)


class MemcachedServer(Server):
    kind = "memcached"

    def argv(self):
        argv = [shutil.which("memcached") or "/usr/bin/memcached", "-u", "nobody" if os.geteuid() == 0 else "", "-t", "1", "-U", "0",
                "-m", "256", "-I", "4m"]
        if not argv[2]:
            del argv[1:3]
        if self.unix:
            os.chmod(self.dir, 0o777)
            return argv + ["-s", self.unix, "-a", "777"]
        return argv + ["-l", HOST, "-p", str(self.port)] + [x for k, v in self.options.items() for x in ("-" + k, str(v))]

    def ready(self):
        with Raw(self.addr, deadline=3) as c:
            c.send(b"stats\r\n")
            return b"STAT pid %d\r\n" % self.proc.pid in c.until(b"END\r\n")

    def keys(self):
        with self.client() as c:
            c.send(b"lru_crawler metadump all\r\n")
            out = set()
            while True:
                line = c.line()
                if line == b"END\r\n":
                    return out
                if line.startswith(b"BUSY"):
                    c.send(b"lru_crawler metadump all\r\n")
                    continue
                m = re.match(rb"key=(\S+) ", line)
                assert m, line
                out.add(re.sub(rb"%([0-9A-Fa-f]{2})", lambda x: bytes([int(x.group(1), 16)]), m.group(1)))

    def holds(self, keys):
        """Which of these keys it has (asked directly: metadump may lag behind fresh keys)."""
        got = set()
        keys = list(keys)
        with self.client() as c:
            for i in range(0, len(keys), 100):
                got |= set(c.mc_get(*keys[i:i + 100]))
        return got

    def flush(self):
        with self.client() as c:
            assert c.mc_lines(b"flush_all\r\n", 1) == [b"OK\r\n"]


class FakeServer:
    """A listening socket that the test answers by hand: accept() gives a Raw."""

    def __init__(self):
        self.s = socket.socket()
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.s.bind((HOST, 0))
        self.s.listen(64)
        self.port = self.s.getsockname()[1]
        self.name = "%s:%d" % (HOST, self.port)
        self.conns = []

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.s.close()
        for c in self.conns:
            c.close()

    def entry(self, weight=1, name=None):
        return "%s:%d:%d" % (HOST, self.port, weight) + (" " + name if name else "")

    def accept(self, deadline=None):
        self.s.settimeout(deadline or DEADLINE)
        try:
            conn, _ = self.s.accept()
        except socket.timeout:
            raise Timeout("nobody connected to the fake server")
        raw = Raw.of(conn)
        self.conns.append(raw)
        return raw

    def request(self, deadline=None):
        """(connection, bytes) of the next whole RESP request on any connection, new ones included."""
        end = time.monotonic() + (deadline or DEADLINE)
        while True:
            for c in self.conns:
                n = resp_end(c.inb, 0) if c.inb else -1
                if n > 0:
                    return c, c.take(n)
            left = end - time.monotonic()
            if left <= 0:
                raise Timeout("no request reached the fake server")
            open_ones = [c for c in self.conns if not c.eof]
            ready, _, _ = select.select([self.s] + [c.s for c in open_ones], [], [], left)
            if self.s in ready:
                self.accept()
            for c in open_ones:
                if c.s in ready:
                    c._pump(time.monotonic() + 1)


# ------------------------------------------------------------------------------------------------ configuration

def redis_pool(servers, **keys):
    pool = {"hash": "fnv1a_64", "distribution": "ketama", "redis": "true", "servers": servers}
    pool.update(keys)
    return pool


def mc_pool(servers, **keys):
    pool = {"hash": "fnv1a_64", "distribution": "ketama", "servers": servers}
    pool.update(keys)
    return pool


def yaml_quote(v):
    if isinstance(v, bool):
        return "true" if v else "false"
    if isinstance(v, list):
        return "[%s]" % ", ".join(yaml_quote(x) for x in v)
    if isinstance(v, dict):
        return "{%s}" % ", ".join("%s: %s" % (k, yaml_quote(x)) for k, x in v.items())
    v = str(v)
    if re.match(r"^[A-Za-z0-9_./: -]+$", v) and not v.endswith(":") and ": " not in v and v.strip() == v:
        return v
    return '"%s"' % v.replace("\\", "\\\\").replace('"', '\\"')


def yaml_text(pools):
    out = []
    for name, pool in pools.items():
        out.append("%s:" % yaml_quote(name))
        for k, v in pool.items():
            if k == "servers":
                continue
            out.append("  %s: %s" % (k, yaml_quote(v)))
        out.append("  servers:")
        for s in pool["servers"]:
            out.append("   - %s" % yaml_quote(s if isinstance(s, str) else s.entry()))
        out.append("")
    return "\n".join(out)


# ------------------------------------------------------------------------------------------------ the proxy

def sanitizer_report(text):
    return [l for l in text.splitlines() if re.search(r"ERROR: (Address|Leak|Memory|Undefined)\w*Sanitizer|WARNING: ThreadSanitizer|runtime error: ", l)]


class Proxy:
    """kvmux or nutcracker in front of pools: {name: {key: value, ..., "servers": [...]}}; listen addresses are chosen here."""
    tries = 8

    def __init__(self, pools, kind=None, flags=(), threads=2, unix_listen=False, start=True, argv0=None, limits=None, stats=True,
                 listens=None, stats_port=None, env=None, same_file_as=None, section=None, admin=None):
        self.kind = kind or TARGET
        self.pools = {n: dict(p) for n, p in pools.items()}
        self.section = section   # keys of the section `kvmux`
        self.flags = list(flags)
        self.threads = threads
        self.unix_listen = unix_listen
        self.argv0 = argv0
        self.limits = limits
        self.env = dict(os.environ, **(env or {}))
        self.dir = temp_dir(self.kind)
        self.conf = os.path.join(self.dir, "nutcracker.yml")
        self.log = os.path.join(self.dir, "log")
        self.out = os.path.join(self.dir, "out")
        self.fixed = listens is not None or same_file_as is not None
        self.listens = dict(listens or {})
        self.tls = {}   # beside `listens`, of pools with a certificate
        self.stats_port = stats_port
        self.admin = admin   # "host:port", a path, "none"; True: a free port; None: the same as "none"
        self.admin_port = None
        if same_file_as:   # the very file, addresses and stats port of a proxy that ran before
            self.conf, self.listens, self.stats_port = same_file_as.conf, same_file_as.listens, same_file_as.stats_port
        self.keep_conf = same_file_as is not None
        self.proc = None
        self.expected_rc = None
        if start:
            self.start()

    def __enter__(self):
        return self

    def __exit__(self, exc_type, *exc):
        if exc_type is not None:
            self.explain()
            self.stop(check=False)
        else:
            self.stop()

    def explain(self):
        """After a failure: what the proxy said (pytest shows captured output)."""
        print("---- log of %s ----\n%s" % (self.kind, self.log_text()[-4000:]))
        print("---- output ----\n%s" % self.output()[-4000:])

    def binary(self):
        return KVMUX if self.kind == "kvmux" else NUTCRACKER

    def write_conf(self):
        for i, name in enumerate(self.pools):
            if not self.fixed:
                self.listens[name] = os.path.join(self.dir, "p%d" % i) if self.unix_listen else (HOST, free_port())
            a = self.listens[name]
            self.pools[name]["listen"] = a if isinstance(a, str) else "%s:%d" % a
            if "tls_certificate" in self.pools[name]:
                self.tls[name] = (HOST, free_port())
                self.pools[name]["listen"] = [self.pools[name]["listen"], "%s:%d tls" % self.tls[name]]
            if self.kind == "kvmux" and any(isinstance(s, FakeServer) for s in self.pools[name]["servers"]):
                self.pools[name].setdefault("learn_commands", "false")   # tests count its connections
        with open(self.conf, "w", encoding="utf-8", errors="surrogateescape") as f:
            f.write(yaml_text(self.pools) + ("kvmux: %s\n" % yaml_quote(self.section) if self.section else ""))

    def reload(self, pools, taken=True):
        """Another file with these pools, which listen where they did, and SIGHUP; returns when it is in use, or refused."""
        def outcomes():
            text = self.log_text()
            return text.count(" reload_done "), text.count(" reload_failed ")
        before = outcomes()
        self.pools = {n: dict(p) for n, p in pools.items()}
        self.fixed = True
        for name in pools:
            self.listens.setdefault(name, (HOST, free_port()))
        self.write_conf()
        self.proc.signal(signal.SIGHUP)
        wait_until(lambda: outcomes() != before, "an outcome of the reload")
        assert outcomes() == (before[0] + taken, before[1] + (not taken)), self.log_text()[-2000:]

    def argv(self):
        argv = [self.binary(), "-c", self.conf, "-o", self.log, "-s", str(self.stats_port), "-a", HOST]
        if self.kind == "kvmux" and self.threads and "--threads" not in self.flags:
            argv += ["--threads", str(self.threads)]
        if self.kind == "kvmux" and "--admin" not in self.flags:
            argv += ["--admin", "%s:%d" % (HOST, self.admin_port) if self.admin is True else self.admin or "none"]
        return argv + self.flags

    def start(self):
        if self.kind == "direct":
            return self
        fixed_stats = self.stats_port is not None
        for _ in range(self.tries):
            if not fixed_stats:
                self.stats_port = free_port()
            self.admin_port = free_port() if self.admin is True else None
            if not self.keep_conf:
                self.write_conf()
            self.proc = Process(self.argv(), self.out, limits=self.limits, argv0=self.argv0, env=self.env)
            try:
                wait_until(lambda: not self.proc.alive() or self.is_up(), "%s to listen" % self.kind)
            except Timeout:
                self.explain()
                raise
            if self.proc.alive():
                return self
            said = self.output() + self.log_text()
            if "ddress already in use" not in said or self.fixed:
                break
        raise AssertionError("%s ended at its start with %d:\n%s" % (self.kind, self.proc.p.returncode, said[-3000:]))

    def is_up(self):
        for a in list(self.listens.values()) + [(HOST, self.stats_port)] + [(HOST, self.admin_port)] * (self.admin is True):
            s = socket.socket(socket.AF_UNIX if isinstance(a, str) else socket.AF_INET)
            s.settimeout(3)
            try:
                s.connect(a)
            except OSError:
                return False
            finally:
                s.close()
        return self.proc.alive()

    @property
    def pid(self):
        return self.proc.pid

    def addr(self, pool=None):
        pool = pool or next(iter(self.pools))
        if self.kind == "direct":
            return self.pools[pool]["servers"][0].addr
        return self.listens[pool]

    def client(self, pool=None, deadline=None):
        return Raw(self.addr(pool), deadline)

    def log_text(self):
        try:
            with open(self.log, "rb") as f:
                return f.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def output(self):
        return self.proc.output() if self.proc else ""

    def stats_raw(self):
        with Raw((HOST, self.stats_port)) as c:
            return c.until_close()

    def stats(self, pool=None, server=None):
        """Fresh numbers. (nutcracker hands its counters over only when the last ones were read and an event comes.)"""
        for _ in range(2 if self.kind == "nutcracker" else 0):
            self.stats_raw()
            self.client().close()
            time.sleep(0.01)
        doc = json.loads(self.stats_raw())
        if pool:
            doc = doc[pool]
        return doc[server] if server else doc

    def wait_log(self, pattern, what=None, deadline=None):
        return wait_until(lambda: re.search(pattern, self.log_text() + self.output()), what or "log line %r" % pattern, deadline)

    def wait_stat(self, pool, field, want, server=None, deadline=None):
        """Until a number is as wanted (a value or a predicate)."""
        test = want if callable(want) else lambda v: v == want
        return wait_until(lambda: test(self.stats(pool, server)[field]), "%s %s %s" % (pool, server or "", field), deadline, poll=0.03)

    def loses_signals(self):
        """The thread sanitizer takes signals itself, and in one start of a hundred, when one comes while it is busy, the program
        never hears of it. Other builds are not given a second one."""
        with open(self.binary(), "rb") as f:
            return self.kind == "kvmux" and b"__tsan_init" in f.read()

    def ends_within(self, seconds):
        """False: it still runs, and its log says nothing of a signal."""
        try:
            self.proc.wait(seconds)
            return True
        except Timeout:
            return "signal name=" in self.log_text()

    def stop(self, check=True, sig=signal.SIGTERM):
        """SIGTERM must end kvmux by itself with 0, without a sanitizer's word."""
        if not self.proc:
            return None
        if self.proc.alive():
            self.proc.signal(sig)
            try:
                if self.loses_signals() and not self.ends_within(5):
                    self.proc.signal(sig)
                rc = self.proc.wait()
            except Timeout:
                self.proc.kill9()
                if check:
                    raise
                return None
        else:
            rc = self.proc.wait()
        if check and self.kind == "kvmux":
            said = self.output() + self.log_text()
            bad = sanitizer_report(said)
            assert not bad, "sanitizer: %s\n%s" % (bad, said[-6000:])
            want = self.expected_rc if self.expected_rc is not None else 0
            assert rc == want, "kvmux ended with %d, not %d:\n%s" % (rc, want, said[-3000:])
        return rc


# ------------------------------------------------------------------------------------------------ placement helpers

def owners_redis(servers, db=0):
    """key -> index of the server that has it."""
    out = {}
    for i, s in enumerate(servers):
        for k in s.keys(db):
            assert k not in out, "%r is on two servers" % k
            out[k] = i
    return out


def owners_memcached(servers, keys):
    out = {}
    for i, s in enumerate(servers):
        for k in s.holds(keys):
            assert k not in out, "%r is on two servers" % k
            out[k] = i
    return out


def spread(n, prefix="k:"):
    """Keys that every hash spreads well (fnv1a_64 in 32 bits puts key1..key9 in one place)."""
    return [prefix + hashlib.md5(b"%d" % i).hexdigest()[:12] for i in range(n)]


def key_on(px, servers, index, pool=None, n=200, prefix="probe:"):
    """A list of keys that live on one Redis server (stored through the proxy, found by asking the server)."""
    with px.client(pool) as c:
        keys = spread(n, prefix)
        for r in c.pipeline([("SET", k, "v:" + k) for k in keys]):
            assert r == OK, r
    mine = servers[index].keys()
    found = [k.encode() for k in keys if k.encode() in mine]
    assert found, "no key of %d on server %d" % (n, index)
    return found
