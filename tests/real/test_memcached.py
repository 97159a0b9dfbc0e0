"""memcached clients (compat part 5.6, issue list 6): what a plain memcached of the same version answers is the truth."""
import random
import re
import shutil
import subprocess

import pytest
from pymemcache.client.base import Client
from pymemcache.exceptions import MemcacheServerError

from mc_fixtures import *  # noqa: F401,F403: fixtures
from harness import HOST, MemcachedServer, Proxy, free_port, mc_pool, spread, wait_until

kvmux_only = pytest.mark.kvmux_only
not_direct = pytest.mark.not_direct


def same_cas(answer):
    """Unique cas numbers differ between servers: VALUE k f n CAS -> VALUE k f n #."""
    return re.sub(rb"(?m)^(VALUE \S+ \d+ \d+) \d+\r$", rb"\1 #\r", answer)


def exchange(client, data):
    """('open' | 'closed', everything answered)"""
    try:
        return "open", same_cas(client.mc(data))
    except EOFError:
        return "closed", same_cas(bytes(client.inb))


# ------------------------------------------------------------------------------------------------ byte for byte

A = b"set a 0 0 1\r\n1\r\n"
PLAIN_TALK = {
    # stores
    "set-get": A + b"get a\r\nget b\r\n",
    "set-flags": b"set a 4294967295 0 3\r\nabc\r\nget a\r\n",
    "set-empty": b"set a 0 0 0\r\n\r\nget a\r\n",
    "set-crlf-inside": b"set a 1 0 4\r\n\r\n\r\n\r\nget a\r\n",
    "set-looks-like-answer": b"set a 0 0 12\r\nEND\r\nSTORED\r\r\nget a\r\n",
    "set-exptime": b"set a 0 1000 1\r\nx\r\nget a\r\n",
    "add-replace": b"add a 0 0 1\r\n1\r\nadd a 0 0 1\r\n2\r\nreplace a 0 0 1\r\n3\r\nreplace b 0 0 1\r\n4\r\nget a\r\nget b\r\n",
    "append-prepend": A + b"append a 0 0 1\r\n2\r\nprepend a 0 0 1\r\n0\r\nappend b 0 0 1\r\n2\r\nget a\r\n",
    "cas-missing": b"cas a 0 0 1 12345\r\n1\r\n",
    "cas-exists": A + b"cas a 0 0 1 18446744073709551615\r\n1\r\n",
    "delete": A + b"delete a\r\ndelete a\r\nget a\r\n",
    "incr-decr": b"set n 0 0 2\r\n10\r\nincr n 5\r\ndecr n 100\r\nincr n 18446744073709551615\r\nincr n 1\r\nincr none 1\r\n",
    "incr-not-a-number": b"set a 0 0 3\r\nabc\r\nincr a 1\r\ndecr a 1\r\n",
    "touch": A + b"touch a 100\r\ntouch none 100\r\nget a\r\n",
    "gets": A + b"gets a\r\ngets none\r\n",
    "get-many": A + b"set b 2 0 2\r\nbb\r\nset c 0 0 0\r\n\r\nget a b c\r\nget c none b a\r\nget none nope\r\n",
    "gets-many": A + b"set b 2 0 2\r\nbb\r\ngets a b none\r\n",
    "get-same-twice": A + b"get a a\r\n",
    "noreply-all": b"set a 0 0 1 noreply\r\n1\r\nadd a 0 0 1 noreply\r\n2\r\nreplace a 0 0 1 noreply\r\n3\r\nappend a 0 0 1 noreply\r\n4\r\n"
                   b"prepend a 0 0 1 noreply\r\n2\r\nincr a 1 noreply\r\ndecr a 2 noreply\r\ntouch a 0 noreply\r\nget a\r\ndelete a noreply\r\nget a\r\n",
    "noreply-failing": b"replace x 0 0 1 noreply\r\n3\r\nincr x 1 noreply\r\ndelete x noreply\r\ncas x 0 0 1 5 noreply\r\n1\r\nget x\r\n",
    "cas-noreply": A + b"cas a 0 0 1 99 noreply\r\n9\r\nget a\r\n",
    "key-250": b"set " + b"k" * 250 + b" 0 0 1\r\n1\r\nget " + b"k" * 250 + b"\r\n",
    "key-high-bytes": b"set \xc3\xa4\xff\x80 0 0 1\r\n1\r\nget \xc3\xa4\xff\x80\r\n",
    "double-blanks": b"set  a  0  0  1\r\n1\r\nget   a  b\r\n",
    "blank-before-cr": b"get a \r\nset a 0 0 1 \r\n1\r\nget a\r\n",
}

