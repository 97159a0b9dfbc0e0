"""Commands that are not in kvmux's table: learned of the servers, configured, denied.

A Redis with modules, or one of next year, is played by `Taught`: a small server that says of itself what a test wants. Configured rows
are tried on real servers, whose commands have other names there (rename-command)."""
import hashlib
import socketserver
import subprocess
import threading
import time

import pytest

from harness import HOST, KVMUX, NIL, OK, Proxy, Raw, RedisServer, array, bulk, hold, integer, redis_pool, resp, wait_until

pytestmark = pytest.mark.kvmux_only
QUEUED = b"+QUEUED\r\n"


def encode(x):
    if isinstance(x, bytes):
        return x
    if isinstance(x, list):
        return b"*%d\r\n" % len(x) + b"".join(encode(e) for e in x)
    if isinstance(x, int):
        return b":%d\r\n" % x
    if x.startswith("+"):
        return x.encode() + b"\r\n"
    return bulk(x)


def row(name, arity, flags, first=0, last=0, step=0, specs=(), tips=(), subs=()):
    return [name, arity, ["+" + f for f in flags.split()], first, last, step, [], list(tips), list(specs), list(subs)]


def spec(begin, find):
    return ["flags", ["+RW"], "begin_search", begin, "find_keys", find]


def index(n):
    return ["type", "index", "spec", ["index", n]]


def keyword(word, start):
    return ["type", "keyword", "spec", ["keyword", word, "startfrom", start]]


def key_range(last, step=1, limit=0):
    return ["type", "range", "spec", ["lastkey", last, "keystep", step, "limit", limit]]


def keynum(number, first, step=1):
    return ["type", "keynum", "spec", ["keynumidx", number, "firstkey", first, "keystep", step]]


TABLE = [
    row("my.get", 2, "readonly", 1, 1, 1),
    row("my.set", 3, "write", 1, 1, 1),
    row("my.mget", -2, "readonly", 1, -1, 1, [spec(index(1), key_range(-1))], ["request_policy:multi_shard"]),
    row("my.sum", -3, "readonly movablekeys", specs=[spec(index(2), keynum(0, 1))]),
    row("my.to", -3, "write movablekeys", specs=[spec(index(1), key_range(0)), spec(keyword("TO", 2), key_range(0))]),
    row("my.size", 1, "readonly", tips=["request_policy:all_shards", "response_policy:agg_sum"]),
    row("my.box", -2, "", subs=[row("my.box|get", 3, "readonly", 2, 2, 1)]),
    row("my.pop", -3, "write blocking", 1, -2, 1),
    row("my.listen", -2, "pubsub"),
    row("my.login", -2, "no_auth fast"),
    row("my.stop", -1, "admin"),
    row("my.init", -1, "write"),
    row("my.secret", -1, "readonly movablekeys"),
]


