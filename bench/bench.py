#!/usr/bin/env python3
"""Compares kvmux with nutcracker on this machine; prints Markdown.

    bench/bench.py run [ROW...]            CPU time per request, throughput, latency; all rows of `list` when none is named
    bench/bench.py memory                  bytes per idle client at 10,000 clients; memory after slow readers
    bench/bench.py instructions [ROW...]   user-space instructions per request (needs valgrind; not blurred by a busy machine)
    bench/bench.py syscalls [ROW...]       system calls per request (needs perf and root)
    bench/bench.py list                    the rows

Built with: meson setup build --buildtype=release -Dbench=true && ninja -C build

Runs of the proxies alternate (A B C, C B A, ...), so that a slow minute of the machine hits all of them. Ratios are
between neighbouring runs of one round; the median is printed, and in brackets the least and the greatest. CPU time
is what the scheduler counted for all threads of the proxy in the measured window.
"""
import argparse
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import lab
from lab import SCENARIOS

PROXIES = ["nutcracker=nutcracker", "tuned=nutcracker:-v 4 -m 512", "kvmux=%s/kvmux:--threads 1"]


def median(values):
    return statistics.median(values) if values else float("nan")


def table(head, rows):
    print("\n| " + " | ".join(head) + " |")
    print("|" + "|".join("---" for _ in head) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    sys.stdout.flush()


def ratio(runs, base, key):
    values = [r[key] / b[key] for r, b in zip(runs, base) if b[key]]
    if not values:
        return "–"
    return "%.2f (%.2f–%.2f)" % (median(values), min(values), max(values))


def interleave(the_lab, name, proxies, rounds, measure):
    """{label: [result of each round]}"""
    s = SCENARIOS[name]
    runs = {p.label: [] for p in proxies}
    servers = the_lab.servers(s)
    try:
        for p in proxies:
            p.start(s)
        for i in range(rounds):
            for p in proxies if i % 2 == 0 else proxies[::-1]:
                runs[p.label].append(measure(p, s, i))
    finally:
        for p in proxies:
            p.stop()
        lab.stop(servers)
    return runs


def cmd_run(the_lab, proxies, a):
    head = ["", "proxy", "CPU µs a request", "× CPU", "requests/s", "× requests/s", "p50 µs", "p99 µs", "peak MB"]
    rows, wrong = [], []
    for name in a.rows:
        runs = interleave(the_lab, name, proxies, a.rounds, lambda p, s, i: the_lab.load(p, s, a.seconds, seed=i + 1))
        base = runs[proxies[0].label]
        for p in proxies:
            rs = runs[p.label]
            rows.append([SCENARIOS[name]["text"] if p is proxies[0] else "", p.label,
                         "%.2f" % median([r["usec"] for r in rs]), ratio(rs, base, "usec"),
                         "{:,.0f}".format(median([r["rps_steady"] for r in rs])), ratio(rs, base, "rps_steady"),
                         "%.0f" % median([r["p50"] for r in rs]), "%.0f" % median([r["p99"] for r in rs]),
                         "%.1f" % (max(r["peak_kb"] for r in rs) / 1024)])
            wrong += ["%s, %s: %s" % (name, p.label, r["wrong"]) for r in rs if r["wrong"]]
        print("# %s done" % name, file=sys.stderr)
    table(head, rows)
    if wrong:
        print("\nWRONG REPLIES, the figures are worth nothing:\n  " + "\n  ".join(wrong))
        return 1
    return 0


def idle_bytes(the_lab, p, clients, touch):
    s = dict(SCENARIOS["get-p1"], clients=1)
    servers = the_lab.servers(s)
    try:
        p.start(s)
        the_lab.load(p, s, 0.2)  # what the first request ever costs is not an idle client's
        before = p.rss_kb()
        r = the_lab.load(p, s, 0.5, idle=clients, touch=touch)
        if r["wrong"]:
            raise RuntimeError(r["wrong"])
        return (r["rss_kb"] - before) * 1024 / clients
    finally:
        p.stop()
        lab.stop(servers)


def spike(the_lab, p, clients=20, requests=400, seconds=3):
    """Clients that ask for 16 KiB values and do not read: memory while they do so, and after they left."""
    s = dict(SCENARIOS["get-16k"])
    servers = the_lab.servers(s)
    socks = []
    try:
        p.start(s)
        before = p.rss_kb()
        for i in range(clients):
            c = socket.create_connection(("127.0.0.1", p.port))
            c.setblocking(False)
            try:
                c.send(b"".join(b"*2\r\n$3\r\nGET\r\n$7\r\nk%06d\r\n" % (i * requests + k) for k in range(requests)))
            except BlockingIOError:
                pass
            socks.append(c)
        most, end = 0, time.time() + seconds
        while time.time() < end:
            most = max(most, p.rss_kb())
            time.sleep(0.05)
        for c in socks:
            c.close()
        time.sleep(seconds)
        return before, most, p.rss_kb()
    finally:
        for c in socks:
            c.close()
        p.stop()
        lab.stop(servers)


def cmd_memory(the_lab, proxies, a):
    rows = []
    for p in proxies:
        fresh, used = (median([idle_bytes(the_lab, p, a.idle, touch) for _ in range(a.rounds)]) for touch in (False, True))
        start, most, after = (x / 1024 for x in spike(the_lab, p))
        rows.append([p.label, "%.0f" % fresh, "%.0f" % used, "%.1f" % start, "%.1f" % most, "%.1f" % after])
    table(["proxy", "B per idle client (%d)" % a.idle, "the same, each used once", "MB at start",
           "MB, 20 clients read none of 400 × 16 KiB", "MB after they left"], rows)
    return 0


def cmd_instructions(the_lab, proxies, a):
    rows = []
    for name in a.rows:
        s = SCENARIOS[name]
        few = 1000 if s["keys"] >= 100 else 10000
        rows.append([s["text"]] + ["{:,.0f}".format(lab.instructions(the_lab, p, s, few)) for p in proxies])
    table(["instructions a request"] + [p.label for p in proxies], rows)
    return 0


def syscalls(the_lab, p, s, d):
    out = os.path.join(d, "perf")
    perf = subprocess.Popen(["perf", "stat", "-x", ";", "-o", out, "-e", "raw_syscalls:sys_enter", "-p", str(p.proc.pid)],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.3)
    n = the_lab.load(p, s, 1, warm=0)["n"]
    perf.send_signal(signal.SIGINT)
    perf.wait(10)
    with open(out) as f:
        return next(float(x.split(";")[0]) for x in f if "sys_enter" in x) / n


def cmd_syscalls(the_lab, proxies, a):
    subprocess.run(["mount", "-t", "tracefs", "nodev", "/sys/kernel/tracing"], stderr=subprocess.DEVNULL)
    rows = []
    with tempfile.TemporaryDirectory() as d:
        for name in a.rows:
            runs = interleave(the_lab, name, proxies, a.rounds, lambda p, s, i: syscalls(the_lab, p, s, d))
            rows.append([SCENARIOS[name]["text"]] + ["%.3f" % median(runs[p.label]) for p in proxies])
    table(["system calls a request"] + [p.label for p in proxies], rows)
    return 0


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("cmd", choices=["run", "memory", "instructions", "syscalls", "list"])
    ap.add_argument("rows", nargs="*", metavar="ROW", help="see `list`")
    ap.add_argument("--build", default=os.path.join(lab.ROOT, "build"), help="build folder with kvmux and bench/ (build)")
    ap.add_argument("--proxy", action="append", metavar="LABEL=BINARY[:ARGUMENTS]",
                    help="what to compare, the first is the base of ratios (nutcracker as people run it, nutcracker tuned, kvmux)")
    ap.add_argument("--rounds", type=int, help="runs of each proxy (run 7, others 3)")
    ap.add_argument("--seconds", type=float, default=1.0, help="measured time of a run")
    ap.add_argument("--idle", type=int, default=10000, help="idle clients (memory)")
    a = ap.parse_args()
    if a.cmd == "list":
        for name, s in SCENARIOS.items():
            print("%-16s %s" % (name, s["text"]))
        return 0
    a.rounds = a.rounds or (7 if a.cmd == "run" else 3)
    a.rows = a.rows or (list(SCENARIOS) if a.cmd == "run" else ["get-p1", "get-p16", "mget-10", "mc-get-p1"])
    unknown = [r for r in a.rows if r not in SCENARIOS]
    if unknown:
        sys.exit("no such row: %s; see: bench.py list" % " ".join(unknown))
    lab.enter_namespace()
    the_lab = lab.Lab(os.path.abspath(a.build))
    specs = a.proxy or [x % os.path.abspath(a.build) if "%s" in x else x for x in PROXIES]
    proxies = [lab.Proxy(x, i) for i, x in enumerate(specs)]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        return {"run": cmd_run, "memory": cmd_memory, "instructions": cmd_instructions, "syscalls": cmd_syscalls}[a.cmd](the_lab, proxies, a)
    finally:
        lab.stop_all()


sys.exit(main())
