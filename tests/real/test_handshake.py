"""What clients say before and beside their work: CLIENT, INFO, CONFIG GET, CLUSTER and the like, over all workers of the proxy.
Where kvmux answers itself, it answers what a plain redis answers."""
import re

import pytest
import redis

from harness import NIL, OK, PONG, Proxy, RedisServer, bulk, integer, parse_resp, redis_pool, resp, spread, wait_until

pytestmark = pytest.mark.kvmux_only

THREADS = 3


@pytest.fixture(params=[1, 4], ids=["one_server", "four_servers"])
def servers(redis4, request):
    for s in redis4:
        s.flush()
    return redis4[:request.param]


@pytest.fixture()
def px(servers):
    with Proxy({"p": redis_pool(servers, timeout=10000), "q": redis_pool(servers)}, threads=THREADS) as p:
        yield p


def hello3(c):
    c.post(resp("HELLO", "3"))
    assert c.line() == b"%7\r\n"
    c.replies(14)


def text(raw):
    """The text of a bulk or verbatim string."""
    head, rest = raw.split(b"\r\n", 1)
    assert head[:1] in b"$=", raw[:100]
    rest = rest[:-2]
    if head[:1] == b"=":
        assert rest.startswith(b"txt:")
        rest = rest[4:]
    return rest.decode()


def rows(raw):
    """The lines of CLIENT LIST as mappings, by id."""
    made = [dict(f.split("=", 1) for f in line.split(" ")) for line in text(raw).splitlines()]
    assert len({r["id"] for r in made}) == len(made)
    return {int(r["id"]): r for r in made}


def own_id(c):
    return c.value("CLIENT", "ID")


def spread_clients(px, pool="p", workers=THREADS, most=200):
    """Clients until every worker has one. Ids tell: those of worker w are w + 1 modulo the number of workers."""
    made, seen = [], set()
    while len(seen) < workers:
        assert len(made) < most, "the system gives all connections to %r" % seen
        made.append(px.client(pool))
        seen.add(own_id(made[-1]) % workers)
    return made


# ---- CLIENT LIST, INFO, KILL

@pytest.mark.parametrize("version", [2, 3])
def test_list_sees_all_workers(px, version):
    clients = spread_clients(px)
    with px.client("q") as stranger:
        ids = {own_id(c) for c in clients}
        for c in (clients[0], clients[-1]):
            if version == 3:
                hello3(c)
            assert set(rows(c.cmd("CLIENT", "LIST"))) == ids
        assert set(rows(stranger.cmd("CLIENT", "LIST"))) == {own_id(stranger)}
    gone = own_id(clients[-1])
    clients.pop().close()
    wait_until(lambda: set(rows(clients[0].cmd("CLIENT", "LIST"))) == ids - {gone}, "the client that left to be gone")
    for c in clients:
        c.close()


def test_line_has_the_fields_of_redis(px, redis_alone):
    """Redis' fields in Redis' order, and those of 7.2 behind them."""
    with px.client() as c, redis_alone.client() as plain:
        theirs = [f.split("=")[0] for f in text(plain.cmd("CLIENT", "INFO")).split(" ")]
        ours = [f.split("=")[0] for f in text(c.cmd("CLIENT", "INFO")).split(" ")]
        assert ours[:len(theirs)] == theirs
        assert ours[len(theirs):] in ([], ["lib-name", "lib-ver"])


