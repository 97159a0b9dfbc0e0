"""The admin port: every route, and who may use it (docs/admin.md)."""
import http.client
import json
import os
import re
import socket
import subprocess
import threading
import time
from urllib.parse import quote

import pytest
import yaml

from admin import Answer, ask, get, post
from harness import HOST, KVMUX, OK, PONG, ROOT, FakeServer, Proxy, RedisServer, free_port, mc_pool, redis_pool, spread, temp_dir, wait_until, yaml_text
from prom import parse_metrics

pytestmark = [pytest.mark.kvmux_only, pytest.mark.not_direct]


@pytest.fixture(scope="module")
def px(redis3):
    pools = {"alpha": redis_pool([s.entry(name="s%d" % i) for i, s in enumerate(redis3)], redis_db="2", server_retry_timeout="200"),
             '<b>"x"': redis_pool([redis3[0]], auto_eject_hosts="true")}
    with Proxy(pools, admin=True) as px:
        yield px


# ------------------------------------------------------------------------------------------------ what is told

def table():
    """The rows of docs/admin.md."""
    with open(os.path.join(ROOT, "docs", "admin.md"), encoding="utf-8") as f:
        return re.findall(r"(?m)^\| `(GET|POST) (/[^`]*)` \|", f.read())


def test_the_list_is_the_documented_one(px):
    listed = re.findall(r"(?m)^  (GET|POST) +(/\S*) ", get(px, "/nothing/here", 404).text)
    assert listed == table() and ("GET", "/") in listed


def test_every_route_answers_its_method_only(px):
    allowed = {}
    for method, path in table():
        allowed.setdefault(path, []).append(method)
    for path, methods in allowed.items():
        want = ", ".join({"GET": "GET, HEAD"}.get(m, m) for m in methods)
        for method in ("PUT", "DELETE", "OPTIONS") + (() if "GET" in methods else ("GET", "HEAD")):
            a = get(px, path, 405, method=method)
            assert a.headers["Allow"] == want
        if methods == ["GET"]:
            assert post(px, path, 405).headers["Allow"] == want


def test_head(px):
    a = get(px, "/metrics", method="HEAD")
    assert a.body == b"" and int(a.headers["Content-Length"]) > 5000


def test_headers(px):
    for path in ("/", "/metrics", "/nope"):
        h = ask(px, path).headers
        assert h["X-Content-Type-Options"] == "nosniff" and h["Cache-Control"] == "no-store" and h["Referrer-Policy"] == "no-referrer"
        assert "default-src 'none'" in h["Content-Security-Policy"] and "frame-ancestors 'none'" in h["Content-Security-Policy"]
        assert h["Access-Control-Allow-Origin"] is None


def test_health_and_ready(px):
    assert get(px, "/health").text == "alive\n"
    assert get(px, "/ready").text == "ready\n"


def test_stats_is_the_statistics_port(px):
    over_http, plain = get(px, "/stats").json(), px.stats()
    assert list(over_http) == list(plain) and list(over_http["alpha"]["s0"]) == list(plain["alpha"]["s0"])


def test_metrics(px):
    with px.client("alpha") as c:
        assert c.cmd("PING") == PONG
        before = parse_metrics(get(px, "/metrics").text)
        for i in range(20):
            assert c.cmd("SET", "k%d" % i, "v") == OK
    a = get(px, "/metrics")
    assert a.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    after = parse_metrics(a.text)

    def grown(name, **labels):
        return after.value(name, **labels) - before.value(name, **labels)
    assert grown("kvmux_pool_client_requests_total", pool="alpha") == 20
    assert sum(grown("kvmux_server_requests_total", pool="alpha", server="s%d" % i) for i in range(3)) == 20
    assert after.value("kvmux_pool_servers", pool='<b>"x"') == 1
    assert after.types["kvmux_server_in_queue"] == "gauge" and after.types["kvmux_server_requests_total"] == "counter"
    assert after.value("kvmux_workers") == px.threads == len(after.samples["kvmux_worker_turns_total"])
    assert after.value("kvmux_ready") == 1 and after.value("process_cpu_seconds_total") > 0
    assert after.value("process_resident_memory_bytes") > 1 << 20
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", after.labels("kvmux_build_info")[0]["version"])
    for name, kind in after.types.items():
        assert (kind == "counter") == name.endswith("_total")
    with open(os.path.join(ROOT, "docs", "metrics.md"), encoding="utf-8") as f:
        documented = set(re.findall(r"(?m)^\| `(\w+)` \|", f.read()))
    assert documented | {"kvmux_build_info"} == set(after.types)


