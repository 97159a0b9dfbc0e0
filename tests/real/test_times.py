"""Where the time of requests goes: histograms of the admin port, percentiles of the statistics."""
import time

import pytest
import redis
from admin import get
from harness import HOST, OK, Proxy, redis_pool, wait_until
from prom import parse_metrics

pytestmark = [pytest.mark.kvmux_only, pytest.mark.not_direct]


def test_histograms_and_percentiles(redis_alone):
    with Proxy({"alpha": redis_pool([redis_alone.entry(name="s1")])}, admin=True) as px, px.client("alpha") as c:
        of_server = {"pool": "alpha", "server": "s1", "stage": "server"}

        def counted():
            assert c.cmd("SET", "k", "v") == OK
            m = parse_metrics(get(px, "/metrics").text)
            return m if m.samples.get("kvmux_request_seconds_count") else None
        m = wait_until(counted, "a request that is counted")  # one in 32 is
        count = m.value("kvmux_request_seconds_count", **of_server)
        assert count % 8 == 0 and m.types["kvmux_request_seconds"] == "histogram"
        buckets = [v for labels, v in m.samples["kvmux_request_seconds_bucket"].items() if ("stage", "server") in labels]
        assert buckets == sorted(buckets) and buckets[-1] == count
        assert m.value("kvmux_request_seconds_count", **dict(of_server, stage="queue")) == count
        assert m.value("kvmux_pool_request_seconds_count", pool="alpha", stage="write") == count
        assert not any(("stage", "read") in labels for labels in m.samples["kvmux_pool_request_seconds_count"])
        pool = px.stats("alpha")
        assert 0 < pool["s1"]["server_usec_p50"] <= pool["s1"]["server_usec_max"]
        assert 0 < pool["write_usec_p99"] <= pool["write_usec_max"] and pool["read_usec_max"] == 0


def test_receive(redis_alone):
    """A client that sends its requests in two pieces with a pause between them: one in 128 is looked at."""
    with Proxy({"alpha": redis_pool([redis_alone])}, threads=1) as px, px.client("alpha") as c:
        def counted():
            for _ in range(50):
                c.send(b"GET")
                time.sleep(0.001)   # the pause is what is measured
                c.send(b" nothing\r\n")
                assert c.reply() == b"$-1\r\n"
            return px.stats("alpha")["receive_usec_max"]
        assert 1000 <= wait_until(counted, "a request in pieces that is counted") <= 5000000
        assert px.stats("alpha")["order_usec_max"] == 0


def test_slowlog(redis_alone):
    """With redis-py, from another worker than the one that was slow."""
    with Proxy({"alpha": redis_pool([redis_alone.entry(name="s1")], slowlog_slower_than="20000")}, threads=2) as px:
        r = redis.Redis(*px.listens["alpha"], client_name="who", single_connection_client=True)
        others = [redis.Redis(*px.listens["alpha"], single_connection_client=True) for _ in range(8)]
        assert r.ping() and all(o.slowlog_len() == 0 for o in others)
        with redis_alone.client() as direct:
            for value in ("one", "x" * 200):
                assert direct.cmd("CLIENT", "PAUSE", "50", "ALL") == OK
                assert r.set("k", value)
        for o in others:
            log = o.slowlog_get(2)
            assert [e["command"].split(b" ... (s1: queue ")[0] for e in log] == [b"SET k " + b"x" * 128 + b"... (72 more bytes)", b"set"]
            assert all(20000 <= e["duration"] < 60000000 for e in log)
            assert log[0]["start_time"] >= log[1]["start_time"] and log[0]["id"] != log[1]["id"]
        with px.client("alpha") as c:
            raw = c.cmd("SLOWLOG", "GET", "1")
            assert raw.endswith(b"\r\n$3\r\nwho\r\n") and b"\r\n%s:" % HOST.encode() in raw
        assert px.stats("alpha")["slow_requests"] >= 2
        assert others[0].slowlog_reset() and all(o.slowlog_len() == 0 for o in others)
        for c in [r] + others:
            c.close()