def test_line_is_true(px):
    with px.client() as c, px.client() as other:
        hello3(c)
        assert c.cmd("SELECT", "3") == OK
        assert c.cmd("CLIENT", "SETNAME", "n") == OK
        assert c.cmd("CLIENT", "SETINFO", "lib-name", "some-lib(x)") == OK
        assert c.cmd("CLIENT", "SETINFO", "LIB-VER", "1.2") == OK
        host, port = c.s.getsockname()
        here = "%s:%d" % px.addr("p")
        me = own_id(c)
        want = {"id": str(me), "addr": "%s:%d" % (host, port), "laddr": here, "name": "n", "db": "3", "user": "default", "resp": "3",
                "lib-name": "some-lib(x)", "lib-ver": "1.2", "flags": "N", "multi": "-1", "redir": "-1", "cmd": "client|info"}
        got = rows(c.cmd("CLIENT", "INFO"))[me]
        assert {k: got[k] for k in want} == want
        got = rows(other.cmd("CLIENT", "LIST", "ID", me, 999999))
        assert set(got) == {me} and got[me]["cmd"] == "client|info" and got[me]["lib-name"] == "some-lib(x)"
        assert other.cmd("SET", "k", "v") == OK
        assert rows(c.cmd("CLIENT", "LIST"))[own_id(other)]["cmd"] in ("client|id", "set")
        assert c.cmd("GET", "k") == b"_\r\n"
        assert rows(other.cmd("CLIENT", "LIST", "TYPE", "normal"))[me]["cmd"] == "get"
        assert other.cmd("CLIENT", "LIST", "TYPE", "pubsub") == b"$0\r\n\r\n"
        assert c.cmd("MULTI") == OK
        assert c.cmd("GET", "k") == b"+QUEUED\r\n"
        got = rows(other.cmd("CLIENT", "LIST", "ID", me))[me]
        assert (got["flags"], got["multi"]) == ("x", "1")
        assert c.cmd("DISCARD") == OK
        c.post(resp("BLPOP", "q", "0"))
        c.flush()
        wait_until(lambda: rows(other.cmd("CLIENT", "LIST", "ID", me))[me]["flags"] == "b", "the client to be blocked")


def test_reset_keeps_the_library(px):
    with px.client() as c:
        assert c.cmd("CLIENT", "SETNAME", "n") == OK
        assert c.cmd("CLIENT", "SETINFO", "lib-name", "l") == OK
        assert c.cmd("RESET") == b"+RESET\r\n"
        got = rows(c.cmd("CLIENT", "INFO"))[own_id(c)]
        assert (got["name"], got["lib-name"]) == ("", "l")


def test_unix_socket(servers):
    with Proxy({"p": redis_pool(servers)}, unix_listen=True) as px, px.client() as c:
        path = px.addr() + ":0"
        got = rows(c.cmd("CLIENT", "INFO"))[own_id(c)]
        assert (got["addr"], got["laddr"], got["flags"]) == (path, path, "U")


def closed(c):
    return wait_until(c.peek_closed, "the client to be closed")


def test_kill_over_workers(px):
    clients = spread_clients(px)
    killer = px.client()
    for i, c in enumerate(clients):
        if i % 2:
            assert killer.cmd("CLIENT", "KILL", "ID", own_id(c)) == integer(1)
        else:
            assert killer.cmd("CLIENT", "KILL", "%s:%d" % c.s.getsockname()) == OK
        closed(c)
        c.close()
    assert set(rows(killer.cmd("CLIENT", "LIST"))) == {own_id(killer)}
    assert killer.cmd("CLIENT", "KILL", "ID", "999999") == integer(0)
    assert killer.cmd("CLIENT", "KILL", "1.2.3.4:5") == b"-ERR No such client\r\n"
    killer.close()


def test_kill_many(px):
    clients = spread_clients(px)
    with px.client("q") as stranger, px.client() as killer:
        assert killer.cmd("CLIENT", "KILL", "TYPE", "pubsub") == integer(0)
        assert killer.cmd("CLIENT", "KILL", "USER", "somebody") == integer(0)
        assert killer.cmd("CLIENT", "KILL", "MAXAGE", "3600") == integer(0)
        assert killer.cmd("CLIENT", "KILL", "LADDR", "%s:%d" % px.addr("p"), "SKIPME", "yes") == integer(len(clients))
        for c in clients:
            closed(c)
            c.close()
        assert killer.cmd("PING") == PONG and stranger.cmd("PING") == PONG
        killer.post(resp("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no") + resp("SET", "after", "x"))
        assert killer.until_close() == integer(1)
        with px.client() as c:
            assert c.cmd("EXISTS", "after") == integer(0)


def test_kill_with_requests_in_flight(px):
    """Its replies are nobody's; the connections it used go on."""
    with px.client() as victim, px.client() as killer, px.client() as other:
        victim_id = own_id(victim)
        for _ in range(5):
            keys = spread(50)
            victim.post(b"".join(resp("APPEND", k, "x" * 100) for k in keys))
            victim.flush()
            if killer.cmd("CLIENT", "KILL", "ID", victim_id) == integer(0):
                break
            for k in spread(20):
                assert other.cmd("ECHO", k) == bulk(k)
                assert other.cmd("SET", "o" + k, k) == OK
                assert other.cmd("GET", "o" + k) == bulk(k)
        closed(victim)


