#!/usr/bin/env python3
"""What TLS to clients costs: kvmux's own, and stunnel's or haproxy's in front of nutcracker, which has none. Prints Markdown.

    bench/tls.py [ROW...] [--build BUILD] [--rounds N] [--seconds S]

Needs stunnel4, haproxy and openssl. CPU time is that of all processes between client and server, on one core: kvmux with one worker, haproxy
with one thread, stunnel with a thread for each client, as it works. All have the same ECDSA certificate and speak TLS 1.3 with the cipher that
OpenSSL prefers. The load generator is loadgen with TLS below its system calls (load_tls.c), on the other core. Runs alternate as in
bench.py; ratios are between neighbouring runs of one round, to the first one of the table.

"new" and "resumed" are connections that openssl s_time makes one after the other (TLS 1.2, since it does not wait for the tickets of TLS 1.3).
"""
import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

import lab
from show import count, median, spread

ROWS = ["get-p1", "get-p16", "get-16k", "new", "resumed"]
TEXTS = {"new": "new connections", "resumed": "resumed connections"}
PORT, BEHIND = 7700, 7701
POOL = """bench:
  listen: %s
  hash: fnv1a_64
  distribution: ketama
  redis: true
  timeout: 10000
  backlog: 1024
  preconnect: true
%s  servers:
%s"""
HAPROXY = """global
  nbthread 1
  maxconn 4096
defaults
  mode tcp
  timeout connect 10s
  timeout client 1m
  timeout server 1m
listen tls
  bind 127.0.0.1:%d ssl crt %s
  server behind 127.0.0.1:%d
"""
STUNNEL = """foreground = yes
pid =
syslog = no
debug = 3
[tls]
accept = 127.0.0.1:%d
connect = 127.0.0.1:%d
cert = %s
"""


def program(name):
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin")
    if not found:
        sys.exit("%s is not installed" % name)
    return found


def write(path, text):
    with open(path, "w") as f:
        f.write(text)
    return path


def certificate(d):
    pem = os.path.join(d, "both.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", pem + ".key", "-out",
                    pem + ".crt", "-days", "1", "-subj", "/CN=localhost"], check=True, capture_output=True)
    write(pem, open(pem + ".crt").read() + open(pem + ".key").read())
    os.chmod(pem, 0o600)
    return pem


def proxy(binary, d, listen, servers, more="", options=()):
    lines = "".join("    - 127.0.0.1:%d:1\n" % (lab.SERVER_PORT + i) for i in range(servers))
    conf = write(os.path.join(d, os.path.basename(binary) + ".yml"), POOL % (listen, more, lines))
    return [binary, "-c", conf, "-a", "127.0.0.1", "-s", "7799", "-o", os.path.join(d, "log")] + list(options)


class Way:
    """From client to servers: the commands of its processes, the last one takes the clients."""

    def __init__(self, label, tls, *commands):
        self.label, self.tls, self.commands, self.running = label, tls, commands, []

    def start(self):
        for i, cmd in enumerate(self.commands):
            p = lab.spawn(cmd, lab.PROXY_CPU)
            self.running.append(p)
            lab.wait_port(PORT if i == len(self.commands) - 1 else BEHIND, p)

    def stop(self):
        while self.running:
            lab.stop(self.running.pop())

    def cpu_seconds(self):
        """Threads that are gone included: stunnel has one for each connection."""
        total = 0
        for p in self.running:
            with open("/proc/%d/stat" % p.pid) as f:
                fields = f.read().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / os.sysconf("SC_CLK_TCK")


def ways(build, d, s):
    pem, kvmux, nutcracker = certificate(d), os.path.join(build, "kvmux"), program("nutcracker")
    n = s["servers"]
    behind = proxy(nutcracker, d, "127.0.0.1:%d" % BEHIND, n, options=["-m", "512"])
    haproxy = [program("haproxy"), "-db", "-f", write(os.path.join(d, "haproxy"), HAPROXY % (PORT, pem, BEHIND))]
    stunnel = [program("stunnel4"), write(os.path.join(d, "stunnel"), STUNNEL % (PORT, BEHIND, pem))]
    one = ["--threads", "1"]
    tls = proxy(kvmux, d, "127.0.0.1:%d tls" % PORT, n, "  tls_certificate: %s\n" % pem, one)
    e = os.path.join(d, "plain")
    os.mkdir(e)
    return [
        Way("haproxy + nutcracker", True, behind, haproxy),
        Way("stunnel + nutcracker", True, behind, stunnel),
        Way("kvmux", True, tls),
        Way("kvmux, no TLS", False, proxy(kvmux, e, "127.0.0.1:%d" % PORT, n, options=one)),
        Way("nutcracker, no TLS", False, proxy(nutcracker, e, "127.0.0.1:%d" % PORT, n, options=["-m", "512"])),
    ]


