#!/usr/bin/env python3
"""Compares kvmux with nutcracker and with the servers themselves on this machine; prints Markdown.

    bench/bench.py run [ROW...]            CPU time per request, throughput, latency, and whether the goals are met;
                                           all rows of `list` when none is named: a quarter of an hour; one: half a minute
    bench/bench.py behave [ROW...]         what one client, server or number of things does to others (bench/behave.py): ten minutes
    bench/bench.py smoke                   every row of both for a moment: replies must be right, figures are not looked at
    bench/bench.py memory                  bytes per idle client at 10,000 clients; what slow readers, spikes of large values and many requests
                                           hold and give back (--many 100000000: as long as it takes)
    bench/bench.py instructions [ROW...]   user-space instructions per request (needs valgrind; not blurred by a busy machine)
    bench/bench.py syscalls [ROW...]       system calls per request (needs perf and root)
    bench/bench.py list                    the rows

Another binary joins with --also LABEL=BINARY[:ARGUMENTS]; it has to take nutcracker's options and file.
Built with: meson setup build --buildtype=release -Dbench=true && ninja -C build

Runs of the proxies alternate (A B C, C B A, ...), so that a slow minute of the machine hits all of them. Ratios are
between neighbouring runs of one round; the median is printed, and in brackets the least and the greatest. CPU time
is what the scheduler counted for all threads of the proxy in the measured window.
"""
import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time

import behave
import lab
import memory
from lab import SCENARIOS
from show import count, median, ratio, table, verdict

PROXIES = ["nutcracker=nutcracker", "tuned=nutcracker:-v 4 -m 512", "kvmux=%s/kvmux:--threads 1"]
WARM = 0.2


def interleave(the_lab, name, targets, rounds, measure):
    """{label: [result of each round]}; without those that cannot."""
    s = SCENARIOS[name]
    able = [t for t in targets if not t.cannot(s)]
    runs = {t.label: [] for t in able}
    servers = the_lab.servers(s)
    try:
        for t in able:
            t.start(s)
        for i in range(rounds):
            for t in able if i % 2 == 0 else able[::-1]:
                runs[t.label].append(measure(t, s, i))
    finally:
        for t in able:
            t.stop()
        lab.stop(servers)
    return runs


RUN_HEAD = ["", "proxy", "CPU µs a request", "× CPU", "requests/s", "× requests/s", "p50 µs", "p99 µs", "peak MB"]
GOALS_HEAD = ["", "proxy", "× CPU", "goal", "", "× requests/s", "goal", "", "× p99", "goal", ""]


def row_lines(s, targets, runs):
    """The base of ratios is the first target, or the servers themselves where that is a nutcracker that cannot."""
    lines = []
    base = targets[0] if targets[0].label in runs else next((t for t in targets if t.direct), targets[-1])
    for t in targets:
        text = s["text"] if t is targets[0] else ""
        if t.label not in runs:
            lines.append([text, t.label, "cannot: " + s["lacks"]] + [""] * 6)
            continue
        rs, bs = runs[t.label], runs[base.label]
        cpu = ["–", "–", "–"] if t.direct else ["%.2f" % median([r["usec"] for r in rs]), ratio(rs, bs, "usec"),
                                               "%.1f" % (max(r["peak_kb"] for r in rs) / 1024)]
        lines.append([text, t.label] + cpu[:2] + [count(median([r["rps_steady"] for r in rs])), ratio(rs, bs, "rps_steady"),
                                                  "%.0f" % median([r["p50"] for r in rs]), "%.0f" % median([r["p99"] for r in rs]), cpu[2]])
    return lines


def goal_lines(s, targets, runs):
    """What is held against nutcracker as people run it: the first target, when it is one and can."""
    if not targets[0].is_nutcracker or targets[0].label not in runs:
        return []
    lines = []
    for t in targets:
        if t.is_nutcracker or t.direct:
            continue
        line = [s["text"], t.label]
        for key, goal, most in (("usec", s["cpu"], True), ("rps_steady", s["rate"], False), ("p99", s["p99"], True)):
            x = median([r[key] / b[key] for r, b in zip(runs[t.label], runs[targets[0].label]) if b[key]])
            met = goal is None or (x <= goal if most else x >= goal)
            line += ["%.2f" % x] + (["", ""] if goal is None else ["%s %.2f" % ("≤" if most else "≥", goal), verdict(met)])
        lines.append(line)
    return lines


