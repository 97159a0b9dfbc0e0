"""redis-py as an application uses it. See checks.py."""
import threading

import redis

from checks import AUTH_PORT, HOST, PORT, ask, check, error, retry, run, spread


def client(**more):
    return redis.Redis(HOST, PORT, **more)


def each(*calls):
    return [f() for f in calls]


def data(r):
    check("strings", "set get", lambda: [r.set("s:a", 1), r.get("s:a"), r.get("s:none")])
    check("strings", "counters", lambda: [r.incr("s:n"), r.incrby("s:n", 41), r.decr("s:n"), r.incrbyfloat("s:n", 0.5)])
    check("strings", "expiry", lambda: [r.set("s:t", "v", ex=1000), r.ttl("s:t"), r.persist("s:t"), r.ttl("s:t"), r.ttl("s:none")])
    check("strings", "set nx get", lambda: [r.set("s:nx", 1, nx=True), r.set("s:nx", 2, nx=True), r.getdel("s:nx"), r.get("s:nx")])
    check("strings", "bytes", lambda: [r.set(b"\1\0\xff", b"\0\xff\r\n$\x80"), r.get(b"\1\0\xff"), r.type("s:a")])
    check("strings", "bits", lambda: [r.setbit("s:b", 7, 1), r.getbit("s:b", 7), r.bitcount("s:b"), r.bitfield("s:b").incrby("u8", 0, 3).execute()])
    check("hashes", "hset hgetall", lambda: [r.hset("h", mapping={"a": 1, "b": "zwei"}), r.hgetall("h"), r.hmget("h", "a", "no"), r.hgetall("h:none")])
    check("hashes", "more", lambda: [r.hincrby("h", "a", 5), sorted(r.hkeys("h")), r.hexists("h", "b"), r.hdel("h", "b"), r.hlen("h")])
    check("hashes", "hscan", lambda: sorted(r.hscan_iter("h")))
    check("lists", "push range", lambda: [r.rpush("l", "a", "b", "c"), r.lpush("l", "z"), r.lrange("l", 0, -1), r.lpop("l"), r.rpop("l", 2), r.llen("l")])
    check("sets", "members", lambda: [r.sadd("t", "x", "y", "z"), r.smembers("t"), r.sismember("t", "x"), r.smismember("t", ["x", "no"]), r.srem("t", "x"), r.scard("t")])
    check("sorted sets", "range", lambda: [r.zadd("z", {"a": 1, "b": 2.5}), r.zrange("z", 0, -1, withscores=True), r.zscore("z", "b"), r.zincrby("z", 2, "a"),
                                           r.zrangebyscore("z", 2, "+inf"), r.zrank("z", "a"), r.zpopmin("z")])
    check("streams", "add range", lambda: [r.xadd("x", {"f": "v"}, "1-1"), r.xadd("x", {"g": "w"}, "1-2"), r.xrange("x"), r.xlen("x"), r.xread({"x": "0"})])
    check("streams", "groups", lambda: [r.xgroup_create("x", "grp", "0"), r.xreadgroup("grp", "me", {"x": ">"}, count=1), r.xack("x", "grp", "1-1"), r.xpending("x", "grp"),
                                        r.xinfo_groups("x")[0]["name"]])
    check("sorted sets", "geo", lambda: [r.geoadd("geo", (13.361389, 38.115556, "Palermo")), r.geosearch("geo", longitude=15, latitude=37, radius=200, unit="km")])


def many_keys(r):
    keys = spread(60, "m:")
    check("multi-key", "mset mget", lambda: [r.mset({k: "v" + k for k in keys}), r.mget(keys + ["m:none"])])
    check("multi-key", "exists touch", lambda: [r.exists(*keys, "m:none"), r.touch(*keys)])
    check("multi-key", "del unlink", lambda: [r.delete(*keys[:20]), r.unlink(*keys), r.dbsize() > 0])

    def algebra():
        sets = ["set" + k for k in keys[:6]]
        for k in sets:
            r.sadd(k, "all", k)
            r.zadd("z" + k, {"all": 1.5, k: 2})
            r.pfadd("pf" + k, "all", k)
        return [r.sunion(sets), r.sinter(sets), r.sdiff(sets), r.zunion(["z" + k for k in sets], withscores=True), r.pfcount(*["pf" + k for k in sets])]
    check("multi-key", "set algebra", algebra)
    check("multi-key", "tagged", lambda: [r.sadd("{g}a", 1, 2), r.sunionstore("{g}c", "{g}a", "{g}b"), r.rename("{g}c", "{g}d"), r.smembers("{g}d"), r.smove("{g}a", "{g}b", 1)])
    check("multi-key", "msetnx of any keys", lambda: error(lambda: r.msetnx({"nx" + k: 1 for k in keys[:8]})))
    check("pipeline", "results and errors", lambda: r.pipeline(transaction=False).set("p", 1).lpush("p", "x").get("p").mget("p", "p:none").execute(raise_on_error=False))

    def thousands():
        p = r.pipeline(transaction=False)
        for i in range(3000):
            p.set("c:%d" % (i % 300), i) if i % 2 else p.get("p")
        return all(v == (True if i % 2 else b"1") for i, v in enumerate(p.execute()))
    check("pipeline", "3000 at once", thousands)


