"""What bench.py memory measures of one proxy: bytes of idle clients, and what loads of several kinds hold and give back."""
import socket
import time

import lab
from rows import SCENARIOS, row

SPIKE_CLIENTS, SPIKE_VALUE = 1000, 1 << 20


def with_servers(measure):
    """measure(the_lab, p, scenario, ...) runs between the start and the end of null servers and of the proxy."""
    def run(the_lab, p, s, *args, **kw):
        servers = the_lab.servers(s)
        try:
            p.start(s)
            return measure(the_lab, p, s, *args, **kw)
        finally:
            p.stop()
            lab.stop(servers)
    return run


def load(the_lab, p, s, seconds, **kw):
    r = the_lab.load(p, s, seconds, **kw)
    if r["wrong"]:
        raise RuntimeError("%s: %s: %s" % (p.label, s["text"], r["wrong"]))
    return r


@with_servers
def _idle(the_lab, p, s, clients, touch):
    load(the_lab, p, s, 0.2)  # what the first request ever costs is not an idle client's
    before = p.rss_kb()
    return (load(the_lab, p, s, 0.5, idle=clients, touch=touch)["rss_kb"] - before) * 1024 / clients


def idle_bytes(the_lab, p, clients, touch):
    return _idle(the_lab, p, dict(SCENARIOS["get-p1"], clients=1), clients, touch)


@with_servers
def _unread(the_lab, p, s, clients, requests, seconds):
    socks = []
    before = p.rss_kb()
    for i in range(clients):
        c = socket.create_connection(("127.0.0.1", p.port))
        c.setblocking(False)
        socks.append(c)
        try:
            c.send(b"".join(b"*2\r\n$3\r\nGET\r\n$7\r\nk%06d\r\n" % (i * requests + k) for k in range(requests)))
        except BlockingIOError:
            pass
    most, end = 0, time.time() + seconds
    while time.time() < end:
        most = max(most, p.rss_kb())
        time.sleep(0.05)
    for c in socks:
        c.close()
    time.sleep(seconds)
    return before, most, p.rss_kb()


def unread(the_lab, p, value=16384, clients=20, requests=400, seconds=3):
    """KB before, at most and afterwards: clients ask for values and do not read."""
    return _unread(the_lab, p, dict(SCENARIOS["get-16k"], value=value), clients, requests, seconds)


@with_servers
def _spike(the_lab, p, s, seconds):
    load(the_lab, p, dict(s, clients=10), 0.3)
    before = p.rss_kb()
    peak = load(the_lab, p, s, seconds, warm=1)["peak_kb"]
    end = time.time()
    while p.rss_kb() > before * 1.2 and time.time() < end + 30:
        time.sleep(0.1)
    return before, peak, time.time() - end, p.rss_kb()


def spike(the_lab, p, set_percent, clients=SPIKE_CLIENTS, seconds=3):
    """KB before and at most, seconds until they are back within 20 %, and KB then: many clients with values of 1 MiB."""
    return _spike(the_lab, p, row("spike", clients=clients, value=SPIKE_VALUE, keyspace=64, set_percent=set_percent), seconds)


@with_servers
def _steady(the_lab, p, s, requests):
    done, sizes = 0, []
    while done < requests or len(sizes) < 10:
        part = max(requests // 30, 1000)
        for kind in (s, dict(s, set_percent=100), dict(s, keys=10)):
            done += load(the_lab, p, kind, 600, warm=0, requests=part)["n"]
        sizes.append(p.rss_kb())
    return done, sizes


def steady(the_lab, p, requests):
    """GET, SET and MGET of 10 keys in turn, pipeline 64: how many there were, and KB after each round."""
    return _steady(the_lab, p, dict(SCENARIOS["get-p64"]), requests)


PEAKS = ["get-p64", "get-1000-p16", "get-1m"]


@with_servers
def _peak(the_lab, p, s):
    return load(the_lab, p, s, 1.0)["peak_kb"]


def peak(the_lab, p, name):
    return _peak(the_lab, p, SCENARIOS[name])
