"""Several keys on several servers, and commands that ask every server: what kvmux computes from the answers of four servers
against what one plain Redis says of the same data."""
import random

import pytest

from harness import (FULL, NIL, OK, Proxy, array, bulk, integer, key_on, parse_resp, redis_pool, spread)

pytestmark = [pytest.mark.kvmux_only, pytest.mark.not_direct]
CROSS = b"-CROSSSLOT Keys in request don't hash to the same slot: they are on several servers of this pool; give them a common {tag} (hash_tag)\r\n"


@pytest.fixture(scope="module")
def px(redis4):
    with Proxy({"p": redis_pool(redis4, timeout=20000)}) as p:
        yield p


@pytest.fixture()
def c(px, redis4):
    for s in redis4:
        s.flush()
    with px.client() as client:
        yield client


@pytest.fixture()
def plain(redis_alone):
    redis_alone.flush()
    with redis_alone.client() as client:
        yield client


def two_servers(px, redis4):
    """Two keys on two servers, set to a string."""
    return [key_on(px, redis4, i, prefix="two:", n=60)[0] for i in (0, 1)]


def both(c, plain, *req):
    a, b = c.cmd(*req), plain.cmd(*req)
    return a, b


def store(c, plain, reqs):
    if reqs:
        assert c.pipeline(reqs) == plain.pipeline(reqs)


# ------------------------------------------------------------------------------------------------ sets and sorted sets

SCORES = ["0", "1", "-1", "2.5", "0.25", "-3.75", "1e10", "inf", "-inf", "1e-7", "3", "0.1", "0.2", "0.3", "-0", "1e300", "123456789.123"]
EXACT = ["0", "1", "-1", "2.5", "0.25", "-3.75", "1e10", "3", "4096.5"]   # sums that do not depend on their order
WEIGHTS = ["1", "2", "0.5", "-1", "0", "4", "-0.25"]


def fill(rng, c, plain):
    """Twelve sets s*, twelve sorted sets z* (exact scores) and f* (any), some empty, some large members."""
    members = ["m%d" % i for i in range(rng.choice([3, 12, 60]))] + ["", "\x00\r\n", "x" * rng.choice([10, 9000])]
    reqs = []
    for i in range(12):
        some = rng.sample(members, rng.randrange(len(members)))
        if some:
            reqs.append(("SADD", "s%d" % i) + tuple(some))
            reqs.append(("ZADD", "z%d" % i) + tuple(x for m in some for x in (rng.choice(EXACT), m)))
            reqs.append(("ZADD", "f%d" % i) + tuple(x for m in some for x in (rng.choice(SCORES), m)))
    store(c, plain, reqs)


def some_keys(rng, letter):
    return ["%s%d" % (letter, rng.randrange(13)) for _ in range(rng.choice([2, 2, 3, 3, 5, 8]))]


def set_request(rng):
    keys = some_keys(rng, "s")
    name = rng.choice(["SUNION", "SINTER", "SDIFF", "SINTERCARD"])
    if name == "SINTERCARD":
        return [name, str(len(keys))] + keys + rng.choice([[], ["LIMIT", rng.choice(["0", "1", "3", "100"])]])
    return [name] + keys


def zset_request(rng):
    name = rng.choice(["ZUNION", "ZINTER", "ZDIFF", "ZINTERCARD"])
    letter = "f" if name in ("ZUNION", "ZDIFF") else "z"
    keys = some_keys(rng, letter)
    if rng.randrange(4) == 0:
        keys[rng.randrange(len(keys))] = "s%d" % rng.randrange(13)   # plain sets have scores of 1
    req = [name, str(len(keys))] + keys
    if name == "ZINTERCARD":
        return req + rng.choice([[], ["LIMIT", rng.choice(["0", "1", "3", "100"])]])
    options = []
    if name != "ZDIFF" and rng.randrange(2):
        options.append([rng.choice(["WEIGHTS", "weights"])] + [rng.choice(WEIGHTS) for _ in keys])
    if name != "ZDIFF" and rng.randrange(2):
        options.append(["AGGREGATE", rng.choice(["SUM", "min", "MAX"])])
    if rng.randrange(3):
        options.append(["WITHSCORES"])
    rng.shuffle(options)
    return req + [x for o in options for x in o]