# what nutcracker closes on, memcached answers, and kvmux therefore too
MORE_TALK = {
    "gat": A + b"gat 100 a\r\ngat 0 none\r\ngat 100 a none\r\ngats 0 a\r\n",
    "gat-many": A + b"set b 2 0 2\r\nbb\r\ngat 100 b a none\r\ngats 50 a b\r\n",
    "negative-exptime": b"set a 0 -1 1\r\n1\r\nget a\r\nset a 0 0 1\r\n1\r\ntouch a -1\r\nget a\r\n",
    "negative-exptime-noreply": b"set a 0 -1 1 noreply\r\n1\r\nget a\r\n",
    "flush-all": A + b"flush_all\r\nget a\r\nset a 0 0 1\r\n1\r\nget a\r\n",
    "flush-all-later": A + b"flush_all 1000\r\nget a\r\n",
    "flush-all-noreply": b"flush_all noreply\r\n",
    "flush-all-bad": b"flush_all abc\r\n",
    "verbosity": b"verbosity 0\r\nverbosity 0 noreply\r\n",
    "verbosity-bare": b"verbosity\r\n",
    "lf-only": b"set a 0 0 1\n1\r\nget a\n",
    "delete-zero": A + b"delete a 0\r\n",
    "delete-nonzero": A + b"delete a 5\r\nget a\r\n",
    # bad lines
    "unknown-word": b"bogus\r\nbogus a b c\r\n",
    "upper-case": b"GET a\r\nSET a 0 0 1\r\n",
    "empty-line": b"\r\n",
    "blank-line": b" \r\n",
    "get-bare": b"get\r\n",
    "gets-bare": b"gets\r\n",
    "get-blank": b"get \r\n",
    "gat-bare": b"gat\r\ngat 0\r\n",
    "gat-bad-exptime": b"gat abc a\r\n",
    "set-bare": b"set\r\n",
    "set-key-only": b"set a\r\n",
    "set-too-few": b"set a 0 0\r\n",
    "set-bad-flags": b"set a x 0 1\r\n",
    "set-negative-flags": b"set a -1 0 1\r\n",
    "set-flags-too-large": b"set a 4294967296 0 1\r\n",
    "set-bad-exptime": b"set a 0 x 1\r\n",
    "set-bad-bytes": b"set a 0 0 x\r\n",
    "set-negative-bytes": b"set a 0 0 -1\r\n",
    "set-huge-bytes": b"set a 0 0 99999999999999999999\r\n",
    "set-data-too-long": b"set a 0 0 2\r\nabcdef\r\n",
    "set-seven-words": b"set a 0 0 1 b c\r\n1\r\n",
    "cas-no-number": b"cas a 0 0 1\r\n1\r\n",
    "cas-bad-number": b"cas a 0 0 1 x\r\n1\r\n",
    "incr-bare": b"incr\r\nincr a\r\n",
    "incr-bad-delta": A + b"incr a x\r\nincr a -1\r\nincr a 1.5\r\nincr a 99999999999999999999999\r\n",
    "touch-bare": b"touch\r\ntouch a\r\n",
    "touch-bad": b"touch a x\r\n",
    "delete-bare": b"delete\r\n",
    "delete-junk": A + b"delete a b\r\ndelete a 0 noreply\r\n",
    "key-251-get": b"get " + b"k" * 251 + b"\r\n",
    "key-251-get-second": b"get a " + b"k" * 251 + b"\r\n",
    "key-251-set": b"set " + b"k" * 251 + b" 0 0 1\r\n1\r\n",
    "key-251-delete": b"delete " + b"k" * 251 + b"\r\n",
    "key-251-incr": b"incr " + b"k" * 251 + b" 1\r\n",
    "key-251-touch": b"touch " + b"k" * 251 + b" 1\r\n",
    "noreply-on-get": b"get noreply\r\nset noreply 0 0 1\r\n1\r\nget noreply\r\n",
    "noreply-bad-set": b"set a x 0 1 noreply\r\n1\r\n",
    "noreply-misspelt": b"set a 0 0 1 norepl\r\n1\r\nget a\r\n",
    "version-args": b"version x\r\n",
    "leading-blank": b" get a\r\n",
    "get-eleven-bad": b"get " + b" ".join(b"k%d" % i for i in range(200)) + b"\r\n",
}


