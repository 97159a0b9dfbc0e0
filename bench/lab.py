"""The laboratory of bench.py: processes, targets (proxies, or the servers themselves), one measured run.

Everything is on loopback, inside a network namespace of its own where the system allows that (own ports, no other
traffic, the same congestion control everywhere). The proxy is pinned to CPU 0, load generator and servers to CPU 1.
"""
import contextlib
import ctypes
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from rows import SCENARIOS  # noqa: F401 (whoever has the lab wants the rows)

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SERVER_PORT, PROXY_PORT, PORTS_EACH = 7100, 7300, 100
PROXY_CPU, LOAD_CPU = "0", "1"

_libc = ctypes.CDLL(None)
_started = []
_folder = None


def folder():
    """For sockets and lists of keys; goes with the lab."""
    global _folder
    _folder = _folder or tempfile.mkdtemp(prefix="kvmux-bench-")
    return _folder


def die_with_parent():
    _libc.prctl(1, signal.SIGKILL)


def spawn(cmd, cpu=None, log=None, wrapper=(), **kw):
    pin = ["taskset", "-c", cpu] if cpu else []
    out = open(log, "wb") if log else subprocess.DEVNULL
    try:
        p = subprocess.Popen(pin + list(wrapper) + cmd, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent,
                             **(kw or dict(stdout=out, stderr=subprocess.STDOUT)))
    finally:
        if log:
            out.close()
    _started.append(p)
    return p


def stop(p):
    """A process, or a list of them."""
    if isinstance(p, list):
        for x in p:
            stop(x)
        return
    if p in _started:
        _started.remove(p)
    if p.poll() is None:
        p.terminate()
        p.send_signal(signal.SIGCONT)  # one that was stopped hears of nothing
        try:
            p.wait(10)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()


def stop_all():
    for p in list(_started):
        stop(p)
    if _folder:
        shutil.rmtree(_folder, ignore_errors=True)


def connects(where):
    """Somebody listens at a port, or at the path of a unix socket."""
    try:
        with socket.socket(socket.AF_INET if isinstance(where, int) else socket.AF_UNIX) as c:
            c.settimeout(0.5)
            c.connect(("127.0.0.1", where) if isinstance(where, int) else where)
            return True
    except OSError:
        return False


def wait_port(where, p, seconds=10):
    end = time.time() + seconds
    while not connects(where):
        if p.poll() is not None:
            raise RuntimeError("ended with %s: %s" % (p.returncode, " ".join(p.args)))
        if time.time() > end:
            raise RuntimeError("nobody listens at %s: %s" % (where, " ".join(p.args)))
        time.sleep(0.01)


POOL = """pool%d:
  listen: %s
  hash: fnv1a_64
  distribution: ketama
  redis: %s
  preconnect: true
%s  servers:
%s"""


def server_at(s, i):
    return "%s/server%d" % (folder(), i) if "servers" in s["unix"].split() else "127.0.0.1:%d" % (SERVER_PORT + i)


