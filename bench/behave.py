"""What one client, one server, or the number of things does to others: rows of `bench.py behave`.

Polite clients (50, one GET at a time unless said) run with and without a trouble beside them, by turns. The trouble's own load
programs are nice: they get less of the CPU that all load programs share, so that what the polite ones feel is the proxy.
"""
import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time

import cost
import lab
from lab import SCENARIOS
from show import count, median, spread, table, verdict

SETTLE = 0.3  # seconds that a trouble goes on before anybody measures beside it
MIB = 1 << 20
POLITE = dict(SCENARIOS["get-p1"])


# ---------------------------------------------------------------- troubles: begin, let the polite ones be measured, end; yield a note
@contextlib.contextmanager
def nothing(the_lab, target, s, note):
    yield


@contextlib.contextmanager
def beside(the_lab, target, s, note, say, answered=True, **kw):
    """A load that goes on meanwhile; it must be answered, unless said."""
    load = the_lab.begin(target, s, 60, warm=0, nice=10, **kw)
    try:
        time.sleep(SETTLE)
        yield
    finally:
        r = load.end()
        note.append((say(r), r["wrong"] or ("" if r["mb_per_sec"] or the_lab.small or not answered else "it moved nothing")))


def its_keys():
    return os.path.join(lab.folder(), "keys-of-the-last-server")


def other_keys():
    return os.path.join(lab.folder(), "keys-of-the-others")


def sort_keys(the_lab, s):
    """Writes the numbers of the keys that are on the last server into one file, those of the others into another."""
    conf = os.path.join(lab.folder(), "where.yml")
    with open(conf, "w") as f:
        f.write(lab.Proxy.conf(lab.Direct(), s))
    keys = "".join("key:%012d\n" % i for i in range(s["keyspace"]))
    where = subprocess.run([os.path.join(the_lab.build, "kvmux"), "-c", conf, "--where", "pool0"], input=keys, capture_output=True,
                           text=True, check=True)
    with open(other_keys(), "w") as others, open(its_keys(), "w") as its:
        for line in where.stdout.splitlines():
            key, _, address = line.split("\t")
            (its if address == lab.server_at(s, s["servers"] - 1) else others).write("%d\n" % int(key[4:]))


@contextlib.contextmanager
def stopped(the_lab, target, s, note):
    the_lab.running[-1].send_signal(signal.SIGSTOP)
    try:
        answered = s["conf"]["timeout"] is not None  # else nobody says anything
        with beside(the_lab, target, dict(s, depth=16), note, lambda r: "", answered, may_fail=True, more=["-l", its_keys()]):
            yield
    finally:
        the_lab.running[-1].send_signal(signal.SIGCONT)


@contextlib.contextmanager
def greedy(the_lab, target, s, note):
    with beside(the_lab, target, dict(s, clients=1, depth=10000), note, lambda r: "greedy: %s/s" % count(r["rps"])):
        yield


@contextlib.contextmanager
def storm(the_lab, target, s, note):
    rate = 100 if the_lab.small else 5000
    cmd = ["taskset", "-c", lab.LOAD_CPU, "nice", "-n", "5", the_lab.program("storm"), "-p", str(target.port), "-R", str(rate), "-t", "60"]
    load = lab.Load("storm", cmd, 60)
    try:
        time.sleep(SETTLE)
        yield
    finally:
        r = load.end()
        few = r["rps"] < 0.9 * rate and not the_lab.small
        note.append(("connections: %s/s" % count(r["rps"]), r["wrong"] or ("no storm: %s connections a second" % count(r["rps"]) if few else "")))


def value_of_large(the_lab):
    return MIB if the_lab.small else 64 * MIB


@contextlib.contextmanager
def large(the_lab, target, s, note):
    more = dict(s, clients=2 if the_lab.small else 64, value=value_of_large(the_lab), set_percent=50, keyspace=64)
    with beside(the_lab, target, more, note, lambda r: "large: %s MB/s" % count(r["mb_per_sec"]), more=["-K", "big:"]):
        time.sleep(0.5)  # each has most of its first value then
        yield


# ---------------------------------------------------------------- rows with and without a trouble
HEAD = ["", "", "p50 µs, without", "p99, without", "p50, with", "p99, with", "× p50", "× p99", "goal", "", "beside"]


def turns(the_lab, row, t, s, a, notes, i):
    """One round: without and with, or the other way round."""
    out = {}
    for trouble in ([nothing, row["trouble"]] if i % 2 == 0 else [row["trouble"], nothing]):
        with trouble(the_lab, t, s, notes):
            out["without" if trouble is nothing else "with"] = the_lab.begin(
                t, s, a.seconds, warm=0.1, requests=a.requests, seed=i + 1, more=["-l", other_keys()] if row.get("alone") else []).result()
        the_lab.settle(t)
    return out