@pytest.mark.parametrize("name", PLAIN_TALK)
def test_answers_as_memcached(c, plain, name):
    assert exchange(c, PLAIN_TALK[name]) == exchange(plain, PLAIN_TALK[name])


@kvmux_only
@pytest.mark.parametrize("name", MORE_TALK)
def test_answers_as_memcached_where_nutcracker_closed(c, plain, name):
    want = exchange(plain, MORE_TALK[name])
    assert exchange(c, MORE_TALK[name]) == want
    assert exchange(plain, A + b"get a\r\n") == exchange(c, A + b"get a\r\n"), "in step afterwards"


@kvmux_only
@pytest.mark.parametrize("name", MORE_TALK)
def test_bad_line_between_good_ones_in_one_write(c, plain, name):
    before, after = b"set x 0 0 1\r\n1\r\nget x\r\n", b"set y 0 0 1\r\n2\r\nget x\r\nget y\r\nget x y\r\n"
    if name == "key-251-get-second":
        # memcached 1.6 forgets the answers before this one that are still in its hands; promise 3 of the design says never
        parts = [exchange(plain, x)[1] for x in (before, MORE_TALK[name], after)]
        want = "open", b"".join(parts)
    else:
        want = exchange(plain, before + MORE_TALK[name] + after)
    assert exchange(c, before + MORE_TALK[name] + after) == want


@kvmux_only
def test_every_cut(px, mc_alone):
    data = (A + b"get a none\r\nset b 0 0 4 noreply\r\n\r\n\r\n\r\nbogus\r\nget b\nincr a 5\r\ngets\r\ndelete a noreply\r\nget a b\r\n")
    with mc_alone.client() as d:
        want = d.mc_prepare().mc(data)
    with px.client() as c:
        c.mc_prepare()
        for i in range(1, len(data)):
            c.send(data[:i])
            assert c.mc(data[i:]) == want, i


def test_cut_of_plain_requests(px):
    data = A + b"get a\r\nset b 0 0 6\r\n\r\nEND\r\r\nget b\r\ndelete a\r\nget a\r\n"
    want = b"STORED\r\nVALUE a 0 1\r\n1\r\nEND\r\nSTORED\r\nVALUE b 0 6\r\n\r\nEND\r\r\nEND\r\nDELETED\r\nEND\r\n"
    with px.client() as c:
        c.mc_prepare()
        for i in range(1, len(data)):
            c.send(data[:i])
            assert c.mc(data[i:]) == want, i


# ------------------------------------------------------------------------------------------------ single commands

def test_cas(c):
    assert c.mc_set("k", "1") == b"STORED\r\n"
    c.send(b"gets k\r\n")
    unique = int(c.until(b"END\r\n").split()[4])
    assert c.mc(b"cas k 0 0 1 %d\r\n2\r\ncas k 0 0 1 %d\r\n3\r\nget k\r\n" % (unique, unique)) == b"STORED\r\nEXISTS\r\nVALUE k 0 1\r\n2\r\nEND\r\n"


def test_gets_numbers_are_the_servers(c):
    c.mc_set("k", "1")
    c.send(b"gets k\r\n")
    first = c.until(b"END\r\n")
    c.send(b"gets k\r\n")
    assert c.until(b"END\r\n") == first


def test_version(c):
    c.send(b"version\r\n")
    assert re.fullmatch(rb"VERSION \S+\r\n", c.line())


def test_quit(px):
    with px.client() as c:
        c.post(b"set q 0 0 1\r\n1\r\nget q\r\nquit\r\nget q\r\n")
        assert c.until_close() == b"STORED\r\nVALUE q 0 1\r\n1\r\nEND\r\n"