def cmd_run(the_lab, targets, a):
    begin, lines, goals, wrong = time.time(), [], [], []
    parts = sum(len([t for t in targets if not t.cannot(SCENARIOS[r])]) * SCENARIOS[r]["weight"] for r in a.rows)
    print("# about %.0f minutes" % (parts * (a.rounds * (a.seconds + WARM + 0.15) + 0.6) / 60), file=sys.stderr)
    for name in a.rows:
        s = SCENARIOS[name]
        try:
            runs = interleave(the_lab, name, targets, a.rounds, lambda t, s, i: the_lab.load(
                t, s, a.seconds * s["weight"], warm=WARM * s["weight"], seed=i + 1))
        except RuntimeError as e:
            wrong.append("%s: %s" % (name, e))
            continue
        lines += row_lines(s, targets, runs)
        goals += goal_lines(s, targets, runs)
        wrong += ["%s, %s: %s" % (name, label, r["wrong"]) for label, rs in runs.items() for r in rs if r["wrong"]]
        print("# %s done" % name, file=sys.stderr)
    table(RUN_HEAD, lines)
    if goals:
        table(GOALS_HEAD, goals)
        print("\n%d of %d goals met" % tuple(sum(x in words for line in goals for x in line) for words in ([verdict(True)], [verdict(True), verdict(False)])))
    print("\n%d rounds of %.1f s, %.0f minutes" % (a.rounds, a.seconds, (time.time() - begin) / 60))
    if wrong:
        print("\nFAILED, or WRONG REPLIES (what was measured there is worth nothing):\n  " + "\n  ".join(wrong))
        return 1
    return 0


def cmd_smoke(the_lab, targets, a):
    """Every row, everybody who can do it."""
    wrong = []
    for name in a.rows:
        s = dict(SCENARIOS[name], keyspace=min(SCENARIOS[name]["keyspace"], 10000))
        try:
            the_lab.servers(s)
            for t in targets:
                if t.cannot(s):
                    continue
                t.start(s)
                r = the_lab.load(t, s, 5, warm=0, requests=1)
                t.stop()
                wrong += ["%s, %s: %s" % (name, t.label, r["wrong"])] if r["wrong"] else []
        except RuntimeError as e:
            wrong.append("%s: %s" % (name, e))
        finally:
            for t in targets:
                t.stop()
            lab.stop(the_lab.running)
    wrong += behave.smoke(the_lab, targets)
    print("\n".join(wrong) if wrong else "all rows: replies are right")
    return 1 if wrong else 0


def cmd_memory(the_lab, proxies, a):
    idle, peaks, spikes, steady = [], [], [], []
    mb = lambda kb: "%.1f" % (kb / 1024)
    for p in proxies:
        fresh, used = (median([memory.idle_bytes(the_lab, p, a.idle, touch) for _ in range(a.rounds)]) for touch in (False, True))
        idle.append([p.label, "%.0f" % fresh, "%.0f" % used] + [mb(x) for x in memory.unread(the_lab, p)])
        peaks.append([p.label] + [mb(memory.peak(the_lab, p, name)) for name in memory.PEAKS])
        for kind, percent in (("GET", 0), ("SET", 100)):
            before, most, seconds, after = memory.spike(the_lab, p, percent)
            spikes.append([p.label, kind, mb(before), mb(most), mb(after), "%.1f" % seconds if after <= 1.2 * before else "never"])
        done, sizes = memory.steady(the_lab, p, a.many)
        steady.append([p.label, "{:,}".format(done), mb(sizes[0]), mb(sizes[-1]), mb(max(sizes))])
    table(["proxy", "B per idle client (%d)" % a.idle, "the same, each used once", "MB at start",
           "MB, 20 clients read none of 400 × 16 KiB", "MB after they left"], idle)
    table(["peak MB"] + [SCENARIOS[name]["text"] for name in memory.PEAKS], peaks)
    table(["spike of %d × 1 MiB" % memory.SPIKE_CLIENTS, "", "MB before", "MB at most", "MB then", "seconds until within 20 %"], spikes)
    table(["GET, SET, MGET, pipeline 64", "requests", "MB after a tenth", "MB at the end", "MB at most between"], steady)
    return 0


