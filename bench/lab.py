"""The laboratory of bench.py: scenarios, processes, one measured run.

Everything is on loopback, inside a network namespace of its own where the system allows that (own ports, no other
traffic, the same congestion control everywhere). The proxy is pinned to CPU 0, load generator and null servers to CPU 1.
"""
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SERVER_PORT, PROXY_PORT = 7100, 7300
PROXY_CPU, LOAD_CPU = "0", "1"


def scenario(text, proto="redis", servers=4, **kw):
    s = dict(text=text, proto=proto, servers=servers, clients=50, depth=1, value=64, set_percent=0, keys=1, keyspace=10000)
    s.update(kw)
    return s


def memcached(text, **kw):
    return scenario(text, proto="memcached", **kw)


SCENARIOS = {
    "get-p1": scenario("GET"),
    "get-p16": scenario("GET, pipeline 16", depth=16),
    "get-p64": scenario("GET, pipeline 64", depth=64),
    "set-p1": scenario("SET", set_percent=100),
    "set-p16": scenario("SET, pipeline 16", set_percent=100, depth=16),
    "get-1000-p1": scenario("GET, 1,000 clients", clients=1000),
    "get-1000-p16": scenario("GET, 1,000 clients, pipeline 16", clients=1000, depth=16),
    "get-1000-p64": scenario("GET, 1,000 clients, pipeline 64", clients=1000, depth=64),
    "mget-10": scenario("MGET of 10 keys", keys=10),
    "mget-100": scenario("MGET of 100 keys", keys=100),
    "get-16k": scenario("GET, 16 KiB values", value=16384, keyspace=2000),
    "set-16k": scenario("SET, 16 KiB values", value=16384, keyspace=2000, set_percent=100),
    "get-1m": scenario("GET, 1 MiB values, 8 clients", value=1 << 20, keyspace=64, clients=8),
    "get-1": scenario("GET, one client", clients=1),
    "get-64-servers": scenario("GET, 64 servers", servers=64),
    "mc-get-p1": memcached("memcached get"),
    "mc-get-p16": memcached("memcached get, pipeline 16", depth=16),
    "mc-get-p64": memcached("memcached get, pipeline 64", depth=64),
    "mc-set-p16": memcached("memcached set, pipeline 16", set_percent=100, depth=16),
    "mc-mget-10": memcached("memcached get of 10 keys", keys=10),
    "mc-mget-100": memcached("memcached get of 100 keys", keys=100),
    "mc-get-16k": memcached("memcached get, 16 KiB values", value=16384, keyspace=2000),
}

_started = []


