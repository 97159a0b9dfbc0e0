"""pymemcache as an application uses it: one client, its pool, its wrapper for several servers. See checks.py."""
from pymemcache import serde
from pymemcache.client.base import Client, PooledClient
from pymemcache.client.hash import HashClient
from pymemcache.client.retrying import RetryingClient

from checks import HOST, LIMIT, PORT, check, error, run, spread


def main():
    c = Client((HOST, PORT), connect_timeout=LIMIT, timeout=LIMIT)
    keys = spread(60, "m:")
    check("connect", "version", lambda: [c.version().count(b"."), PooledClient((HOST, PORT)).version() == c.version()])
    check("get, set", "set get delete", lambda: [c.set("a", "1"), c.get("a"), c.get("none"), c.get("none", "else"), c.delete("a", noreply=False), c.delete("a", noreply=False), c.get("a")])
    check("get, set", "without an answer", lambda: [[c.set("n%d" % i, str(i)) for i in range(50)], c.get("n49"), c.get("n0"), c.delete("n0"), c.get("n0")])
    check("get, set", "bytes, expiry", lambda: [c.set("b", b"\0\r\n\xff END\r\n", expire=1000, noreply=False), c.get("b"), c.set("gone", "x", expire=-1, noreply=False), c.get("gone")])
    check("add, replace, append", "all", lambda: [c.add("k", "1", noreply=False), c.add("k", "2", noreply=False), c.replace("k", "3", noreply=False), c.replace("none", "3", noreply=False),
                                                  c.append("k", "4", noreply=False), c.prepend("k", "2", noreply=False), c.get("k")])
    check("cas", "gets cas", lambda: [(lambda v, t: [v, c.cas("k", "mine", t, noreply=False), c.cas("k", "late", t, noreply=False), c.get("k")])(*c.gets("k")), c.cas("none", "x", b"1", noreply=False)])
    check("counters", "incr decr", lambda: [c.set("i", "10"), c.incr("i", 5), c.decr("i", 100), c.incr("none", 1), error(lambda: c.incr("k", 1))])
    check("touch", "touch", lambda: [c.touch("k", 100, noreply=False), c.touch("none", 100, noreply=False), c.get("k")])
    check("many keys", "set get delete", lambda: [c.set_many({k: "v" + k for k in keys}, noreply=False), c.get_many(keys + ["none"]), len(c.gets_many(keys)), c.delete_many(keys[:30], noreply=False), len(c.get_many(keys))])
    check("other clients", "pool, hash, retrying", lambda: [
        PooledClient((HOST, PORT), max_pool_size=4).set("p", "1", noreply=False), HashClient([(HOST, PORT)]).get("p"), RetryingClient(c, attempts=2).get("p"),
        (lambda s: [s.set("j", {"x": [1, 2]}, noreply=False), s.get("j")])(Client((HOST, PORT), serde=serde.pickle_serde))])
    check("large values", "900 KB, too large", lambda: [c.set("big", "x" * 900000, noreply=False), len(c.get("big")), error(lambda: c.set("huge", "x" * (5 << 20), noreply=False)), c.get("a")])
    check("errors", "keys", lambda: [error(lambda: c.get("with space")), error(lambda: c.get("x" * 300))])
    check("stats, flush", "stats flush_all", lambda: [b"pid" in c.stats() or len(c.stats()) > 0, c.flush_all(noreply=False), c.get("k")])
    check("connect", "quit", lambda: c.quit())


run(main)
