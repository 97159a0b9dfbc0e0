#!/usr/bin/env python3
"""Mixed traffic from real clients through one kvmux while one thing after the other changes (docs/reliability.md).

    tests/soak/soak.py KVMUX [--seconds 1800] [--interval 60] [--seed 1]

Prints what was done as Markdown; exit 1 when a reply was wrong, a request was lost, or memory or descriptors grew. Real redis-servers and
memcacheds; loopback only. What systemd does for a service (LISTEN_FDS, NOTIFY_SOCKET) the driver does.
"""
import argparse
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "real")]

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("kvmux")
ap.add_argument("--seconds", type=float, default=1800)
ap.add_argument("--interval", type=float, default=60, help="between two changes")
ap.add_argument("--seed", type=int, default=1)
args = ap.parse_args()
os.environ["KVMUX"] = os.path.abspath(args.kvmux)
os.environ.setdefault("KVMUX_REAL_DEADLINE", "60")

import harness  # noqa: E402
import traffic  # noqa: E402
from harness import HOST, MemcachedServer, Proxy, RedisServer, free_port, mc_pool, redis_pool, sanitizer_report, wait_until  # noqa: E402
from test_upgrade import Manager, upgrade  # noqa: E402
from tls_fixtures import Authority  # noqa: E402

GRACE = 2.0         # after a server is back, until kvmux must have noticed
DRAIN_MSEC = 1000   # an old process closes what cannot go over after so long
SETTLE = 0.3        # how much later than its effect a change may be noted