def test_kill_a_blocked_client(px, servers):
    with px.client() as victim, px.client() as killer:
        me = own_id(victim)
        victim.post(resp("BLPOP", "list", "0"))
        victim.flush()
        wait_until(lambda: rows(killer.cmd("CLIENT", "LIST", "ID", me))[me]["flags"] == "b", "the client to wait")
        assert killer.cmd("CLIENT", "KILL", "ID", me) == integer(1)
        closed(victim)
        wait_until(lambda: sum(int(s.info("blocked_clients")) for s in servers) == 0, "the servers to know")
        assert killer.cmd("RPUSH", "list", "e") == integer(1)
        assert killer.cmd("LPOP", "list") == bulk("e")


def test_listeners(px):
    clients = spread_clients(px)
    with px.client() as c:
        for x in clients[1:]:
            assert x.cmd("SUBSCRIBE", "a", "b")
            x.reply()
            assert x.cmd("PSUBSCRIBE", "p*")
        got = rows(c.cmd("CLIENT", "LIST", "TYPE", "pubsub"))
        assert len(got) == len(clients) - 1
        assert {(r["flags"], r["sub"], r["psub"], r["ssub"], r["cmd"]) for r in got.values()} == {("P", "2", "1", "0", "psubscribe")}
        assert len(rows(c.cmd("CLIENT", "LIST", "TYPE", "normal"))) == 2
        assert c.cmd("CLIENT", "KILL", "TYPE", "pubsub") == integer(len(clients) - 1)
        for x in clients[1:]:
            closed(x)
        assert clients[0].cmd("PING") == PONG
    for x in clients:
        x.close()


def test_messages_to_a_client_that_wants_no_answers(px):
    with px.client() as c, px.client() as other:
        hello3(c)
        c.post(resp("CLIENT", "REPLY", "OFF") + resp("PING") + resp("SUBSCRIBE", "ch"))
        assert c.reply().startswith(b">3\r\n$9\r\nsubscribe\r\n")
        other.cmd("PUBLISH", "ch", "m")
        assert c.reply() == b">3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$1\r\nm\r\n"
        assert c.cmd("CLIENT", "REPLY", "ON") == OK


def test_order_in_a_pipeline(px):
    others = spread_clients(px)
    with px.client() as c:
        requests, n = [], 30
        for i in range(n):
            requests += [("SET", "k", str(i)), ("CLIENT", "LIST", "TYPE", "normal"), ("GET", "k"), ("CLIENT", "ID")]
        got = c.pipeline(requests)
        me = own_id(c)
        for i in range(n):
            assert got[4 * i] == OK and got[4 * i + 2] == bulk(str(i)) and got[4 * i + 3] == integer(me)
            assert len(rows(got[4 * i + 1])) == len(others) + 1
    for o in others:
        o.close()


def test_askers_who_leave(px):
    """Gone before the answer: whoever asks next is answered."""
    for i in range(50):
        c = px.client()
        c.post(resp("CLIENT", "LIST") * 3)
        c.flush()
        c.abort() if i % 2 else c.close()
    with px.client() as c:
        wait_until(lambda: set(rows(c.cmd("CLIENT", "LIST"))) == {own_id(c)}, "them to be gone")


def test_list_larger_than_the_limit(servers):
    with Proxy({"p": redis_pool(servers, gather_limit=1024)}, threads=THREADS) as px, px.client() as c:
        assert rows(c.cmd("CLIENT", "LIST"))
        others = [px.client() for _ in range(8)]
        assert all(o.cmd("PING") == PONG for o in others)
        assert c.cmd("CLIENT", "LIST") == b"-ERR the answers of the servers are larger than gather_limit\r\n"
        assert set(rows(c.cmd("CLIENT", "LIST", "ID", own_id(c)))) == {own_id(c)}
        assert c.cmd("CLIENT", "KILL", "TYPE", "normal") == integer(8)
        for o in others:
            o.close()