def test_pools(px):
    doc = get(px, "/pools").json()
    assert doc["ready"] is True and doc["draining"] is False and doc["pid"] == px.pid and doc["workers"] == px.threads
    pools = {p["name"]: p for p in doc["pools"]}
    assert set(pools) == {"alpha", '<b>"x"'}
    a = pools["alpha"]
    assert a["protocol"] == "redis" and a["servers_in_use"] == 3 and a["listen"] == ["%s:%d" % px.listens["alpha"]]
    assert [(s["name"], s["state"], s["in_use"]) for s in a["servers"]] == [("s%d" % i, "up", True) for i in range(3)]
    assert set(a["metrics"]) < set(px.stats("alpha")) and set(a["servers"][0]["metrics"]) < set(px.stats("alpha", "s0"))


def test_history(px):
    """Every two seconds a value: requests that were made are in it, and those of the servers are those of their pool."""
    with px.client("alpha") as c:
        c.pipeline([("SET", k, "v") for k in spread(5000)])

    def seen():
        doc = get(px, "/history").json()
        (alpha,) = [p for p in doc["pools"] if p["name"] == "alpha"]
        return sum(alpha["requests"]) * doc["period"] >= 4900 and doc
    doc = wait_until(seen, "the requests in the history", poll=0.2)
    assert doc["period"] == 2 and doc["pid"] == px.pid
    (alpha,) = [p for p in doc["pools"] if p["name"] == "alpha"]
    n = len(alpha["requests"])
    assert set(alpha["servers"]) == {"s0", "s1", "s2"} and all(sum(v) > 0 for v in alpha["servers"].values())
    assert sum(map(sum, alpha["servers"].values())) <= sum(alpha["requests"]) + 3 * n
    for values in [alpha["errors"], doc["clients"], doc["queue"], doc["memory"], doc["cpu"]] + list(alpha["servers"].values()):
        assert len(values) == n <= 150
    assert min(doc["memory"]) > 1 << 20


def test_latency_is_that_of_the_last_seconds(redis_alone):
    """Percentiles of the last period in /pools, and their history; quiet again, they are 0."""
    with Proxy({"p": redis_pool([redis_alone.entry(name="s1")])}, admin=True) as px, px.client() as c:
        def pool():
            return get(px, "/pools").json()["pools"][0]

        def ask_and_look():
            for i in range(300):
                assert c.cmd("SET", "k%d" % i, "v") == OK
            return pool()["p99_usec"] > 0 and pool()
        p = wait_until(ask_and_look, "a period with requests in it")
        assert 0 < p["p50_usec"] <= p["p99_usec"] <= p["p999_usec"] < 5000000
        (s,) = p["servers"]
        assert 0 < s["p50_usec"] <= s["p99_usec"] and s["p50_usec"] <= p["p99_usec"]
        wait_until(lambda: pool()["p99_usec"] == 0, "a period without")
        (was,) = get(px, "/history").json()["pools"]
        assert len(was["p50"]) == len(was["p99"]) == len(was["requests"]) and max(was["p99"]) >= max(was["p50"]) > 0


