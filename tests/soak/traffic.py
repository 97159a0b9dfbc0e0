"""Clients of the soak: each owns its keys, so it knows what every reply has to be, and what it may be after a server was killed.

A step that gets a wrong reply raises Wrong; one that gets an error or loses its connection raises whatever its library raises. What of that is
excused is for the world to say (soak.py): a killed server's keys, and connections that an upgrade ends.
"""
import random
import threading
import time

import pylibmc
import redis
from pymemcache.client.base import Client as PyMemcache
from redis.backoff import NoBackoff
from redis.retry import Retry

from harness import Raw, resp

DEADLINE = 30
# A client that neither connects again nor asks twice.
ONCE = dict(single_connection_client=True, retry=Retry(NoBackoff(), 0), socket_timeout=DEADLINE)


class Wrong(AssertionError):
    pass


def expect(got, want, what):
    if got != want:
        raise Wrong("%s: got %.200r, expected %.200r" % (what, got, want))


class Worker(threading.Thread):
    """One client: connects, then step after step until the world stops."""
    reconnects_after_upgrade = False   # what is not plain cannot go to another process

    def __init__(self, world, name, seed):
        super().__init__(name=name, daemon=True)
        self.world, self.rng = world, random.Random(seed)
        self.requests = self.excused = self.reconnects = self.n = 0

    def run(self):
        try:
            while not self.world.stopping.is_set():
                upgrades = self.world.upgrades
                self.connect()
                try:
                    while not self.world.stopping.is_set():
                        self.step()
                        self.n += 1
                except (OSError, EOFError, redis.exceptions.ConnectionError, redis.exceptions.WatchError, AssertionError) as e:
                    # the change that explains it may be noted a moment after it is felt
                    self.world.settle()
                    if isinstance(e, Wrong) or not self.reconnects_after_upgrade or upgrades == self.world.upgrades:
                        raise
                    self.reconnects += 1
                finally:
                    self.disconnect()
        except Exception as e:
            self.world.fail("%s, step %d: %s: %s" % (self.name, self.n, type(e).__name__, e))

    def value(self, key, version, size=20):
        """Says whose it is and which."""
        text = "%s=%d." % (key, version)
        return (text * (size // len(text) + 1)).encode()

    def check(self, key, version, size, got):
        expect(got, self.value(key, version, size), key)


# ------------------------------------------------------------------------------------------------ Redis, nothing happens to the servers

class Steady(Worker):
    """redis-py. Every reply must be right, and every request answered."""

    def connect(self):
        host, port = self.world.proxy.listens["a"]
        self.c = redis.Redis(host=host, port=port, **ONCE)

    def disconnect(self):
        self.c.close()

    def step(self):
        kind = self.rng.choice((self.plain, self.many, self.pipeline, self.transaction, self.script, self.list, self.large))
        kind("%s:%d" % (self.name, self.rng.randrange(200)))

    def plain(self, key):
        expect(self.c.set(key, self.value(key, self.n)), True, "SET")
        self.check(key, self.n, 20, self.c.get(key))
        self.requests += 2

    def many(self, key):
        keys = ["%s:%d" % (key, i) for i in range(8)]
        expect(self.c.mset({k: self.value(k, self.n) for k in keys}), True, "MSET")
        expect(self.c.mget(keys), [self.value(k, self.n) for k in keys], "MGET")
        expect(self.c.delete(*keys), 8, "DEL")
        self.requests += 3

    def pipeline(self, key):
        keys = ["%s.%d" % (key, i) for i in range(20)]
        with self.c.pipeline(transaction=False) as p:
            for k in keys:
                p.set(k, self.value(k, self.n)).get(k)
            expect(p.execute(), [x for k in keys for x in (True, self.value(k, self.n))], "a pipeline")
        self.requests += 40

    def transaction(self, key):
        with self.c.pipeline(transaction=True) as p:
            p.watch("{%s}n" % key)
            before = int(p.get("{%s}n" % key) or 0)
            p.multi()
            p.incr("{%s}n" % key).set("{%s}v" % key, self.n).get("{%s}v" % key)
            expect(p.execute(), [before + 1, True, b"%d" % self.n], "EXEC")
        self.requests += 6

    def script(self, key):
        got = self.c.eval("redis.call('SET', KEYS[1], ARGV[1]) return {KEYS[1], redis.call('GET', KEYS[1])}", 1, key, self.value(key, self.n))
        expect(got, [key.encode(), self.value(key, self.n)], "EVAL")
        self.requests += 1

    def list(self, key):
        key = "{%s}list%d" % (key, self.n)   # of its own: a connection that ends on the way leaves some of it there
        expect(self.c.rpush(key, self.n, self.n + 1), 2, "RPUSH")
        expect(self.c.blpop(key, 5), (key.encode(), b"%d" % self.n), "BLPOP")
        expect(self.c.lpop(key), b"%d" % (self.n + 1), "LPOP")
        self.requests += 3

    def large(self, key):
        if self.n % 10 == 0:
            key += ":large"
            expect(self.c.set(key, self.value(key, self.n, 1 << 20)), True, "SET of 1 MiB")
            self.check(key, self.n, 1 << 20, self.c.get(key))
            self.requests += 2


class Tls(Steady):
    """The same over TLS, whose connections end with their process: it connects again, and asks again."""
    reconnects_after_upgrade = True

    def connect(self):
        host, port = self.world.proxy.tls["a"]
        self.c = redis.Redis(host=host, port=port, ssl=True, ssl_ca_certs=self.world.ca.crt, **ONCE)


class Flood(Worker):
    """100 requests are always on their way."""

    def connect(self):
        self.c, self.sent, self.got = Raw(self.world.proxy.addr("a"), DEADLINE), 0, 0

    def disconnect(self):
        self.c.close()

    def step(self):
        while self.sent < self.got + 100:
            key = "%s:%d" % (self.name, self.sent % 500)
            self.c.post(resp("SET", key, self.value(key, self.sent)) + resp("GET", key))
            self.sent += 1
        for _ in range(50):
            value = self.value("%s:%d" % (self.name, self.got % 500), self.got)
            want = b"+OK\r\n$%d\r\n%s\r\n" % (len(value), value)
            expect(self.c.exact(len(want)), want, "a reply in the stream")
            self.got += 1
        self.requests += 100


class ComeAndGo(Worker):
    """A connection for each request: none may be refused."""

    def connect(self):
        pass

    disconnect = connect

    def step(self):
        key = "%s:%d" % (self.name, self.n % 100)
        with Raw(self.world.proxy.addr("a"), DEADLINE) as c:
            expect(c.cmd("SET", key, self.n), b"+OK\r\n", "SET")
            expect(c.value("GET", key), b"%d" % self.n, "GET")
        self.requests += 2
        time.sleep(0.002)


class Listener(Worker):
    """Listens to a channel on which it publishes: every message once and in order, as long as the connection lasts."""
    reconnects_after_upgrade = True

    def connect(self):
        self.listens, self.says = Raw(self.world.proxy.addr("a"), DEADLINE), Raw(self.world.proxy.addr("a"), DEADLINE)
        expect(self.listens.cmd("SUBSCRIBE", self.name)[:4], b"*3\r\n", "SUBSCRIBE")

    def disconnect(self):
        self.listens.close()
        self.says.close()

    def step(self):
        for i in range(5):
            text = self.value(self.name, self.n * 5 + i)
            self.says.value("PUBLISH", self.name, text)
            expect(self.listens.reply(), resp("message", self.name, text), "a message")
        self.requests += 10
        time.sleep(0.005)


# ------------------------------------------------------------------------------------------------ memcached, nothing happens to the servers

class Memcached(Worker):
    """pymemcache."""

    def connect(self):
        self.c = PyMemcache(self.world.proxy.addr("m"), timeout=DEADLINE, connect_timeout=DEADLINE)

    def disconnect(self):
        self.c.close()

    def step(self):
        key = "%s:%d" % (self.name, self.rng.randrange(200))
        keys = ["%s:%d" % (key, i) for i in range(8)]
        expect(self.c.set(key, self.value(key, self.n), noreply=False), True, "set")
        self.check(key, self.n, 20, self.c.get(key))
        self.c.set(key + "q", self.value(key, self.n), noreply=True)
        expect(self.c.get(key + "q"), self.value(key, self.n), "get behind a noreply")
        expect(self.c.set_many({k: self.value(k, self.n) for k in keys}, noreply=False), [], "sets")
        expect(self.c.get_many(keys), {k: self.value(k, self.n) for k in keys}, "get of 8")
        value, cas = self.c.gets(key)
        expect(self.c.cas(key, value, cas, noreply=False), True, "cas")
        expect(self.c.cas(key, value, cas, noreply=False), False, "cas of an old one")
        expect(self.c.delete(key, noreply=False), True, "delete")
        expect(self.c.get(key), None, "get of nothing")
        self.requests += 18


class Pylibmc(Worker):
    """libmemcached, in text or in its binary protocol."""
    binary = False

    def connect(self):
        self.c = pylibmc.Client(["%s:%d" % self.world.proxy.addr("m")], binary=self.binary,
                                behaviors={"connect_timeout": DEADLINE * 1000, "receive_timeout": DEADLINE * 1000000, "remove_failed": 0})

    def disconnect(self):
        self.c.disconnect_all()

    def step(self):
        key = "%s:%d" % (self.name, self.rng.randrange(200))
        keys = ["%s:%d" % (key, i) for i in range(8)]
        expect(self.c.set(key, self.value(key, self.n)), True, "set")
        self.check(key, self.n, 20, self.c.get(key))
        expect(self.c.set_multi({k: self.value(k, self.n) for k in keys}), [], "sets")
        expect(self.c.get_multi(keys), {k: self.value(k, self.n) for k in keys}, "get of 8")
        expect(self.c.set(key + "n", "7"), True, "set of a number")
        expect(self.c.incr(key + "n", 3), 10, "incr")
        expect(self.c.delete(key), True, "delete")
        expect(self.c.get(key), None, "get of nothing")
        self.requests += 23


class PylibmcBinary(Pylibmc):
    binary = True


# ------------------------------------------------------------------------------------------------ servers are killed

class Killed(Worker):
    """Its servers are killed, and come back empty. A request fails only when a server of its keys is down or just was; a value is gone only when
    its server was killed since; and never is there another value."""
    pool = "k"

    def __init__(self, world, name, seed):
        super().__init__(world, name, seed)
        keys = ["%s:%d" % (name, i) for i in range(100)]
        self.server = world.where(self.pool, keys)
        self.may = {k: {None} for k in keys}       # what may be there
        self.lives = {}                            # of its server when it was written last

    def connect(self):
        host, port = self.world.proxy.listens[self.pool]
        self.c = redis.Redis(host=host, port=port, **ONCE)

    def disconnect(self):
        self.c.close()

    def put(self, key, value):
        expect(self.c.set(key, value), True, "SET")

    def get(self, keys):
        return dict(zip(keys, self.c.mget(keys)))

    def step(self):
        keys = self.rng.sample(list(self.may), 5)
        self.ask(keys[:1], lambda: self.write(keys[0]))
        self.ask(keys, lambda: self.read(keys))

    def ask(self, keys, what):
        begin = time.monotonic()
        self.requests += 1
        try:
            what()
        except (redis.exceptions.ResponseError, OSError) as e:
            self.world.settle()
            if not any(self.world.was_down(self.server[k], begin) for k in keys):
                raise AssertionError("no server of %s was down: %s" % (keys, e))
            self.excused += 1

    def write(self, key):
        value, lives = self.value(key, self.n), self.world.lives[self.server[key]]
        self.may[key] = self.may[key] | {value}   # when it fails it may have been written all the same
        self.put(key, value)
        self.may[key], self.lives[key] = {value}, lives

    def read(self, keys):
        got = self.get(keys)
        for k in keys:
            self.judge(k, got.get(k))

    def judge(self, key, got):
        lives = self.world.lives[self.server[key]]
        if self.lives.get(key) != lives or lives % 2 == 1:   # odd: it is being killed, and started again
            self.may[key] = self.may[key] | {None}
        if got not in self.may[key]:
            raise Wrong("%s on %s: got %r, may be %r" % (key, self.server[key], got, self.may[key]))


class KilledMemcached(Killed):
    pool = "n"

    def connect(self):
        self.c = PyMemcache(self.world.proxy.addr("n"), timeout=DEADLINE, connect_timeout=DEADLINE)

    def put(self, key, value):
        try:
            expect(self.c.set(key, value, noreply=False), True, "set")
        except Exception as e:
            raise self.as_error(e)

    def get(self, keys):
        try:
            return self.c.get_many(keys)
        except Exception as e:
            raise self.as_error(e)

    def as_error(self, e):
        """pymemcache closes its connection at an error, and opens another one at the next request."""
        return e if isinstance(e, Wrong) or type(e).__name__ != "MemcacheServerError" else OSError(str(e))


# ------------------------------------------------------------------------------------------------ servers come and go

class Moving(Worker):
    """A server is added and removed. Nothing fails; a key that moved is not there, or is as it was when it was there before."""

    def connect(self):
        host, port = self.world.proxy.listens["g"]
        self.c = redis.Redis(host=host, port=port, **ONCE)
        self.version = {}

    def disconnect(self):
        self.c.close()

    def step(self):
        key = "%s:%d" % (self.name, self.rng.randrange(200))
        moves = self.world.moves
        expect(self.c.set(key, self.value(key, self.n)), True, "SET")
        got = self.c.get(key)
        if moves == self.world.moves and moves % 2 == 0:   # odd: keys move right now
            self.check(key, self.n, 20, got)
        keys = ["%s:%d" % (self.name, self.rng.randrange(200)) for _ in range(10)]
        for k, v in zip(keys, self.c.mget(keys)):
            if v is not None and not (v.startswith(k.encode() + b"=") and int(v.split(b"=")[1].split(b".")[0]) <= self.n):
                raise Wrong("%s has %r" % (k, v))
        self.requests += 3


CLIENTS = (Steady, Steady, Steady, Tls, Tls, Flood, ComeAndGo, Listener, Memcached, Pylibmc, PylibmcBinary, Killed, Killed, KilledMemcached, Moving)
