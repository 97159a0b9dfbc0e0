"""Where the time of requests goes: histograms of the admin port, percentiles of the statistics."""
import pytest
from admin import get
from harness import HOST, OK, FakeServer, Proxy, redis_pool, wait_until
from prom import parse_metrics

pytestmark = [pytest.mark.kvmux_only, pytest.mark.not_direct]


def test_histograms_and_percentiles(redis_alone):
    with Proxy({"alpha": redis_pool([redis_alone.entry(name="s1")])}, admin=True) as px, px.client("alpha") as c:
        of_server = {"pool": "alpha", "server": "s1", "stage": "server"}

        def counted():
            assert c.cmd("SET", "k", "v") == OK
            m = parse_metrics(get(px, "/metrics").text)
            return m if m.samples.get("kvmux_request_seconds_count") else None
        m = wait_until(counted, "a request that is counted")  # one in eight is
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
