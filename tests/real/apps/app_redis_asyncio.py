"""redis-py's asyncio client as an application uses it. See checks.py."""
import asyncio

import redis.asyncio as redis
from redis.exceptions import WatchError

from checks import AUTH_PORT, HOST, LIMIT, PORT, ask, check, run, spread


def client(**more):
    return redis.Redis(host=HOST, port=PORT, **more)


def later(f):
    """A check of a coroutine, with a client of its own."""
    async def work():
        async with client() as r:
            return await asyncio.wait_for(f(r), LIMIT - 0.5)
    return lambda: asyncio.run(work())


async def basics(r):
    return [await r.ping(), await r.set("s:a", 1), await r.get("s:a"), await r.incrby("s:a", 41), await r.hset("h", mapping={"a": 1}), await r.hgetall("h"),
            await r.rpush("l", "a", "b"), await r.lrange("l", 0, -1), await r.zadd("z", {"m": 1.5}), await r.zrange("z", 0, -1, withscores=True), await r.get("none")]


async def many(r):
    keys = spread(60, "m:")
    return [await r.mset({k: "v" + k for k in keys}), await r.mget(keys), await r.exists(*keys), await r.delete(*keys)]


async def together(r):
    """500 at once, each over a connection of the pool."""
    keys = spread(500, "c:")
    await asyncio.gather(*(r.set(k, k) for k in keys))
    return await asyncio.gather(*(r.get(k) for k in keys)) == [k.encode() for k in keys]


async def pipeline(r):
    async with r.pipeline(transaction=False) as p:
        return await p.set("p", 1).lpush("p", "x").get("p").execute(raise_on_error=False)


async def transaction(r):
    async with r.pipeline() as p:
        return await p.set("{tx}a", 1).incr("{tx}a").mget("{tx}a", "{tx}b").execute()


async def counters(r):
    async def add(i):
        async with client() as mine, mine.pipeline() as p:
            done = 0
            while done < 10:
                try:
                    key = "{w%d}n" % ((i + done) % 3)
                    await p.watch(key)
                    n = int(await p.get(key) or 0)
                    p.multi()
                    await p.set(key, n + 1).execute()
                    done += 1
                except WatchError:
                    pass
    await asyncio.gather(*(add(i) for i in range(8)))
    return sum(int(v) for v in await r.mget("{w0}n", "{w1}n", "{w2}n"))


async def script(r):
    add = r.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    return [await add(keys=[k], args=[2]) for k in spread(8, "e:")]


async def listen(sub, n):
    out = []
    async for m in sub.listen():
        out.append([m["type"], m["channel"], m["data"]])
        if len(out) == n:
            return out


async def pubsub(r):
    sub = r.pubsub()
    await sub.subscribe("news")
    first = await listen(sub, 1)
    for i in range(5):
        await r.publish("news", "m%d" % i)
    return first + await listen(sub, 5)


async def patterns(r):
    sub = r.pubsub()
    await sub.psubscribe("user.*")
    first = await listen(sub, 1)
    await r.publish("user.1", "a")
    return first + await listen(sub, 1)


async def blocking(r):
    waits = asyncio.ensure_future(r.blpop(["{q}1", "{q}2"], 3))
    await client().rpush("{q}2", "job")
    return [await waits, await r.blpop("{q}none", 0.05)]


async def scan(r):
    keys = spread(200, "scan:")
    await r.mset({k: 1 for k in keys})
    return {k.decode() async for k in r.scan_iter("scan:*", count=50)} == set(keys)


async def select(r):
    async with client(db=3) as other:
        return [await other.set("db:k", "three"), await r.get("db:k"), await other.get("db:k")]


async def password(r):
    async with redis.Redis(host=HOST, port=AUTH_PORT, password="pw") as a:
        return [await a.set("auth:k", "v"), await a.get("auth:k")]


async def large(r):
    big = b"x" * (3 << 20)
    return [await r.set("big", big), await r.get("big") == big, await r.delete("big")]


async def errors(r):
    return [str(e) for e in await asyncio.gather(r.lpush("s:a", "x"), r.execute_command("NOSUCH", "x"), r.execute_command("GET"), return_exceptions=True)]


async def lost(r):
    await r.set("re:k", "v")
    await asyncio.get_running_loop().run_in_executor(None, ask, "kill")
    while True:  # bounded by the check
        try:
            return await r.get("re:k")
        except redis.ConnectionError:
            await asyncio.sleep(0.005)


def main():
    for feature, name, f in (("connect", "basics", basics), ("multi-key", "split", many), ("pipeline", "500 at once", together), ("pipeline", "results and errors", pipeline),
                             ("transactions", "multi exec", transaction), ("WATCH", "counters of many clients", counters), ("scripts", "registered", script),
                             ("pub/sub", "messages in order", pubsub), ("patterns", "messages", patterns), ("blocking", "pops", blocking), ("SCAN", "iterator", scan),
                             ("SELECT", "own database", select), ("AUTH", "password alone", password), ("large values", "3 MB", large), ("errors", "of the server", errors),
                             ("reconnect", "after the connections were lost", lost)):
        check(feature, name, later(f))


run(main)
