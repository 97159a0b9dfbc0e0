"""The rows of bench.py's table, each with the goals that it is held to.

`cpu`, `rate` and `p99` are goals: ratios to nutcracker as people run it, in neighbouring runs (CPU time a request at most, requests
a second at least, 99th percentile at most). A row with `lacks` is one that nutcracker cannot do, and says what it lacks.
"""


def row(text, proto="redis", servers=4, **kw):
    s = dict(text=text, proto=proto, servers=servers, clients=50, depth=1, value=64, set_percent=0, keys=1, keyspace=10000,
             tool="loadgen", backend="null", unix="", resp3=False, txn=0, pools=1, conf={}, lacks=None, weight=1,
             cpu=None, rate=None, p99=1.0)
    unknown = set(kw) - set(s)
    assert not unknown, unknown
    s.update(kw)
    return s


def memcached(text, **kw):
    return row(text, proto="memcached", **kw)


SCENARIOS = {
    "get-p1": row("GET", cpu=0.73, rate=1.35),
    "get-p16": row("GET, pipeline 16", depth=16, cpu=0.30, rate=3.3, p99=0.5),
    "get-p64": row("GET, pipeline 64", depth=64, cpu=0.09, rate=10, p99=0.2),
    "set-p1": row("SET", set_percent=100),
    "set-p16": row("SET, pipeline 16", set_percent=100, depth=16, cpu=0.33, p99=0.5),
    "get-1000-p1": row("GET, 1,000 clients", clients=1000, cpu=0.62, rate=1.35),
    "get-1000-p16": row("GET, 1,000 clients, pipeline 16", clients=1000, depth=16, cpu=0.13, rate=3.3, p99=0.5),
    # one turn of all clients takes nutcracker most of a second
    "get-1000-p64": row("GET, 1,000 clients, pipeline 64", clients=1000, depth=64, rate=10, p99=0.2, weight=3),
    "mget-10": row("MGET of 10 keys", keys=10, cpu=0.63),
    "mget-100": row("MGET of 100 keys", keys=100, cpu=0.43),
    "get-16k": row("GET, 16 KiB values", value=16384, keyspace=2000, cpu=0.66),
    "set-16k": row("SET, 16 KiB values", value=16384, keyspace=2000, set_percent=100, cpu=0.72),
    "get-1m": row("GET, 1 MiB values, 8 clients", value=1 << 20, keyspace=64, clients=8, cpu=0.50),
    "set-1m": row("SET, 1 MiB values, 8 clients", value=1 << 20, keyspace=64, clients=8, set_percent=100, cpu=0.50),
    "get-1": row("GET, one client", clients=1, cpu=0.86),
    "get-64-servers": row("GET, 64 servers", servers=64, cpu=0.69, rate=1.35),
    "get-64-servers-p16": row("GET, 64 servers, pipeline 16", servers=64, depth=16, cpu=0.47),
    "mget-100-64-servers": row("MGET of 100 keys, 64 servers", servers=64, keys=100, cpu=0.25),
    "unix-clients": row("GET, clients on a unix socket", unix="clients"),
    "unix-servers": row("GET, servers on unix sockets", unix="servers"),
    "unix-p16": row("GET, pipeline 16, both on unix sockets", unix="clients servers", depth=16),
    "txn-5": row("transaction of 5 commands", txn=5, conf={"hash_tag": '"{}"'}, lacks="transactions"),
    "resp3-get-p1": row("RESP3 clients, GET", resp3=True, lacks="RESP3"),
    "resp3-get-p16": row("RESP3 clients, GET, pipeline 16", resp3=True, depth=16, lacks="RESP3"),
    "fanout-1000": row("a message to 1,000 listeners (per delivery)", tool="fanout", backend="redis", clients=1000, lacks="pub/sub"),
    "scan-1m": row("SCAN of a million keys (per key)", tool="scan", backend="redis", keyspace=1000000, keys=1000, lacks="SCAN"),
    "mc-get-p1": memcached("memcached get", cpu=0.76, rate=1.35),
    "mc-get-p16": memcached("memcached get, pipeline 16", depth=16, cpu=0.30, rate=3.3, p99=0.5),
    "mc-get-p64": memcached("memcached get, pipeline 64", depth=64, cpu=0.10, rate=10, p99=0.2),
    "mc-set-p16": memcached("memcached set, pipeline 16", set_percent=100, depth=16),
    "mc-mget-10": memcached("memcached get of 10 keys", keys=10, cpu=0.50),
    "mc-mget-100": memcached("memcached get of 100 keys", keys=100, cpu=0.36),
    "mc-get-16k": memcached("memcached get, 16 KiB values", value=16384, keyspace=2000),
}
