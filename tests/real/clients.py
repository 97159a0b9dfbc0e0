"""Applications in many languages, each run against a plain server and against kvmux over one and over four; what differs.

An application (node/app_*.js, apps/*) is called with HOST PORT AUTH_PORT and prints one JSON line for each check,
{"feature", "check", "result"}, and {"end": true} at its end. {"ask": "kill"} asks for the loss of all connections of the servers; it
goes on when it gets a line on its standard input. A check that ended badly has the result {"failed": why}; what a check means to
fail is the result {"error": text}."""
import collections
import concurrent.futures
import fnmatch
import json
import os
import re
import select
import shutil
import subprocess
import sys
import time

from harness import DEADLINE, HERE, HOST, MemcachedServer, Proxy, RedisServer, _die_with_parent, mc_pool, redis_pool, temp_dir

NPM = os.path.join(HERE, ".npm")
TARGETS = ("plain", "one", "four")
CHECK_SECONDS = DEADLINE / 2     # for one check
LIMIT = 6 * DEADLINE             # seconds for one application; each takes a few


# ------------------------------------------------------------------------------------------------ what is run

class Missing(Exception):
    """A client that is not installed here."""


def node():
    path = os.environ.get("NODE")
    if not path and os.path.exists(os.path.join(NPM, "node-path")):
        with open(os.path.join(NPM, "node-path")) as f:
            path = f.read().strip()
    path = path or shutil.which("node")
    if not path:
        raise Missing("no node: run tests/real/node/install.sh")
    return path


def npm_version(module):
    try:
        with open(os.path.join(NPM, "node_modules", module, "package.json")) as f:
            return json.load(f)["version"]
    except FileNotFoundError:
        raise Missing("npm package %s is missing: run tests/real/node/install.sh" % module)


def deb_version(package):
    p = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Version}", package], capture_output=True, text=True, timeout=30)
    words = p.stdout.split()
    if p.returncode or words[0] != "ii":
        raise Missing("Debian package %s is not installed" % package)
    return re.sub(r"^\d+:|[-+].*$", "", words[1])


class Client:
    """name: the column's head. what: "client", "library", "memcached". packages: npm modules or Debian packages, the client first.
    tag: the hash_tag of the pool that is used."""
    language = None

    def __init__(self, name, what, script, packages, argument=None, tag="{}"):
        self.name, self.what, self.script, self.packages, self.argument, self.tag = name, what, script, packages, argument, tag

    def version(self):
        return [self.version_of(p) for p in self.packages][0]

    def version_of(self, package):
        return deb_version(package)

    def env(self):
        return dict(os.environ)

    def command(self):
        raise NotImplementedError


class Node(Client):
    language = "JavaScript"

    def version_of(self, package):
        return npm_version(package)

    def env(self):
        return dict(os.environ, NODE_PATH=os.path.join(NPM, "node_modules"), NODE_NO_WARNINGS="1")

    def command(self):
        return [node(), os.path.join(HERE, "node", self.script)]


class Script(Client):
    def __init__(self, interpreter, language, *more, **options):
        super().__init__(*more, **options)
        self.interpreter, self.language = interpreter, language

    def command(self):
        path = shutil.which(self.interpreter)
        if not path:
            raise Missing("no %s" % self.interpreter)
        return [path, os.path.join(HERE, "apps", self.script)]


class Compiled(Client):
    language = "C"
    built = {}

    def command(self):
        binary = Compiled.built.get(self.script)
        if not binary:
            binary = os.path.join(temp_dir(), "app")
            cc = os.environ.get("CC", "cc").split()
            p = subprocess.run(cc + ["-Wall", "-O1", "-o", binary, os.path.join(HERE, "apps", self.script), "-lhiredis"], capture_output=True,
                               text=True, timeout=60)
            assert p.returncode == 0, "%s does not build (Debian packages libhiredis-dev, gcc):\n%s" % (self.script, p.stderr)
            Compiled.built[self.script] = binary
        return [binary]