@kvmux_only
@not_direct
def test_flush_all_reaches_every_server(two, mc2):
    with two.client() as c:
        c.mc_prepare()
        keys = spread(60)
        for k in keys:
            assert c.mc_set(k, "1") == b"STORED\r\n"
        assert all(s.holds(keys) for s in mc2)
        assert c.mc_lines(b"flush_all\r\n", 1) == [b"OK\r\n"]
        assert not any(s.holds(keys) for s in mc2)
        for k in keys:
            c.mc_set(k, "1")
        c.send(b"flush_all noreply\r\nversion\r\n")
        assert c.line().startswith(b"VERSION ")
        wait_until(lambda: not any(s.holds(keys) for s in mc2), "flush_all noreply to reach both servers")


@kvmux_only
@not_direct
def test_stats_are_the_proxys_own(c):
    c.send(b"stats\r\n")
    lines = c.until(b"END\r\n").split(b"\r\n")
    assert lines[-2:] == [b"END", b""]
    assert len(lines) > 3 and all(re.fullmatch(rb"STAT \S+ .*", l) for l in lines[:-2]), lines
    assert any(l.startswith(b"STAT version ") for l in lines)
    assert any(l.startswith(b"STAT pid ") for l in lines)
    assert c.mc_set("after", "1") == b"STORED\r\n"


@kvmux_only
def test_stats_with_argument_has_one_answer(c):
    for arg in (b"items", b"slabs", b"settings", b"nonsense"):
        c.send(b"stats " + arg + b"\r\nversion\r\n")
        got = c.until(b"VERSION ")
        assert re.search(rb"(END|ERROR|RESET|CLIENT_ERROR[^\r]*|SERVER_ERROR[^\r]*)\r\nVERSION $", got), got
        c.line()


# ------------------------------------------------------------------------------------------------ sizes

def test_values_around_buffer_sizes(c):
    for n in (0, 1, 2, 4095, 8190, 8192, 16287, 16336, 16384, 32768, 65535, 65536, 262144, 1000000):
        v = random.Random(n).randbytes(n)
        assert c.mc_set("size", v, flags=n) == b"STORED\r\n"
        assert c.mc_get("size") == {b"size": v}
        assert c.mc_get("size", "none") == {b"size": v}


@kvmux_only
@pytest.mark.parametrize("mib", [5, 40])
def test_value_larger_than_the_servers_limit(px, mc_alone, mib):
    """The servers here take 4 MiB. Their text comes back, the data is swallowed, nobody else is harmed."""
    data = A + b"set big 0 0 %d\r\n" % (mib << 20) + b"x" * (mib << 20) + b"\r\nget a\r\nget big\r\n"
    with mc_alone.client() as d:
        want = d.mc_prepare().mc(data)
    assert b"SERVER_ERROR object too large for cache\r\n" in want
    with px.client(deadline=60) as c, px.client() as other:
        other.mc_prepare()
        assert c.mc_prepare().mc(data) == want
        assert other.mc(b"get a\r\n") == b"VALUE a 0 1\r\n1\r\nEND\r\n"


@kvmux_only
def test_value_too_large_with_noreply(px):
    with px.client() as c:
        c.mc_prepare()
        n = 5 << 20
        assert c.mc(b"set big 0 0 %d noreply\r\n" % n + b"x" * n + b"\r\nset a 0 0 1\r\n1\r\nget a\r\n") == b"STORED\r\nVALUE a 0 1\r\n1\r\nEND\r\n"


@kvmux_only
def test_line_without_end(px):
    """memcached gives up on a line of more than 2048 bytes (unless it is a get); never silently growing."""
    with px.client() as c:
        c.post(b"x" * 100000)
        got = c.until_close()
        assert got == b"" or re.fullmatch(rb"((CLIENT_)?ERROR[^\r\n]*\r\n)+", got), got[:300]


# ------------------------------------------------------------------------------------------------ order, split, noreply

def test_multi_get_is_merged_in_request_order(c):
    keys = spread(50, "mg:")
    for k in keys:
        assert c.mc_set(k, "v" + k, flags=7) == b"STORED\r\n"
    for chosen in (keys, keys[::-1], keys[:2], keys[10:11] * 3):
        want = b"".join(b"VALUE %s 7 %d\r\nv%s\r\n" % (k.encode(), len(k) + 1, k.encode()) for k in chosen) + b"END\r\n"
        assert c.mc(b"get " + " ".join(chosen).encode() + b"\r\n") == want
    got = c.mc_get("mg:none1", *keys[:20], "mg:none2")
    assert got == {k.encode(): b"v" + k.encode() for k in keys[:20]}


