"""Differential oracle: one seeded stream of random requests to a plain Redis, through kvmux over 1 server and through kvmux over 4; all
replies are equal (oracle.py says in which form each is compared, oracle_rows.py what is asked). Both RESP versions at once.

KVMUX_FULL=1: 1,000,000 commands instead of 30,000; KVMUX_ORACLE_COMMANDS=N so many; KVMUX_ORACLE_SEED=N another stream;
KVMUX_ORACLE_DIFFERENCES=N goes on until so many were found (after each one with empty servers)."""
import collections
import os
import re

import pytest

import oracle
from harness import FULL, OK, ROOT, Proxy, RedisServer, redis_pool
from oracle_rows import GROUPS, SEQUENCES, WHY_NOT

pytestmark = pytest.mark.not_direct
COUNT = int(os.environ.get("KVMUX_ORACLE_COMMANDS", 1000000 if FULL else 30000))
SEED = int(os.environ.get("KVMUX_ORACLE_SEED", 20240601))
PATIENCE = int(os.environ.get("KVMUX_ORACLE_DIFFERENCES", 1))
OWN = ("LOCAL", "SURVEY")   # routes of what kvmux answers itself
ASKED = {name for _, rows in GROUPS for name in rows} | set(SEQUENCES)


def table():
    """name: route of every row of the command table, None for refused ones."""
    with open(os.path.join(ROOT, "src", "proto", "resp_cmds.def")) as f:
        text = f.read()
    rows = re.findall(r'^(CMD|NOT)\(\w+, "([^"]+)", +-?\d+, +(?:\w+(?:\([^)]*\))?), *(\w+),', text, re.M)
    assert len(rows) == len(re.findall(r"^(?:CMD|NOT)\(", text, re.M)), "a row that this test cannot read"
    return {name: route if kind == "CMD" else None for kind, name, route in rows}


def test_every_row_of_the_table_is_asked():
    """Some rows are kvmux's own answers; all others are a server's, or merged from servers' answers."""
    rows = table()
    missing = sorted(n for n, route in rows.items() if route not in (None,) + OWN and n not in ASKED and n not in WHY_NOT)
    assert not missing, "no generator in tests/real/oracle_rows.py (nor a reason in WHY_NOT) for: " + ", ".join(missing)
    assert not sorted((ASKED | set(WHY_NOT)) - set(rows)), "not in the table any more"
    assert not sorted(ASKED & set(WHY_NOT))
    assert not sorted(n for n in oracle.CANON if n not in rows), "forms for what is not in the table"


def dumps_of(server):
    """Serialised values of every kind, for RESTORE."""
    made = [("SET", "d", "v"), ("SET", "d", "12345"), ("RPUSH", "d", "a", "b", "c"), ("SADD", "d", "1", "2", "3"), ("SADD", "d", "a"), ("HSET", "d", "a", "1", "b", "2"),
            ("ZADD", "d", "1", "a", "2.5", "b"), ("XADD", "d", "1-1", "f", "v"), ("PFADD", "d", "a", "b")]
    out = []
    with server.client() as c:
        for req in made:
            c.cmd("DEL", "d")
            c.cmd(*req)
            out.append(c.value("DUMP", "d"))
        c.cmd("DEL", "d")
    return out


@pytest.fixture()
def everybody(redis4, redis_alone):
    """(oracle sides, how to empty all of them, plain server)"""
    with RedisServer() as behind_one:
        servers = redis4 + [behind_one, redis_alone]

        def reset():
            for s in servers:
                with s.client() as c:
                    assert c.pipeline([("FLUSHALL",), ("FUNCTION", "FLUSH"), ("SCRIPT", "FLUSH")]) == [OK] * 3
        pool = {"hash_tag": "{}", "server_connections": 2, "timeout": 60000}
        with Proxy({"p": redis_pool(redis4, **pool)}) as over4, Proxy({"p": redis_pool([behind_one], **pool)}) as over1:
            sides = [("redis", redis_alone.client), ("4 servers", lambda: over4.client(deadline=60)), ("1 server", lambda: over1.client(deadline=60))]

            def reset_all():
                reset()
                for _, open_it in sides[1:]:   # what kvmux remembers of scripts
                    with open_it() as c:
                        assert c.cmd("SCRIPT", "FLUSH") == OK
            yield sides, reset_all, redis_alone, redis4
        reset()


@pytest.mark.kvmux_only
def test_random_streams_answer_as_one_redis(everybody):
    sides, reset, plain, four = everybody
    o = oracle.Oracle(sides, SEED, reset, dumps_of(plain))
    found = o.run(COUNT, PATIENCE)
    if found:
        by_command = collections.Counter(oracle.name_of(d.req) for d in found)
        pytest.fail("%d differences in %d commands: %s\n\n%s" % (len(found), o.done, dict(by_command), "\n\n".join(map(str, found))))
    assert o.done >= COUNT
    for db in range(3):   # at the end the same keys exist, on one side together, on the other in parts
        ours = [k for s in four for k in s.keys(db)]
        assert len(ours) == len(set(ours)) and set(ours) == plain.keys(db)
    assert 0.05 < o.errors / o.done < 0.4, o.errors
    if COUNT >= 30000:
        assert len(o.names) > 200


def test_the_stream_is_worth_something():
    """The same seed is the same stream; every row of the tables comes up; sequences are whole."""
    a, b = oracle.Gen(7), oracle.Gen(7)
    first = [a.some() for _ in range(20000)]
    assert first == [b.some() for _ in range(20000)]
    names = collections.Counter(oracle.name_of(r) for s in first for r in s)
    for name in ("get", "mget", "exec", "watch", "eval", "fcall", "xreadgroup", "blpop", "geosearch", "zunion", "select"):
        assert names[name] > 3, name
    for name in ASKED - set(SEQUENCES):
        req = a.one(name)
        assert req[0].lower() == name.split("|")[0].encode()
