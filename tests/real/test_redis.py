"""Redis clients through four shards (compat parts 5.1-5.5, issue list 5)."""
import hashlib
import random
import re

import pytest
import redis

import commands
from harness import (TARGET, NIL, OK, PONG, Proxy, RedisServer, array, bulk, integer, key_on, parse_resp, redis_pool, resp, spread, wait_until)


@pytest.fixture(scope="module")
def px(redis4):
    with Proxy({"shards": redis_pool(redis4, hash_tag="{}", timeout=10000,
                                               server_connections=1 if TARGET == "nutcracker" else 2)}) as p:
        yield p


@pytest.fixture()
def c(px):
    with px.client() as client:
        yield client


@pytest.fixture()
def plain(redis_alone):
    with redis_alone.client() as client:
        yield client


@pytest.fixture(scope="module", autouse=True)
def empty(redis4, redis_alone):
    for s in redis4 + [redis_alone]:
        s.flush()


def still_works(client):
    assert client.cmd("SET", "still", "here") == OK
    assert client.cmd("GET", "still") == bulk("here")


not_direct = pytest.mark.not_direct
kvmux_only = pytest.mark.kvmux_only

# ------------------------------------------------------------------------------------------------ the table


def compare_script(client, plain, name, text):
    tag = name.encode()
    got = commands.run_script(client, text, tag)
    want = commands.run_script(plain, text, tag)
    for (req, a), (_, b) in zip(got, want):
        word = req[0].lower().decode()
        assert commands.normal(word, a) == commands.normal(word, b), req


@pytest.mark.parametrize("name", sorted(commands.SCRIPTS))
def test_command_answers_as_one_redis(c, plain, name):
    if TARGET == "nutcracker" and name in ("zunion", "zinter", "zdiff", "touch", "hmset"):
        pytest.skip("nutcracker's defect B7, or closes")
    compare_script(c, plain, name, commands.SCRIPTS[name])
    still_works(c)


@kvmux_only
@pytest.mark.parametrize("name", sorted(commands.MORE_SCRIPTS))
def test_command_nutcracker_did_not_have(c, plain, name):
    compare_script(c, plain, name, commands.MORE_SCRIPTS[name])
    still_works(c)


def test_the_table_is_complete():
    assert len(commands.NUTCRACKER_FORWARDS) == 137 - 4   # PING QUIT AUTH MOVE


@kvmux_only
@not_direct
def test_every_command_of_the_server_gets_one_reply(px, plain):
    """Whatever COMMAND lists: an answer or an error, never a closed connection, never two replies. (Read with a
    marker behind each; commands that would hold the connection or end it are left out.)"""
    names = sorted(x[0].decode() for x in plain.value("COMMAND"))
    assert len(names) > 200
    with px.client() as c:
        for name in names:
            if name in ("quit", "auth", "multi") or name.endswith("subscribe"):
                continue
            for args in ((), ("{a}k",), ("{a}k", "1"), ("{a}k", "1", "2"), ("1", "{a}k", "x", "y", "z")):
                a, b = c.pipeline([(name,) + args, ("ECHO", "mark")])
                assert b == bulk("mark"), (name, args, a, b)
        still_works(c)


# ------------------------------------------------------------------------------------------------ errors are answers

@kvmux_only
def test_unknown_command_keeps_the_connection(c):
    assert c.cmd("BOGUS", "a").startswith(b"-ERR unknown command ")
    assert c.cmd("bogus").startswith(b"-ERR unknown command ")
    still_works(c)


@kvmux_only
@pytest.mark.parametrize("req", [("BOGUS",), ("bogus", "a", "b c"), ("x" * 200, "y" * 200), ("NOSUCH", "\x01\n")])
def test_unknown_command_text_is_redis_own(c, plain, req):
    assert c.cmd(*req) == plain.cmd(*req)


WRONG_ARITY = [("GET",), ("GET", "a", "b"), ("SET", "a"), ("get",), ("TTL",), ("EXPIRE", "k"), ("MGET",), ("MSET",), ("MSET", "a"), ("DEL",),
               ("EXISTS",), ("UNLINK",), ("TOUCH",), ("MSET", "a", "1", "b"), ("HSET", "h", "f"), ("LRANGE", "l", "0"), ("PING", "a", "b"),
               ("ECHO",), ("ECHO", "a", "b"), ("SELECT",), ("EVAL",), ("EVAL", "return 1"), ("ZUNION", "2"), ("SETEX", "k", "1"), ("LMOVE", "a", "b"),
               ("XADD", "x"), ("TIME", "x"), ("GETSET", "a"), ("AUTH",), ("BITOP", "AND", "x")]


