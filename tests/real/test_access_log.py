"""The sampled access log: well-formed lines that say what happened, over a reload, SIGUSR1 and an upgrade."""
import json
import os
import re
import signal

import pytest
from admin import get
from harness import OK, FakeServer, Proxy, redis_pool, resp, wait_until
from prom import parse_metrics

pytestmark = [pytest.mark.kvmux_only, pytest.mark.not_direct]

FIELDS = ["time", "pool", "client", "command", "key", "keys", "server", "outcome", "bytes_in", "bytes_out", "usec", "receive_usec",
          "queue_usec", "server_usec", "order_usec", "client_usec"]


def lines(path):
    try:
        with open(path, encoding="ascii") as f:
            text = f.read()
    except FileNotFoundError:
        return []
    assert text == "" or text.endswith("\n")
    told = [json.loads(line) for line in text.splitlines()]
    for t in told:
        assert list(t) == FIELDS and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", t["time"])
        parts = sum(t[f] for f in FIELDS[-5:])
        assert all(t[f] >= 0 for f in FIELDS[8:]) and parts <= t["usec"], t
    return told


def log_of(tmp_path, **keys):
    path = str(tmp_path / "access")
    return path, dict({"access_log": path}, **keys)


def test_every_request(redis3, tmp_path):
    path, section = log_of(tmp_path, access_log_sample="1")
    pool = redis_pool([s.entry(name="s%d" % i) for i, s in enumerate(redis3)])
    with Proxy({"alpha": pool}, threads=2, admin=True, section=section) as px, px.client("alpha") as c:
        me = "%s:%d" % c.s.getsockname()[:2]
        key = b"k\xff\"\n"
        home = get(px, "/where?pool=alpha&hex=1&key=" + key.hex()).json()["server"]["name"]
        assert c.cmd("SET", key, "v" * 1000) == OK
        assert c.cmd("GET", key) == b"$1000\r\n" + b"v" * 1000 + b"\r\n"
        assert c.cmd("LPUSH", key, "x").startswith(b"-WRONGTYPE")
        assert c.cmd("PING") == b"+PONG\r\n"
        assert c.cmd("NOSUCH").startswith(b"-ERR")
        assert c.cmd("MGET", *["m%d" % i for i in range(50)]).startswith(b"*50\r\n")
        assert c.cmd("SET", "long" + "y" * 200, "v") == OK
        assert c.cmd("GET", "long" + "y" * 200) == b"$1\r\nv\r\n"
        told = wait_until(lambda: len(lines(path)) >= 8 and lines(path), "the lines")
        assert [t["command"] for t in told[:4]] == ["set", "get", "lpush", "ping"] and len(told) == 8
        assert [t["outcome"] for t in told] == ["ok", "ok", "error", "ok", "refused", "ok", "ok", "ok"]
        assert all(t["pool"] == "alpha" and t["client"] == me for t in told)
        assert [t["key"] for t in told[:4]] == ['k\\xff\\"\\x0a'] * 3 + [""]
        assert [t["server"] for t in told[:4]] == [home] * 3 + [""]
        assert told[0]["bytes_in"] == len(resp("SET", key, "v" * 1000)) and told[0]["bytes_out"] == len(OK)
        assert told[1]["bytes_out"] == len("$1000\r\n\r\n") + 1000
        assert told[5]["keys"] == 50 and told[5]["key"] == "m0" and told[5]["server"] == ""
        assert told[6]["key"] == "long" + "y" * 124 + "..."
        assert any(t["server_usec"] > 0 for t in told)
        m = parse_metrics(get(px, "/metrics").text)
        assert m.value("kvmux_access_lines_total") == 8 and m.value("kvmux_access_lost_total") == 0


def test_late_and_gone(tmp_path):
    """A request that is timed out, and one whose client leaves."""
    path, section = log_of(tmp_path, access_log_sample="1")
    with FakeServer() as f:
        with Proxy({"alpha": redis_pool([f], timeout="300", learn_commands="false")}, threads=1, section=section) as px:
            with px.client("alpha") as c:
                c.send(resp("GET", "late"))
                f.request()
                assert c.reply().startswith(b"-ERR Connection timed out")
            with px.client("alpha") as c:
                c.send(resp("GET", "gone"))
                f.request()
                c.abort()   # a FIN alone would be somebody who still reads
            told = wait_until(lambda: len(lines(path)) >= 2 and lines(path), "the lines")
            assert told[0]["key"] == "late" and told[0]["outcome"] == "TIMEDOUT" and told[0]["server_usec"] >= 290000
            assert told[1]["key"] == "gone" and told[1]["outcome"] == "client_left"


def test_a_large_reply(redis_alone, tmp_path):
    path, section = log_of(tmp_path, access_log_sample="1")
    with Proxy({"alpha": redis_pool([redis_alone])}, threads=1, section=section) as px, px.client("alpha") as c:
        value = "z" * (5 << 20)
        assert c.cmd("SET", "large", value) == OK
        reply = c.cmd("GET", "large")
        told = wait_until(lambda: len(lines(path)) >= 2 and lines(path), "the lines")
        assert told[0]["bytes_in"] == len(resp("SET", "large", value)) and told[0]["outcome"] == "ok"
        assert told[1]["bytes_out"] == len(reply) and told[1]["outcome"] == "ok"


def test_sampled_renamed_reloaded(redis_alone, tmp_path):
    path, section = log_of(tmp_path, access_log_sample="10")
    pool = redis_pool([redis_alone])

    def ask(c, n):
        c.send(resp("GET", "k") * n)
        c.replies(n)
    with Proxy({"alpha": pool}, threads=1, section=section) as px, px.client("alpha") as c:
        ask(c, 1000)
        wait_until(lambda: len(lines(path)) == 100, "one line in ten")
        os.rename(path, path + ".1")
        px.proc.signal(signal.SIGUSR1)
        wait_until(lambda: os.path.exists(path), "the new file")
        ask(c, 500)
        wait_until(lambda: len(lines(path)) == 50, "the lines in the new file")
        assert len(lines(path + ".1")) == 100
        # another rate, and another file; then none
        for name, every in ((".2", 1), (".3", 5)):
            px.section = dict(section, access_log=path + name, access_log_sample=str(every))
            px.reload({"alpha": pool})
            before = len(lines(path + name))
            ask(c, 1000)
            # the worker may have taken the new rate some requests later
            wait_until(lambda: len(lines(path + name)) - before >= 990 // every, "its lines")
            assert len(lines(path + name)) - before <= 1000 // every
        old, px.section = len(lines(path + ".3")), {}
        px.reload({"alpha": pool})
        ask(c, 1000)
        assert len(lines(path + ".3")) - old <= 1 and px.stats_raw()


def test_not_there(redis_alone, tmp_path):
    """A file that cannot be opened is said, and stops nobody; it is tried again with SIGUSR1."""
    folder = tmp_path / "later"
    path = str(folder / "access")
    with Proxy({"alpha": redis_pool([redis_alone])}, threads=1, admin=True, section={"access_log": path, "access_log_sample": "1"}) as px:
        with px.client("alpha") as c:
            assert c.cmd("SET", "k", "v") == OK
            wait_until(lambda: parse_metrics(get(px, "/metrics").text).value("kvmux_access_lost_total") == 1, "the line that is lost")
            assert "access_log_failed file=%s reason=\"No such file or directory\"" % path in px.log_text()
            folder.mkdir()
            px.proc.signal(signal.SIGUSR1)
            wait_until(lambda: os.path.exists(path), "the file")
            assert c.cmd("SET", "k", "v") == OK
            wait_until(lambda: len(lines(path)) == 1, "the line")