def normal(name, reply):
    if name == "ZINTER":   # of 0 and -0 either is the larger one
        reply = reply.replace(b"$2\r\n-0\r\n", b"$1\r\n0\r\n")
    value = parse_resp(reply)
    return sorted(value) if name[0] == "S" and isinstance(value, list) else reply


@pytest.mark.parametrize("seed", range(40 if FULL else 8))
def test_random_sets_as_one_redis(c, plain, seed):
    rng = random.Random(seed)
    fill(rng, c, plain)
    for make in (set_request, zset_request):
        reqs = [make(rng) for _ in range(150)]
        for req, a, b in zip(reqs, c.pipeline([tuple(r) for r in reqs]), plain.pipeline([tuple(r) for r in reqs])):
            assert normal(req[0], a) == normal(req[0], b), req


def test_sorted_sets_come_in_order(c, plain):
    keys = spread(8)
    store(c, plain, [("ZADD", k, "1", "b%d" % i, "1", "a%d" % i, "-1", "z", "7", "c") for i, k in enumerate(keys)])
    a, b = both(c, plain, "ZUNION", "8", *keys, "WITHSCORES")
    assert a == b
    a, b = both(c, plain, "ZUNION", "8", *keys)
    assert a == b and parse_resp(a)[0] == b"z" and parse_resp(a)[-1] == b"c"


def test_sums_are_added_in_the_order_of_redis(c, plain):
    rng = random.Random(5)
    keys = spread(7)
    store(c, plain, [("ZADD", k) + tuple(x for m in range(20 + i) for x in (repr(rng.random()), "m%d" % m)) for i, k in enumerate(keys)])
    for _ in range(50):
        some = rng.sample(keys, rng.randrange(2, 8))
        a, b = both(c, plain, "ZUNION", str(len(some)), *some, "WITHSCORES")
        assert a == b


def test_infinities_cancel_out(c, plain):
    keys = spread(4)
    store(c, plain, [("ZADD", k, s, "m") for k, s in zip(keys, ["inf", "-inf", "1", "inf"])])
    for n in (2, 3, 4):
        a, b = both(c, plain, "ZUNION", str(n), *keys[:n], "WITHSCORES")
        assert a == b
    a, b = both(c, plain, "ZUNION", "2", keys[0], keys[2], "WEIGHTS", "0", "1", "WITHSCORES")
    assert a == b


@pytest.mark.parametrize("options", [["BOGUS"], ["WEIGHTS", "1"], ["WEIGHTS", "1", "x"], ["WEIGHTS", "1", "nan"], ["AGGREGATE"], ["AGGREGATE", "AVG"],
                                     ["WITHSCORES", "WITHSCORES"], ["LIMIT", "1"], ["WEIGHTS", "1", "2", "3"], ["AGGREGATE", "MIN", "AGGREGATE", "MAX", "WITHSCORES"]],
                         ids=" ".join)
@pytest.mark.parametrize("name", ["ZUNION", "ZINTER", "ZDIFF", "ZINTERCARD"])
def test_options_are_judged_as_redis_does(c, plain, redis4, px, name, options):
    a, b = two_servers(px, redis4)
    c.cmd("DEL", a, b)
    store(c, plain, [("ZADD", a, "1", "x", "2", "y"), ("ZADD", b, "4", "x")])
    got, want = both(c, plain, name, "2", a, b, *options)
    assert got == want


@pytest.mark.parametrize("limit", ["-1", "x", "1.5", ""])
def test_limits_are_judged_as_redis_does(c, plain, limit):
    keys = spread(6)
    for name in ("SINTERCARD", "ZINTERCARD"):
        got, want = both(c, plain, name, "6", *keys, "LIMIT", limit)
        assert got == want


