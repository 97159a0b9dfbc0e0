"""pylibmc (libmemcached) with binary=True as an application uses it. See checks.py."""
import pylibmc

from checks import HOST, LIMIT, PORT, check, error, run, spread


def main():
    wait = int(LIMIT * 1000000)
    c = pylibmc.Client(["%s:%d" % (HOST, PORT)], binary=True, behaviors={"cas": True, "tcp_nodelay": True, "receive_timeout": wait, "send_timeout": wait})
    keys = spread(60, "pl:")
    check("connect", "stats", lambda: len(c.get_stats()))
    check("get, set", "set get delete", lambda: [c.set("a", "1"), c.get("a"), c.get("none"), c.delete("a"), c.delete("a"), c.get("a")])
    check("get, set", "bytes, expiry", lambda: [c.set("b", b"\0\r\n\xff END\r\n", time=1000), c.get("b"), c.set("far", "x", time=2000000000), c.get("far")])
    check("add, replace, append", "all", lambda: [c.add("k", "1"), c.add("k", "2"), c.replace("k", "3"), error(lambda: c.replace("none", "3")), c.append("k", "4"), c.prepend("k", "2"), c.get("k"),
                                                  error(lambda: c.append("none", "4"))])
    check("cas", "gets cas", lambda: [(lambda v, t: [v, c.cas("k", "mine", t), c.cas("k", "late", t), c.get("k")])(*c.gets("k"))])
    check("counters", "incr decr", lambda: [c.set("i", 10), c.incr("i", 5), c.decr("i", 3), c.get("i"), error(lambda: c.incr("none")), error(lambda: c.incr("k"))])
    check("touch", "touch", lambda: [c.touch("k", 100), c.touch("none", 100), c.get("k")])
    check("many keys", "set get delete", lambda: [c.set_multi({k: "v" + k for k in keys}), c.get_multi(keys + ["none"]), c.delete_multi(keys[:30]), len(c.get_multi(keys))])
    check("large values", "900 KB, too large", lambda: [c.set("big", "x" * 900000), len(c.get("big")), error(lambda: c.set("huge", "x" * (5 << 20))), c.get("huge"), c.get("k")])
    check("errors", "keys", lambda: [error(lambda: c.get("x" * 300)), c.get("k")])
    check("stats, flush", "flush_all", lambda: [c.flush_all(), c.get("k")])


run(main)