class World:
    """The proxy, its servers, and what happened to them."""

    def __init__(self):
        self.stopping = threading.Event()
        self.failures = []
        self.upgrades = self.moves = self.log_files = 0
        self.ca = Authority()
        self.names = {"a": [RedisServer() for _ in range(3)], "k": [RedisServer() for _ in range(3)], "g": [RedisServer() for _ in range(3)],
                      "m": [MemcachedServer() for _ in range(2)], "n": [MemcachedServer() for _ in range(2)]}
        self.servers = {"%s%d" % (pool, i): s for pool, list in self.names.items() for i, s in enumerate(list)}
        self.lives = {name: 0 for name in self.servers}
        self.down = {name: [] for name in self.servers}   # [from, until]
        self.grown, self.timeout = False, 20000
        self.near = self.certificate()
        self.manager = Manager()
        self.rss, self.fds = [], []
        self.start()

    # -- what the clients ask

    def fail(self, text):
        self.failures.append(text)
        self.stopping.set()

    def settle(self):
        """A change is noted before it is made, or a moment after it."""
        time.sleep(SETTLE)

    def was_down(self, server, since):
        return any(begin <= time.monotonic() and since <= end for begin, end in self.down[server])

    def where(self, pool, keys):
        out = subprocess.run([harness.KVMUX, "-c", self.proxy.conf, "--where", pool], input="\n".join(keys) + "\n", capture_output=True,
                             text=True, check=True, timeout=60).stdout.splitlines()
        found = [re.search(r"\b(%s\d)\b" % pool, line.split(key, 1)[1]).group(1) for line, key in zip(out, keys)]
        assert len(found) == len(keys), out[:3]
        return dict(zip(keys, found))

    # -- the proxy

    def pools(self):
        def of(pool, n=None):
            return [s.entry(name="%s%d" % (pool, i)) for i, s in enumerate(self.names[pool][:n])]
        common = {"timeout": self.timeout}
        redis = dict(common, hash_tag="{}", server_retry_timeout=200)
        return {"a": redis_pool(of("a"), tls_certificate=self.near.crt, tls_key=self.near.key, **redis), "k": redis_pool(of("k"), **redis),
                "g": redis_pool(of("g", 3 if self.grown else 2), **redis), "m": mc_pool(of("m"), **common), "n": mc_pool(of("n"), **common)}

    def start(self):
        sockets = [socket.create_server((HOST, 0), backlog=512) for _ in range(2)]
        p = self.proxy = Proxy(self.pools(), listens={n: (HOST, free_port()) for n in self.names}, start=False, threads=2,
                               section={"drain_timeout": DRAIN_MSEC})
        p.listens["a"], p.listens["m"] = (s.getsockname() for s in sockets)
        p.tls["a"] = (HOST, free_port())
        p.stats_port = free_port()
        self.write_conf()
        p.proc = self.manager.run(p, sockets)
        assert {"MAINPID=%d" % p.pid, "READY=1"} <= set(self.manager.hears())
        for s in sockets:
            s.close()

    def write_conf(self):
        tls = self.proxy.tls["a"]
        self.proxy.pools = self.pools()
        self.proxy.write_conf()
        with open(self.proxy.conf) as f:   # the TLS address stays
            text = f.read().replace("%s:%d tls" % self.proxy.tls["a"], "%s:%d tls" % tls)
        self.proxy.tls["a"] = tls
        with open(self.proxy.conf + ".new", "w") as f:
            f.write(text)
        os.rename(self.proxy.conf + ".new", self.proxy.conf)

    def certificate(self):
        made = self.ca.issue("near%d" % random.randrange(1 << 30))
        kept = harness.temp_dir("cert")
        for path in (made.crt, made.key):
            shutil.copy(path, kept)
        return made

    def sample(self):
        """Memory and descriptors of whoever serves, four times a second."""
        while not self.stopping.wait(0.25):
            pid = self.proxy.pid
            try:
                with open("/proc/%d/status" % pid) as f:
                    self.rss.append((time.monotonic(), pid, int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) / 1024))
                self.fds.append(len(os.listdir("/proc/%d/fd" % pid)))
            except (OSError, AttributeError):
                pass

    # -- changes

    def reload(self):
        def outcomes():
            text = self.proxy.log_text()
            return text.count(" reload_done "), text.count(" reload_failed ")
        before = outcomes()
        self.write_conf()
        self.proxy.proc.signal(signal.SIGHUP)
        wait_until(lambda: outcomes() != before, "an outcome of the reload")
        assert outcomes() == (before[0] + 1, before[1]), self.proxy.log_text()[-2000:]
        while True:   # RELOADING and READY, and what a process before said at its end
            heard = self.manager.hears()
            if "READY=1" in heard:
                break

    def change_values(self):
        self.timeout = 15000 if self.timeout == 20000 else 20000
        self.reload()

    def change_certificate(self):
        self.near = self.certificate()
        self.reload()

    def change_servers(self):
        self.grown = not self.grown
        self.moves += 1
        self.reload()
        self.moves += 1

    def change_log(self):
        self.log_files += 1
        n = self.log_files
        os.rename(self.proxy.log, "%s.%d" % (self.proxy.log, n))
        self.proxy.proc.signal(signal.SIGUSR1)
        wait_until(lambda: os.path.exists(self.proxy.log) and "action=reopen_log" in self.proxy.log_text(), "the log to be opened anew")

    def change_program(self):
        self.upgrades += 1
        upgrade(self.proxy)
        while "MAINPID=%d" % self.proxy.pid not in self.manager.hears():
            pass
        self.upgrades += 1

    def kill(self, name):
        server = self.servers[name]
        window = [time.monotonic(), float("inf")]
        self.down[name].append(window)
        self.lives[name] += 1
        server.kill9()
        self.stopping.wait(min(args.interval / 3, 5))
        server.start()
        self.lives[name] += 1   # what was written meanwhile, if anything, is gone as well
        window[1] = time.monotonic() + GRACE

    def kill_redis(self):
        self.kill("k%d" % random.randrange(3))

    def kill_memcached(self):
        self.kill("n%d" % random.randrange(2))

    CHANGES = (change_values, kill_redis, change_servers, change_certificate, change_program, change_log, kill_memcached)


# ------------------------------------------------------------------------------------------------ the run