@kvmux_only
@pytest.mark.parametrize("req", WRONG_ARITY, ids=lambda r: "-".join(r))
def test_wrong_arity_is_redis_own_text(c, plain, req):
    want = plain.cmd(*req)
    assert want.startswith(b"-")
    assert c.cmd(*req) == want
    still_works(c)


@kvmux_only
@not_direct
def test_errors_in_the_middle_of_a_pipeline(c):
    reqs = [("SET", "a", "1"), ("BOGUS",), ("GET", "a"), ("GET",), ("LPUSH", "a", "x"), ("GET", "a"), ("MONITOR",), ("EXEC",), ("MGET", "a", "b"),
            ("PING",)]
    got = c.pipeline(reqs)
    assert got[0] == OK
    assert got[1].startswith(b"-ERR unknown command")
    assert got[2] == bulk("1")
    assert got[3] == b"-ERR wrong number of arguments for 'get' command\r\n"
    assert got[4].startswith(b"-WRONGTYPE ")
    assert got[5] == bulk("1")
    assert got[6].startswith(b"-ERR ")
    assert got[7].startswith(b"-ERR ")
    assert got[8] == array(bulk("1"), NIL)
    assert got[9] == PONG


@kvmux_only
@pytest.mark.parametrize("req", [("MONITOR",), ("SHUTDOWN", "NOSAVE"), ("DEBUG", "SLEEP", "0"),
                                 ("REPLICAOF", "NO", "ONE"), ("CONFIG", "SET", "maxmemory", "1"), ("SYNC",), ("PSYNC", "?", "-1"),
                                 ("SWAPDB", "0", "1"), ("CLUSTER", "SLOTS"),
                                 ("SAVE",)], ids=lambda r: r[0])
@not_direct
def test_refused_with_a_reason(c, redis4, req):
    """Not built yet, or denied for good: one -ERR line, at once, and nothing has happened. (Commands that the next issue
    builds move out of this list then.)"""
    c.cmd("SET", "a", "precious")
    a, b = c.pipeline([req, ("ECHO", "mark")])
    assert a.startswith(b"-") and len(a) > 8 and a.count(b"\r\n") == 1, a
    assert b == bulk("mark")
    assert c.cmd("GET", "a") == bulk("precious")


@kvmux_only
@not_direct
def test_dbsize_and_flushall_are_refused_or_reach_every_server(redis4):
    """Never one server's answer for all: the sum and a flush of all, or an error."""
    for s in redis4:
        s.flush()
    with Proxy({"p": redis_pool(redis4)}) as px, px.client() as c:
        for k in spread(40):
            assert c.cmd("SET", k, "1") == OK
        a = c.cmd("DBSIZE")
        assert a == integer(40) or a.startswith(b"-ERR "), a
        a = c.cmd("FLUSHALL")
        left = sum(len(s.keys()) for s in redis4)
        assert (a, left) == (OK, 0) or (a.startswith(b"-ERR ") and left == 40), (a, left)
    for s in redis4:
        s.flush()


# ------------------------------------------------------------------------------------------------ answered by the proxy

def test_ping(c):
    assert c.cmd("PING") == PONG
    assert c.cmd("ping") == PONG


@kvmux_only
def test_ping_with_argument_and_echo(c):
    assert c.cmd("PING", "hello") == bulk("hello")
    assert c.cmd("ECHO", b"a\r\n\x00b") == bulk(b"a\r\n\x00b")
    assert c.cmd("ECHO", "") == bulk("")


@kvmux_only
def test_quit_answers_ok_then_closes(px):
    with px.client() as c:
        c.post(resp("SET", "q", "1") + resp("GET", "q") + resp("QUIT") + resp("SET", "q", "2"))
        assert c.until_close() == OK + bulk("1") + OK
    with px.client() as c:
        assert c.cmd("GET", "q") == bulk("1"), "input after QUIT is ignored"


@kvmux_only
@not_direct
def test_select(c):
    assert c.cmd("SELECT", "0") == OK
    assert c.cmd("SELECT", "9999").startswith(b"-ERR ")
    assert c.cmd("SELECT", "abc").startswith(b"-ERR ")
    still_works(c)


@kvmux_only
@not_direct
def test_hello(c):
    assert c.cmd("HELLO", "99") == b"-NOPROTO unsupported protocol version\r\n"
    still_works(c)


@kvmux_only
@not_direct
def test_hello_2_has_one_answer(c):
    a, b = c.pipeline([("HELLO", "2"), ("PING",)])
    assert a[:1] in (b"*", b"-") and b == PONG


@kvmux_only
def test_time(c, plain):
    seconds, micros = c.value("TIME")
    here = plain.value("TIME")
    assert abs(int(seconds) - int(here[0])) <= 2 and 0 <= int(micros) < 1000000