class Proxy:
    """Any program that takes nutcracker's options and file. `spec`: LABEL=BINARY[:ARGUMENTS]."""

    direct = False

    def __init__(self, spec, index):
        self.label, _, rest = spec.partition("=")
        binary, _, extra = rest.partition(":")
        self.binary = shutil.which(binary, path=os.environ.get("PATH", "") + ":/usr/sbin") or binary
        self.extra = extra.split()
        self.port = PROXY_PORT + PORTS_EACH * index
        self.path = "%s/proxy%d-" % (folder(), index)
        self.proc = None
        self.cpu = PROXY_CPU
        if not os.access(self.binary, os.X_OK):
            sys.exit("%s: no program %s" % (self.label, binary))
        says = subprocess.run([self.binary, "-V"], capture_output=True, text=True)
        self.is_nutcracker = "This is nutcracker" in says.stdout + says.stderr

    def cannot(self, s):
        return s["lacks"] if self.is_nutcracker else None

    def conf(self, s):
        more = "".join("  %s: %s\n" % x for x in dict(dict(timeout=10000, backlog=1024), **s["conf"]).items() if x[1] is not None)
        servers = "".join("    - %s:1%s\n" % (server_at(s, i), " s%d" % i if s["unix"] else "") for i in range(s["servers"]))
        listen = self.path + "%d" if "clients" in s["unix"].split() else "127.0.0.1:%d"
        return "".join(POOL % (i, listen % (i if "clients" in s["unix"].split() else self.port + i),
                               "true" if s["proto"] == "redis" else "false", more, servers) for i in range(s["pools"]))

    def start(self, s, wrapper=(), seconds=10):
        d = tempfile.mkdtemp(prefix="kvmux-bench-")
        try:
            conf = os.path.join(d, "bench.yml")
            with open(conf, "w") as f:
                f.write(self.conf(s))
            cmd = [self.binary, "-c", conf, "-a", "127.0.0.1", "-s", str(self.port + 5000), "-o", os.path.join(d, "log")]
            begin = time.time()
            self.proc = spawn(cmd + self.extra, self.cpu, os.path.join(d, "out"), wrapper)
            for i in range(s["pools"]):
                wait_port(self.path + str(i) if "clients" in s["unix"].split() else self.port + i, self.proc, seconds)
            self.start_seconds = time.time() - begin  # until it listened everywhere
            time.sleep(0.3)  # its connections to the servers
        finally:
            shutil.rmtree(d, ignore_errors=True)

    def stop(self):
        if self.proc:
            stop(self.proc)
            self.proc = None

    def address(self, s):
        where = ["-u", self.path] if "clients" in s["unix"].split() else ["-p", str(self.port)]
        return where + (["-P", str(s["pools"])] if s["tool"] != "fanout" else [])

    def rss_kb(self):
        with open("/proc/%d/status" % self.proc.pid) as f:
            for line in f:
                if line.startswith("VmRSS"):
                    return int(line.split()[1])


class Direct:
    """No proxy: clients are spread over the servers, which get the proxy's CPU for that time."""

    direct, is_nutcracker, label, proc, port = True, False, "direct", None, SERVER_PORT

    def cannot(self, s):
        return None

    def start(self, s):
        pass

    def stop(self):
        pass

    def address(self, s):
        where = ["-u", folder() + "/server"] if "servers" in s["unix"].split() else ["-p", str(SERVER_PORT)]
        return where + (["-P", str(s["servers"])] if s["tool"] != "fanout" else [])


def cpu_seconds(pid):
    total = 0
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/schedstat" % (pid, task)) as f:
            total += int(f.read().split()[0]) / 1e9
    return total