def test_wrong_types_are_errors(c, plain):
    keys = spread(9)
    store(c, plain, [("SADD", k, "x") for k in keys[:8]] + [("SET", keys[8], "x")])
    for name in ("SUNION", "SINTER", "SDIFF"):
        got, want = both(c, plain, name, *keys)
        assert got == want and got.startswith(b"-WRONGTYPE")
    for name in ("ZUNION", "ZINTER", "ZDIFF", "ZINTERCARD", "SINTERCARD"):
        got, want = both(c, plain, name, "9", *keys)
        assert got == want and got.startswith(b"-WRONGTYPE")
    got, want = both(c, plain, "PFCOUNT", *keys)
    assert got == want and got.startswith(b"-WRONGTYPE")


def test_inline(c):
    keys = spread(5)
    c.pipeline([("SADD", k, "m", "only-%s" % k) for k in keys])
    c.post(("SINTER %s\r\n" % " ".join(keys)).encode())
    assert c.reply() == array(bulk("m"))


def test_many_keys(c, plain):
    keys = spread(3000)
    store(c, plain, [("SADD", k, "m%d" % (i % 1000)) for i, k in enumerate(keys)])
    a, b = both(c, plain, "SUNION", *keys)
    assert sorted(parse_resp(a)) == sorted(parse_resp(b))


# ------------------------------------------------------------------------------------------------ HyperLogLog

def add_sketches(c, plain, counts, tag):
    reqs, n = [], 0
    for i, count in enumerate(counts):
        reqs.append(("PFADD", "%s%d" % (tag, i)))
        for start in range(0, count, 500):
            reqs.append(("PFADD", "%s%d" % (tag, i)) + tuple("e%d" % (n + j) for j in range(start, min(count, start + 500))))
        n += count * 2 // 3   # a third is shared with the next one
    assert c.pipeline(reqs) == plain.pipeline(reqs)
    return ["%s%d" % (tag, i) for i in range(len(counts))]


@pytest.mark.parametrize("counts", [[0, 0, 0], [1, 1, 1, 1], [3, 10, 0, 40], [100, 200, 300, 50, 7], [700, 900, 1100, 1300], [3000, 10, 0, 500],
                                    [20000, 5000, 100, 1, 0], [40000, 40000, 40000]], ids=str)
def test_pfcount_is_the_same_number(c, plain, counts):
    keys = add_sketches(c, plain, counts, "pf:%d:" % sum(counts))
    rng = random.Random(sum(counts))
    for _ in range(12):
        some = rng.sample(keys, rng.randrange(2, len(keys) + 1)) + rng.choice([[], ["pf:none"], [keys[0]]])
        got, want = both(c, plain, "PFCOUNT", *some)
        assert got == want


def test_pfcount_for_every_small_number(c, plain):
    for n in list(range(0, 60)) + list(range(60, 2000, 97)):
        reqs = [("PFADD", "g:%d" % (n % 5), "x%d" % n), ("PFCOUNT",) + tuple("g:%d" % i for i in range(5))]
        assert c.pipeline(reqs) == plain.pipeline(reqs)


def test_pfcount_of_what_is_no_sketch(c, plain):
    keys = spread(8)
    for bad in ("text", "HYLL", "HYLL" + "\x01" + "\0" * 11 + "\x7f", "HYLL" + "\0" * 12 + "short"):
        store(c, plain, [("PFADD", k, "a") for k in keys[:7]] + [("SET", keys[7], bad)])
        got, want = both(c, plain, "PFCOUNT", *keys)
        assert got == want and got.startswith(b"-"), bad


# ------------------------------------------------------------------------------------------------ cross_shard, limits