def test_wide_multi_get(c):
    keys = spread(1000, "wide:")
    c.post(b"".join(b"set %s 0 0 3 noreply\r\nabc\r\n" % k.encode() for k in keys))
    assert c.mc(b"") == b""
    wait_until(lambda: len(c.mc_get(*keys)) == 1000, "all keys")


def test_noreply_mixed_with_replies_stays_in_step(c):
    rng = random.Random(3)
    keys = spread(40, "nr:")
    data, want, model = [], [], {}
    for i in range(4000):
        k = rng.choice(keys).encode()
        v = b"%d" % i
        what = rng.randrange(6)
        if what == 0:
            data.append(b"set %s 0 0 %d noreply\r\n%s\r\n" % (k, len(v), v))
            model[k] = v
        elif what == 1:
            data.append(b"set %s 0 0 %d\r\n%s\r\n" % (k, len(v), v))
            want.append(b"STORED\r\n")
            model[k] = v
        elif what == 2:
            data.append(b"delete %s noreply\r\n" % k)
            model.pop(k, None)
        elif what == 3:
            data.append(b"incr %s 1 noreply\r\n" % k)
            if k in model:
                model[k] = b"%d" % (int(model[k]) + 1)
        else:
            data.append(b"get %s\r\n" % k)
            want.append(b"VALUE %s 0 %d\r\n%s\r\nEND\r\n" % (k, len(model[k]), model[k]) if k in model else b"END\r\n")
    assert c.mc(b"".join(data)) == b"".join(want)


@kvmux_only
def test_bad_noreply_lines_never_desynchronise(c, plain):
    """noreply on lines that the server refuses: what memcached answers to each (often an error in spite of noreply) is
    what a client sees, and no answer is left over."""
    bad = [b"set a 0 0 x noreply\r\n", b"set a x 0 1 noreply\r\n1\r\n", b"incr a x noreply\r\n", b"touch a x noreply\r\n", b"delete a 5 noreply\r\n",
           b"set " + b"k" * 251 + b" 0 0 1 noreply\r\n1\r\n", b"bogus noreply\r\n", b"cas a 0 0 1 x noreply\r\n1\r\n", b"verbosity noreply\r\n",
           b"set a 0 0 2 noreply\r\nabcd\r\n", b"flush_all x noreply\r\n", b"get noreply noreply\r\n"]
    for b in bad:
        data = A + b * 3 + b"get a\r\n"
        assert exchange(c, data) == exchange(plain, data), b


def test_many_clients(px):
    clients = [px.client().mc_prepare() for _ in range(60)]
    try:
        for i, c in enumerate(clients):
            c.send(b"set c%d 0 0 2\r\n%02d\r\nget c%d\r\nget c%d nn\r\n" % (i, i, i, i))
        for i, c in enumerate(clients):
            v = b"VALUE c%d 0 2\r\n%02d\r\nEND\r\n" % (i, i)
            assert c.mc(b"") == b"STORED\r\n" + v + v
    finally:
        for c in clients:
            c.close()


# ------------------------------------------------------------------------------------------------ a dead server

@pytest.fixture()
def half_dead(mc2):
    """One live server and a port where nobody listens."""
    def make(**keys):
        return Proxy({"p": mc_pool([mc2[0].entry(name="alive"), "%s:%d:1 dead" % (HOST, free_port())], timeout=5000, **keys)})
    return make


def sort_keys(c, n=60):
    alive, dead = [], []
    for k in spread(n, "hd:"):
        got = c.mc_set(k, "v")
        assert got in (b"STORED\r\n", b"SERVER_ERROR Connection refused\r\n"), got
        (alive if got == b"STORED\r\n" else dead).append(k)
    assert alive and dead
    return alive, dead