def test_config_is_in_force_and_shows_no_secret(redis_alone):
    with Proxy({"p": redis_pool([redis_alone.entry(name="one")], redis_auth="s3cret-word", timeout="777", deny_commands=["keys"],
                                users=[{"name": "u", "password": "s3cret-word"}], server_password="s3cret-word")}, admin=True) as px:
        text = get(px, "/config").text
        doc = yaml.safe_load(text)
        assert doc["p"]["timeout"] == 777 and doc["p"]["deny_commands"] == ["keys"] and doc["p"]["distribution"] == "ketama"
        assert doc["p"]["servers"] == [{"host": HOST, "port": redis_alone.port, "weight": 1, "name": "one"}]
        assert "s3cret-word" not in text and doc["p"]["redis_auth"] == "(hidden)" and doc["kvmux"]["drain_timeout"] == 5000
        path = os.path.join(px.dir, "dumped.yml")
        with open(path, "w") as f:
            f.write(text)
        assert subprocess.run([KVMUX, "-t", "-c", path], capture_output=True).returncode == 0


def test_where_is_where(px, redis3):
    keys = ["a", "user:1", "{x}y", "q w", "ä", "%00"]
    said = subprocess.run([KVMUX, "-c", px.conf, "--where", "alpha"] + keys, capture_output=True, text=True, check=True).stdout
    for key, line in zip(keys, said.splitlines()):
        doc = get(px, "/where?pool=alpha&key=" + quote(key, safe="")).json()
        _, server, address = line.split("\t")
        assert doc == {"pool": "alpha", "key": key, "server": {"name": server, "address": address}, "home": {"name": server, "address": address}}
        assert get(px, "/where?pool=alpha&hex=1&key=" + key.encode().hex()).json()["server"] == doc["server"]
    assert get(px, "/where?pool=alpha&key=%00%ff").json()["key"] == "\0\xff"
    assert "no pool" in get(px, "/where?pool=nope&key=a", 404).text
    assert "key is missing" in get(px, "/where?pool=alpha", 400).text
    assert "pool is missing" in get(px, "/where?key=a", 400).text
    assert "hexadecimal" in get(px, "/where?pool=alpha&hex=1&key=abc", 400).text


def test_clients_of_all_workers(px):
    with_names = [px.client("alpha") for _ in range(20)]
    try:
        for i, c in enumerate(with_names):
            assert c.cmd("CLIENT", "SETNAME", "app<%d>" % i) == OK
        listed = get(px, "/clients").json()
        mine = [c for c in listed["clients"] if c["name"].startswith("app<")]
        assert sorted(c["name"] for c in mine) == sorted("app<%d>" % i for i in range(20))
        assert {c["worker"] for c in mine} == {0, 1} and {c["pool"] for c in mine} == {"alpha"}
        assert {c["address"] for c in mine} == {"%s:%d" % c.s.getsockname() for c in with_names}
        assert {(c["last_command"], c["db"], c["hello"]) for c in mine} == {("client|setname", 2, 0)}
        assert listed["total"] == listed["shown"] == len(listed["clients"])
        few = get(px, "/clients?limit=3").json()
        assert few["shown"] == len(few["clients"]) == 3 and few["total"] == listed["total"]
        assert get(px, "/clients?limit=0").json()["clients"] == []
        for wrong in ("x", "-1", "10001", ""):
            get(px, "/clients?limit=" + wrong, 400)
    finally:
        for c in with_names:
            c.close()


def test_clients_of_memcached(mc_alone):
    with Proxy({"m": mc_pool([mc_alone])}, admin=True) as px, px.client() as c:
        assert c.mc_lines(b"set a 0 0 1\r\nx\r\n", 1) == [b"STORED\r\n"]
        (one,) = get(px, "/clients").json()["clients"]
        assert one["pool"] == "m" and one["last_command"] == "set" and one["address"] == "%s:%d" % c.s.getsockname()