def test_cross_shard_error(redis4):
    with Proxy({"p": redis_pool(redis4, cross_shard="error")}) as px, px.client() as c:
        a, b = two_servers(px, redis4)
        c.cmd("DEL", a, b)
        for req in (("SUNION", a, b), ("ZUNION", "2", a, b), ("PFCOUNT", a, b), ("RENAME", a, b), ("SINTERCARD", "2", a, b)):
            assert c.cmd(*req) == CROSS
        assert c.cmd("SUNION", a, a) == array()
        assert c.cmd("MGET", a, b) == array(NIL, NIL), "what is split is no question of it"


def test_cross_shard_first_is_nutcrackers_way(redis4):
    with Proxy({"p": redis_pool(redis4, cross_shard="first")}) as px, px.client() as c:
        a, b = two_servers(px, redis4)
        c.cmd("DEL", a, b)
        c.cmd("SADD", a, "x")
        c.cmd("SADD", b, "y")
        assert c.cmd("SUNION", a, b) == array(bulk("x"))
        assert c.cmd("SUNION", b, a) == array(bulk("y"))
        assert c.cmd("RENAME", a, b) == OK
        with redis4[0].client() as s:
            assert s.cmd("SMEMBERS", b) == array(bulk("x"))


def test_cross_shard_gather_refuses_what_writes(c, px, redis4):
    a, b = two_servers(px, redis4)
    for req in (("SUNIONSTORE", a, b), ("RENAME", a, b), ("COPY", a, b), ("SMOVE", a, b, "m"), ("LMOVE", a, b, "LEFT", "LEFT"), ("BITOP", "AND", a, b),
                ("SORT", a, "STORE", b), ("ZUNIONSTORE", a, "1", b), ("PFMERGE", a, b), ("MSETNX", a, "1", b, "2")):
        assert c.cmd(*req) == CROSS


def test_gather_limit(redis4):
    with Proxy({"p": redis_pool(redis4, gather_limit=12000)}) as px, px.client() as c:
        for s in redis4:
            s.flush()
        keys = spread(8)
        c.pipeline([("SADD", k) + tuple("m%d" % i for i in range(100)) for k in keys])
        assert len(parse_resp(c.cmd("SUNION", *keys))) == 100
        c.pipeline([("SADD", k, "x" * 5000 + k, k) for k in keys])  # members that differ: the limit is reached however keys are spread
        error = b"-ERR the answers of the servers are larger than gather_limit\r\n"
        assert c.cmd("SUNION", *keys) == error
        assert c.cmd("SCARD", keys[0]) == integer(102)
        assert len(c.value("KEYS", "*")) == 8
        c.cmd("MSET", *[x for k in spread(600, "limit:") for x in (k * 3, "1")])
        assert c.cmd("KEYS", "*") == error
        assert c.cmd("SUNION", *keys[:1]) != error
        for s in redis4:
            s.flush()


def test_a_dead_server_fails_the_whole(redis4):
    from harness import RedisServer
    with RedisServer() as dying, Proxy({"p": redis_pool(redis4[:2] + [dying], timeout=3000)}) as px, px.client() as c:
        keys = spread(30, "dead:")
        c.pipeline([("SADD", k, "m") for k in keys])
        assert c.cmd("SINTER", *keys) == array(bulk("m"))
        dying.kill9()
        for req in (("SINTER",) + tuple(keys), ("PFCOUNT",) + tuple(spread(30, "pf:")), ("KEYS", "*"), ("RANDOMKEY",)):
            assert c.cmd(*req).startswith(b"-ERR "), req


# ------------------------------------------------------------------------------------------------ all servers

def test_keys_of_all_servers(c, plain):
    names = spread(500) + ["user:%d" % i for i in range(50)]
    store(c, plain, [("SET", k, "1") for k in names])
    for pattern in ("*", "user:*", "k:a*", "none*", "user:1?"):
        assert sorted(c.value("KEYS", pattern)) == sorted(plain.value("KEYS", pattern))