def spawn(cmd, cpu=None, log=None, wrapper=()):
    pin = ["taskset", "-c", cpu] if cpu else []
    out = open(log, "wb") if log else subprocess.DEVNULL
    p = subprocess.Popen(pin + list(wrapper) + cmd, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    _started.append(p)
    return p


def stop(p):
    if p in _started:
        _started.remove(p)
    if p.poll() is None:
        p.terminate()
        try:
            p.wait(10)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()


def stop_all():
    for p in list(_started):
        stop(p)


def wait_port(port, p, seconds=10):
    end = time.time() + seconds
    while time.time() < end:
        if p.poll() is not None:
            raise RuntimeError("ended with %s: %s" % (p.returncode, " ".join(p.args)))
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("nobody listens on port %d: %s" % (port, " ".join(p.args)))


CONFIG = """bench:
  listen: 127.0.0.1:%d
  hash: fnv1a_64
  distribution: ketama
  redis: %s
  timeout: 10000
  backlog: 1024
  preconnect: true
  servers:
%s"""


class Proxy:
    """Any program that takes nutcracker's options and file. `spec`: LABEL=BINARY[:ARGUMENTS]."""

    def __init__(self, spec, index):
        self.label, _, rest = spec.partition("=")
        binary, _, extra = rest.partition(":")
        self.binary = shutil.which(binary, path=os.environ.get("PATH", "") + ":/usr/sbin") or binary
        self.extra = extra.split()
        self.port = PROXY_PORT + index
        self.proc = None
        if not os.access(self.binary, os.X_OK):
            sys.exit("%s: no program %s" % (self.label, binary))

    def start(self, s, wrapper=(), seconds=10):
        d = tempfile.mkdtemp(prefix="kvmux-bench-")
        try:
            conf = os.path.join(d, "bench.yml")
            servers = "".join("    - 127.0.0.1:%d:1\n" % (SERVER_PORT + i) for i in range(s["servers"]))
            with open(conf, "w") as f:
                f.write(CONFIG % (self.port, "true" if s["proto"] == "redis" else "false", servers))
            cmd = [self.binary, "-c", conf, "-a", "127.0.0.1", "-s", str(self.port + 5000), "-o", os.path.join(d, "log")]
            self.proc = spawn(cmd + self.extra, PROXY_CPU, os.path.join(d, "out"), wrapper)
            wait_port(self.port, self.proc, seconds)
            time.sleep(0.3)  # its connections to the servers
        finally:
            shutil.rmtree(d, ignore_errors=True)

    def stop(self):
        if self.proc:
            stop(self.proc)
            self.proc = None

    def rss_kb(self):
        with open("/proc/%d/status" % self.proc.pid) as f:
            for line in f:
                if line.startswith("VmRSS"):
                    return int(line.split()[1])


class Lab:
    def __init__(self, build):
        self.loadgen = os.path.join(build, "bench", "loadgen")
        self.nullbackend = os.path.join(build, "bench", "nullbackend")
        for p in (self.loadgen, self.nullbackend):
            if not os.access(p, os.X_OK):
                sys.exit("no %s; build it with: meson setup %s -Dbench=true && ninja -C %s" % (p, build, build))

    def servers(self, s):
        p = spawn([self.nullbackend, "-p", str(SERVER_PORT), "-n", str(s["servers"]), "-v", str(s["value"]), "-m", s["proto"]], LOAD_CPU)
        wait_port(SERVER_PORT + s["servers"] - 1, p)
        return p

    def load(self, proxy, s, seconds, warm=0.3, seed=1, idle=0, touch=False, requests=0, pinned=True):
        cmd = ["taskset", "-c", LOAD_CPU] if pinned else []
        cmd += [self.loadgen, "-p", str(proxy.port), "-m", s["proto"], "-c", str(s["clients"]), "-d", str(s["depth"]), "-v", str(s["value"]),
                "-s", str(s["set_percent"]), "-g", str(s["keys"]), "-k", str(s["keyspace"]), "-t", str(seconds), "-w", str(warm),
                "-r", str(seed), "-i", str(idle), "-n", str(requests), "-W", "proxy:%d" % proxy.proc.pid]
        r = subprocess.run(cmd + (["-T"] if touch else []), capture_output=True, text=True, timeout=seconds + warm + 60)
        if r.returncode or not r.stdout.strip():
            raise RuntimeError("loadgen: " + r.stderr.strip()[-300:])
        result = json.loads(r.stdout)
        result.update(result.pop("watch")["proxy"])
        wrong = ["%s %d" % (k, result[k]) for k in ("errors", "missing", "mismatches", "lost") if result[k]]
        result["wrong"] = ", ".join(wrong + [r.stderr.strip()[:200]] if wrong else [])
        return result


def life(the_lab, p, s, requests):
    """Instructions of a proxy's whole life with so many requests, and how many there really were."""
    d = tempfile.mkdtemp(prefix="kvmux-bench-")
    servers = the_lab.servers(s)
    try:
        p.start(s, ["valgrind", "--tool=callgrind", "--callgrind-out-file=" + d + "/out"], 60)
        done = the_lab.load(p, s, 60, warm=0, requests=requests)["n"]
        p.stop()
        total = 0
        for name in os.listdir(d):
            with open(os.path.join(d, name)) as f:
                total += next(int(x.split()[1]) for x in f if x.startswith(("summary:", "totals:")))
        return total, done
    finally:
        p.stop()
        stop(servers)
        shutil.rmtree(d, ignore_errors=True)


def instructions(the_lab, p, s, few):
    """User-space instructions of a request: a long run minus a short one, so that start-up and connection set-up cancel out."""
    (short, n), (long, m) = life(the_lab, p, s, few), life(the_lab, p, s, 4 * few)
    return (long - short) / (m - n)


def enter_namespace():
    """Runs this program again inside a network namespace of its own, where that is allowed."""
    if not os.environ.get("KVMUX_BENCH_NS") and shutil.which("unshare"):
        if subprocess.run(["unshare", "-n", "true"], stderr=subprocess.DEVNULL).returncode == 0:
            os.execvpe("unshare", ["unshare", "-n", sys.executable] + sys.argv, dict(os.environ, KVMUX_BENCH_NS="1"))
    if os.environ.get("KVMUX_BENCH_NS"):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        try:
            with open("/proc/sys/net/ipv4/tcp_congestion_control", "w") as f:
                f.write("reno")
        except OSError:
            pass
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