PYTHON = "/usr/bin/python3"  # Debian's, which sees Debian's modules
CLIENTS = [
    Node("ioredis 5", "client", "app_ioredis.js", ["ioredis5"], "ioredis5"),
    Node("ioredis 6", "client", "app_ioredis.js", ["ioredis"], "ioredis"),
    Node("node-redis 5", "client", "app_node_redis.js", ["redis5"], "redis5"),
    Node("node-redis 6", "client", "app_node_redis.js", ["redis"], "redis"),
    Script(PYTHON, "Python", "redis-py", "client", "app_redis_py.py", ["python3-redis"]),
    Script(PYTHON, "Python", "redis-py asyncio", "client", "app_redis_asyncio.py", ["python3-redis"]),
    Compiled("hiredis", "client", "app_hiredis.c", ["libhiredis-dev"]),
    Script("php", "PHP", "phpredis", "client", "app_phpredis.php", ["php-redis", "php-cli"]),
    Script("ruby", "Ruby", "redis-rb", "client", "app_redis_rb.rb", ["ruby-redis"]),
    Script("perl", "Perl", "Redis.pm", "client", "app_redis_pl.pl", ["libredis-perl"]),
    Node("BullMQ", "library", "app_bullmq.js", ["bullmq", "ioredis"]),
    Node('BullMQ, `hash_tag: "::"`', "library", "app_bullmq.js", ["bullmq", "ioredis"], "bull", tag="::"),
    Node("bee-queue", "library", "app_bee.js", ["bee-queue"]),
    Node("express-session, connect-redis", "library", "app_sessions.js", ["connect-redis", "express-session", "redis"]),
    Script(PYTHON, "Python", "Celery", "library", "app_celery.py", ["python3-celery", "python3-kombu", "python3-redis"]),
    Script(PYTHON, "Python", "RQ", "library", "app_rq.py", ["python3-rq", "python3-redis"]),
    Script(PYTHON, "Python", 'RQ, `hash_tag: "r:"`', "library", "app_rq.py", ["python3-rq", "python3-redis"], tag="r:"),
    Node("rate-limiter-flexible", "library", "app_limits.js", ["rate-limiter-flexible", "ioredis", "redis"]),
    Node("socket.io, redis-adapter", "library", "app_socketio.js", ["@socket.io/redis-adapter", "socket.io", "ioredis", "redis"]),
    Script(PYTHON, "Python", "pymemcache", "memcached", "app_pymemcache.py", ["python3-pymemcache"]),
    Script(PYTHON, "C", "libmemcached", "memcached", "app_libmemcached.py", ["libmemcached-tools"]),
    Node("memjs", "memcached", "app_memjs.js", ["memjs"]),
    Script(PYTHON, "Python", "pylibmc, binary", "memcached", "app_pylibmc.py", ["python3-pylibmc"]),
    Script("ruby", "Ruby", "dalli, binary", "memcached", "app_dalli.rb", ["ruby-dalli"]),
]


# ------------------------------------------------------------------------------------------------ where it is run