def transactions(r):
    check("transactions", "multi exec", lambda: r.pipeline().set("{tx}a", 1).incr("{tx}a").mget("{tx}a", "{tx}b").execute())
    check("transactions", "error in the middle", lambda: r.pipeline().set("{tx}a", "x").lpush("{tx}a", "y").get("{tx}a").execute(raise_on_error=False))

    def any_keys():
        p = r.pipeline()
        for k in spread(8, "tx:"):
            p.set(k, 1)
        return p.execute()
    check("transactions", "any keys", lambda: error(any_keys))

    def changed():
        with r.pipeline() as p:
            p.watch("{w}a")
            client().set("{w}a", "theirs")
            p.multi()
            p.set("{w}a", "mine")
            try:
                return [p.execute()]
            except redis.WatchError:
                return ["lost", r.get("{w}a")]
    check("WATCH", "changed by another", changed)

    def counters():
        def work(i):
            mine = client()
            for n in range(10):
                key = "{w%d}n" % ((i + n) % 3)
                mine.transaction(lambda p: (lambda v: (p.multi(), p.set(key, v + 1)))(int(p.get(key) or 0)), key)
        threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return sum(int(v) for v in r.mget("{w0}n", "{w1}n", "{w2}n"))
    check("WATCH", "counters of many clients", counters)

    def lock():
        with r.lock("lock:a", timeout=10, blocking_timeout=2) as mine:
            other = client().lock("lock:a", timeout=10, blocking=False)
            got = [mine.owned(), other.acquire(), mine.extend(5)]
        return got + [r.get("lock:a")]
    check("WATCH", "Lock", lock)


def scripts(r):
    check("scripts", "eval", lambda: r.eval("return {KEYS[1], ARGV[1], redis.call('SET', KEYS[1], ARGV[1])}", 1, "e:k", "v"))

    def registered():
        add = r.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1]) + redis.call('INCRBY', KEYS[2], ARGV[1])")
        p = r.pipeline(transaction=False)
        add(keys=["{e3}a", "{e3}b"], args=[3], client=p)
        return [add(keys=["{e}a", "{e}b"], args=[5]), add(keys=["{e}a", "{e}b"], args=[5]), add(keys=["{e2}a", "{e2}b"], args=[1]), p.execute()]
    check("scripts", "registered", registered)

    def loaded():
        sha = r.script_load("return 'loaded' .. KEYS[1]")
        return [sha, r.evalsha(sha, 1, "e:1"), r.evalsha(sha, 1, "e:2"), r.script_exists(sha, "0" * 40)]
    check("scripts", "load and evalsha", loaded)
    check("scripts", "unknown script", lambda: error(lambda: r.evalsha("0" * 40, 1, "k")))
    check("scripts", "error in the script", lambda: error(lambda: r.eval("return redis.call('LPUSH', KEYS[1], 1)", 1, "e:k")))
    check("scripts", "any keys", lambda: error(lambda: r.eval("return #KEYS", 8, *spread(8, "e:"))))


def pubsub(r):
    sub = r.pubsub()

    def take(n=1):
        """So many messages or confirmations."""
        out = []
        while len(out) < n:
            m = sub.get_message(timeout=3)
            if m is None:
                raise RuntimeError("got %d of %d: %r" % (len(out), n, out))
            out.append([m["type"], m["pattern"], m["channel"], m["data"]])
        return out
    check("pub/sub", "subscribe", lambda: [sub.subscribe("news", "sport"), take(2)])
    check("pub/sub", "messages in order", lambda: [[r.publish("news", "m%d" % i) and None for i in range(5)], take(5), r.publish("sport", "goal") and None, take()])
    check("pub/sub", "receivers", lambda: r.publish("news", "x"))
    check("pub/sub", "channels", lambda: [take(), sorted(r.pubsub_channels()), r.pubsub_numsub("news", "none"), r.pubsub_numpat()])
    check("pub/sub", "unsubscribe", lambda: [sub.unsubscribe("news"), take(), [r.publish("news", "unheard")] and None, r.publish("sport", "heard"), take()])
    check("patterns", "psubscribe", lambda: [sub.psubscribe("user.*"), take()])
    check("patterns", "messages", lambda: [r.publish("user.1", "a"), take(), r.publish("user.22", "b"), take()])
    check("patterns", "punsubscribe", lambda: [sub.punsubscribe(), take(), sub.ping(), take(), sub.close()])

    def thread():
        got, wake = [], threading.Event()
        p = r.pubsub(ignore_subscribe_messages=True)
        p.subscribe(**{"bg": lambda m: (got.append(m["data"]), wake.set())})
        t = p.run_in_thread(sleep_time=0.01, daemon=True)
        retry(lambda: r.publish("bg", "x") or None)
        wake.wait(3)
        t.stop()
        return got[:1]
    check("pub/sub", "in a thread", thread)