def median(list):
    list = sorted(list)
    return list[len(list) // 2] if list else 0


def grew(samples, slack):
    """The last quarter is above the second one."""
    n = len(samples) // 4
    return n > 4 and median(samples[3 * n:]) > 1.2 * median(samples[n:2 * n]) + slack


def table(world, workers, done, seconds):
    kinds = {}
    for w in workers:
        k = kinds.setdefault(type(w).__name__, [0, 0, 0, 0])
        for i, v in enumerate((1, w.requests, w.excused, w.reconnects)):
            k[i] += v
    print("| clients | | requests | failed, their server was down | connected again after an upgrade |\n|---|---|---|---|---|")
    for name, k in list(kinds.items()) + [("all", [sum(x) for x in zip(*kinds.values())])]:
        print("| %s | %d | %s | %d | %d |" % (name, k[0], "{:,}".format(k[1]), k[2], k[3]))
    print("\n%d s; changes: %s" % (seconds, ", ".join("%s %d" % (n.replace("_", " "), c) for n, c in done.items())))
    n = len(world.rss) // 4
    print("memory (MB), median of each quarter: %s; at most %.1f" %
          (", ".join("%.1f" % median([r for _, _, r in world.rss[i * n:(i + 1) * n]]) for i in range(4)), max(r for _, _, r in world.rss)))
    print("descriptors, median of each quarter: %s; at most %d" %
          (", ".join("%d" % median(world.fds[i * n:(i + 1) * n]) for i in range(4)), max(world.fds)))


def main():
    random.seed(args.seed)
    world = World()
    workers = [c(world, "%s%d" % (c.__name__.lower(), i), args.seed * 1000 + i) for i, c in enumerate(traffic.CLIENTS)]
    begin, done = time.monotonic(), {}
    for w in workers + [threading.Thread(target=world.sample, daemon=True)]:
        w.start()
    order = []
    try:
        for n in range(1, 1 << 30):
            due = begin + n * args.interval
            if due > begin + args.seconds - GRACE or world.stopping.wait(max(0, due - time.monotonic())):
                break
            order = order or random.sample(World.CHANGES, len(World.CHANGES))
            change = order.pop()
            print("# %4d s: %s" % (time.monotonic() - begin, change.__name__), file=sys.stderr, flush=True)
            change(world)
            done[change.__name__] = done.get(change.__name__, 0) + 1
        world.stopping.wait(max(0, begin + args.seconds - time.monotonic()))
    except Exception as e:
        world.fail("the driver: %s: %s" % (type(e).__name__, e))
    seconds = time.monotonic() - begin
    world.stopping.set()
    for w in workers:
        w.join(traffic.DEADLINE + 10)
        if w.is_alive():
            world.failures.append("%s hangs" % w.name)
        elif w.n == 0 and not world.failures:
            world.failures.append("%s never made a step" % w.name)
    finish(world)
    table(world, workers, done, seconds)
    for text in world.failures[:20]:
        print("FAILED: " + text)
    print("%s" % ("no wrong reply, no lost request" if not world.failures else "%d failures" % len(world.failures)))
    return 1 if world.failures else 0


def finish(world):
    """An orderly end, and nothing in the logs that should not be there."""
    proxy = world.proxy
    proxy.proc.signal(signal.SIGTERM)
    rc = proxy.proc.wait()
    text = proxy.log_text() + "".join(open("%s.%d" % (proxy.log, n + 1), errors="replace").read() for n in range(world.log_files))
    bad = sanitizer_report(text) + re.findall(r".*(?:assertion_failed|upgrade_lost|upgrade_failed|reload_failed|garbage).*", text)
    if rc != 0:
        bad.append("kvmux ended with %s" % rc)
    sanitized = "libasan" in subprocess.run(["ldd", harness.KVMUX], capture_output=True, text=True).stdout
    if not sanitized and grew([r for _, _, r in world.rss], 4):
        bad.append("memory grew")
    if grew(world.fds, 8):
        bad.append("descriptors grew")
    world.failures += bad
    for s in world.servers.values():
        s.stop()


try:
    status = main()
finally:
    harness.kill_leftovers()
    harness.remove_base()
sys.exit(status)
