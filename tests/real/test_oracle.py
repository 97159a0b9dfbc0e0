"""Differential oracle: seeded random command streams to one plain Redis and through kvmux over 1 and 4 servers; raw replies are
equal. Where the order of a reply is not specified (sets, hashes) it is compared sorted; what is random by itself is not asked.
KVMUX_FULL=1: 300,000 commands instead of 20,000; KVMUX_ORACLE_SEED chooses another stream."""
import os
import random
import re

import pytest

from harness import FULL, TARGET, Proxy, RedisServer, parse_resp, redis_pool, resp

pytestmark = pytest.mark.not_direct
COUNT = int(os.environ.get("KVMUX_ORACLE_COUNT", 300000 if FULL else 20000))
SEED = int(os.environ.get("KVMUX_ORACLE_SEED", 20240601))

FAR = "33177117420"        # a time that no test run reaches
TAGS = ["{t%d}" % i for i in range(8)]


class Stream:
    """One random request after the other. Keys share 8 hash tags, so that commands with several keys on one server have
    something to work on; split commands take keys of all tags."""

    def __init__(self, seed):
        self.r = random.Random(seed)
        self.rows = [getattr(self, n) for n in dir(self) if n.startswith("g_")]
        self.weights = [int(re.match(r"\s*(\d+)", f.__doc__).group(1)) for f in self.rows]
        self.ids = 0

    def request(self):
        req = self.r.choices(self.rows, self.weights)[0]()
        req = [x if isinstance(x, bytes) else str(x).encode() for x in req]
        if self.r.random() < 0.3:
            req[0] = bytes(self.r.choice((c, c ^ 32)) if 65 <= c <= 90 else c for c in req[0])   # any case
        return req

    # pieces

    def key(self, kinds="slhzbpxg", tag=None):
        """Mostly a key of the wanted kind, sometimes of any."""
        kind = self.r.choice(kinds) if self.r.random() < 0.93 else self.r.choice("slhzbpxg")
        return (tag or self.r.choice(TAGS)) + kind + str(self.r.randrange(6))

    def keys(self, kinds, n):
        tag = self.r.choice(TAGS)
        return [self.key(kinds, tag) for _ in range(n)]

    def value(self):
        r = self.r.random()
        if r < 0.4:
            return str(self.r.randrange(-50, 1000))
        if r < 0.8:
            return self.r.choice(["a", "b", "hello", "", "foo bar", "\r\n", "$5\r\n", "\x00z", "ключ"])
        if r < 0.97:
            return bytes(self.r.randbytes(self.r.randrange(0, 70)))
        return bytes(self.r.randbytes(1)) * self.r.randrange(70, 30000)

    def member(self):
        return self.r.choice("abcdefghij") if self.r.random() < 0.7 else str(self.r.randrange(20))

    def num(self):
        return self.r.choice([0, 1, -1, 2, 3, -2, 5, 10, 100, "x", "1.5", "", 9223372036854775807])

    def idx(self):
        return self.r.choice([0, 1, 2, -1, -2, 5, -100, 100])

    def score(self):
        return self.r.choice(["0", "1", "2.5", "-3", "inf", "-inf", "(1", "x", "1e3", "10"])

    def flag(self, *words):
        return [w for w in words if self.r.random() < 0.3]

    # strings

    def g_string(self):
        "30"
        k, r = self.key("s"), self.r
        return r.choice([
            lambda: ["GET", k], lambda: ["SET", k, self.value()], lambda: ["SET", k, self.value(), r.choice(["NX", "XX", "GET", "KEEPTTL", "BAD"])],
            lambda: ["SETNX", k, self.value()], lambda: ["GETSET", k, self.value()], lambda: ["GETDEL", k], lambda: ["APPEND", k, self.value()],
            lambda: ["STRLEN", k], lambda: ["GETRANGE", k, self.idx(), self.idx()], lambda: ["SETRANGE", k, r.choice([0, 1, 5, 50, -1, "x"]), self.value()],
            lambda: ["INCR", k], lambda: ["DECR", k], lambda: ["INCRBY", k, self.num()], lambda: ["DECRBY", k, self.num()],
            lambda: ["INCRBYFLOAT", k, r.choice(["1.5", "-2", "1e2", "x"])], lambda: ["SUBSTR", k, 0, 3], lambda: ["GETEX", k, "PERSIST"],
        ])()

    def g_bits(self):
        "6"
        k, r = self.key("b"), self.r
        two = self.keys("b", 3)
        return r.choice([
            lambda: ["SETBIT", k, r.choice([0, 7, 100, 1000, -1, "x"]), r.choice([0, 1, 2])], lambda: ["GETBIT", k, r.randrange(200)],
            lambda: ["BITCOUNT", k] + self.flag("0", "-1"), lambda: ["BITPOS", k, r.choice([0, 1, 2])],
            lambda: ["BITFIELD", k, "SET", "u8", r.randrange(50), r.randrange(300), "GET", "i5", r.randrange(50), "OVERFLOW", r.choice(["SAT", "FAIL", "WRAP"]), "INCRBY", "u4", 1, 9],
            lambda: ["BITFIELD_RO", k, "GET", "u8", r.randrange(40)], lambda: ["BITOP", r.choice(["AND", "OR", "XOR"])] + two, lambda: ["BITOP", "NOT"] + two[:2],
        ])()

    def g_keys(self):
        "12"
        k, r = self.key(), self.r
        a, b = self.keys("slhz", 2)
        return r.choice([
            lambda: ["TYPE", k], lambda: ["EXISTS", k], lambda: ["TTL", k], lambda: ["PTTL", k], lambda: ["PERSIST", k], lambda: ["EXPIRE", k, r.choice([100000, "x"])],
            lambda: ["EXPIREAT", k, FAR] + self.flag("NX"), lambda: ["PEXPIREAT", k, FAR + "000"], lambda: ["PEXPIRE", k, 100000000], lambda: ["EXPIRETIME", a],
            lambda: ["EXPIREAT", k, "1"], lambda: ["RENAME", a, b], lambda: ["RENAMENX", a, b], lambda: ["COPY", a, b] + self.flag("REPLACE"), lambda: ["DEL", k], lambda: ["UNLINK", k],
            lambda: ["OBJECT", "ENCODING", k],
        ])()

    # split commands over all servers

    def g_split(self):
        "14"
        n = self.r.choice([1, 2, 3, 5, 12, 40])
        ks = [self.key("sslhz") for _ in range(n)]
        c = self.r.choice(["MGET", "MGET", "DEL", "UNLINK", "TOUCH", "EXISTS", "MSET", "MSET"])
        if c == "MSET":
            return [c] + [x for k in ks for x in (self.key("s"), self.value())]
        if c in ("DEL", "UNLINK") and n > 5:
            ks = ks[:5]
        return [c] + ks

    # lists

    def g_list(self):
        "18"
        k, r = self.key("l"), self.r
        a, b = self.keys("l", 2)
        return r.choice([
            lambda: ["LPUSH", k] + [self.value() for _ in range(r.randrange(1, 4))], lambda: ["RPUSH", k] + [self.value() for _ in range(r.randrange(1, 4))],
            lambda: ["LPUSHX", k, self.value()], lambda: ["RPUSHX", k, self.value()], lambda: ["LPOP", k], lambda: ["RPOP", k], lambda: ["LPOP", k, r.choice([0, 1, 2, "x"])],
            lambda: ["RPOP", k, 2], lambda: ["LLEN", k], lambda: ["LRANGE", k, self.idx(), self.idx()], lambda: ["LINDEX", k, self.idx()], lambda: ["LSET", k, self.idx(), self.value()],
            lambda: ["LREM", k, self.idx(), self.value()], lambda: ["LTRIM", k, self.idx(), self.idx()], lambda: ["LINSERT", k, r.choice(["BEFORE", "AFTER", "X"]), self.value(), self.value()],
            lambda: ["LPOS", k, self.value()] + self.flag("COUNT", "0")[:0], lambda: ["RPOPLPUSH", a, b], lambda: ["LMOVE", a, b, r.choice(["LEFT", "RIGHT", "X"]), "LEFT"],
            lambda: ["LMPOP", 2, a, b, r.choice(["LEFT", "RIGHT"])], lambda: ["SORT", k, "ALPHA"] + self.flag("DESC"), lambda: ["SORT", a, "ALPHA", "STORE", b],
        ])()

    # sets

    def g_set(self):
        "16"
        k, r = self.key("g"), self.r
        a, b, c = self.keys("g", 3)
        return r.choice([
            lambda: ["SADD", k] + [self.member() for _ in range(r.randrange(1, 6))], lambda: ["SREM", k, self.member(), self.member()], lambda: ["SCARD", k],
            lambda: ["SISMEMBER", k, self.member()], lambda: ["SMISMEMBER", k, self.member(), self.member()], lambda: ["SMEMBERS", k], lambda: ["SMOVE", a, b, self.member()],
            lambda: ["SINTER", a, b], lambda: ["SUNION", a, b, c], lambda: ["SDIFF", a, b], lambda: ["SINTERSTORE", a, b, c], lambda: ["SUNIONSTORE", a, b, c],
            lambda: ["SDIFFSTORE", a, b, c], lambda: ["SINTERCARD", 2, a, b] + r.choice([[], ["LIMIT", 1]]), lambda: ["SSCAN", k, 0, "COUNT", 1000], lambda: ["SPOP", k, 1000],
        ])()

    # hashes

    def g_hash(self):
        "16"
        k, r = self.key("h"), self.r
        return r.choice([
            lambda: ["HSET", k] + [x for _ in range(r.randrange(1, 4)) for x in (self.member(), self.value())], lambda: ["HSET", k, self.member()],
            lambda: ["HMSET", k, self.member(), self.value()], lambda: ["HSETNX", k, self.member(), self.value()], lambda: ["HGET", k, self.member()],
            lambda: ["HMGET", k, self.member(), self.member()], lambda: ["HGETALL", k], lambda: ["HKEYS", k], lambda: ["HVALS", k], lambda: ["HLEN", k],
            lambda: ["HDEL", k, self.member()], lambda: ["HEXISTS", k, self.member()], lambda: ["HSTRLEN", k, self.member()], lambda: ["HINCRBY", k, self.member(), self.num()],
            lambda: ["HINCRBYFLOAT", k, self.member(), "1.5"], lambda: ["HSCAN", k, 0, "COUNT", 1000],
        ])()

    # sorted sets

    def g_zset(self):
        "20"
        k, r = self.key("z"), self.r
        a, b, c = self.keys("z", 3)
        return r.choice([
            lambda: ["ZADD", k] + self.flag("NX", "XX", "GT", "CH") + [r.choice(["1", "2", "-1.5", "inf", "x", "3"]), self.member(), "2", self.member()],
            lambda: ["ZADD", k, "INCR", "1", self.member()], lambda: ["ZINCRBY", k, r.choice(["1", "2.5", "x"]), self.member()], lambda: ["ZREM", k, self.member(), self.member()],
            lambda: ["ZCARD", k], lambda: ["ZSCORE", k, self.member()], lambda: ["ZMSCORE", k, self.member(), self.member()], lambda: ["ZRANK", k, self.member()],
            lambda: ["ZREVRANK", k, self.member()], lambda: ["ZRANGE", k, self.idx(), self.idx()] + self.flag("WITHSCORES"), lambda: ["ZREVRANGE", k, 0, -1],
            lambda: ["ZRANGE", k, self.score(), self.score(), "BYSCORE"], lambda: ["ZRANGEBYSCORE", k, self.score(), self.score(), "LIMIT", 0, 3], lambda: ["ZRANGEBYLEX", k, "-", "[e"],
            lambda: ["ZREVRANGEBYSCORE", k, self.score(), self.score()], lambda: ["ZCOUNT", k, self.score(), self.score()], lambda: ["ZLEXCOUNT", k, "-", "+"],
            lambda: ["ZPOPMIN", k], lambda: ["ZPOPMAX", k, 2], lambda: ["ZREMRANGEBYRANK", k, 0, 0], lambda: ["ZREMRANGEBYSCORE", k, "(1", "2"],
            lambda: ["ZUNION", 2, a, b, "WITHSCORES"], lambda: ["ZINTER", 2, a, b], lambda: ["ZDIFF", 2, a, b], lambda: ["ZUNIONSTORE", a, 2, b, c], lambda: ["ZINTERSTORE", a, 2, b, c, "WEIGHTS", 1, 2],
            lambda: ["ZDIFFSTORE", a, 2, b, c], lambda: ["ZRANGESTORE", a, b, 0, 1], lambda: ["ZINTERCARD", 2, a, b], lambda: ["ZMPOP", 2, a, b, "MIN"], lambda: ["ZSCAN", k, 0, "COUNT", 1000],
        ])()

    # the rest

    def g_hll_and_geo(self):
        "6"
        a, b, c = self.keys("p", 3)
        r = self.r
        g = self.key("z")
        return r.choice([
            lambda: ["PFADD", a, self.member(), self.member()], lambda: ["PFCOUNT", a], lambda: ["PFCOUNT", a, b], lambda: ["PFMERGE", a, b, c],
            lambda: ["GEOADD", g, r.choice(["13.36", "15.08", "999"]), "38.11", self.member()], lambda: ["GEODIST", g, self.member(), self.member()], lambda: ["GEOPOS", g, self.member()],
            lambda: ["GEOHASH", g, self.member()], lambda: ["GEOSEARCH", g, "FROMLONLAT", "15", "37", "BYRADIUS", "300", "km", "ASC"],
        ])()

    def g_stream(self):
        "7"
        k, r = self.key("x"), self.r
        a, b = self.keys("x", 2)
        self.ids += r.choice([0, 1, 1, 1])
        i = "%d-%d" % (self.ids, r.randrange(1, 3))
        return r.choice([
            lambda: ["XADD", k, i, "f", self.value()], lambda: ["XADD", k, "MAXLEN", "5", i, "f", "v"], lambda: ["XADD", k, i, "f"], lambda: ["XLEN", k], lambda: ["XRANGE", k, "-", "+"],
            lambda: ["XREVRANGE", k, "+", "-", "COUNT", 2], lambda: ["XDEL", k, i], lambda: ["XTRIM", k, "MAXLEN", 3], lambda: ["XREAD", "COUNT", 2, "STREAMS", a, b, "0", "0"],
            lambda: ["XGROUP", "CREATE", k, "g", "0"], lambda: ["XREADGROUP", "GROUP", "g", "c", "STREAMS", k, ">"], lambda: ["XACK", k, "g", i],
        ])()

    def g_script(self):
        "3"
        k = self.key("s")
        return self.r.choice([
            lambda: ["EVAL", "return {KEYS[1],ARGV[1],#ARGV}", 1, k, self.value()], lambda: ["EVAL", "return redis.call('incr',KEYS[1])", 1, k],
            lambda: ["EVAL", "return {1,{2,{3,'x'}},false}", 1, k], lambda: ["EVAL", "return redis.error_reply('mine')", 1, k], lambda: ["EVALSHA", "f" * 40, 1, k],
            lambda: ["EVAL", "syntax error here", 1, k],
        ])()

    def g_wrong_arity(self):
        "3"
        return self.r.choice([["GET"], ["GET", "a", "b"], ["SET", "a"], ["MGET"], ["MSET", "a"], ["MSET", "a", "1", "b"], ["DEL"], ["HGET", "h"], ["ZADD", "z"], ["EXPIRE", "k"],
                              ["LRANGE", "l", "0"], ["EXISTS"], ["SETEX", "k", "1"], ["LMOVE", "a", "b"], ["XADD", "x", "*"], ["INCR"], ["TYPE", "a", "b"], ["EVAL", "x"]])

    def g_unknown(self):
        "1"
        return self.r.choice([["NOSUCH"], ["NOSUCH", "a", "b"], ["GETT", self.value()], ["foo", "x" * 300]])

    def g_local(self):
        "2"
        return self.r.choice([["PING"], ["PING", self.value()], ["ECHO", self.value()], ["SELECT", "0"]])