@not_direct
def test_dead_server_is_an_error_for_its_keys(half_dead):
    with half_dead() as px, px.client() as c:
        alive, dead = sort_keys(c)
        assert c.mc_get(alive[0]) == {alive[0].encode(): b"v"}
        assert c.mc_get(dead[0]) is None and c.error == b"SERVER_ERROR Connection refused\r\n"
        assert c.mc_get(*alive[:5]) == {k.encode(): b"v" for k in alive[:5]}
        c.post(b"incr %s 1\r\ndelete %s\r\ntouch %s 1\r\n" % ((dead[0].encode(),) * 3))
        assert [c.line() for _ in range(3)] == [b"SERVER_ERROR Connection refused\r\n"] * 3


@kvmux_only
@not_direct
def test_multi_get_with_a_dead_server_is_an_error_and_the_connection_stays(half_dead):
    with half_dead() as px, px.client() as c:
        alive, dead = sort_keys(c)
        for _ in range(3):
            assert c.mc_get(alive[0], dead[0], alive[1]) is None
            assert c.error == b"SERVER_ERROR Connection refused\r\n"
            assert c.mc_get(alive[0], alive[1]) == {alive[0].encode(): b"v", alive[1].encode(): b"v"}


@kvmux_only
@not_direct
def test_multiget_failure_miss(half_dead):
    with half_dead(multiget_failure="miss") as px, px.client() as c:
        alive, dead = sort_keys(c)
        assert c.mc_get(alive[0], dead[0], alive[1]) == {alive[0].encode(): b"v", alive[1].encode(): b"v"}
        assert c.mc_get(dead[0], dead[1]) == {}
        assert c.mc_get(*(dead + alive)) == {k.encode(): b"v" for k in alive}
        c.post(b"gets %s %s\r\n" % (dead[0].encode(), alive[0].encode()))
        assert re.fullmatch(rb"VALUE %s 0 1 \d+\r\nv\r\nEND\r\n" % alive[0].encode(), c.until(b"END\r\n"))
        assert c.mc_set(dead[0], "x") == b"SERVER_ERROR Connection refused\r\n", "writes still fail"


@not_direct
def test_noreply_to_a_dead_server_is_dropped(half_dead):
    with half_dead() as px, px.client() as c:
        alive, dead = sort_keys(c)
        c.post(b"".join(b"set %s 0 0 1 noreply\r\nx\r\n" % k.encode() for k in dead) + b"get %s\r\n" % alive[0].encode())
        assert c.until(b"END\r\n") == b"VALUE %s 0 1\r\nv\r\nEND\r\n" % alive[0].encode()


@kvmux_only
@not_direct
def test_flush_all_with_a_dead_server_says_so(half_dead):
    with half_dead() as px, px.client() as c:
        alive, _ = sort_keys(c)
        [line] = c.mc_lines(b"flush_all\r\n", 1)
        assert line.startswith(b"SERVER_ERROR "), line
        assert c.mc_get(alive[0]) == {}, "the live one is flushed all the same"


# ------------------------------------------------------------------------------------------------ clients

@pytest.fixture()
def pm(px):
    client = Client(px.addr(), timeout=20, connect_timeout=20, no_delay=True)
    yield client
    client.close()


def test_pymemcache(pm):
    assert pm.set("a", b"1", noreply=False) is True
    assert pm.get("a") == b"1"
    assert pm.add("a", b"2", noreply=False) is False
    assert pm.replace("a", b"5", noreply=False) is True
    assert pm.append("a", b"0", noreply=False) and pm.prepend("a", b"1", noreply=False)
    assert pm.incr("a", 2) == 152 and pm.decr("a", 200) == 0
    assert pm.incr("none", 1) is None
    value, unique = pm.gets("a")
    assert pm.cas("a", b"9", unique, noreply=False) is True
    assert pm.cas("a", b"8", unique, noreply=False) is False
    assert pm.cas("none", b"8", unique, noreply=False) is None
    assert pm.touch("a", 100, noreply=False) is True
    assert pm.delete("a", noreply=False) is True and pm.delete("a", noreply=False) is False


def test_pymemcache_many(pm):
    data = {k: b"v" + k.encode() for k in spread(200, "pm:")}
    assert pm.set_many(data, noreply=False) == []
    assert pm.get_many(list(data) + ["pm:none"]) == data
    assert {k: v for k, (v, _) in pm.gets_many(list(data)).items()} == data
    assert pm.delete_many(list(data)[:100], noreply=False) is True
    assert pm.get_many(list(data)) == {k: data[k] for k in list(data)[100:]}