def test_inside_a_transaction(px):
    """What a server would say about kvmux's own connection is refused."""
    forbidden = b"-ERR this command is not possible inside a transaction through kvmux\r\n"
    for args in (("CLIENT", "LIST"), ("CLIENT", "INFO"), ("CLIENT", "KILL", "ID", "1"), ("CLIENT", "ID"), ("ACL", "WHOAMI"),
                 ("CLIENT", "REPLY", "OFF"), ("CLIENT", "NO-EVICT", "ON"), ("CLIENT", "NO-TOUCH", "ON"), ("CLIENT", "SETNAME", "x"), ("CONFIG", "GET", "requirepass"), ("SLOWLOG", "GET")):
        with px.client() as c:
            assert c.pipeline([("MULTI",), args, ("EXEC",)])[1:] == [forbidden, b"-EXECABORT Transaction discarded because of previous errors.\r\n"]


# ---- CLIENT REPLY

def test_reply(px):
    keys = spread(10)
    with px.client() as c:
        c.post(resp("CLIENT", "REPLY", "OFF") + b"".join(resp("SET", k, "1") for k in keys) + resp("NOSUCH") + resp("MGET", *keys) +
               resp("CLIENT", "REPLY", "ON") + resp("MGET", *keys))
        assert c.reply() == OK
        assert parse_resp(c.reply()) == [b"1"] * len(keys)
        c.post(resp("CLIENT", "REPLY", "SKIP") + resp("INCR", keys[0]) + resp("INCR", keys[0]))
        assert c.reply() == integer(3)
        c.post(resp("CLIENT", "REPLY", "SKIP") + resp("DEL", *keys) + resp("EXISTS", *keys))
        assert c.reply() == integer(0)
        c.post(resp("CLIENT", "REPLY", "OFF") + resp("RESET") + resp("PING"))
        assert c.reply() == b"+RESET\r\n" and c.reply() == PONG


# ---- the same words as a plain redis

SAME = """CLUSTER INFO|CLUSTER SLOTS|CLUSTER NODES|CLUSTER MYID|CLUSTER SHARDS|CLUSTER KEYSLOT x|CLUSTER COUNTKEYSINSLOT 1|CLUSTER FOO|CLUSTER
READONLY|READWRITE|ASKING|CLIENT TRACKING OFF|CLIENT TRACKING FOO|CLIENT TRACKINGINFO|CLIENT CACHING yes|CLIENT CACHING foo|CLIENT GETREDIR
CLIENT LIST TYPE foo|CLIENT LIST TYPE|CLIENT LIST TYPE replica|CLIENT LIST ID|CLIENT LIST ID abc|CLIENT LIST ID 0|CLIENT LIST FOO BAR
CLIENT KILL foo|CLIENT KILL ID 0|CLIENT KILL ID abc|CLIENT KILL ID 999999|CLIENT KILL TYPE foo|CLIENT KILL USER default ID 999999
CLIENT KILL SKIPME maybe|CLIENT KILL ADDR 1:2 LADDR 3:4|CLIENT KILL ADDR|CLIENT KILL ID 1 ADDR|CLIENT KILL FOO BAR|CLIENT REPLY FOO
CLIENT NO-EVICT foo|CLIENT NO-EVICT on|CLIENT FOO|CLIENT SETNAME n|CLIENT GETNAME|CLIENT HELP
SLOWLOG GET abc|SLOWLOG GET -2|SLOWLOG GET 0|SLOWLOG RESET|LATENCY LATEST|LATENCY HISTORY foo
LATENCY RESET|LATENCY RESET foo|LATENCY GRAPH foo|LATENCY HISTOGRAM foo|ROLE|MODULE LIST|ACL WHOAMI|MEMORY PURGE|CONFIG GET nosuch
CONFIG GET maxmemory|CONFIG GET maxmemory-policy|CONFIG GET databases maxmemory|CONFIG GET MaxMemory|CONFIG GET save|CONFIG GET appendonly
CONFIG GET timeout|CONFIG GET notify-keyspace-events|CONFIG GET hash-max-*|CONFIG GET list-max-*|CONFIG GET proto-max-bulk-len|INFO nosuch
CONFIG GET|SELECT x|SELECT 99|HELLO 4|HELLO x|PING a b|COMMAND COUNT|COMMAND GETKEYS mset a 1 b 2|COMMAND INFO get
COMMAND GETKEYSANDFLAGS set a b|COMMAND LIST FILTERBY PATTERN xa*|COMMAND DOCS get|MEMORY DOCTOR|RESET"""