class Load:
    """A load program that runs. `may_fail`: error replies and lost connections are what is expected."""

    def __init__(self, name, cmd, seconds, may_fail=False):
        self.name, self.may_fail, self.seconds, self.told = name, may_fail, seconds, False
        self.proc = spawn(cmd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def end(self):
        """Told to stop now, whether it got anything or not."""
        self.told = True
        self.proc.terminate()
        return self.result()

    def result(self):
        try:
            out, err = self.proc.communicate(timeout=self.seconds + 60)
        finally:
            stop(self.proc)
        if self.proc.returncode or not out.strip():
            raise RuntimeError("%s: %s" % (self.name, err.strip()[-300:]))
        r = json.loads(out)
        r.update(r.pop("watch", {}).get("proxy", {}))
        kinds = ["mismatches", "missing"] if self.may_fail else ["mismatches", "missing", "errors", "lost"]
        wrong = ["%s %d" % (k, r[k]) for k in kinds if r.get(k)]
        if r["n"] == 0 and not self.told:
            wrong.append("no replies")
        r["wrong"] = ", ".join(wrong + [err.strip()[:200]] if wrong else [])
        return r


@contextlib.contextmanager
def hold_workers(pid, share=0.2, period=5000):
    """Each worker of kvmux may use `share` of a CPU in every `period` microseconds: cgroups v1, each in a group of its own, as root."""
    top, groups = "/sys/fs/cgroup/cpu", []
    if not os.access(top + "/cpu.shares", os.W_OK):
        raise RuntimeError("needs the cpu controller of cgroups v1")
    try:
        for tid in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/comm" % (pid, tid)) as f:
                if not f.read().startswith("worker-"):
                    continue
            groups.append("%s/kvmux-bench-%s" % (top, tid))
            os.mkdir(groups[-1])
            for name, value in (("cpu.cfs_period_us", period), ("cpu.cfs_quota_us", int(share * period)), ("tasks", tid)):
                with open("%s/%s" % (groups[-1], name), "w") as f:
                    f.write(str(value))
        yield
    finally:
        for g in groups:
            with contextlib.suppress(OSError):  # without its thread it would be gone
                with open(g + "/tasks") as f, open(top + "/tasks", "w") as out:
                    for tid in f.read().split():
                        out.write(tid)
                        out.flush()
                os.rmdir(g)


class Lab:
    def __init__(self, build):
        self.build = build
        for name in ("loadgen", "fanout", "scan", "storm", "nullbackend"):
            p = self.program(name)
            if not os.access(p, os.X_OK):
                sys.exit("no %s; build it with: meson setup %s -Dbench=true && ninja -C %s" % (p, build, build))
        self.running = []
        self.small = False  # smoke: troubles are small ones

    def program(self, name):
        return os.path.join(self.build, "bench", name)

    def servers(self, s, alone=False, big=0):
        """Starts them; a list of processes. alone: the last one has a process of its own. big: bytes of the values of keys big:..."""
        self.running = []
        try:
            if s["backend"] == "redis":
                for i in range(s["servers"]):
                    self.redis(s, i)
            elif alone:
                self.null(s, 0, s["servers"] - 1, big)
                self.null(s, s["servers"] - 1, 1, big)
            else:
                self.null(s, 0, s["servers"], big)
        except RuntimeError:
            stop(self.running)
            raise
        return self.running

    def null(self, s, first, n, big):
        unix = "servers" in s["unix"].split()
        where = ["-u", folder() + "/server"] if unix else ["-p", str(SERVER_PORT + first)]
        self.running.append(spawn([self.program("nullbackend")] + where + ["-n", str(n), "-v", str(s["value"]), "-V", str(big or 1),
                                                                            "-m", s["proto"]], LOAD_CPU))
        wait_port("%s/server%d" % (folder(), n - 1) if unix else SERVER_PORT + first + n - 1, self.running[-1])

    def redis(self, s, i):
        binary = shutil.which("redis-server")
        if not binary:
            raise RuntimeError("no redis-server here (Debian's package has that name)")
        p = spawn([binary, "--port", str(SERVER_PORT + i), "--bind", "127.0.0.1", "--save", "", "--enable-debug-command", "yes",
                   "--dir", folder()], LOAD_CPU)
        self.running.append(p)
        wait_port(SERVER_PORT + i, p)
        if s["tool"] == "scan":
            with socket.create_connection(("127.0.0.1", SERVER_PORT + i)) as c:
                c.settimeout(30)
                c.sendall(b"DEBUG POPULATE %d %d %d\r\n" % (s["keyspace"] // s["servers"], i, s["value"]))
                if c.recv(64) != b"+OK\r\n":
                    raise RuntimeError("redis-server did not DEBUG POPULATE")

    def begin(self, target, s, seconds, warm=0.3, seed=1, idle=0, touch=False, requests=0, pinned=True, may_fail=False, nice=0, more=()):
        """A load that runs until it is over, or until Load.end."""
        cmd = ["taskset", "-c", LOAD_CPU] if pinned else []
        cmd += ["nice", "-n", str(nice)] if nice else []
        cmd += [self.program(s["tool"])] + target.address(s) + ["-t", str(seconds), "-n", str(requests)]
        if target.proc:
            cmd += ["-W", "proxy:%d" % target.proc.pid]
        if s["tool"] == "scan":
            cmd += ["-S", str(s["servers"]), "-k", str(s["keyspace"] // s["servers"]), "-g", str(s["keys"])]
        else:
            cmd += ["-c", str(s["clients"]), "-d", str(s["depth"]), "-v", str(s["value"]), "-w", str(warm)]
        if s["tool"] == "loadgen":
            cmd += ["-m", s["proto"], "-s", str(s["set_percent"]), "-g", str(s["keys"]), "-k", str(s["keyspace"]), "-r", str(seed),
                    "-i", str(idle), "-x", str(s["txn"])] + (["-3"] if s["resp3"] else []) + (["-T"] if touch else [])
        return Load(s["tool"], cmd + list(more), seconds + warm, may_fail)

    def load(self, target, s, seconds, **kw):
        with self.place(target):
            return self.begin(target, s, seconds, **kw).result()

    @contextlib.contextmanager
    def place(self, target):
        """Servers that are asked directly have the proxy's CPU meanwhile."""
        if target.direct:
            self.servers_to(PROXY_CPU)
        try:
            yield
        finally:
            if target.direct:
                self.servers_to(LOAD_CPU)

    def settle(self, target, seconds=10, calm=3):
        """Until target and servers have done what they still had to do: they used hardly any CPU time several times in a row."""
        pids = [p.pid for p in self.running] + ([target.proc.pid] if target.proc else [])
        end, seen = time.time() + seconds, 0
        used = sum(map(cpu_seconds, pids))
        while seen < calm and time.time() < end:
            time.sleep(0.03)
            before, used = used, sum(map(cpu_seconds, pids))
            seen = seen + 1 if used - before < 0.001 else 0

    def servers_to(self, *cpus):
        for p in self.running:
            os.sched_setaffinity(p.pid, {int(c) for c in cpus})


def total_of(path):
    """Instructions in a file of callgrind's."""
    with open(path) as f:
        return next(int(x.split()[1]) for x in f if x.startswith(("summary:", "totals:")))


def life(the_lab, p, s, requests, options=(), read=total_of, idle=0):
    """What `read` finds in callgrind's file about each thread of a proxy in its whole life with so many requests, and how many
    there really were."""
    d = tempfile.mkdtemp(prefix="kvmux-bench-")
    servers = the_lab.servers(s)
    try:
        p.start(s, ["valgrind", "--tool=callgrind", "--separate-threads=yes", "--callgrind-out-file=" + d + "/out"] + list(options), 60)
        the_lab.settle(p)
        r = the_lab.load(p, s, 60, warm=0, requests=requests, idle=idle)
        if r["wrong"]:
            raise RuntimeError("under valgrind: " + r["wrong"])
        p.stop()
        return {x: read(os.path.join(d, x)) for x in os.listdir(d) if x.startswith("out-")}, r["n"]
    finally:
        p.stop()
        stop(servers)
        shutil.rmtree(d, ignore_errors=True)


def instructions(the_lab, p, s, few, idle=0):
    """User-space instructions of a request: a long run minus a short one, so that start-up and connection set-up cancel out."""
    return grown(*(life(the_lab, p, s, x, idle=idle) for x in (few, 4 * few)))


def grown(short, long):
    """Instructions of a request between two lives, of the thread that serves. Others work by the clock: under valgrind, where a request
    takes fifty times as long, they would seem to do fifty times as much for it."""
    (short, n), (long, m) = short, long
    return max(long[x] - short.get(x, 0) for x in long) / (m - n)


def enter_namespace():
    """Runs this program again inside a network namespace of its own, where that is allowed."""
    if not os.environ.get("KVMUX_BENCH_NS") and shutil.which("unshare"):
        if subprocess.run(["unshare", "-n", "true"], stderr=subprocess.DEVNULL).returncode == 0:
            os.execvpe("unshare", ["unshare", "-n", sys.executable] + sys.argv, dict(os.environ, KVMUX_BENCH_NS="1"))
    if os.environ.get("KVMUX_BENCH_NS"):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        for name, value in (("tcp_congestion_control", "reno"), ("ip_local_port_range", "15000 65535")):
            try:
                with open("/proc/sys/net/ipv4/" + name, "w") as f:
                    f.write(value)
            except OSError:
                pass
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