@kvmux_only
def test_command_is_what_a_server_says(c, plain):
    ours, theirs = c.value("COMMAND"), plain.value("COMMAND")
    assert sorted(x[0] for x in ours) == sorted(x[0] for x in theirs)
    assert {x[0]: x[1] for x in ours} == {x[0]: x[1] for x in theirs}, "arities"


@not_direct
def test_auth_without_redis_auth(c):
    assert c.cmd("AUTH", "x") == b"-ERR Client sent AUTH, but no password is set\r\n"
    still_works(c)


@kvmux_only
@not_direct
def test_auth_with_user_without_redis_auth(c):
    assert c.cmd("AUTH", "default", "x").startswith(b"-")
    still_works(c)


# ------------------------------------------------------------------------------------------------ several keys

def test_split_commands_reach_every_shard(px, c, redis4):
    keys = spread(60, "split:")
    pairs = [x for k in keys for x in (k, "v" + k)]
    assert c.cmd("MSET", *pairs) == OK
    if px.kind != "direct":
        held = [len(s.keys() & {k.encode() for k in keys}) for s in redis4]
        assert sum(held) == 60 and min(held) > 0, held
    want = array(*[bulk("v" + k) for k in keys])
    assert c.cmd("MGET", *keys) == want
    assert c.cmd("mget", *reversed(keys)) == array(*[bulk("v" + k) for k in reversed(keys)])
    assert c.cmd("MGET", "none", *keys[:3]) == array(NIL, *[bulk("v" + k) for k in keys[:3]])
    assert c.cmd("MGET", keys[0], keys[0], keys[0]) == array(*[bulk("v" + keys[0])] * 3)
    assert c.cmd("TOUCH", "none", *keys) == integer(60)
    assert c.cmd("DEL", *keys[:20]) == integer(20)
    assert c.cmd("UNLINK", *keys) == integer(40)
    assert c.cmd("MGET", *keys) == array(*[NIL] * 60)


@kvmux_only
def test_exists_is_split(c):
    keys = spread(40, "ex:")
    assert c.cmd("MSET", *[x for k in keys for x in (k, "1")]) == OK
    assert c.cmd("EXISTS", *keys) == integer(40)
    assert c.cmd("EXISTS", "none", *keys) == integer(40)
    assert c.cmd("EXISTS", keys[0], keys[0]) == integer(2), "a key named twice counts twice"


def test_mset_last_value_of_a_repeated_key_wins(c):
    assert c.cmd("MSET", "rep", "1", "other:1", "x", "rep", "2", "other:2", "x", "rep", "3") == OK
    assert c.cmd("GET", "rep") == bulk("3")


def test_mget_of_a_wrong_type_is_nil(c):
    c.cmd("DEL", "wt:list")
    assert c.cmd("RPUSH", "wt:list", "a") == integer(1)
    c.cmd("SET", "wt:s", "v")
    assert c.cmd("MGET", "wt:list", "wt:s", "wt:none") == array(NIL, bulk("v"), NIL)


def test_wide_mget(c):
    n = 5000
    keys = spread(n, "wide:")
    assert c.cmd("MSET", *[x for k in keys for x in (k, k[::-1])]) == OK
    assert c.cmd("MGET", *keys) == array(*[bulk(k[::-1]) for k in keys])
    assert c.cmd("DEL", *keys) == integer(n)


SAME = [("SUNIONSTORE", 0, "a", "b"), ("RENAME", 0, "a", "b"),
        ("SMOVE", 0, "a", "b", "m"), ("RPOPLPUSH", 0, "a", "b"), ("LMOVE", 0, "a", "b", "LEFT", "LEFT"), ("COPY", 0, "a", "b"), ("PFMERGE", 0, "a", "b"),
        ("ZUNIONSTORE", 0, "a", "1", "b"), ("BITOP", 0, "AND", "a", "b"), ("MSETNX", 0, "a", "1", "b", "2"), ("EVAL", 0, "return 1", "2", "a", "b"),
        ("SORT", 0, "a", "STORE", "b"), ("GEOSEARCHSTORE", 0, "a", "b", "FROMLONLAT", "1", "1", "BYRADIUS", "1", "km"), ("LCS", 0, "a", "b"),
        ("XREAD", 0, "STREAMS", "a", "b", "0", "0"), ("LMPOP", 0, "2", "a", "b", "LEFT"),
        ("ZRANGESTORE", 0, "a", "b", "0", "1"), ("GEORADIUS", 0, "a", "1", "1", "1", "km", "STORE", "b")]