def test_randomkey(c):
    assert c.cmd("RANDOMKEY") == NIL
    c.cmd("SET", "one", "1")
    assert [c.cmd("RANDOMKEY") for _ in range(20)] == [bulk("one")] * 20
    names = spread(100)
    c.cmd("MSET", *[x for k in names for x in (k, "1")])
    seen = {c.value("RANDOMKEY") for _ in range(400)}
    assert seen <= {k.encode() for k in names} | {b"one"} and len(seen) > 50


def test_flush_deny(redis4):
    with Proxy({"p": redis_pool(redis4, flush="deny")}) as px, px.client() as c:
        c.cmd("SET", "a", "1")
        for req in (("FLUSHALL",), ("FLUSHDB", "ASYNC"), ("flushall", "SYNC")):
            assert c.cmd(*req) == b"-ERR flush: deny is set for this pool\r\n"
            assert [x[:1] for x in c.pipeline([("MULTI",), req, ("EXEC",)])] == [b"+", b"-", b"-"]
        assert c.cmd("GET", "a") == bulk("1")


def test_flush_deny_memcached(mc2):
    from harness import mc_pool
    with Proxy({"p": mc_pool(mc2, flush="deny")}) as px, px.client() as c:
        c.post(b"set a 0 0 1\r\nx\r\nflush_all\r\nflush_all noreply\r\nget a\r\n")
        assert c.until(b"END\r\n") == b"STORED\r\nSERVER_ERROR flush: deny is set for this pool\r\nVALUE a 0 1\r\nx\r\nEND\r\n"


# ------------------------------------------------------------------------------------------------ SCAN

def scan(c, *options):
    """Everything, and how many pages it took; the cursors are integers below 2^53."""
    cursor, got, pages = b"0", [], 0
    while True:
        cursor, some = c.value("SCAN", cursor, *options)
        got += some
        pages += 1
        assert 0 <= int(cursor) < 1 << 53
        assert pages < 100000
        if cursor == b"0":
            return got, pages


def test_scan_sees_every_key(c):
    names = {k.encode() for k in spread(10000)}
    c.cmd("MSET", *[x for k in names for x in (k, "1")])
    for options in ((), ("COUNT", "100"), ("COUNT", "100000"), ("MATCH", "k:*", "COUNT", "1000")):
        got, pages = scan(c, *options)
        assert set(got) == names and len(got) < 1.5 * len(names)
        assert options != ("COUNT", "100000") or pages == 4, "a page a server"
    got, _ = scan(c, "MATCH", "k:a*")
    assert set(got) == {k for k in names if k.startswith(b"k:a")}


def test_scan_by_type(c):
    names = spread(300)
    c.pipeline([("SET", k, "1") if i % 2 else ("SADD", k, "m") for i, k in enumerate(names)])
    assert sorted(scan(c, "TYPE", "set", "COUNT", "50")[0]) == sorted(k.encode() for k in names[::2])


def test_scan_sees_what_stays_while_others_come_and_go(c, px):
    stay = {k.encode() for k in spread(2000, "stay:")}
    c.cmd("MSET", *[x for k in stay for x in (k, "1")])
    cursor, seen, n = b"0", set(), 0
    with px.client() as other:
        while True:
            cursor, some = c.value("SCAN", cursor, "COUNT", "20")
            seen.update(some)
            if cursor == b"0":
                break
            other.cmd("MSET", *[x for i in range(20) for x in ("new:%d" % (n + i), "1")])
            other.cmd("DEL", *["new:%d" % (n + i - 15) for i in range(20)])
            n += 20
    assert stay <= seen


def test_scan_cursors_outlive_a_proxy(redis4, c):
    c.cmd("MSET", *[x for k in spread(500) for x in (k, "1")])
    seen, cursor = set(), b"0"
    while True:
        with Proxy({"p": redis_pool(redis4)}) as px, px.client() as one:   # another process for each page
            cursor, some = one.value("SCAN", cursor, "COUNT", "60")
            seen.update(some)
        if cursor == b"0":
            break
    assert len(seen) == 500