def load(build, way, s, seconds, seed):
    cmd = ["taskset", "-c", lab.LOAD_CPU, os.path.join(build, "bench", "loadgen-tls" if way.tls else "loadgen"), "-p", str(PORT), "-m", s["proto"],
           "-c", str(s["clients"]), "-d", str(s["depth"]), "-v", str(s["value"]), "-k", str(s["keyspace"]), "-t", str(seconds), "-r", str(seed)]
    for i, p in enumerate(way.running):
        cmd += ["-W", "p%d:%d" % (i, p.pid)]
    r = subprocess.run(cmd, capture_output=True, text=True, timeout=seconds + 60)
    if r.returncode or not r.stdout.strip():
        sys.exit("loadgen: " + r.stderr.strip()[-300:])
    got = json.loads(r.stdout)
    wrong = {k: got[k] for k in ("errors", "missing", "mismatches", "lost") if got[k]}
    if wrong:
        sys.exit("%s: WRONG REPLIES, the figures are worth nothing: %s" % (way.label, wrong))
    return {"usec": sum(w["usec"] for w in got["watch"].values()), "rate": got["rps_steady"], "p99": got["p99"]}


def connections(way, resumed, seconds):
    before = way.cpu_seconds()
    r = subprocess.run(["taskset", "-c", lab.LOAD_CPU, "openssl", "s_time", "-connect", "127.0.0.1:%d" % PORT, "-tls1_2",
                        "-reuse" if resumed else "-new", "-time", str(max(1, round(seconds)))], capture_output=True, text=True, timeout=seconds + 60)
    n, real = re.search(r"(\d+) connections in (\d+) real seconds", r.stdout).groups()
    return {"usec": (way.cpu_seconds() - before) * 1e6 / int(n), "rate": int(n) / int(real), "p99": None}


def measure(build, way, row, seconds, seed):
    if row in TEXTS:
        return connections(way, row == "resumed", seconds)
    return load(build, way, lab.SCENARIOS[row], seconds, seed)


def compare(build, row, rounds, seconds):
    s = lab.SCENARIOS.get(row, lab.SCENARIOS["get-p1"])
    servers = lab.spawn([os.path.join(build, "bench", "nullbackend"), "-p", str(lab.SERVER_PORT), "-n", str(s["servers"]), "-v", str(s["value"]),
                         "-m", s["proto"]], lab.LOAD_CPU)
    lab.wait_port(lab.SERVER_PORT + s["servers"] - 1, servers)
    with tempfile.TemporaryDirectory() as d:
        all_ways = [w for w in ways(build, d, s) if w.tls or row not in TEXTS]
        runs = {w.label: [] for w in all_ways}
        for i in range(rounds):
            for w in all_ways if i % 2 == 0 else all_ways[::-1]:
                w.start()
                runs[w.label].append(measure(build, w, row, seconds, i + 1))
                w.stop()
    lab.stop(servers)
    base = runs[all_ways[0].label]
    for i, (label, rs) in enumerate(runs.items()):
        ratios = [r["usec"] / b["usec"] for r, b in zip(rs, base)]
        p99 = [r["p99"] for r in rs if r["p99"] is not None]  # s_time says none
        print("| %s | %s | %.1f | %s | %s | %s |" % (
            (TEXTS.get(row) or s["text"]) if i == 0 else "", label, median([r["usec"] for r in rs]), spread(ratios),
            count(median([r["rate"] for r in rs])), count(median(p99)) if p99 else "–"))
    sys.stdout.flush()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("rows", nargs="*", metavar="ROW", help="of %s, or one of bench.py's rows of GET" % ", ".join(ROWS))
    ap.add_argument("--build", default=os.path.join(lab.ROOT, "build"))
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--seconds", type=float, default=1.0)
    a = ap.parse_args()
    unknown = [r for r in a.rows if r not in TEXTS and r not in lab.SCENARIOS]
    if unknown:
        sys.exit("no such row: %s" % " ".join(unknown))
    lab.enter_namespace()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print("| row | way | CPU µs each | × CPU | each second | p99 µs |\n|---|---|---|---|---|---|")
    try:
        for row in a.rows or ROWS:
            compare(os.path.abspath(a.build), row, a.rounds, a.seconds)
    finally:
        lab.stop_all()


main()
