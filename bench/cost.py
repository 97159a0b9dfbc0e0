"""What a request costs when there is more of everything: rows of `bench.py behave` that compare kvmux with itself."""
import collections
import contextlib
import copy
import re
import shutil
import subprocess

import lab
from lab import SCENARIOS
from show import count, median, spread, verdict

Table = collections.namedtuple("Table", "head lines wrong")
LOCKED = re.compile(r"^ *([0-9a-f]+):\t(.*\block\b.*|xchg +.*\(.*)$")


def ours(targets):
    return [t for t in targets if not t.is_nutcracker]


def changed(proxy, extra, cpu=lab.PROXY_CPU):
    """The same program with other arguments: --threads among them is replaced."""
    p = copy.copy(proxy)
    kept = [x for i, x in enumerate(p.extra) if x != "--threads" and (i == 0 or p.extra[i - 1] != "--threads")]
    p.extra, p.cpu = kept + extra, cpu
    return p


def wrong_in(text, results):
    return ["%s: %s" % (text, r["wrong"]) for r in results if r["wrong"]]


# ------------------------------------------------------------------------------------------------------------------ pools
def many(the_lab, targets, a):
    """How long 64 pools take to start, and what a request costs beside one pool."""
    base = dict(SCENARIOS["get-64-servers"], conf={"backlog": 4096})
    lines, wrong = [], []
    for t in targets:
        starts, costs = [], {"few": [], "all": []}
        for i in range(a.rounds):
            seen = {}
            for pools in (1, 64) if i % 2 == 0 else (64, 1):
                s = dict(base, pools=pools)
                the_lab.servers(s)
                try:
                    t.start(s)
                    the_lab.settle(t)  # it connects to 4,096 servers and asks what they know
                    if pools > 1:
                        starts.append(t.start_seconds)
                    seen["few", pools] = the_lab.load(t, s, a.seconds, warm=1, idle=9950)  # all are accepted by then
                    seen["all", pools] = the_lab.load(t, dict(s, clients=10000), a.seconds, warm=1)
                finally:
                    t.stop()
                    lab.stop(the_lab.running)
            for who in costs:
                costs[who].append((seen[who, 1]["usec"], seen[who, 64]["usec"]))
            wrong += wrong_in("many, " + t.label, seen.values())
        line = [t.label, "%.0f" % (1000 * median(starts))]
        for pairs in costs.values():
            line += ["%.2f" % median([x for x, _ in pairs]), "%.2f" % median([x for _, x in pairs]), spread([y / x for x, y in pairs if x])]
        lines.append(line + (["", ""] if t.is_nutcracker else ["≤ 1000 ms", verdict(median(starts) <= 1)]))
    return Table(["64 pools × 64 servers, 10,000 clients", "ms until all ports listen", "CPU µs a request, one pool, 50 clients active",
                  "64 pools", "×", "one pool, all active", "64 pools", "×", "goal", ""], lines, wrong)


# ---------------------------------------------------------------------------------------------------------------- workers
def workers(the_lab, targets, a, text="2 cores, everybody on both", hold=contextlib.nullcontext):
    lines, wrong = [], []
    for t in ours(targets):
        pair = [changed(t, ["--threads", n], cpu="%s,%s" % (lab.PROXY_CPU, lab.LOAD_CPU)) for n in ("1", "2")]
        pair[1].port, pair[1].path = pair[0].port + lab.PORTS_EACH // 2, pair[0].path + "b"
        for name in ("get-p1", "get-p16", "mget-100"):
            s = SCENARIOS[name]
            runs = ([], [])
            the_lab.servers(s)
            the_lab.servers_to(lab.PROXY_CPU, lab.LOAD_CPU)
            try:
                for p in pair:
                    p.start(s)
                with hold(pair[0].proc.pid), hold(pair[1].proc.pid):
                    for i in range(a.rounds):
                        for k in (0, 1) if i % 2 == 0 else (1, 0):
                            runs[k].append(the_lab.load(pair[k], s, a.seconds, pinned=False))
            finally:
                for p in pair:
                    p.stop()
                lab.stop(the_lab.running)
            times = [y["rps"] / x["rps"] for x, y in zip(*runs)]
            lines.append([s["text"], t.label] + [count(median([r["rps"] for r in rs])) for rs in runs] +
                         [spread(times), "> 1", verdict(median(times) > 1)])
            wrong += wrong_in("workers, %s, %s" % (t.label, name), runs[0] + runs[1])
    return Table([text, "", "requests/s, 1 worker", "2 workers", "×", "goal", ""], lines, wrong)