class Farm:
    """Three targets with servers of their own: a plain server, kvmux over one, kvmux over four. Each is there a second time
    with a password (pw) and a user (app, password apw)."""

    def __init__(self, kind):
        self.servers, self.locked, pools = {}, {}, {}
        make = RedisServer if kind == "redis" else MemcachedServer
        for target, n in (("plain", 1), ("one", 1), ("four", 4)):
            self.servers[target] = [make() for _ in range(n)]
            self.locked[target] = [make(requirepass="pw", user="app on >apw ~* &* +@all") for _ in range(n)] if kind == "redis" else []
            if target != "plain" and kind == "redis":
                for tag in {c.tag for c in CLIENTS}:
                    pools[target + tag] = redis_pool(self.servers[target], hash_tag=tag, cross_shard_blocking="rotate", blocking_failure="close", timeout=20000)
                pools[target + "-auth"] = redis_pool(self.locked[target], hash_tag="{}", timeout=20000, redis_auth="pw", users=[{"name": "app", "password": "apw"}])
            elif target != "plain":
                pools[target + "{}"] = mc_pool(self.servers[target], hash_tag="{}", timeout=20000)
        self.proxy = Proxy(pools, kind="kvmux")

    def close(self):
        for s in sum(list(self.servers.values()) + list(self.locked.values()), []):
            s.stop()
        self.proxy.stop()

    def ports(self, target, tag):
        if target == "plain":
            locked = self.locked["plain"]
            return self.servers["plain"][0].port, locked[0].port if locked else 0
        return self.proxy.addr(target + tag)[1], self.proxy.addr(target + "-auth")[1] if self.locked[target] else 0

    def flush(self):
        for s in sum(self.servers.values(), []):
            s.flush()

    def kill(self, target):
        """Every connection of the servers is closed, the clients' or those of kvmux."""
        for s in self.servers[target]:
            with s.client() as c:
                for kind in ("normal", "pubsub"):
                    c.cmd("CLIENT", "KILL", "TYPE", kind)


def run(client, farm, target):
    """(checks in order as {(feature, check): result}, what went wrong or None)."""
    port, auth_port = farm.ports(target, client.tag)
    argv = client.command() + [HOST, str(port), str(auth_port)] + ([client.argument] if client.argument else [])
    errors = os.path.join(temp_dir("app"), "stderr")
    with open(errors, "wb") as err:
        p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, env=dict(client.env(), CHECK_SECONDS="%d" % CHECK_SECONDS), preexec_fn=_die_with_parent)
    found, ended, end, buffered = collections.OrderedDict(), False, time.monotonic() + LIMIT, b""
    try:
        while True:
            line, nl, rest = buffered.partition(b"\n")
            if not nl:
                if not select.select([p.stdout], [], [], max(0, end - time.monotonic()))[0]:
                    return found, "took longer than %d s, after %s" % (LIMIT, list(found)[-1:])
                data = os.read(p.stdout.fileno(), 1 << 16)
                if not data:
                    break
                buffered += data
                continue
            buffered = rest
            try:
                said = json.loads(line)
            except ValueError:
                return found, "wrote %r" % line[:300]
            if "ask" in said:
                assert said["ask"] == "kill", said
                farm.kill(target)
                p.stdin.write(b"done\n")
                p.stdin.flush()
            elif said.get("end"):
                ended = True
            else:
                key = (said["feature"], said["check"])
                assert key not in found, "two checks %s" % (key,)
                if "result" not in said:
                    return found, "no result: %r" % line
                found[key] = said["result"]
        rc = p.wait(10)
        with open(errors, "rb") as f:
            words = f.read().decode("utf-8", "replace")[-2000:]
        return found, None if ended and rc == 0 else "status %d after %s: %s" % (rc, list(found)[-1:], words)
    finally:
        if p.poll() is None:
            p.kill()
            p.wait()
        p.stdin.close()
        p.stdout.close()


# ------------------------------------------------------------------------------------------------ what differs, and may

# What cannot be as on one server: {(clients, feature, check): (letter, the error that the answer must have, targets)}, names with * as in
# file names.
LIMITS = {
    ("*", "multi-key", "msetnx of any keys"): ("a", "CROSSSLOT", ("four",)),
    ("*", "transactions", "any keys"): ("a", "CROSSSLOT|EXECABORT|aborted", ("four",)),
    ("*", "scripts", "any keys"): ("a", "CROSSSLOT", ("four",)),
    ("BullMQ", "queue", "without a hash tag"): ("a", "CROSSSLOT", ("four",)),
    ("RQ", "jobs", "*"): ("b", "CROSSSLOT", ("four",)),
    ("hiredis", "SWAPDB", "*"): ("c", "on all servers of the pool at the same moment", ("four",)),
    ("hiredis", "not through a proxy", "*"): ("c", "ERR '.*' is (refused|not supported) by kvmux", ("one", "four")),
}
LIMIT_REASONS = {
    "a": "over four servers, one command, script or transaction over keys of several servers is refused with `-CROSSSLOT`; keys with a hash tag in common work",
    "b": "over one server only: its transactions use keys that have no hash tag in common",
    "c": "refused with an error that says why",
}