class Taught:
    """A server with a few string commands under names of its own. `table`: its answer to COMMAND, an error as bytes."""

    def __init__(self, table=TABLE, version="8.8.0", password=None):
        self.table, self.version, self.password, self.run_id = table, version, password, "run1"
        self.data, self.seen, self.conns, self.total = {}, [], set(), 0
        self.lock, self.wake = threading.Lock(), threading.Condition()
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                outer.serve(self.request)

        class Listener(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self.listener = Listener((HOST, 0), Handler)
        self.port = self.listener.server_address[1]
        threading.Thread(target=self.listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.drop()
        self.listener.shutdown()
        self.listener.server_close()

    def entry(self, weight=1, name=None):
        return "%s:%d:%d" % (HOST, self.port, weight) + (" " + name if name else "")

    @property
    def name(self):
        return "%s:%d" % (HOST, self.port)

    def drop(self):
        """Closes every connection, as a restart does."""
        with self.lock:
            conns, self.conns = self.conns, set()
        for c in conns:
            try:
                c.shutdown(2)
            except OSError:
                pass

    def asked(self, *words):
        with self.lock:
            return sum(1 for s in self.seen if s[:len(words)] == list(words))

    def serve(self, sock):
        with self.lock:
            self.conns.add(sock)
            self.total += 1
        conn = Raw.of(sock)
        conn.deadline, conn.authed, conn.queue = 600, self.password is None, None
        try:
            while True:
                n = int(conn.line()[1:])
                words = []
                for _ in range(n):
                    length = int(conn.line()[1:])
                    words.append(conn.exact(length + 2)[:-2].decode())
                words[0] = words[0].lower()
                with self.lock:
                    self.seen.append(words)
                conn.send(encode(self.answer(conn, words)))
        except (AssertionError, EOFError, OSError, ValueError):
            pass
        finally:
            with self.lock:
                self.conns.discard(sock)
            sock.close()

    def answer(self, conn, words):
        name, args = words[0], words[1:]
        if name == "auth":
            conn.authed = args[-1] == self.password
            return OK if conn.authed else b"-WRONGPASS no\r\n"
        if not conn.authed:
            return b"-NOAUTH Authentication required.\r\n"
        if name == "multi":
            conn.queue = []
            return OK
        if name == "exec":
            queue, conn.queue = conn.queue, None
            return [self.answer(conn, w) for w in queue]
        if conn.queue is not None:
            conn.queue.append(words)
            return QUEUED
        if name == "info":
            return bulk("# Server\r\nredis_version:%s\r\nrun_id:%s\r\n" % (self.version, self.run_id))
        if name == "command":
            return self.table
        return self.work(name, args)

    def work(self, name, args):
        d = self.data
        if name == "my.get" or (name == "my.box" and args[0].lower() == "get"):
            return bulk(d[args[-1]]) if args[-1] in d else NIL
        if name == "my.set":
            with self.wake:
                d[args[0]] = args[1]
                self.wake.notify_all()
            return OK
        if name == "my.mget":
            return [bulk(d[k]) if k in d else NIL for k in args]
        if name == "my.sum":
            return sum(int(d[k]) for k in args[2:2 + int(args[1])])
        if name == "my.to":
            d[args[-1]] = d[args[0]]
            return OK
        if name == "my.size":
            return len(d)
        if name == "my.pop":
            with self.wake:
                self.wake.wait_for(lambda: args[0] in d, timeout=20)
                return bulk(d.pop(args[0]))
        return b"-ERR unknown command '%s'\r\n" % name.encode()


def key_on(px, server):
    """A key that lives on that server."""
    keys = [hashlib.md5(b"%d" % i).hexdigest()[:12] for i in range(200)]
    out = subprocess.run([KVMUX, "-c", px.conf, "--where", "p"], input="\n".join(keys) + "\n", capture_output=True, text=True, check=True).stdout
    return next(line.split("\t")[0] for line in out.splitlines() if line.split("\t")[1] == server.name)


def learned(px, n=1):
    wait_until(lambda: px.log_text().count("commands_learned") >= n, "%d servers have told their commands" % n)


@pytest.fixture()
def two():
    with Taught() as a, Taught() as b:
        yield a, b


@pytest.fixture()
def px(two):
    with Proxy({"p": redis_pool(two, hash_tag="{}")}) as p:
        yield p


def teach(px, two, c):
    """Touches both servers, and waits until kvmux knows what they told and every worker was told of it."""
    for s in two:
        c.cmd("GET", key_on(px, s))
    learned(px, 2)
    wait_until(lambda: b"unknown command" not in c.cmd("MY.SIZE"), "the worker knows")


def spread(px, two):
    return [key_on(px, s) for s in two]


def test_nobody_is_asked_before_somebody_comes(px, two):
    with px.client() as c:
        assert c.cmd("PING") == b"+PONG\r\n"
        assert c.cmd("MY.GET", "a").startswith(b"-ERR unknown command 'MY.GET', with args beginning with: 'a'")
        hold(0.5, lambda: all(s.total == 0 for s in two))


def test_learned_commands_are_routed(px, two):
    with px.client() as c:
        teach(px, two, c)
        ka, kb = spread(px, two)
        assert c.cmd("MY.SET", ka, "1") == OK and c.cmd("MY.SET", kb, "2") == OK
        assert ka in two[0].data and kb in two[1].data and len(two[0].data) == len(two[1].data) == 1
        assert c.cmd("my.get", ka) == bulk("1") and c.cmd("my.GET", kb) == bulk("2")
        assert c.cmd("MY.MGET", kb, ka, kb, "nokey" + ka) == array(bulk("2"), bulk("1"), bulk("2"), NIL)
        assert c.cmd("MY.SIZE") == integer(2)
        assert c.cmd("MY.BOX", "GET", ka) == bulk("1")
        assert c.cmd("MY.SUM", "x", 2, ka, ka) == integer(2)
        assert c.cmd("MY.SUM", "x", 2, ka, kb).startswith(b"-CROSSSLOT Keys in request don't hash to the same slot")
        assert c.cmd("MY.TO", ka, "to", kb).startswith(b"-CROSSSLOT ")
        assert c.cmd("MY.TO", ka, "TO", ka) == OK
        assert c.cmd("MY.GET") == b"-ERR wrong number of arguments for 'my.get' command\r\n"
        assert c.cmd("MY.BOX", "PUT", ka) == b"-ERR unknown subcommand 'PUT'. Try MY.BOX HELP.\r\n"
        assert c.cmd("NOBODY.KNOWS").startswith(b"-ERR unknown command")
        stats = px.stats("p")
        assert stats["learned_commands"] == len(TABLE) + 1 and stats["dropped_commands"] == 0


def test_learned_commands_in_a_transaction(px, two):
    with px.client() as c:
        teach(px, two, c)
        ka, kb = spread(px, two)
        got = c.pipeline([("MULTI",), ("MY.SET", ka, "5"), ("MY.GET", ka), ("EXEC",)])
        assert got == [OK, QUEUED, QUEUED, b"*2\r\n" + OK + bulk("5")]
        got = c.pipeline([("MULTI",), ("MY.SET", ka, "5"), ("MY.GET", kb), ("EXEC",)])
        assert got[2].startswith(b"-CROSSSLOT ") and got[3].startswith(b"-EXECABORT ")
        got = c.pipeline([("MULTI",), ("MY.LISTEN", "x"), ("EXEC",)])
        assert got[1].startswith(b"-ERR 'my.listen' is refused by kvmux") and got[2].startswith(b"-EXECABORT ")


def test_learned_command_that_waits(px, two):
    """On a connection of its own: others go on."""
    with px.client() as c, px.client() as waiter:
        teach(px, two, c)
        ka, _ = spread(px, two)
        wait_until(lambda: b"unknown" not in waiter.cmd("MY.SIZE"), "the other worker knows")
        waiter.post(resp("MY.POP", ka, "0"))
        waiter.flush()
        wait_until(lambda: two[0].asked("my.pop") == 1, "it waits")
        assert c.cmd("MY.SIZE") == integer(0)
        assert c.cmd("MY.SET", ka, "x") == OK
        assert waiter.reply() == bulk("x")


@pytest.mark.parametrize("words,why", [
    (("MY.LISTEN", "x"), b"the servers say that it belongs to publish and subscribe"),
    (("MY.LOGIN", "x"), b"the servers say that it may change the state of its connection"),
    (("MY.STOP",), b"the servers call it a command for administrators"),
    (("MY.INIT",), b"it changes data and has no key that says on which server"),
    (("MY.SECRET", "x"), b"the servers do not say where its keys are; add it to commands: in the configuration"),
])
def test_refused(px, two, words, why):
    with px.client() as c:
        teach(px, two, c)
        answer = c.cmd(*words)
        assert answer.startswith(b"-ERR '%s' is refused by kvmux: " % words[0].lower().encode()) and why in answer
        assert sum(s.asked(words[0].lower()) for s in two) == 0
        assert c.cmd("PING") == b"+PONG\r\n"


def test_version_of_the_servers(two):
    two[0].version, two[1].version = "8.10.1", "8.9.0"
    with Proxy({"p": redis_pool(two)}) as px, px.client() as c:
        assert b"\r\nredis_version:7.0.0\r\n" in c.cmd("INFO", "server")
        teach(px, two, c)
        assert b"\r\nredis_version:8.9.0\r\n" in c.cmd("INFO", "server")


def test_known_when_one_server_knows_it():
    with Taught(TABLE) as a, Taught([row("my.get", 2, "readonly", 1, 1, 1), row("my.new", 2, "readonly", 1, 1, 1)]) as b:
        with Proxy({"p": redis_pool([a, b])}) as px, px.client() as c:
            teach(px, (a, b), c)
            assert c.cmd("MY.NEW", key_on(px, b)) == b"-ERR unknown command 'my.new'\r\n"  # the server's own words
            assert b.asked("my.new") == 1


def test_asked_again_after_a_restart(px, two):
    """Another process: its commands are asked for again; the same one: not. At most every ten seconds."""
    with px.client() as c:
        teach(px, two, c)
        ka, kb = spread(px, two)
        assert [s.asked("command") for s in two] == [1, 1]
        two[0].table = TABLE + [row("my.new", 2, "readonly", 1, 1, 1)]
        two[0].run_id = "run2"
        assert c.cmd("MY.NEW", ka).startswith(b"-ERR unknown command 'MY.NEW', with")
        for s in two:
            s.drop()
        begin = time.monotonic()

        def knows():
            for k in (ka, kb):
                c.cmd("MY.GET", k)
            return not c.cmd("MY.NEW", ka).startswith(b"-ERR unknown command 'MY.NEW', with")
        wait_until(knows, "it is known", deadline=40)
        assert time.monotonic() - begin < 30
        wait_until(lambda: two[1].asked("info", "server") >= 2, "the other one was asked who it is", deadline=40)
        assert [s.asked("command") for s in two] == [2, 1]


def test_servers_with_a_password():
    with Taught(password="s3cret") as s, Proxy({"p": redis_pool([s], redis_auth="s3cret")}) as px, px.client() as c:
        assert c.cmd("AUTH", "s3cret") == OK
        c.cmd("GET", "a")
        learned(px)
        wait_until(lambda: c.cmd("MY.SET", "a", "b") == OK, "known")


def test_servers_that_tell_nothing():
    with Taught(table=b"-NOPERM this user has no permissions to run the 'command' command\r\n") as s:
        with Proxy({"p": redis_pool([s])}) as px, px.client() as c:
            c.cmd("GET", "a")
            wait_until(lambda: "commands_not_told" in px.log_text(), "the log says it")
            assert c.cmd("MY.GET", "a").startswith(b"-ERR unknown command")
            wait_until(lambda: b"redis_version:8.8.0" in c.cmd("INFO"), "its version is known")


def test_learning_can_be_switched_off(two):
    with Proxy({"p": redis_pool(two, learn_commands="false")}) as px, px.client() as c:
        for k in spread(px, two):
            c.cmd("GET", k)
        hold(1.0, lambda: all(s.asked("command") + s.asked("info") == 0 for s in two))
        assert c.cmd("MY.GET", "a").startswith(b"-ERR unknown command")


def test_real_server_has_nothing_new(shards):
    with Proxy({"p": redis_pool(shards)}) as px, px.client() as c:
        for s in shards:
            assert c.cmd("SET", key_on(px, s), "1") == OK
        learned(px, len(shards))
        assert "new_commands=0" in px.log_text() and "commands_dropped" not in px.log_text()
        version = shards[0].info("redis_version").encode()
        wait_until(lambda: b"\r\nredis_version:%s\r\n" % version in c.cmd("INFO", "server"), "the version")


# ------------------------------------------------------------------------------------------------ configured

RENAMED = "SET my.set --rename-command GET my.get --rename-command BLPOP my.pop --rename-command EVAL my.eval " \
          "--rename-command DBSIZE my.size --rename-command MSET my.mset"
COMMANDS = """
    - {name: my.set, first_key: 1, write: true}
    - {name: my.get, first_key: 1}
    - {name: my.mset, first_key: 1, last_key: -1, key_step: 2, write: true}
    - {name: my.pop, first_key: 1, last_key: -2, write: true, blocking: true}
    - {name: my.eval, numkeys: 2}
    - {name: my.size, keys: none, route: all, merge: sum}
    - {name: flushdb, keys: none, route: any, write: true}"""



@pytest.fixture(scope="module")
def renamed():
    servers = [RedisServer(rename_command=RENAMED) for _ in range(3)]
    yield servers
    for s in servers:
        s.stop()


class Configured(Proxy):
    """With lines of YAML behind the keys of its pool."""
    extra = ""

    def write_conf(self):
        super().write_conf()
        with open(self.conf, "a", encoding="utf-8") as f:
            f.write(self.extra)


def test_configured_commands(renamed):
    class P(Configured):
        extra = "  commands:" + COMMANDS + "\n"
    with P({"p": redis_pool(renamed, hash_tag="{}")}) as px, px.client() as c, px.client() as other:
        keys = [key_on(px, s) for s in renamed]
        assert c.cmd("GET", keys[0]).startswith(b"-ERR unknown command 'GET'")  # it has another name there
        for k in keys:
            assert c.cmd("MY.SET", k, k) == OK
        assert c.cmd("MY.SIZE") == integer(3)
        for k, s in zip(keys, renamed):
            assert c.cmd("MY.GET", k) == bulk(k)
            with s.client() as direct:
                assert direct.cmd("my.get", k) == bulk(k)
        assert c.cmd("MY.EVAL", "return KEYS[1]", 1, keys[1], "x") == bulk(keys[1])
        assert c.cmd("MY.EVAL", "return 7", 0) == integer(7)
        assert c.cmd("MY.MSET", keys[0], 1, keys[1], 2).startswith(b"-CROSSSLOT ")
        assert c.cmd("MY.MSET", "{t}a", 1, "{t}b", 2) == OK and c.cmd("MY.GET", "{t}b") == bulk("2")
        other.post(resp("MY.POP", "{t}l", "0"))
        other.flush()
        wait_until(lambda: sum(int(s.info("blocked_clients")) for s in renamed) == 1, "it waits")
        assert c.cmd("RPUSH", "{t}l", "x") == integer(1)
        assert other.reply() == b"*2\r\n" + bulk("{t}l") + bulk("x")
        assert c.cmd("FLUSHDB") == OK
        assert c.cmd("MY.SIZE") != integer(0)  # one server of three, as the configuration wants it


def test_configured_before_learned(two):
    class P(Configured):
        extra = "  commands:\n    - {name: my.init, keys: none, route: all}\n    - {name: my.get, keys: none, route: any}\n" \
                "  deny_commands: [my.set, keys, \"config|get\"]\n"
    with P({"p": redis_pool(two)}) as px, px.client() as c:
        teach(px, two, c)
        assert c.cmd("MY.INIT") == b"-ERR unknown command 'my.init'\r\n"
        assert [s.asked("my.init") for s in two] == [1, 1]
        assert c.cmd("MY.SET", "a", "b") == b"-ERR 'my.set' is denied by the configuration of kvmux (deny_commands)\r\n"
        assert sum(s.asked("my.set") for s in two) == 0
        for s in two:
            c.cmd("MY.GET", key_on(px, s))
        assert sorted(s.asked("my.get") for s in two) == [0, 2]  # any: always the same


# ------------------------------------------------------------------------------------------------ denied

DENIED = b"-ERR '%s' is denied by the configuration of kvmux (deny_commands)\r\n"


def test_denied_commands(shards):
    class P(Configured):
        extra = "  deny_commands: [KEYS, flushall, \"object|freq\", script, my.own]\n"
    with P({"p": redis_pool(shards)}) as px, px.client() as c:
        assert c.cmd("SET", "a", "1") == OK
        assert c.cmd("KEYS", "*") == DENIED % b"keys"
        assert c.cmd("FlushAll") == DENIED % b"flushall"
        assert c.cmd("OBJECT", "FREQ", "a") == DENIED % b"object|freq"
        assert c.cmd("SCRIPT", "LOAD", "return 1") == DENIED % b"script"
        assert c.cmd("MY.OWN") == DENIED % b"my.own"
        assert c.cmd("OBJECT", "ENCODING", "a") == bulk("int")
        assert c.pipeline([("MULTI",), ("GET", "a"), ("KEYS", "*"), ("EXEC",), ("GET", "a")]) == [
            OK, QUEUED, DENIED % b"keys", b"-EXECABORT Transaction discarded because of previous errors.\r\n", bulk("1")]
        # scripts are the servers' own matter
        assert c.cmd("EVAL", "return #redis.call('keys', '*')", 1, "a") == integer(1)
        assert c.cmd("FLUSHDB") == OK


@pytest.mark.parametrize("words", [
    ("MONITOR",), ("SYNC",), ("PSYNC", "?", "-1"), ("SHUTDOWN",), ("SHUTDOWN", "NOSAVE"), ("DEBUG", "SLEEP", "0"), ("DEBUG", "JMAP"),
    ("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "REWRITE"), ("REPLICAOF", "NO", "ONE"), ("SLAVEOF", "NO", "ONE"), ("FAILOVER",),
    ("CLIENT", "TRACKING", "ON"), ("CLIENT", "TRACKING", "ON", "BCAST"), ("MODULE", "LOAD", "/x"),
])
def test_dangerous_commands_say_why(shards, words):
    with Proxy({"p": redis_pool(shards)}) as px, px.client() as c:
        answer = c.cmd(*words)
        name = words[0].lower() + ("|" + words[1].lower() if words[0] in ("CONFIG", "CLIENT", "MODULE") else "")
        assert answer.startswith(b"-ERR '%s' is refused by kvmux: " % name.encode()), answer
        assert c.cmd("PING") == b"+PONG\r\n"
        assert c.pipeline([("MULTI",), words, ("EXEC",)])[2].startswith(b"-EXECABORT ")
    for s in shards:
        assert s.proc.alive() and s.info("role") == "master"