@pytest.mark.parametrize("version", [2, 3])
def test_same_answers_as_redis(px, redis_alone, version):
    with px.client() as ours, redis_alone.client() as theirs:
        if version == 3:
            hello3(ours)
            hello3(theirs)
        for line in SAME.replace("\n", "|").split("|"):
            want, got = theirs.cmd(*line.split(" ")), ours.cmd(*line.split(" "))
            if line == "MEMORY DOCTOR":  # says what that server has been through
                want, got = want[:1], got[:1]
            if line.startswith(("CONFIG GET", "COMMAND LIST")):  # in no order
                want, got = sorted(want.split(b"\r\n")), sorted(got.split(b"\r\n"))
            assert got == want, line


def test_refused_with_a_reason(px):
    with px.client() as c:
        for line in ("MONITOR", "SYNC", "PSYNC ? -1", "SHUTDOWN", "DEBUG SLEEP 0", "CONFIG SET maxmemory 1", "CONFIG REWRITE", "CONFIG RESETSTAT",
                     "REPLICAOF NO ONE", "SLAVEOF NO ONE", "SAVE", "BGSAVE", "CLIENT PAUSE 1", "CLIENT UNPAUSE", "CLIENT UNBLOCK 1",
                     "CLIENT TRACKING ON", "ACL SETUSER x", "ACL LIST", "FAILOVER", "MODULE LOAD x", "CLIENT IMPORT-SOURCE on"):
            got = c.cmd(*line.split(" "))
            assert re.match(rb"-ERR .*(refused|not supported) by kvmux", got), (line, got)
        assert c.cmd("PING") == PONG


# ---- INFO, CONFIG GET

def fields(raw):
    return dict(line.split(":", 1) for line in text(raw).split("\r\n") if line and line[0] != "#")


@pytest.mark.parametrize("version", [2, 3])
def test_info(px, servers, version):
    clients = spread_clients(px)
    c = clients[0]
    if version == 3:
        hello3(c)
    whole = fields(c.cmd("INFO"))
    want = {"redis_mode": "standalone", "role": "master", "loading": "0", "cluster_enabled": "0", "maxmemory_policy": "noeviction",
            "connected_clients": str(len(clients)), "tcp_port": str(px.addr("p")[1]), "arch_bits": "64", "process_id": str(px.pid),
            "pool": "p", "servers": str(len(servers)), "workers": str(THREADS)}
    assert {k: whole.get(k) for k in want} == want
    assert re.fullmatch("[0-9a-f]{40}", whole["run_id"]) and re.fullmatch(r"\d+\.\d+\.\d+", whole["redis_version"])
    assert int(whole["uptime_in_seconds"]) >= 0 and int(whole["total_commands_processed"]) > 0 and "os" in whole and "used_memory" in whole
    assert fields(clients[-1].cmd("INFO", "server"))["run_id"] == whole["run_id"]
    for word in ("all", "default", "everything", "ALL"):
        assert set(fields(c.cmd("INFO", word))) == set(whole)
    assert text(c.cmd("INFO", "replication")).startswith("# Replication\r\nrole:master\r\n")
    assert set(fields(c.cmd("INFO", "memory", "Clients"))) == set(fields(c.cmd("INFO", "clients"))) | set(fields(c.cmd("INFO", "memory")))
    assert text(c.cmd("INFO", "keyspace")) == "" and text(c.cmd("INFO", "nosuch")) == ""
    for x in clients:
        x.close()