def blocking(r):
    b = client()

    def later(f, then):
        """f waits in a thread; its result after then was done."""
        box = []
        t = threading.Thread(target=lambda: box.append(f()), daemon=True)
        t.start()
        then()
        t.join(3)
        return box
    check("blocking", "pops", lambda: [later(lambda: b.blpop(["{q}1", "{q}2"], 3), lambda: r.rpush("{q}2", "job")), later(lambda: b.brpop("q:other", 0), lambda: r.rpush("q:other", "job2"))])
    check("blocking", "moves", lambda: [later(lambda: b.blmove("{q}a", "{q}b", 3), lambda: r.rpush("{q}a", "x")), later(lambda: b.brpoplpush("{q}a", "{q}b", 3), lambda: r.rpush("{q}a", "y")), r.lrange("{q}b", 0, -1)])
    check("blocking", "sorted sets", lambda: later(lambda: b.bzpopmin("{q}z", 3), lambda: r.zadd("{q}z", {"m": 1})))
    check("blocking", "streams", lambda: later(lambda: b.xread({"{q}x": "0"}, block=3000), lambda: r.xadd("{q}x", {"f": "v"}, "5-1")))
    check("blocking", "nothing comes", lambda: [b.blpop("{q}none", 0.05), b.xread({"{q}x": "$"}, block=20)])
    check("blocking", "any keys", lambda: error(lambda: b.blpop(spread(8, "q:"), 0.05)))
    check("blocking", "any of many queues", lambda: [later(lambda: b.brpop(spread(8, "q:"), 3), lambda: r.lpush(k, "job")) for k in spread(8, "q:")])
    check("blocking", "still usable", lambda: [b.set("q:k", "v"), b.get("q:k")])


def server(r):
    def scan():
        keys = spread(200, "scan:")
        r.mset({k: 1 for k in keys})
        found = set(r.scan_iter("scan:*", count=50))
        return [len(found), found == {k.encode() for k in keys}, len(r.keys("scan:*")), sum(1 for _ in r.scan_iter("*", _type="LIST"))]
    check("SCAN", "iterator", scan)

    def own():
        other = client(db=3)
        return [other.set("db:k", "three"), r.get("db:k"), other.get("db:k"), other.select(0), other.get("db:k")] if hasattr(other, "select") else \
            [other.set("db:k", "three"), r.get("db:k"), other.get("db:k")]
    check("SELECT", "own database", own)
    check("SELECT", "out of range", lambda: error(lambda: client(db=99).ping()))
    check("INFO, CLIENT", "what an application reads", lambda: [r.info("server")["redis_version"] > "6", r.info()["loading"], r.info()["role"], r.config_get("maxmemory-policy"), r.client_id() > 0,
                                                                abs(r.time()[0] - __import__("time").time()) < 60])

    def names():
        named = client(client_name="worker-1")
        return [named.client_getname(), named.client_info()["name"], any(c["name"] == "worker-1" for c in r.client_list())]
    check("INFO, CLIENT", "names", names)
    check("INFO, CLIENT", "COMMAND", lambda: [r.command_count() > 200, r.command()["get"]["arity"], r.command_getkeys("MSET", "a", "1", "b", "2")])


def rest(r):
    def auth(**more):
        a = redis.Redis(HOST, AUTH_PORT, **more)
        try:
            return [a.set("auth:k", "v"), a.get("auth:k"), a.acl_whoami()]
        except redis.RedisError as e:
            return str(e)
    # the words are those of nutcracker where Redis' differ
    check("AUTH", "password", lambda: auth(password="pw"))
    check("AUTH", "wrong password", lambda: any(w in auth(password="no") for w in ("invalid username-password pair", "invalid password")))
    check("AUTH", "none", lambda: "uthentication required" in auth())
    check("AUTH", "user", lambda: auth(username="app", password="apw"))

    def large():
        big = b"x" * (3 << 20)
        return [r.set("big", big), r.get("big") == big, r.append("big", b"y"), r.delete("big")]
    check("large values", "3 MB", large)
    check("errors", "of the server", lambda: [error(lambda: r.lpush("s:a", "x")), error(lambda: r.execute_command("NOSUCH", "x")), error(lambda: r.execute_command("GET")),
                                              error(lambda: r.execute_command("HSET", "h", "x")), r.get("s:a")])

    def lost():
        r.set("re:k", "v")
        ask("kill")
        return [retry(lambda: r.get("re:k")), retry(lambda: r.mget("re:k", "re:none"))]
    check("reconnect", "after the connections were lost", lost)

    def subscriber():
        sub = client().pubsub(ignore_subscribe_messages=True)
        sub.subscribe("re:c")
        sub.get_message(timeout=1)
        ask("kill")
        return retry(lambda: (r.publish("re:c", "back"), sub.get_message(timeout=0.05))[1])["data"]
    check("reconnect", "a subscriber", subscriber)


def main():
    r = client()
    check("connect", "ping echo", lambda: [r.ping(), r.echo("ключ"), redis.from_url("redis://%s:%d/0" % (HOST, PORT)).ping()])
    data(r)
    many_keys(r)
    transactions(r)
    scripts(r)
    pubsub(r)
    blocking(r)
    server(r)
    rest(r)
    check("connect", "quit", lambda: r.execute_command("QUIT"))


run(main)