def test_pymemcache_default_noreply(pm):
    for i in range(300):
        pm.set("nr:%d" % (i % 20), b"%d" % i)
        if i % 7 == 0:
            pm.delete("nr:%d" % (i % 20))
        assert pm.get("nr:%d" % (i % 20)) == (None if i % 7 == 0 else b"%d" % i)


@kvmux_only
def test_pymemcache_more(pm):
    assert pm.set("t", b"1", noreply=False)
    assert pm.gat("t", 100) == b"1" if hasattr(pm, "gat") else True
    assert pm.set("gone", b"1", expire=-1, noreply=False) is True and pm.get("gone") is None
    assert re.match(rb"\S+", pm.version())
    assert pm.stats()
    assert pm.flush_all(noreply=False) is True
    assert pm.get("t") is None


@kvmux_only
@not_direct
def test_pymemcache_dead_server_raises_and_goes_on(half_dead):
    with half_dead() as px:
        with px.client() as c:
            alive, dead = sort_keys(c)
        pm = Client(px.addr(), timeout=20)
        with pytest.raises(MemcacheServerError, match="Connection refused"):
            pm.get(dead[0])
        assert pm.get(alive[0]) == b"v"
        with pytest.raises(MemcacheServerError, match="Connection refused"):
            pm.get_many([dead[0], alive[0]])
        assert pm.get(alive[0]) == b"v"
        pm.close()


# libmemcached's conformance test. A case may be skipped here only with its reason.
MEMCCAPABLE_SKIP = {}
MEMCCAPABLE = ["version", "quit", "verbosity", "set", "set noreply", "get", "gets", "mget", "flush", "flush noreply", "add", "add noreply", "replace",
               "replace noreply", "cas", "cas noreply", "delete", "delete noreply", "incr", "incr noreply", "decr", "decr noreply", "append",
               "append noreply", "prepend", "prepend noreply", "stat"]


@kvmux_only
def test_memccapable(px):
    tool = shutil.which("memccapable")
    assert tool, "memccapable is missing (Debian package libmemcached-tools)"
    host, port = px.addr()
    p = subprocess.run([tool, "-a", "-t", "10", "-h", host, "-p", str(port)], stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
    said = (p.stdout + p.stderr).decode("utf-8", "replace")
    results = dict(re.findall(r"^ascii (.*?) *\[(\w+)", p.stdout.decode(), re.M))
    failed = [n for n in MEMCCAPABLE if results.get(n) != "pass" and n not in MEMCCAPABLE_SKIP]
    assert not failed and len(results) >= len(MEMCCAPABLE), "%s\n%s" % (failed, said)
    if not MEMCCAPABLE_SKIP:
        assert p.returncode == 0, said


# ------------------------------------------------------------------------------------------------ sockets and stats

@not_direct
def test_unix_sockets():
    with MemcachedServer(unix=True) as a, MemcachedServer(unix=True) as b:
        with Proxy({"u": mc_pool([a, b])}, unix_listen=True) as px, px.client() as c:
            keys = spread(40)
            for k in keys:
                assert c.mc_set(k, k) == b"STORED\r\n"
            assert len(a.holds(keys)) + len(b.holds(keys)) == 40 and a.holds(keys) and b.holds(keys)
            assert c.mc_get(*keys) == {k.encode(): k.encode() for k in keys}


@kvmux_only
@not_direct
def test_requests_are_counted(mc2):
    with Proxy({"p": mc_pool(mc2[:1])}) as px, px.client() as c:
        for i in range(10):
            assert c.mc_set("k", "1") == b"STORED\r\n"
        n = len(b"set k 0 0 1\r\n1\r\n") * 10
        s = px.stats("p", mc2[0].name)
        assert (s["requests"], s["request_bytes"], s["responses"], s["response_bytes"]) == (10, n, 10, 80)
        c.post(b"".join(b"set k 0 0 1 noreply\r\n1\r\n" for _ in range(10)))
        assert c.mc_get("k") == {b"k": b"1"}
        s = px.stats("p", mc2[0].name)
        assert s["requests"] == 21 and s["in_queue"] == s["out_queue"] == 0