SORTED = {b"SMEMBERS", b"SINTER", b"SUNION", b"SDIFF", b"HGETALL", b"HKEYS", b"HVALS", b"SSCAN", b"HSCAN", b"ZSCAN", b"SPOP"}
PAIRS = {b"HGETALL", b"HSCAN", b"ZSCAN"}


def flat(v):
    return v if isinstance(v, bytes) else repr(v).encode()


def normal(req, raw):
    """What is compared: the bytes, but for replies without a specified order or with a clock in them."""
    name = req[0].upper()
    if raw[:1] == b"-":
        return raw
    if name in SORTED and raw[:1] == b"*":
        v = parse_resp(raw)
        head = []
        if name.endswith(b"SCAN"):
            head, v = [v[0]], v[1]
        if name in PAIRS:
            v = list(zip(v[::2], v[1::2]))
        return head, sorted(v)
    if name in (b"TTL", b"PTTL", b"EXPIRETIME", b"PEXPIRETIME") and raw[1:2] != b"-":   # from a relative time of two moments
        return b"positive"
    return raw


def run(stream_seed, target, plain, where):
    """Sends the stream in pipelines of random size, cut into random writes; compares reply by reply."""
    gen = Stream(stream_seed)
    rng = random.Random(stream_seed + 1)
    done = 0
    trail = []
    while done < COUNT:
        batch = [gen.request() for _ in range(min(rng.choice([1, 1, 2, 5, 20, 100, 400]), COUNT - done))]
        data = b"".join(resp(*r) for r in batch)
        want = plain.pipeline(batch)
        pos = 0
        while rng.random() < 0.3 and pos < len(data):
            n = rng.randrange(1, min(len(data) - pos, 5000) + 1)
            target.send(data[pos:pos + n])
            pos += n
        target.post(data[pos:])
        got = target.replies(len(batch))
        trail = (trail + batch)[-500:]
        for i, (r, a, b) in enumerate(zip(batch, got, want)):
            if a != b and normal(r, a) != normal(r, b):
                about = [x for x in trail[:len(trail) - len(batch) + i] if any(k in r[1:] for k in x[1:])][-12:]
                pytest.fail("%s, seed %d, command %d: %r\n kvmux: %r\n redis: %r\n before it on its keys:\n  %s"
                            % (where, stream_seed, done + i, [x[:200] for x in r], a[:400], b[:400], "\n  ".join(repr([y[:60] for y in x]) for x in about)))
        done += len(batch)
    return done