def workers_held(the_lab, targets, a):
    """Load and servers need most of one of two cores, so workers that take what they can get are in their way. Here each has a
    fifth of a core, and the rest is for the others, as on a machine with more cores."""
    return workers(the_lab, targets, a, "a fifth of a core for each worker", lab.hold_workers)


# ----------------------------------------------------------------------------------------------------------- instructions
def need(*programs):
    missing = [p for p in programs if not shutil.which(p)]
    if missing:
        raise RuntimeError("needs " + " and ".join(missing))


def growth(the_lab, targets, a):
    """User-space instructions of a GET of one client alone, so that nothing is batched and nothing may change."""
    need("valgrind")
    base = dict(SCENARIOS["get-1"])
    few = 2000
    lines = []
    for t in ours(targets):
        shorter, short, long = (lab.life(the_lab, t, base, x) for x in (few, 4 * few, 16 * few))
        first = lab.grown(shorter, short)
        figures = [("1 pool, 4 servers", first), ("the same, later in its life", lab.grown(short, long))]
        for text, more, idle in (("64 pools", dict(pools=64), 0), ("64 servers", dict(servers=64), 0), ("2,000 idle clients", {}, 2000)):
            figures.append((text, lab.instructions(the_lab, t, dict(base, **more), few, idle=idle)))
        lines += [[text, t.label, count(x), "%.2f" % (x / first), "≤ 1.02", verdict(x <= 1.02 * first)] for text, x in figures]
    return Table(["instructions a GET, one client active", "", "", "×", "goal", ""], lines, [])


def locked_at(binary):
    """Addresses of the instructions that lock: with the prefix, and xchg with memory."""
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", binary], capture_output=True, text=True, check=True).stdout
    return {int(m.group(1), 16) for m in map(LOCKED.match, text.splitlines()) if m}


def executed(path):
    """{(object, function, address): times} of a file of callgrind's with --dump-instr=yes and nothing compressed."""
    times = collections.Counter()
    thing = where = None
    inclusive = False  # the line behind calls= is what the callee cost
    with open(path) as f:
        for line in f:
            if line.startswith("0x"):
                at, _, n = line.split()
                if not inclusive:
                    times[thing, where, int(at, 16)] += int(n)
                inclusive = False
            elif line.startswith("ob="):
                thing = line[3:].strip()
            elif line.startswith("fn="):
                where = line[3:].strip()
            elif line.startswith("calls="):
                inclusive = True
    return times


def locks(the_lab, targets, a):
    """Locked instructions that requests execute, of the program and of the libraries: a long life minus a short one."""
    need("valgrind", "objdump")
    options = ["--dump-instr=yes", "--compress-pos=no", "--compress-strings=no"]
    lines = []
    for t in ours(targets):
        for name in ("get-p1", "get-p16", "mget-10", "mc-get-p16"):
            s = SCENARIOS[name]
            (short, n), (long, m) = (lab.life(the_lab, t, s, k, options, executed) for k in (2000, 10000))
            short, long = (sum(threads.values(), collections.Counter()) for threads in (short, long))
            grew = {k: (long[k] - short[k]) / (m - n) for k in long if long[k] > short[k]}
            locked = {thing: locked_at(thing) for thing in {k[0] for k in grew} if thing.startswith("/")}
            by_function = collections.Counter()
            for (thing, where, at), x in grew.items():
                if at in locked.get(thing, ()):
                    by_function[where] += x
            total = sum(by_function.values())
            lines.append([s["text"], t.label, "%.0f" % sum(grew.values()), "%.4f" % total, "≤ 0.01", verdict(total <= 0.01),
                          ", ".join("%s %.4f" % x for x in by_function.most_common(5))])
    return Table(["", "", "instructions a request", "with a lock", "goal", "", "where"], lines, [])