@kvmux_only
@pytest.mark.parametrize("req", SAME, ids=lambda r: r[0])
@not_direct
def test_keys_on_different_servers_are_refused(px, redis4, plain, req):
    on0, on1 = (key_on(px, redis4, i, prefix="same:", n=60)[0] for i in (0, 1))
    with px.client() as c:
        c.cmd("DEL", on0, on1, "{t}a", "{t}b")
        crossed = [on0 if x == "a" else on1 if x == "b" else x for x in req if x != 0]
        assert c.cmd(*crossed) == b"-CROSSSLOT Keys in request don't hash to the same slot: they are on several servers of this pool; give them a common {tag} (hash_tag)\r\n"
        assert c.cmd("EXISTS", on0, on1) == integer(0)
        tagged = [{"a": "{t}a", "b": "{t}b"}.get(x, x) for x in req if x != 0]
        plain.cmd("DEL", "{t}a", "{t}b")
        assert c.cmd(*tagged) == plain.cmd(*tagged), "with a common hash tag the server answers"


@kvmux_only
def test_eval_without_keys_goes_to_some_server(c):
    assert c.cmd("EVAL", "return 7", "0") == integer(7)
    a = c.cmd("EVAL", "return 7", "-1")
    assert a.startswith(b"-ERR "), a
    a = c.cmd("EVAL", "return 7", "x")
    assert a.startswith(b"-ERR "), a
    a = c.cmd("EVAL", "return 7", "3", "a")
    assert a.startswith(b"-ERR "), a
    still_works(c)


# ------------------------------------------------------------------------------------------------ framing

@kvmux_only
@pytest.mark.parametrize("line,want", [
    (b"PING\r\n", PONG), (b"PING\n", PONG), (b"ping hello\r\n", bulk("hello")), (b"  ECHO   two \r\n", bulk("two")),
    (b"ECHO \"a b\\x41\\n\"\r\n", bulk(b"a bA\n")), (b"ECHO 'single \\' q'\r\n", bulk(b"single ' q")), (b"ECHO \"\"\r\n", bulk("")),
    (b"SET inl 5\r\n", OK), (b"\r\n\r\nPING\r\n", PONG), (b"*0\r\nPING\r\n", PONG), (b"*-1\r\n*1\r\n$4\r\nPING\r\n", PONG),
], ids=lambda x: None)
def test_inline_commands(px, redis_alone, line, want):
    for a in (redis_alone.client(), px.client()):
        with a as c:
            c.post(line)
            assert c.reply() == want
            assert c.cmd("PING") == PONG


@kvmux_only
def test_inline_and_arrays_mixed_in_a_pipeline(c):
    c.post(b"SET mix 1\r\n" + resp("INCR", "mix") + b"GET mix\r\nMGET mix nonesuch\r\n" + resp("PING"))
    assert c.replies(5) == [OK, integer(2), bulk("2"), array(bulk("2"), NIL), PONG]


BROKEN = {
    "not-a-bulk": b"*1\r\nfoo\r\n",
    "no-length": b"*2\r\n$3\r\nGET\r\n$\r\n",
    "minus-one-length": b"*2\r\n$3\r\nGET\r\n$-1\r\n",
    "letters-as-length": b"*2\r\n$3\r\nGET\r\n$abc\r\n",
    "letters-as-count": b"*abc\r\n",
    "count-too-large": b"*99999999999\r\n",
    "count-over-limit": b"*2147483648\r\n",
    "length-too-large": b"*2\r\n$3\r\nGET\r\n$99999999999\r\n",
    "length-over-int64": b"*2\r\n$3\r\nGET\r\n$99999999999999999999999\r\n",
    "integer-element": b"*2\r\n$3\r\nGET\r\n:1\r\n",
    "nested-array": b"*2\r\n$3\r\nGET\r\n*1\r\n$1\r\na\r\n",
    "unbalanced-quote": b"SET a \"b\r\n",
    "junk-after-quote": b"SET a \"b\"c\r\n",
    "long-inline": b"A" * 70000,
    "long-count": b"*" + b"1" * 70000,
    "long-length": b"*1\r\n$" + b"1" * 70000,
}


@kvmux_only
@pytest.mark.parametrize("name", BROKEN)
def test_broken_frame_is_answered_after_earlier_replies_then_closed(px, redis_alone, name):
    said = {}
    for who, client in (("redis", redis_alone.client()), ("proxy", px.client())):
        with client as c:
            c.post(resp("SET", "bf", "1") + resp("GET", "bf") + resp("MGET", "bf", "bg") + BROKEN[name])
            got = c.until_close()
        head = OK + bulk("1") + array(bulk("1"), NIL)
        assert got.startswith(head), (who, got)
        said[who] = got[len(head):]
    assert re.fullmatch(rb"-ERR Protocol error: [^\r\n]+\r\n", said["proxy"]), said
    assert said["proxy"] == said["redis"]