@pytest.mark.parametrize("cursor", ["x", "-1", "4096", "", "99999999999999999999999", "1 "])
def test_scan_bad_cursor(c, cursor):
    assert c.cmd("SCAN", cursor) == b"-ERR invalid cursor\r\n"


def test_scan_unknown_server(c):
    lost = b"-ERR invalid cursor: its server is not in the pool\r\n"
    answers = [c.cmd("SCAN", str(n)) for n in range(1, 4096, 13)]
    assert answers.count(lost) >= len(answers) - 4


def test_scan_option_errors_are_the_servers(c, plain):
    for req in (("SCAN", "0", "COUNT", "0"), ("SCAN", "0", "COUNT", "x"), ("SCAN", "0", "BOGUS"), ("SCAN", "0", "MATCH"), ("SCAN",)):
        got, want = both(c, plain, *req)
        assert got == want and got.startswith(b"-")


def test_scan_of_an_empty_pool(c):
    got, pages = scan(c)
    assert got == [] and pages == 4


def test_in_a_transaction(c, px, redis4):
    """What concerns several servers is refused; keys on one server are the server's business."""
    a, b = two_servers(px, redis4)
    for req in (("SCAN", "0"), ("KEYS", "*"), ("RANDOMKEY",), ("SUNION", a, b), ("PFCOUNT", a, b)):
        begun, refused, ran = c.pipeline([("MULTI",), req, ("EXEC",)])
        assert begun == OK and refused.startswith(b"-") and ran.startswith(b"-EXECABORT"), req
    assert c.pipeline([("MULTI",), ("SUNION", "none", "none"), ("EXEC",)])[2] == array(array())


def test_each_database_by_itself(c):
    keys = spread(40)
    c.cmd("MSET", *[x for k in keys for x in (k, "0")])
    assert c.cmd("SELECT", "5") == OK
    assert c.value("KEYS", "*") == [] and c.cmd("RANDOMKEY") == NIL and scan(c) == ([], 4)
    c.cmd("SADD", keys[0], "m")
    assert c.value("KEYS", "*") == [keys[0].encode()] and scan(c)[0] == [keys[0].encode()]
    assert c.cmd("SUNION", *keys) == array(bulk("m")), "the strings are in another database"
    assert c.cmd("FLUSHDB") == OK and c.cmd("SELECT", "0") == OK
    assert len(c.value("KEYS", "*")) == 40


def resp3(client):
    assert client.cmd("HELLO", "3")[:1] == b"%"
    return client


def test_resp3_forms(c, plain):
    rng = random.Random(3)
    fill(rng, c, plain)
    resp3(c), resp3(plain)
    kinds = set()
    for _ in range(400):
        req = rng.choice([set_request, zset_request])(rng)
        a, b = both(c, plain, *req)
        kinds.add((req[0], a[:1]))
        if req[0] in ("SUNION", "SINTER", "SDIFF"):   # a set has no order
            a, b = (x[:1] + bytes(sorted(x)) for x in (a, b))
        elif req[0] == "ZINTER":
            a, b = (x.replace(b",-0\r\n", b",0\r\n") for x in (a, b))
        assert a == b, req
    assert {("SUNION", b"~"), ("SINTER", b"~"), ("SDIFF", b"~"), ("ZUNION", b"*"), ("SINTERCARD", b":")} <= kinds
    for req in (("PFCOUNT", "p1", "p2", "p3", "p4"), ("KEYS", "none*"), ("ZDIFF", "3", "z1", "z2", "z3", "WITHSCORES")):
        a, b = both(c, plain, *req)
        assert a == b
    c.cmd("FLUSHALL")
    assert c.cmd("RANDOMKEY") == b"_\r\n"


def test_redis_py_scan_iter(px, c):
    redis = pytest.importorskip("redis")
    names = spread(700)
    c.cmd("MSET", *[x for k in names for x in (k, "1")])
    r = redis.Redis(*px.addr())
    assert {k.decode() for k in r.scan_iter(count=37)} == set(names)
    assert {k.decode() for k in r.keys("k:*")} == set(names)
    r.close()