def test_slowlog_of_both_protocols(redis_alone, mc_alone):
    """Every request is slow here. The first one of a server has its command only; then whole beginnings are kept."""
    pools = {"p": redis_pool([redis_alone.entry(name="s1")], slowlog_slower_than=0), "m": mc_pool([mc_alone.entry(name="m1")], slowlog_slower_than=0),
             "fast": redis_pool([redis_alone])}
    with Proxy(pools, admin=True) as px:
        with px.client("p") as c, px.client("m") as m, px.client("fast") as f:
            assert f.cmd("PING") == PONG and f.value("GET", "fast") is None
            assert c.cmd("CLIENT", "SETNAME", "app") == OK
            for i in range(3):
                assert c.cmd("SET", "key %d" % i, b"\xff\r\n") == OK
                assert m.mc_set("key%d" % i, "v") == b"STORED\r\n"
            slow = get(px, "/slowlog").json()["slow"]
            assert len(slow) == 6 and [x["when"] for x in slow] == sorted((x["when"] for x in slow), reverse=True)
            mine, theirs = ([x for x in slow if x["pool"] == p] for p in "pm")
            assert [x["request"] for x in mine][:2] == ["SET key 2 \\xff\\x0d\\x0a", "SET key 1 \\xff\\x0d\\x0a"]
            assert [x["request"] for x in theirs][:2] == ["set key2 0 0 1", "set key1 0 0 1"]
            assert {(x["server"], x["command"], x["name"], x["client"]) for x in mine} == {("s1", "set", "app", "%s:%d" % c.s.getsockname())}
            assert all(x["usec"] >= x["queue_usec"] + x["server_usec"] and x["receive_usec"] == 0 for x in slow)
            assert len(get(px, "/slowlog?limit=2").json()["slow"]) == 2
            for wrong in ("x", "-1", "1001", ""):
                get(px, "/slowlog?limit=" + wrong, 400)


# ------------------------------------------------------------------------------------------------ what is done

def state_of(px, server, pool="alpha"):
    (p,) = [p for p in get(px, "/pools").json()["pools"] if p["name"] == pool]
    return {s["name"]: s["state"] for s in p["servers"]}[server]