@kvmux_only
def test_broken_frame_of_one_client_harms_no_other(px):
    with px.client() as other:
        for name in ("no-length", "integer-element", "length-too-large"):
            other.post(resp("SET", "harm", "1"))
            with px.client() as c:
                c.post(BROKEN[name])
                assert c.until_close().startswith(b"-ERR Protocol error")
            assert other.reply() == OK
            assert other.cmd("GET", "harm") == bulk("1")


def test_every_cut_of_a_pipeline(px):
    """The same bytes in two writes, cut at every place."""
    data = resp("SET", "cut", "v\r\n*$") + resp("MGET", "cut", "none") + resp("DEL", "cut", "nn")
    want = [OK, array(bulk("v\r\n*$"), NIL), integer(1)]
    with px.client() as c:
        for i in range(1, len(data)):
            c.send(data[:i])
            c.send(data[i:])
            assert c.replies(3) == want, i


def test_byte_by_byte(px):
    data = resp("SET", "slow", "x" * 10) + resp("GET", "slow")
    with px.client() as c:
        for i in range(len(data)):
            c.send(data[i:i + 1])
        assert c.replies(2) == [OK, bulk("x" * 10)]


def test_half_close_still_gets_all_replies(px):
    with px.client() as c:
        c.send(b"".join(resp("SET", "hc:%d" % i, i) + resp("GET", "hc:%d" % i) for i in range(300)))
        c.half_close()
        want = b"".join(OK + bulk(i) for i in range(300))
        assert c.until_close() == want


# ------------------------------------------------------------------------------------------------ keys and values of every kind

def test_binary_and_empty_keys(c):
    keys = [b"", b"\x00", b"\r\n", b"a b", b"$1\r\n", bytes(range(256)), "schlüssel".encode(), b"\xff" * 20, b"{", b"}", b"{}", b"{}x", b"*1\r\n$4\r\nPING\r\n"]
    for i, k in enumerate(keys):
        assert c.cmd("SET", k, b"v%d" % i) == OK
    for i, k in enumerate(keys):
        assert c.cmd("GET", k) == bulk("v%d" % i), k
    assert c.cmd("MGET", *keys) == array(*[bulk("v%d" % i) for i in range(len(keys))])
    assert c.cmd("DEL", *keys) == integer(len(keys))


def test_values_around_buffer_sizes(c):
    for n in (0, 1, 15, 16, 4095, 4096, 8190, 8191, 8192, 8193, 16287, 16288, 16335, 16336, 16337, 16384, 32768, 65535, 65536, 65537, 131072, 262144, 262145):
        v = random.Random(n).randbytes(n)
        assert c.pipeline([("SET", "size", v), ("GET", "size"), ("STRLEN", "size"), ("GETRANGE", "size", 0, 3)]) == [OK, bulk(v), integer(n), bulk(v[:4])], n


@kvmux_only
@pytest.mark.parametrize("n", [16336, 65536, 1 << 20])
def test_long_keys(c, n):
    k = b"K" * n
    assert c.pipeline([("SET", k, "v"), ("GET", k), ("MGET", k, "none", k), ("DEL", k, "none"), ("PING",)]) == [
        OK, bulk("v"), array(bulk("v"), NIL, bulk("v")), integer(1), PONG]