def with_and_without(the_lab, targets, row, a):
    """Lines of the table, and what was wrong."""
    s = dict(POLITE, **row.get("scenario", {}))
    able = [t for t in targets if row["who"](t)]
    rounds, notes = {t.label: [] for t in able}, {t.label: [] for t in able}
    if row.get("alone"):
        sort_keys(the_lab, s)
    the_lab.servers(s, alone=row.get("alone", False), big=value_of_large(the_lab))
    try:
        for t in able:
            t.start(s)
        for i in range(a.rounds):
            for t in able if i % 2 == 0 else able[::-1]:
                with the_lab.place(t):
                    rounds[t.label].append(turns(the_lab, row, t, s, a, notes[t.label], i))
    finally:
        for t in able:
            t.stop()
        lab.stop(the_lab.running)
    lines = [line_of(row, t, rounds, notes, first=t is able[0]) for t in able]
    wrong = ["%s, %s: %s" % (row["text"], label, r["wrong"]) for label, rs in rounds.items() for both in rs for r in both.values() if r["wrong"]]
    wrong += ["%s, %s, beside: %s" % (row["text"], label, w) for label, ns in notes.items() for _, w in ns if w]
    return lines, wrong


def line_of(row, t, rounds, notes, first):
    rs = rounds[t.label]
    ms = ["%.0f" % median([r[w][k] for r in rs]) for w in ("without", "with") for k in ("p50", "p99")]
    times = {k: [slower(r["with"][k], r["without"][k]) for r in rs] for k in ("p50", "p99")}
    held, more = times["p99"], [n for n, _ in notes[t.label][:1] if n]
    if row.get("against_direct") and "direct" in rounds and not t.direct:
        held = [slower(r["with"]["p99"], d["with"]["p99"]) for r, d in zip(rs, rounds["direct"])]
        more += ["p99 with, against direct: " + spread(held)]
    if "peak_mb" in row and not t.direct:
        peak = max(r["with"]["peak_kb"] for r in rs) / 1024
        more += ["peak %.0f MB, goal %d: %s" % (peak, row["peak_mb"], verdict(peak <= row["peak_mb"]))]
    goal = ["", ""] if t.is_nutcracker or t.direct else ["≤ %.1f" % row["goal"], verdict(median(held) <= row["goal"])]
    return [row["text"] if first else "", t.label] + ms + ["%.2f" % median(times["p50"]), spread(times["p99"])] + goal + ["; ".join(more)]


def slower(x, y):
    """Of latencies; 0 is that of those who got no reply at all."""
    return x / y if x and y else float("inf")


def anybody(t):
    return True


def proxies(t):
    return not t.direct


def ours(t):
    return not t.is_nutcracker


# `alone`: the last server is a process of its own, and the polite ones ask for the keys of the others.
# `against_direct`: the goal is about what clients of the servers themselves get beside the same trouble.
ROWS = {
    "stopped-server": dict(text="1 of 16 servers stopped, `timeout: 400`; requests to the others", trouble=stopped, who=proxies, goal=1.5,
                           alone=True, scenario=dict(servers=16, conf={"timeout": 400})),
    "stopped-server-waits": dict(text="the same without `timeout:`", trouble=stopped, who=proxies, goal=1.5,
                                 alone=True, scenario=dict(servers=16, conf={"timeout": None})),
    "greedy": dict(text="a client with 10,000 requests at once", trouble=greedy, who=anybody, goal=2),
    "storm": dict(text="5,000 new connections a second", trouble=storm, who=anybody, goal=2),
    "large": dict(text="64 clients that read and write 64 MiB values; held against direct", trouble=large, who=ours, goal=1.5,
                  against_direct=True, peak_mb=64),
    "many": dict(text="64 pools of 64 servers, 10,000 clients", run=cost.many),
    "workers": dict(text="2 workers against 1, on 2 cores with the load beside them", run=cost.workers),
    "workers-held": dict(text="the same, each worker held to a fifth of a core", run=cost.workers_held),
    "growth": dict(text="instructions a request with more pools, servers, clients, requests (needs valgrind)", run=cost.growth),
    "locks": dict(text="instructions with a lock in the data path (needs valgrind and objdump)", run=cost.locks),
}


def cmd_behave(the_lab, targets, a):
    begin, lines, tables, wrong = time.time(), [], [], []
    targets = [t for t in targets if t.label != "tuned"] if not a.proxy else targets
    for name in a.rows:
        row = ROWS[name]
        try:
            if "run" in row:
                tables.append(row["run"](the_lab, [t for t in targets if proxies(t)], a))
                wrong += tables[-1].wrong
            else:
                more, bad = with_and_without(the_lab, targets, row, a)
                lines += more
                wrong += bad
        except RuntimeError as e:
            wrong.append("%s: %s" % (name, e))
        print("# %s done" % name, file=sys.stderr)
    if lines:
        table(HEAD, lines)
    for t in tables:
        table(t.head, t.lines)
    print("\n%d rounds of %.1f s, %.0f minutes" % (a.rounds, a.seconds, (time.time() - begin) / 60))
    if wrong:
        print("\nFAILED, or WRONG REPLIES (what was measured there is worth nothing):\n  " + "\n  ".join(wrong))
    return 1 if wrong else 0


def smoke(the_lab, targets):
    """Every trouble once, for a moment and a small one; what was wrong."""
    a = argparse.Namespace(rounds=1, seconds=5, requests=200)
    the_lab.small = True
    wrong = []
    for name, row in ROWS.items():
        try:
            if "run" not in row:
                wrong += with_and_without(the_lab, targets, row, a)[1]
        except RuntimeError as e:
            wrong.append("%s: %s" % (name, e))
    return wrong