def test_eject_and_return(px):
    key = next(k for k in ("k%d" % i for i in range(100)) if get(px, "/where?pool=alpha&key=" + k).json()["server"]["name"] == "s1")
    assert "out" in post(px, "/server/eject?pool=alpha&server=s1").text
    try:
        assert state_of(px, "s1") == "out"
        assert "already" in post(px, "/server/eject?pool=alpha&server=s1").text
        moved = get(px, "/where?pool=alpha&key=" + key).json()
        assert moved["home"]["name"] == "s1" and moved["server"]["name"] != "s1"
        with px.client("alpha") as c:
            before = px.stats("alpha", "s1")["requests"]
            assert c.cmd("SET", key, "v") == OK   # and the server that is out gets nothing, however long it is out
            wait_until(lambda: px.stats("alpha", moved["server"]["name"])["requests"] > 0, "the key's other server")
            assert px.stats("alpha", "s1")["requests"] == before
        assert parse_metrics(get(px, "/metrics").text).value("kvmux_server_in_use", pool="alpha", server="s1") == 0
    finally:
        back = post(px, "/server/return", body="pool=alpha&server=s1", headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert "in use" in back.text and state_of(px, "s1") == "up"
    assert get(px, "/where?pool=alpha&key=" + key).json()["server"]["name"] == "s1"
    assert re.search(r"admin_post action=eject from=127\.0\.0\.1:\d+", px.log_text()) and "by=operator" in px.log_text()


def test_the_last_server_is_not_ejected_by_mistake(px):
    (pool,) = [p for p in get(px, "/pools").json()["pools"] if p["name"] == '<b>"x"']
    path = "/server/eject?pool=%3Cb%3E%22x%22&server=" + pool["servers"][0]["name"]
    assert "force=1" in post(px, path, 409).text
    post(px, path + "&force=1")
    try:
        assert get(px, "/ready").text == 'ready; no server in use: <b>"x"\n'
        with px.client('<b>"x"') as c:
            assert c.cmd("GET", "a").startswith(b"-ERR")
    finally:
        post(px, path.replace("eject", "return"))
    with px.client('<b>"x"') as c:
        assert c.cmd("PING") == PONG and c.cmd("SET", "a", "1") == OK


def test_eject_asks_for_names(px):
    assert "pool is missing" in post(px, "/server/eject", 400).text
    assert "server is missing" in post(px, "/server/eject?pool=alpha", 400).text
    post(px, "/server/eject?pool=nope&server=s1", 404)
    assert "pool alpha has no server" in post(px, "/server/return?pool=alpha&server=nope", 404).text


def test_returned_servers_that_failed(redis_alone):
    """An operator returns a server that was ejected for its failures; one that is dead is ejected again."""
    with RedisServer() as dying, \
            Proxy({"p": redis_pool([redis_alone.entry(name="a"), dying.entry(name="b")], auto_eject_hosts="true", server_failure_limit="1",
                                   server_retry_timeout="3600000")}, admin=True) as px, px.client() as c:
        dying.stop()

        def ejected():
            for i in range(20):
                c.cmd("GET", "k%d" % i)
            return state_of(px, "b", "p") == "ejected"
        wait_until(ejected, "the ejection")
        assert "in use" in post(px, "/server/return?pool=p&server=b").text
        wait_until(ejected, "another ejection: it is as dead as before")


def test_log_level(px):
    assert get(px, "/log-level").text == "5\n"
    assert post(px, "/log-level?level=7").text == "7\n"
    px.wait_log(r"admin_post action=log_level level=7")
    assert post(px, "/log-level?level=5").text == get(px, "/log-level").text == "5\n"
    for wrong in ("12", "x", "", "-1"):
        post(px, "/log-level?level=" + wrong, 400)
    post(px, "/log-level", 400)


def test_reload(redis3):
    """A new server, a file with an error, and a server that is out: it stays out, however often the file is read."""
    entries = [s.entry(name="s%d" % i) for i, s in enumerate(redis3)]
    with Proxy({"p": redis_pool(entries[:2])}, admin=True) as px:
        def rewrite(**keys):
            px.pools["p"].update(keys)
            with open(px.conf, "w") as f:
                f.write(yaml_text(px.pools))
        post(px, "/server/eject?pool=p&server=s1")
        rewrite(servers=entries)
        assert post(px, "/reload").text.startswith("taken")
        px.wait_log("reload_done")
        assert [state_of(px, "s%d" % i, "p") for i in range(3)] == ["up", "out", "up"]
        with px.client() as c:
            c.pipeline([("SET", k, "v") for k in spread(50)])
        after = parse_metrics(get(px, "/metrics").text)
        assert after.value("kvmux_server_requests_total", pool="p", server="s2") > 0
        assert after.value("kvmux_server_requests_total", pool="p", server="s1") == 0
        assert get(px, "/clients").json()["total"] == 0
        rewrite(timeout="soon")
        answer = post(px, "/reload", 422).text
        assert re.search(r'^/\S+/nutcracker\.yml:\d+:\d+: timeout: "soon" is not a number', answer) and answer.endswith("nothing was changed\n")
        assert "timeout: 0\n" in get(px, "/config").text
        wait_until(lambda: set(get(px, "/history").json()["pools"][0]["servers"]) == {"s0", "s1", "s2"}, "a history of the new server")
        post(px, "/server/return?pool=p&server=s1")
        assert state_of(px, "s1", "p") == "up"


def test_drain():
    """As SIGTERM: what is in flight finishes; until then probes are told."""
    with FakeServer() as fake, Proxy({"p": redis_pool([fake])}, admin=True) as px, px.client() as c:
        c.send(b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n")
        server, _ = fake.request()
        assert "draining" in post(px, "/drain", 202).text
        assert get(px, "/ready", 503).text == "not ready: draining\n" and get(px, "/health").text == "alive\n"
        assert get(px, "/pools").json()["draining"] is True
        post(px, "/drain", 202)
        server.send(b"$1\r\nx\r\n")
        assert c.until_close() == b"$1\r\nx\r\n"
        assert px.proc.wait() == 0


def test_drain_at_once(redis_alone):
    """Nothing is in flight: the process is gone at once, and whoever asked for it was answered all the same."""
    for _ in range(5):
        with Proxy({"p": redis_pool([redis_alone])}, admin=True) as px:
            post(px, "/drain", 202)
            assert px.proc.wait() == 0


# ------------------------------------------------------------------------------------------------ who may

EVIL = {"Host": "evil.example:22280"}


def test_host_of_a_rebound_name_is_refused(px):
    for path in ("/", "/metrics", "/stats", "/config", "/pools", "/clients", "/where?pool=alpha&key=a"):
        assert "Host" in get(px, path, 403, headers=EVIL).text
    post(px, "/log-level?level=5", 403, headers=EVIL)
    for path in ("/health", "/ready"):   # probes know no names, and these tell nothing
        get(px, path, headers=EVIL)
    for host in ("localhost:%d" % px.admin_port, "LOCALHOST", "[::1]:1", "10.0.0.1"):
        get(px, "/pools", headers={"Host": host})
    assert parse_metrics(get(px, "/metrics").text).value("kvmux_admin_refused_total") >= 8


def test_a_page_of_another_site_cannot_post(px):
    own = "http://%s:%d" % (HOST, px.admin_port)
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": own + "1"}, {"Sec-Fetch-Site": "cross-site"},
                    {"Origin": "http://localhost:%d" % px.admin_port}):
        assert "another site" in post(px, "/log-level?level=0", 403, headers=headers).text
    assert get(px, "/log-level").text == "5\n"
    post(px, "/log-level?level=5", headers={"Origin": own, "Sec-Fetch-Site": "same-origin"})


@pytest.mark.parametrize("how", ["configuration", "file"])
def test_token(redis_alone, how):
    secret = os.path.join(temp_dir(), "token")
    with open(secret, "w") as f:
        f.write("s3cret token\n")
    flags, section = ([], {"kvmux": {"admin_token": {"file": secret}}}) if how == "configuration" else (["--admin-token-file", secret], {})
    px = Proxy({"p": redis_pool([redis_alone])}, admin=True, flags=flags, start=False)
    write = px.write_conf

    def with_section():
        write()
        with open(px.conf, "a") as f:
            f.write("".join("%s: {%s}\n" % (k, ", ".join("%s: {file: %s}" % (a, b["file"]) for a, b in v.items())) for k, v in section.items()))
    px.write_conf = with_section
    with px.start():
        good = {"Authorization": "Bearer s3cret token"}
        for method, path in table():
            if path in ("/health", "/ready", "/"):
                get(px, path)
                continue
            for wrong in (None, "Bearer x", "Bearer s3cret tokem", "Basic s3cret token", "s3cret token"):
                a = get(px, path, 401, method=method, headers={"Authorization": wrong} if wrong else {})
                assert a.headers["WWW-Authenticate"] == "Bearer"
        get(px, "/metrics", headers=good)
        get(px, "/metrics", headers=dict(good, Host="proxy.example"))   # with the token the name does not matter
        post(px, "/log-level?level=5", headers=good)
        post(px, "/log-level?level=5", 403, headers=dict(good, Origin="http://evil.example"))
        if how == "configuration":
            assert "s3cret" not in get(px, "/config", headers=good).text
        with open(secret, "w") as f:
            f.write("another one\n")
        get(px, "/metrics", headers=good)       # not read before a reload
        post(px, "/reload", headers=good)
        new = {"Authorization": "Bearer another one"}
        wait_until(lambda: ask(px, "/metrics", headers=new).status == 200, "the new token counts")
        get(px, "/metrics", 401, headers=good)
        os.unlink(secret)
        if how == "file":
            post(px, "/reload", headers=new)
            px.wait_log(' admin_token_kept reason="--admin-token-file')
        else:
            assert post(px, "/reload", 422, headers=new).text
        get(px, "/metrics", headers=new)


def test_storm_of_posts_does_not_fill_the_log(redis_alone):
    with Proxy({"p": redis_pool([redis_alone])}, admin=True) as px:
        begin = time.monotonic()
        for _ in range(300):
            post(px, "/log-level?level=5")
        seconds = time.monotonic() - begin
        lines = px.log_text().count("admin_post action=log_level")
        assert 10 <= lines <= 10 * (int(seconds) + 2) < 300

        def told():
            post(px, "/log-level?level=5")
            return "lines_left_out count=" in px.log_text()
        wait_until(told, "the next second")


def test_storms_of_failures_do_not_fill_the_log():
    """A server that closes every connection when it is asked, thousands of times; hundreds of connections too many to the admin port."""
    def slam():
        while True:
            try:
                s, _ = door.accept()
            except OSError:
                return
            with s:
                s.recv(100)

    def healthy():
        try:
            return ask(px, "/health").status == 200
        except (OSError, http.client.HTTPException):
            return False
    with socket.create_server((HOST, 0), backlog=100) as door:
        thread = threading.Thread(target=slam, daemon=True)
        thread.start()
        with Proxy({"p": dict(redis_pool([]), servers=["%s:%d:1" % (HOST, door.getsockname()[1])])}, admin=True) as px:
            begin = time.monotonic()
            failed = 0
            with px.client() as c:
                while time.monotonic() - begin < 2:
                    failed += c.cmd("GET", "a").startswith(b"-")
            lines = px.log_text().count("server_failed pool=p")
            assert failed > 50 and 3 <= lines <= 3 * (int(time.monotonic() - begin) + 2)
            many = [socket.create_connection((HOST, px.admin_port)) for _ in range(400)]
            px.wait_log("admin_full ")
            for s in many:
                s.close()
            wait_until(healthy, "room for another")
            assert px.log_text().count("admin_full ") == 1
        door.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def test_post_from_elsewhere_needs_a_token(redis_alone):
    px = Proxy({"p": redis_pool([redis_alone])}, start=False)
    px.admin_port = port = free_port()
    px.admin = "0.0.0.0:%d" % port
    with px.start():
        px.admin_port = port
        px.wait_log("admin_without_token")
        get(px, "/metrics")
        assert "token" in post(px, "/drain", 403).text


def test_unix_path(redis_alone):
    path = os.path.join(temp_dir(), "admin")
    with Proxy({"p": redis_pool([redis_alone])}, admin=path) as px:
        px.wait_log("listen_admin address=" + path)
        assert os.stat(path).st_mode & 0o777 == 0o660
        c = http.client.HTTPConnection("whatever")
        c.sock = socket.socket(socket.AF_UNIX)
        c.sock.connect(path)
        c.request("POST", "/log-level?level=5")
        assert Answer(c.getresponse()).text == "5\n"
        px.wait_log("admin_post action=log_level level=5 from=unix")
        c.close()
        px.stop()
        assert not os.path.exists(path)


# ------------------------------------------------------------------------------------------------ Grafana and Prometheus

def names_used(text):
    """A histogram's under the name that it is declared with."""
    return {re.sub(r"_bucket$", "", n) for n in re.findall(r"\b(?:kvmux|process)_[a-z_]+\b", text)}


def test_dashboard_and_alerts_use_real_metrics(px):
    known = set(parse_metrics(get(px, "/metrics").text).types)
    with open(os.path.join(ROOT, "packaging", "grafana-dashboard.json"), encoding="utf-8") as f:
        dashboard = json.load(f)
    queries = [t["expr"] for p in dashboard["panels"] for t in p.get("targets", [])] + [v["query"] for v in dashboard["templating"]["list"] if v["type"] == "query"]
    stages = set(re.findall(r'_request_seconds_bucket\{[^}]*stage="(\w+)"', get(px, "/metrics").text))
    documented = re.findall(r"(?m)^\| `kvmux_(?:pool_)?request_seconds` \| [^|]* \| (\w+) \|", open(os.path.join(ROOT, "docs", "metrics.md")).read())
    assert stages <= set(documented)
    assert {s for q in queries for s in re.findall(r'stage="(\w+)"', q)} <= set(documented)
    assert len(queries) > 40 and all(names_used(q) and names_used(q) <= known for q in queries), [q for q in queries if not names_used(q) <= known]
    with open(os.path.join(ROOT, "packaging", "prometheus-alerts.yml"), encoding="utf-8") as f:
        rules = [r for g in yaml.safe_load(f)["groups"] for r in g["rules"]]
    assert len(rules) > 5 and len({r["alert"] for r in rules}) == len(rules)
    for r in rules:
        assert (names_used(r["expr"]) or "up{" in r["expr"]) and names_used(r["expr"]) <= known, r
        assert r["annotations"]["summary"] and r["annotations"]["description"] and r["labels"]["severity"] in ("page", "ticket")