def big(n):
    block = bytes(random.Random(7).getrandbits(8) for _ in range(65521))
    return (block * (n // len(block) + 1))[:n]


@pytest.mark.parametrize("mib", [1, 8, 64])
def test_big_values(px, mib):
    v = big(mib << 20)
    want = hashlib.sha1(v).hexdigest()
    with px.client(deadline=60) as c, px.client(deadline=60) as other:
        assert c.cmd("SET", "{big}v", v) == OK
        got = c.cmd("GET", "{big}v")
        assert got[:20].startswith(b"$%d\r\n" % len(v))
        assert hashlib.sha1(memoryview(got)[got.index(b"\n") + 1:-2]).hexdigest() == want
        c.post(resp("GET", "{big}v") + resp("SET", "small", "1") + resp("GET", "small"))
        assert other.cmd("PING") == PONG
        got = c.replies(3)
        assert len(got[0]) > len(v) and got[1:] == [OK, bulk("1")]
        if mib < 64:
            a = parse_resp(c.cmd("MGET", "small", "{big}v", "none", "{big}v"))
            assert a == [b"1", v, None, v]
        assert c.cmd("DEL", "{big}v", "small") == integer(2)


DEEP = spread(997, "deep:")


def test_deep_pipeline_keeps_order(px):
    n = 20000
    with px.client(deadline=60) as c:
        got = c.pipeline([("SET", DEEP[i % 997], i) if i % 2 else ("GETSET", DEEP[i % 997], i) for i in range(n)])
        model, want = {}, []
        for i in range(n):
            k = i % 997
            want.append(OK if i % 2 else bulk(model.get(k)))
            model[k] = str(i)
        assert got == want


def test_many_clients_at_once(px):
    clients = [px.client() for _ in range(100)]
    try:
        for r in range(5):
            for i, c in enumerate(clients):
                c.post(resp("SET", "mc:%d" % i, "%d.%d" % (i, r)) + resp("GET", "mc:%d" % i) + resp("MGET", "mc:%d" % i, "nn"))
                c.flush()
            for i, c in enumerate(clients):
                v = bulk("%d.%d" % (i, r))
                assert c.replies(3) == [OK, v, array(v, NIL)]
    finally:
        for c in clients:
            c.close()


def test_clients_that_leave_with_requests_in_flight(px):
    with px.client() as steady:
        for i in range(50):
            c = px.client()
            c.send(b"".join(resp("GETSET", "leave", "x" * 2000) for _ in range(50)))
            c.abort() if i % 2 else c.close()
            assert steady.cmd("SET", "stay", i) == OK
            assert steady.cmd("GET", "stay") == bulk(i)


# ------------------------------------------------------------------------------------------------ redis-py

@pytest.fixture()
def rp(px):
    addr = px.addr()
    client = redis.Redis(host=addr[0], port=addr[1], socket_timeout=20)
    yield client
    client.close()


def test_redis_py_basics(rp):
    rp.delete("rp:s", "rp:h", "rp:l", "rp:set", "rp:z", "rp:n")
    assert rp.set("rp:s", b"v\x00", ex=1000) is True
    assert rp.get("rp:s") == b"v\x00"
    assert 0 < rp.ttl("rp:s") <= 1000
    assert rp.incr("rp:n", 5) == 5
    assert rp.hset("rp:h", mapping={"a": 1, "b": 2}) == 2
    assert rp.hgetall("rp:h") == {b"a": b"1", b"b": b"2"}
    assert rp.rpush("rp:l", "a", "b") == 2 and rp.lrange("rp:l", 0, -1) == [b"a", b"b"]
    assert rp.sadd("rp:set", "x", "y") == 2 and rp.smembers("rp:set") == {b"x", b"y"}
    assert rp.zadd("rp:z", {"a": 1, "b": 2.5}) == 2 and rp.zrange("rp:z", 0, -1, withscores=True) == [(b"a", 1.0), (b"b", 2.5)]
    assert rp.mset({"rp:%d" % i: i for i in range(50)}) is True
    assert rp.mget(["rp:%d" % i for i in range(50)] + ["rp:none"]) == [b"%d" % i for i in range(50)] + [None]
    assert rp.delete(*["rp:%d" % i for i in range(50)]) == 50
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        rp.lpush("rp:s", 1)
    assert rp.get("rp:s") == b"v\x00"


def test_redis_py_pipeline_without_transaction(rp):
    with rp.pipeline(transaction=False) as p:
        for i in range(500):
            p.set("rpp:%d" % i, i)
            p.get("rpp:%d" % i)
        out = p.execute()
    assert out == [x for i in range(500) for x in (True, b"%d" % i)]


@kvmux_only
def test_redis_py_pipeline_with_errors(rp):
    rp.set("rpe", "v")
    with rp.pipeline(transaction=False) as p:
        p.get("rpe").lpush("rpe", 1).execute_command("BOGUS").get("rpe")
        out = p.execute(raise_on_error=False)
    assert out[0] == b"v" and out[3] == b"v"
    assert isinstance(out[1], redis.ResponseError) and isinstance(out[2], redis.ResponseError)


@kvmux_only
def test_redis_py_ping_echo_select_time(px):
    addr = px.addr()
    r = redis.Redis(host=addr[0], port=addr[1], db=0, client_name=None, health_check_interval=1, socket_timeout=20)
    assert r.ping() is True
    assert r.echo("x") == b"x"
    assert r.execute_command("SELECT", 0) == b"OK" or r.execute_command("SELECT", 0) is True
    assert len(r.time()) == 2


def test_redis_py_script(rp):
    script = rp.register_script("return {KEYS[1], ARGV[1]}")
    # EVAL first, as users of nutcracker do
    assert rp.eval("return {KEYS[1], ARGV[1]}", 1, "{s}k", "v") == [b"{s}k", b"v"]
    assert script(keys=["{s}k"], args=["w"]) == [b"{s}k", b"w"]


# ------------------------------------------------------------------------------------------------ redis_auth (part 5.4)

@pytest.fixture(scope="module")
def auth_backends():
    servers = [RedisServer(requirepass="s3cret") for _ in range(2)]
    yield servers
    for s in servers:
        s.stop()


@pytest.fixture(scope="module")
def auth_px(auth_backends):
    with Proxy({"a": redis_pool(auth_backends, redis_auth="s3cret", timeout=10000)}) as p:
        yield p


NOAUTH = b"-NOAUTH Authentication required\r\n"


@not_direct
def test_before_auth_everything_is_refused(auth_px):
    with auth_px.client() as c:
        for req in (("PING",), ("GET", "a"), ("SET", "a", "1"), ("MGET", "a", "b"), ("COMMAND",), ("DEL", "a", "b", "c")):
            assert c.cmd(*req) == NOAUTH, req
        assert c.cmd("AUTH", "s3cret") == OK
        assert c.cmd("SET", "a", "1") == OK
        assert c.cmd("PING") == PONG


@kvmux_only
@not_direct
def test_before_auth_every_command_is_refused(auth_px):
    """The ones that nutcracker closed on, too."""
    with auth_px.client() as c:
        for req in (("ECHO", "x"), ("PING", "x"), ("SELECT", "0"), ("TIME",), ("EVAL", "return 1", "0")):
            assert c.cmd(*req).startswith(b"-NOAUTH"), req
        for req in (("BOGUS",), ("GET",)):
            assert c.cmd(*req).startswith(b"-"), req
        assert c.cmd("AUTH", "s3cret") == OK
        assert c.cmd("ECHO", "x") == bulk("x")


@not_direct
def test_auth_wrong_and_right_and_wrong_again(auth_px):
    with auth_px.client() as c:
        assert c.cmd("AUTH", "nope") == b"-ERR invalid password\r\n"
        assert c.cmd("GET", "a") == NOAUTH
        assert c.cmd("AUTH", "s3cret") == OK
        assert c.cmd("SET", "a", "1") == OK
        assert c.cmd("AUTH", "s3cre") == b"-ERR invalid password\r\n"
        assert c.cmd("GET", "a") == NOAUTH
        assert c.cmd("AUTH", "s3crett") == b"-ERR invalid password\r\n"
        assert c.cmd("AUTH", "s3cret") == OK
        assert c.cmd("GET", "a") == bulk("1")


@not_direct
def test_auth_is_of_one_connection(auth_px):
    with auth_px.client() as c, auth_px.client() as d:
        assert c.cmd("AUTH", "s3cret") == OK
        assert d.cmd("PING") == NOAUTH


@not_direct
def test_auth_in_a_pipeline(auth_px):
    with auth_px.client() as c:
        got = c.pipeline([("GET", "pa"), ("AUTH", "s3cret"), ("SET", "pa", "1"), ("MGET", "pa", "pb"), ("AUTH", "x"), ("GET", "pa")])
        assert got == [NOAUTH, OK, OK, array(bulk("1"), NIL), b"-ERR invalid password\r\n", NOAUTH]


@kvmux_only
@not_direct
def test_auth_with_user_name(auth_px):
    with auth_px.client() as c:
        assert c.cmd("AUTH", "default", "s3cret") == OK
        assert c.cmd("PING") == PONG
        assert c.cmd("AUTH", "default", "nope").startswith(b"-")
        assert c.cmd("PING") == NOAUTH
        assert c.cmd("AUTH", "somebody", "s3cret").startswith(b"-")
        assert c.cmd("PING") == NOAUTH


@kvmux_only
@not_direct
def test_quit_before_auth(auth_px):
    with auth_px.client() as c:
        c.post(resp("QUIT"))
        assert c.until_close() == OK


@not_direct
def test_redis_py_with_password(auth_px):
    addr = auth_px.addr()
    r = redis.Redis(host=addr[0], port=addr[1], password="s3cret", socket_timeout=20)
    assert r.set("rpa", "1") and r.get("rpa") == b"1"
    with pytest.raises(redis.exceptions.RedisError):
        redis.Redis(host=addr[0], port=addr[1], password="wrong", socket_timeout=20).get("rpa")


@kvmux_only
@not_direct
def test_wrong_server_password_is_a_server_failure_and_is_logged():
    """The pool's password opens the proxy, but not the server: clients get an error, the log the server's own words."""
    with RedisServer(requirepass="other") as s, Proxy({"a": redis_pool([s], redis_auth="s3cret", timeout=5000)}) as px:
        with px.client() as c:
            assert c.cmd("AUTH", "s3cret") == OK
            assert c.cmd("GET", "a").startswith(b"-")
            assert c.cmd("PING") == PONG
        px.wait_log(r"WRONGPASS|invalid username-password")


@kvmux_only
@not_direct
def test_server_without_password_gets_auth_refused(redis_alone):
    """AUTH to a server that has no password is a refusal too ("called without any password configured")."""
    with Proxy({"a": redis_pool([redis_alone], redis_auth="s3cret", timeout=5000)}) as px:
        with px.client() as c:
            assert c.cmd("AUTH", "s3cret") == OK
            assert c.cmd("SET", "leak", "1").startswith(b"-")
        px.wait_log(r"without any password")


# ------------------------------------------------------------------------------------------------ databases, sockets, names

@not_direct
def test_redis_db(redis4):
    for s in redis4[:2]:
        s.flush()
    with Proxy({"d": redis_pool(redis4[:2], redis_db=3, timeout=10000)}) as px, px.client() as c:
        for k in spread(40):
            assert c.cmd("SET", k, 1) == OK
        assert len(redis4[0].keys(3)) + len(redis4[1].keys(3)) == 40
        assert not redis4[0].keys(0) and not redis4[1].keys(0)
    for s in redis4[:2]:
        s.flush()


@kvmux_only
@not_direct
def test_select_of_the_pools_own_db(redis4):
    with Proxy({"d": redis_pool(redis4[:2], redis_db=3)}) as px, px.client() as c:
        assert c.pipeline([("SELECT", "3"), ("SET", "own", "1"), ("SELECT", "0"), ("GET", "own"), ("SELECT", "3"), ("GET", "own")]) == \
            [OK, OK, OK, NIL, OK, bulk("1")]


@not_direct
def test_unix_sockets_on_both_sides():
    with RedisServer(unix=True) as a, RedisServer(unix=True) as b:
        with Proxy({"u": redis_pool([a, b])}, unix_listen=True) as px, px.client() as c:
            keys = spread(40)
            for k in keys:
                assert c.cmd("SET", k, "v" + k) == OK
            assert len(a.keys()) + len(b.keys()) == 40 and a.keys() and b.keys()
            assert c.cmd("MGET", *keys) == array(*[bulk("v" + k) for k in keys])


@not_direct
def test_server_by_name(redis_alone):
    """localhost instead of an address, with a name for the ring."""
    with Proxy({"n": redis_pool(["localhost:%d:1 shard1" % redis_alone.port], timeout=10000)}) as px, px.client() as c:
        assert c.cmd("SET", "byname", "1") == OK
        assert b"byname" in redis_alone.keys()


@not_direct
def test_name_that_does_not_resolve_costs_only_its_keys(redis_alone):
    with Proxy({"n": redis_pool(["no-such-host.invalid:6379:1 gone", redis_alone.entry(name="here")], timeout=10000)}) as px, px.client() as c:
        got = c.pipeline([("SET", k, 1) for k in spread(60)])
        bad = [r for r in got if r != OK]
        assert bad and len(bad) < 60
        assert set(bad) == {b"-ERR Host is down\r\n"}
        assert c.cmd("PING") == PONG


@kvmux_only
@not_direct
def test_preconnect_opens_before_the_first_request():
    with RedisServer() as r, Proxy({"p": redis_pool([r], preconnect=True, server_connections=1)}, threads=2) as px:
        wait_until(lambda: px.stats("p", r.name)["server_connections"] >= 1, "preconnected uplinks")
        assert px.stats("p", r.name)["requests"] == 0


@kvmux_only
@not_direct
def test_lazily_connected_without_preconnect(redis_alone):
    with Proxy({"p": redis_pool([redis_alone])}) as px:
        assert px.stats("p", redis_alone.name)["server_connections"] == 0
        with px.client() as c:
            assert c.cmd("SET", "lazy", 1) == OK
        assert px.stats("p", redis_alone.name)["server_connections"] == 1


@not_direct
def test_server_connections_of_one_server(redis_alone):
    """With several uplinks one client's requests for one key still happen in their order (upstream #193, #353)."""
    with Proxy({"p": redis_pool([redis_alone], server_connections=4)}) as px, px.client() as c:
        if px.kind == "nutcracker":
            pytest.skip("nutcracker reorders here")
        for r in range(30):
            reqs = [("SET", "ord", i) if i % 2 == 0 else ("GET", "ord") for i in range(200)]
            got = c.pipeline(reqs)
            assert got == [OK if i % 2 == 0 else bulk(i - 1) for i in range(200)]


# ------------------------------------------------------------------------------------------------ stats of the redis side

@kvmux_only
@not_direct
def test_requests_are_counted_per_server(redis_alone):
    with Proxy({"p": redis_pool([redis_alone])}) as px, px.client() as c:
        for i in range(10):
            c.cmd("SET", "st", i)
        c.cmd("PING")
        s = px.stats("p", redis_alone.name)
        n = len(resp("SET", "st", "0")) * 10
        assert (s["requests"], s["request_bytes"], s["responses"], s["response_bytes"]) == (10, n, 10, 50)
        assert s["in_queue"] == s["out_queue"] == 0
        assert px.stats("p")["client_connections"] == 1
        c.close()
        px.wait_stat("p", "client_connections", 0)
        assert px.stats("p")["client_eof"] >= 1