@pytest.mark.kvmux_only
@pytest.mark.parametrize("servers", [1, 4])
def test_random_streams_answer_as_one_redis(redis4, redis_alone, servers):
    for s in redis4 + [redis_alone]:
        s.flush()
    with Proxy({"p": redis_pool(redis4[:servers], hash_tag="{}", server_connections=2, timeout=30000)}) as px:
        with px.client(deadline=60) as c, redis_alone.client() as plain:
            assert run(SEED + servers, c, plain, "%d servers" % servers) == COUNT
        # at the end the same keys exist, on one side together, on the other in parts
        ours = [k for s in redis4[:servers] for k in s.keys()]
        assert len(ours) == len(set(ours)) and set(ours) == redis_alone.keys()
    for s in redis4 + [redis_alone]:
        s.flush()


def test_the_stream_is_worth_something():
    """Most commands succeed, all kinds occur, the stream is the same each time."""
    a, b = Stream(7), Stream(7)
    first = [a.request() for _ in range(5000)]
    assert first == [b.request() for _ in range(5000)]
    names = {r[0].upper() for r in first}
    assert len(names) > 120
    with RedisServer() as s, s.client() as c:
        errors = sum(r[:1] == b"-" for r in c.pipeline(first))
    assert 200 < errors < 1700, errors