# Not yet as plain Redis: {(clients, feature, check): reason}. An entry that nothing needs any more fails the test.
KNOWN = {
}


def entry_for(table, client, key):
    """The key of the first entry for a check of a client."""
    for entry in table:
        if all(fnmatch.fnmatchcase(value, pattern) for value, pattern in zip((client.name,) + key, entry)):
            return entry
    return None


class Outcome:
    """One client: its checks on the three targets. differences: {(target, feature, check): text} of those that nothing allows."""

    def __init__(self, client, farm):
        self.client = client
        self.version = client.version()
        client.command()  # what must be built is built before the three run
        farm.flush()
        with concurrent.futures.ThreadPoolExecutor(len(TARGETS)) as pool:
            runs = dict(zip(TARGETS, pool.map(lambda t: run(client, farm, t), TARGETS)))
        self.found = {t: r[0] for t, r in runs.items()}
        for t, r in runs.items():
            self.found[t][("end", "runs to its end")] = {"failed": r[1]} if r[1] else True
        self.broken = [(k, v) for k, v in self.found["plain"].items() if isinstance(v, dict) and "failed" in v]
        self.limits, self.known, self.used, self.differences = {}, {}, set(), {}
        for target in ("one", "four"):
            for key, want in self.found["plain"].items():
                self.judge(target, key, want, self.found[target].get(key, {"failed": "not run"}))

    def judge(self, target, key, want, got):
        if want == got:
            return
        said = json.dumps(got)
        letter, words, targets = LIMITS.get(entry_for(LIMITS, self.client, key), (None, None, ()))
        if target in targets and "error" in said and re.search(words, said):
            self.limits.setdefault(key[0], {}).setdefault(target, set()).add(letter)
            return
        entry = entry_for(KNOWN, self.client, key)
        if entry:
            self.used.add(entry)
            self.known.setdefault(key[0], {}).setdefault(target, set()).add(KNOWN[entry])
            return
        self.differences[(target,) + key] = "plain: %s\n%skvmux: %s" % (json.dumps(want)[:600], " " * 4, json.dumps(got)[:600])

    def features(self):
        return list(collections.OrderedDict.fromkeys(f for f, _ in self.found["plain"] if f != "end"))

    def explain(self, short=False):
        if short:  # both targets alike are said once
            said = collections.OrderedDict()
            for (t, f, c), text in self.differences.items():
                said.setdefault((f, c, text), []).append(t)
            return "\n".join(["  broken: %s %s" % b for b in self.broken] +
                             ["  %s, %s (%s)\n    %s" % (f, c, " ".join(t), text) for (f, c, text), t in said.items()])
        lines = ["%s: %s fails on a plain server: %s" % (self.client.name, k, v) for k, v in self.broken]
        lines += ["%s over %s server%s, %s, %s:\n    %s" % (self.client.name, t, "s" * (t == "four"), f, c, text) for (t, f, c), text in self.differences.items()]
        return "\n".join(lines)


if __name__ == "__main__":  # clients.py NAME...: shows what differs, e.g. while an application is written
    for what in ("redis", "memcached"):
        mine = [c for c in CLIENTS if (c.what == "memcached") == (what == "memcached") and any(fnmatch.fnmatchcase(c.name, n) for n in sys.argv[1:])]
        if mine:
            farm = Farm(what)
            for c in mine:
                begin = time.monotonic()
                out = Outcome(c, farm)
                print("%s %s: %d checks, %.1f s\n%s" % (c.name, out.version, len(out.found["plain"]), time.monotonic() - begin, out.explain(short=True)))
            farm.close()