def cmd_instructions(the_lab, proxies, a):
    rows = []
    for name in a.rows:
        s = SCENARIOS[name]
        few = 1000 if s["keys"] >= 100 else 10000
        rows.append([s["text"]] + [count(lab.instructions(the_lab, p, s, few)) for p in proxies])
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


COMMANDS = {"run": cmd_run, "behave": behave.cmd_behave, "smoke": cmd_smoke, "memory": cmd_memory,
            "instructions": cmd_instructions, "syscalls": cmd_syscalls}
WITHOUT_SERVERS = ["memory", "instructions", "syscalls"]  # only proxies have these figures
ROUNDS = {"run": 7, "behave": 5}
SOME = ["get-p1", "get-p16", "mget-10", "mc-get-p1"]


def arguments():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("cmd", choices=list(COMMANDS) + ["list"])
    ap.add_argument("rows", nargs="*", metavar="ROW", help="see `list`")
    ap.add_argument("--build", default=os.path.join(lab.ROOT, "build"), help="build folder with kvmux and bench/ (build)")
    ap.add_argument("--proxy", action="append", metavar="LABEL=BINARY[:ARGUMENTS]",
                    help="what to compare, the first is the base of ratios (nutcracker as people run it, nutcracker tuned, kvmux, and "
                    "`direct`: the servers themselves)")
    ap.add_argument("--also", action="append", default=[], metavar="LABEL=BINARY[:ARGUMENTS]", help="one more, beside the usual ones")
    ap.add_argument("--rounds", type=int, help="runs of each proxy (run 7, behave 5, others 3)")
    ap.add_argument("--seconds", type=float, default=0.6, help="measured time of a run (0.6)")
    ap.add_argument("--idle", type=int, default=10000, help="idle clients (memory)")
    ap.add_argument("--many", type=int, default=3000000, help="requests of the run that must not grow (memory)")
    a = ap.parse_args()
    a.requests = 0  # no limit but time
    a.build = os.path.abspath(a.build)
    a.rounds = a.rounds or ROUNDS.get(a.cmd, 3)
    known = behave.ROWS if a.cmd == "behave" else SCENARIOS
    a.rows = a.rows or (SOME if a.cmd in WITHOUT_SERVERS else list(known))
    unknown = [r for r in a.rows if r not in known]
    if unknown:
        sys.exit("no such row: %s; see: bench.py list" % " ".join(unknown))
    return a


def main():
    a = arguments()
    if a.cmd == "list":
        for title, rows in (("run", {n: s["text"] for n, s in SCENARIOS.items()}), ("behave", {n: r["text"] for n, r in behave.ROWS.items()})):
            print("%s:\n" % title + "\n".join("  %-20s %s" % x for x in rows.items()))
        return 0
    lab.enter_namespace()
    for x in (signal.SIGTERM, signal.SIGINT):
        signal.signal(x, lambda *_: sys.exit(1))
    try:
        the_lab = lab.Lab(a.build)
        specs = [x.replace("%s", a.build) for x in (a.proxy or PROXIES) + a.also]
        targets = [lab.Direct() if x == "direct" else lab.Proxy(x, i) for i, x in enumerate(specs)]
        if not a.proxy:
            targets.append(lab.Direct())
        if a.cmd in WITHOUT_SERVERS:
            targets = [t for t in targets if not t.direct]
        return COMMANDS[a.cmd](the_lab, targets, a)
    finally:
        lab.stop_all()


sys.exit(main())