def test_config_get_never_tells_a_secret():
    with RedisServer(requirepass="topsecret", masterauth="othersecret") as s, \
            Proxy({"p": redis_pool([s], redis_auth="topsecret")}) as px, px.client() as c, s.client() as plain:
        assert c.cmd("AUTH", "topsecret") == OK
        names = set(plain.value("CONFIG", "GET", "*")[::2])
        for words in (["*"], ["requirepass"], ["*pass*"], ["re*", "master*"], ["requirepass", "maxmemory"], ["[rm]*"], ["REQUIREPASS"]):
            got = c.cmd("CONFIG", "GET", *words)
            assert b"secret" not in got and got[:1] == b"*", words
        got = parse_resp(c.cmd("CONFIG", "GET", "*"))
        shown = dict(zip(got[::2], got[1::2]))
        assert b"maxmemory-policy" in shown and set(shown) < names
        assert not [n for n in shown if re.search(rb"pass|auth|file|dir|bind|user|tls|unix", n) and n != b"lazyfree-lazy-user-del" and n != b"lazyfree-lazy-user-flush"]
        for name in shown:
            assert c.cmd("CONFIG", "GET", name) == plain.cmd("CONFIG", "GET", name)
        assert c.cmd("CONFIG", "GET", "requirepass") == b"*0\r\n"
        c.post(b"CONFIG GET requirepass maxmemory\r\n")
        assert parse_resp(c.reply()) == [b"maxmemory", b"0"]


# ---- databases by number

def test_move_and_copy_to_another_database(px):
    with px.client() as c:
        for k in spread(12):
            assert c.cmd("SET", k, "v") == OK
            assert c.cmd("COPY", k, k, "DB", "5") == integer(1)
            assert c.cmd("MOVE", k, "3") == integer(1)
            assert c.cmd("EXISTS", k) == integer(0)
        for db in ("3", "5"):
            assert c.cmd("SELECT", db) == OK
            for k in spread(12):
                assert c.cmd("GET", k) == bulk("v")
        assert c.cmd("MOVE", "k:1", "99") == b"-ERR DB index is out of range\r\n"


def test_swapdb(px, servers):
    with px.client() as c:
        assert c.cmd("SET", "k", "zero") == OK
        got = c.cmd("SWAPDB", "0", "1")
        if len(servers) == 1:
            assert got == OK and c.cmd("GET", "k") == NIL
            assert c.cmd("SELECT", "1") == OK and c.cmd("GET", "k") == bulk("zero")
        else:
            assert got == b"-ERR this command would have to happen on all servers of the pool at the same moment\r\n"
            assert c.cmd("GET", "k") == bulk("zero")
            assert c.pipeline([("MULTI",), ("SWAPDB", "0", "1"), ("EXEC",)])[2].startswith(b"-EXECABORT")


def test_numbers_that_are_not_the_servers():
    """nutcracker_db0 keeps the data in database 0: there a number means two things."""
    with RedisServer(requirepass="x") as s, Proxy({"p": redis_pool([s], redis_auth="x", redis_db=2, nutcracker_db0=True)}) as px, px.client() as c:
        assert c.cmd("AUTH", "x") == OK
        assert c.cmd("SET", "k", "v") == OK
        why = b"-ERR the numbers of databases are not those of the servers while nutcracker_db0 is set for this pool\r\n"
        for args in (("MOVE", "k", "1"), ("COPY", "k", "l", "DB", "1"), ("SWAPDB", "0", "1")):
            assert c.cmd(*args) == why
            assert c.pipeline([("MULTI",), args, ("DISCARD",)])[1] == why
        assert c.cmd("COPY", "k", "l") == integer(1)
        assert s.keys(0) == {b"k", b"l"}
        hello3(c)  # the same data for every version
        assert c.cmd("GET", "k") == bulk("v")


# ---- a client library

def test_redis_py(px):
    host, port = px.addr("p")
    with redis.Redis(host=host, port=port, client_name="py") as r, redis.Redis(host=host, port=port, client_name="other") as o:
        assert o.ping()
        names = {c["name"] for c in r.client_list()}
        assert {"py", "other"} <= names
        assert r.client_info()["name"] == "py"
        assert r.info()["redis_mode"] == "standalone" and r.info("server")["arch_bits"] == 64
        assert r.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert r.config_get("requirepass") == {}
        assert r.slowlog_reset()
        assert r.role()[0] == b"master"
        assert r.lastsave() and r.module_list() == [] and r.acl_whoami() == "default"
        assert r.client_kill_filter(_id=o.client_id()) == 1
        assert o.ping()  # it connects again
        with pytest.raises(redis.ResponseError, match="without client-side caching"):
            r.execute_command("CLIENT", "TRACKING", "ON")
