"""TLS to clients and to servers: who is let in and who is believed, whole values both ways, sessions, many handshakes at once."""
import os
import re
import shutil
import signal
import ssl
import subprocess
import tempfile
import threading
import time

import pytest
import redis

from admin import get, post
from harness import HOST, KVMUX, NIL, OK, PONG, Proxy, Raw, bulk, mc_pool, redis_pool, resp, spread, temp_dir, wait_until, yaml_text
from prom import parse_metrics
from tls_fixtures import Authority, Slow, TlsMemcached, TlsRaw, TlsRedis, connect, openssl

pytestmark = [pytest.mark.kvmux_only]


@pytest.fixture(scope="module")
def ca():
    return Authority()


@pytest.fixture(scope="module")
def stranger():
    """A CA that nobody believes."""
    return Authority("stranger")


@pytest.fixture(scope="module")
def ids(ca, stranger):
    return {"near": ca.issue("near"), "client": ca.issue("client"), "server": ca.issue("server"), "old": ca.issue("old", days=-1),
            "other": ca.issue("other", alt="DNS:other.example"), "stranger": stranger.issue("who")}


def accepts(ids, **keys):
    return dict({"tls_certificate": ids["near"].crt, "tls_key": ids["near"].key}, **keys)


@pytest.fixture(scope="module")
def px(redis3, ids):
    with Proxy({"p": redis_pool(redis3, timeout=20000, **accepts(ids))}, threads=2) as p:
        yield p


# ------------------------------------------------------------------------------------------------ clients

def test_plain_and_tls_beside_each_other(px, ca):
    with connect(px, ca) as c, px.client() as plain:
        assert c.cmd("SET", "tls:a", "1") == OK
        assert plain.cmd("GET", "tls:a") == bulk("1")
        assert c.s.version() == "TLSv1.3"
        assert "tls=true" in px.log_text()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["TLSv1.2", "TLSv1.3"])
def test_large_values_and_pipelines(px, ca, version):
    keys = spread(6, "tls:big:")
    values = [os.urandom(n) for n in (1, 16384, 70000, 1 << 20, 5 << 20, 24 << 20)]
    with connect(px, ca, max_version=version) as c:
        assert c.pipeline([("SET", k, v) for k, v in zip(keys, values)]) == [OK] * 6
        for _ in range(2):
            assert c.pipeline([("GET", k) for k in keys]) == [bulk(v) for v in values]
        assert c.pipeline([("SET", "tls:n", i) if i % 2 == 0 else ("GET", "tls:n") for i in range(10000)]) == \
            [OK if i % 2 == 0 else bulk(str(i - 1)) for i in range(10000)]


def test_small_messages_cost_no_round_of_their_own(px, ca):
    """Subscriptions and blocking commands: what comes later comes by itself."""
    with connect(px, ca) as c, connect(px, ca) as other, px.client() as plain:
        c.post(resp("BLPOP", "tls:list", 0))
        c.flush()
        assert other.cmd("SUBSCRIBE", "tls:ch")
        assert plain.cmd("RPUSH", "tls:list", "x") == b":1\r\n"
        assert c.reply() == b"*2\r\n$8\r\ntls:list\r\n$1\r\nx\r\n"
        assert plain.cmd("PUBLISH", "tls:ch", "hello").startswith(b":")
        assert other.reply() == b"*3\r\n$7\r\nmessage\r\n$6\r\ntls:ch\r\n$5\r\nhello\r\n"


def test_slow_reader_gets_everything(px, ca):
    value = os.urandom(3 << 20)
    with connect(px, ca) as c, connect(px, ca) as other:
        assert c.cmd("SET", "tls:slow", value) == OK
        c.post(resp("GET", "tls:slow") * 20)
        c.flush()
        for _ in range(50):   # somebody who does not read holds nobody up
            assert other.cmd("PING") == PONG
        assert c.replies(20) == [bulk(value)] * 20


@pytest.mark.parametrize("how", ["close_notify", "FIN", "both"])
def test_half_close(px, ca, how):
    """What was asked for is answered, and our own close_notify comes behind it."""
    c = Slow(px.tls["p"], ca.context())
    c.shake()
    c.ssl.write(resp("GET", "tls:none") + resp("PING"))
    if how != "FIN":
        with pytest.raises(ssl.SSLWantReadError):
            c.ssl.unwrap()
    c.send()
    if how != "close_notify":
        c.raw.half_close()
    c.inside.write(c.raw.until_close())
    assert c.exact(len(NIL + PONG)) == NIL + PONG
    assert c.ended()
    c.raw.close()


def test_quit_closes_cleanly(px, ca):
    with connect(px, ca) as c:
        c.send(resp("QUIT"))
        assert c.until_close() == OK
        assert not hasattr(c, "alert") and not c.reset


def test_clients_of_others(px, ca):
    port = px.tls["p"][1]
    r = redis.Redis(host="localhost", port=port, ssl=True, ssl_ca_certs=ca.crt)
    assert r.set("tls:py", b"x" * 100000) and r.get("tls:py") == b"x" * 100000
    with r.pipeline(transaction=True) as p:
        assert p.incr("tls:n1").incr("tls:n1").execute()[1] == p.incr("tls:n1").execute()[0] - 1
    r.close()
    got = subprocess.run([shutil.which("redis-cli"), "--tls", "--cacert", ca.crt, "-p", str(port), "GET", "tls:py"], capture_output=True,
                         timeout=20)
    assert got.stdout == b"x" * 100000 + b"\n", got


# ------------------------------------------------------------------------------------------------ who is let in

def refused(px, ca, id=None, max_version=None):
    """The connection is refused: during the handshake or, in TLS 1.3, right behind it. Returns OpenSSL's word for the alert."""
    try:
        with connect(px, ca, id, max_version=max_version) as c:
            c.post(resp("PING"))
            c.until_close()
            return getattr(c, "alert", "closed")
    except ssl.SSLError as e:
        return e.reason
    except ConnectionResetError:
        return "reset"


@pytest.mark.parametrize("mode", ["none", "optional", "required"])
def test_client_certificates(redis3, ca, ids, mode):
    keys = accepts(ids, tls_client_certificates=mode)
    if mode != "none":
        keys["tls_client_ca"] = ca.crt
    with Proxy({"p": redis_pool(redis3, **keys)}) as px:
        with connect(px, ca, ids["client"]) as c:
            assert c.cmd("PING") == PONG
        if mode == "required":
            refused(px, ca)
            px.wait_log(r'client_tls_failed pool=p client=127\.0\.0\.1:\d+ reason="peer did not return a certificate"')
        else:
            with connect(px, ca) as c:
                assert c.cmd("PING") == PONG
        if mode != "none":
            for who, why in (("stranger", "unable to get local issuer certificate"), ("old", "certificate has expired")):
                refused(px, ca, ids[who])
                px.wait_log(r'client_tls_failed .*reason="certificate verify failed: %s"' % why)
            assert px.stats("p")["tls_failures"] == (3 if mode == "required" else 2)


def test_minimum_version(redis3, ca, ids):
    with Proxy({"p": redis_pool(redis3, **accepts(ids, tls_min_version="TLSv1.3"))}) as px:
        assert refused(px, ca, max_version=ssl.TLSVersion.TLSv1_2) == "TLSV1_ALERT_PROTOCOL_VERSION"
        px.wait_log('client_tls_failed .*reason="unsupported protocol"')
        with connect(px, ca) as c:
            assert c.cmd("PING") == PONG


def test_ciphers(redis3, ca, ids):
    with Proxy({"p": redis_pool(redis3, **accepts(ids, tls_ciphers="ECDHE-ECDSA-CHACHA20-POLY1305",
                                                  tls_ciphersuites="TLS_CHACHA20_POLY1305_SHA256"))}) as px:
        for version, name in ((ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-CHACHA20-POLY1305"), (None, "TLS_CHACHA20_POLY1305_SHA256")):
            with connect(px, ca, max_version=version) as c:
                assert c.cmd("PING") == PONG and c.s.cipher()[0] == name


def test_not_tls(redis3, ca, ids):
    """Plain text is recognised; who says nothing is not worth a line until the time is over."""
    with Proxy({"p": redis_pool(redis3, **accepts(ids, tls_handshake_timeout=300))}) as px:
        with Raw(px.tls["p"]) as c:
            c.send(resp("PING"))
            assert c.until_close() == b"" and not c.reset
        px.wait_log('client_tls_failed .*reason="plain text instead of TLS"')
        Raw(px.tls["p"]).close()
        with Raw(px.tls["p"]) as c:
            assert c.until_close() == b""
        px.wait_log('client_tls_failed .*reason="the handshake takes too long"')
        assert px.stats("p")["tls_timeouts"] == 1
        assert len(re.findall("client_tls_failed", px.log_text())) == 2
        px.wait_stat("p", "client_connections", 0)


def test_one_too_many(redis3, ca, ids):
    """No handshake for who is turned away."""
    with Proxy({"p": redis_pool(redis3, **accepts(ids, client_connections=1))}) as px:
        wait_until(lambda: px.stats("p")["client_connections"] == 0, "no clients")
        with connect(px, ca) as c:
            assert c.cmd("PING") == PONG
            with Raw(px.tls["p"]) as other:
                assert other.until_close() == b""
            assert c.cmd("PING") == PONG
        assert px.stats("p")["client_refused"] >= 1 and px.stats("p")["tls_handshakes"] == 1


# ------------------------------------------------------------------------------------------------ sessions, storms

def s_client(px, ca, *more):
    """One PING by openssl. Returns what it says, when the answer, and so the ticket, is there."""
    p = subprocess.Popen(["openssl", "s_client", "-connect", "localhost:%d" % px.tls["p"][1], "-CAfile", ca.crt] + list(more),
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        p.stdin.write(b"PING\r\n")
        p.stdin.flush()
        said = b""
        while b"+PONG" not in said:
            got = p.stdout.read1(65536)
            assert got, said
            said += got
        return said
    finally:
        p.stdin.close()
        p.wait(20)
        p.stdout.close()


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_resumption(redis3, ca, ids, version):
    """Whichever of the workers is met: a session of one is good at all of them."""
    session = os.path.join(temp_dir("session"), "s")
    with Proxy({"p": redis_pool(redis3, **accepts(ids))}, threads=4) as px:
        assert b"New, TLS" in s_client(px, ca, version, "-sess_out", session)
        for _ in range(8):
            assert b"Reused, TLS" in s_client(px, ca, version, "-sess_in", session)
        assert px.stats("p")["tls_resumed"] == 8 and px.stats("p")["tls_handshakes"] == 9


def test_storm(redis3, ca, ids):
    """Hundreds of clients begin at once; each of them gets through, and those that are there are served meanwhile."""
    begun = 300
    with Proxy({"p": redis_pool(redis3, timeout=20000, backlog=1024, **accepts(ids))}, flags=("--threads", "1")) as px:
        with connect(px, ca) as c, px.client() as plain:
            context = ca.context()
            new = [Slow(px.tls["p"], context) for _ in range(begun)]
            for n in new:
                n.begin()
            for i in range(50):
                assert c.cmd("SET", "tls:storm", i) == OK
                assert plain.cmd("GET", "tls:storm") == bulk(str(i))
            for n in new:
                n.shake()
                n.write(resp("PING"))
            for n in new:
                assert n.exact(len(PONG)) == PONG
                n.raw.close()
            stats = px.stats("p")
            assert stats["tls_handshakes"] == begun + 1 and stats["tls_failures"] == 0
            assert stats["tls_put_off"] > 0


def test_many_come_and_go(px, ca):
    """Threads that connect, ask, and leave in all ways."""
    def work(n):
        context = ca.context()
        for i in range(15):
            c = TlsRaw(px.tls["p"], context)
            assert c.cmd("SET", "tls:t%d" % n, i) == OK
            assert c.cmd("GET", "tls:t%d" % n) == bulk(str(i))
            (c.abort if i % 2 == 0 else c.close)()
    bad = []

    def guard(n):
        try:
            work(n)
        except BaseException as e:
            bad.append(e)
    threads = [threading.Thread(target=guard, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not bad, bad
    px.wait_stat("p", "client_connections", 0)


# ------------------------------------------------------------------------------------------------ servers

def serves(servers, ca, **keys):
    return redis_pool(servers, **dict({"timeout": 20000, "server_tls": "true", "server_tls_ca": ca.crt}, **keys))


def test_servers(ca, ids):
    with TlsRedis(ids["server"], ca) as a, TlsRedis(ids["server"], ca) as b:
        with Proxy({"p": serves([a, b], ca, **accepts(ids))}, threads=1) as px, connect(px, ca) as c:
            keys = spread(40)
            assert c.pipeline([("SET", k, k * 3000) for k in keys]) == [OK] * 40
            assert c.cmd("MGET", *keys) == b"*40\r\n" + b"".join(bulk(k * 3000) for k in keys)
            assert len(a.keys()) > 0 and len(b.keys()) > 0
            # once more, by the session of the first time
            for s in (a, b):
                with s.client() as direct:
                    direct.cmd("CLIENT", "KILL", "TYPE", "normal")
            wait_until(lambda: c.cmd("MGET", *keys) == b"*40\r\n" + b"".join(bulk(k * 3000) for k in keys), "the servers again")
            for s in (a, b):
                stats = px.stats("p", s.name)
                assert stats["tls_handshakes"] >= 2 and stats["tls_resumed"] == stats["tls_handshakes"] - 1
                assert stats["tls_failures"] == 0
            px.wait_log("commands_learned")   # control's own connections


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_large_replies_of_servers(ca, ids, version):
    value = os.urandom(40 << 20)
    with TlsRedis(ids["server"], ca, tls_protocols=version) as s, Proxy({"p": serves([s], ca)}) as px, px.client() as c:
        assert c.cmd("SET", "big", value) == OK
        assert c.cmd("GET", "big") == bulk(value)
        assert px.stats("p")["streamed_replies"] == 1


@pytest.mark.parametrize("keys, id, words", [
    ({"server_tls_name": "wrong.example"}, "server", "certificate verify failed: hostname mismatch"),
    ({}, "other", "certificate verify failed: IP address mismatch"),
    ({}, "old", "certificate verify failed: certificate has expired"),
    ({}, "stranger", "certificate verify failed: unable to get local issuer certificate"),
    ({"server_tls_verify": "ca"}, "other", None),
    ({"server_tls_verify": "none"}, "stranger", None),
    ({"server_tls_name": "other.example"}, "other", None),
    ({"server_tls_min_version": "TLSv1.3"}, "server", "tlsv1 alert protocol version"),
])
def test_whom_we_believe(ca, ids, keys, id, words):
    only = {"tls_protocols": "TLSv1.2"} if "server_tls_min_version" in keys else {}
    with TlsRedis(ids[id], ca, **only) as s, Proxy({"p": serves([s], ca, learn_commands="false", **keys)}) as px, \
            px.client() as c:
        if words is None:
            assert c.cmd("SET", "a", "1") == OK
        else:
            assert c.cmd("SET", "a", "1") == b"-ERR the TLS connection to the server failed\r\n"
            px.wait_log(r'server_tls_failed pool=p server=%s address=127.0.0.1:%d reason="%s"' % (s.name, s.tls_port, words))
            assert px.stats("p", s.name)["tls_failures"] >= 1
            assert s.keys() == set()


def test_certificate_for_servers(ca, ids):
    """Servers that want to know who we are."""
    with TlsRedis(ids["server"], ca, tls_auth_clients="yes") as s:
        mine = {"server_tls_certificate": ids["client"].crt, "server_tls_key": ids["client"].key}
        with Proxy({"p": serves([s], ca, **mine)}) as px, px.client() as c:
            assert c.cmd("SET", "a", "1") == OK
        with Proxy({"p": serves([s], ca)}) as px, px.client() as c:
            assert c.cmd("GET", "a").startswith(b"-ERR ")
            px.wait_log('server_tls_failed pool=p server=.*reason=".*(certificate|handshake).*"')


def test_server_without_tls(ca, redis_alone):
    with Proxy({"p": serves([redis_alone], ca, connect_timeout=1000)}) as px, px.client() as c:
        assert c.cmd("PING") == PONG
        assert c.cmd("GET", "a").startswith(b"-ERR ")


def test_ejected_and_back(ca, ids):
    """Probes speak TLS as well."""
    with TlsRedis(ids["server"], ca) as s:
        with Proxy({"p": serves([s], ca, auto_eject_hosts="true", server_failure_limit=1, server_retry_timeout=100)}) as px, \
                px.client() as c:
            assert c.cmd("SET", "a", "1") == OK
            s.kill9()
            wait_until(lambda: c.cmd("GET", "a").startswith(b"-ERR "), "an error")
            px.wait_stat("p", "server_ejects", lambda n: n > 0)
            s.start()
            wait_until(lambda: c.cmd("GET", "a") == NIL, "the server")


def test_memcached(ca, ids):
    own = ca.issue("memcached")
    with TlsMemcached(own) as a, TlsMemcached(own) as b:
        with Proxy({"p": mc_pool([a, b], timeout=20000, server_tls="true", server_tls_ca=ca.crt, **accepts(ids))}) as px:
            with connect(px, ca) as c:
                keys = spread(30)
                for k in keys:
                    assert c.mc_set(k, k * 1000) == b"STORED\r\n"
                assert c.mc_get(*keys) == {k.encode(): (k * 1000).encode() for k in keys}
                assert c.mc_lines(b"mg %s v\r\n" % keys[0].encode(), 2)[1] == (keys[0] * 1000).encode() + b"\r\n"
            assert a.holds(keys) and b.holds(keys)


# ------------------------------------------------------------------------------------------------ reload

def shown(px, ca):
    """Serial number of the certificate that a new client is shown."""
    with connect(px, ca) as c:
        assert c.cmd("PING") == PONG
        return c.s.getpeercert()["serialNumber"]


def rewrite(px, **keys):
    """The same addresses, other keys (None: without it). Returns when every worker has it."""
    for k, v in keys.items():
        px.pools["p"].pop(k, None)
        if v is not None:
            px.pools["p"][k] = v
    with open(px.conf, "w") as f:
        f.write(yaml_text(px.pools))
    before = len(re.findall("reload config=", px.log_text()))
    px.proc.signal(signal.SIGHUP)
    wait_until(lambda: len(re.findall("reload config=", px.log_text())) > before, "the reload")


def test_certificate_replaced(redis3, ca, ids):
    """New clients see the new certificate, and those that are there go on; a file that is not good changes nothing."""
    mine = ca.issue("mine")
    with Proxy({"p": redis_pool(redis3, tls_certificate=mine.crt, tls_key=mine.key)}, threads=2) as px, connect(px, ca) as c:
        first = shown(px, ca)
        ca.issue("mine")   # the same files
        rewrite(px)
        wait_until(lambda: shown(px, ca) != first, "the new certificate")
        second = {shown(px, ca) for _ in range(8)}
        assert len(second) == 1 and first not in second
        assert c.cmd("SET", "tls:r", "1") == OK
        px.wait_log('certificate for clients.*valid until')
        with open(mine.key, "w") as f:
            f.write(open(ids["other"].key).read())
        px.proc.signal(signal.SIGHUP)
        px.wait_log("key values mismatch")
        assert shown(px, ca) in second and c.cmd("GET", "tls:r") == bulk("1")


def swap_link(path, to):
    """In one step, as certbot and Kubernetes do."""
    os.symlink(to, path + ".new")
    os.rename(path + ".new", path)


def renewed(ca, folder, id, how):
    """Puts a certificate and its key where `folder` has them, in the way of those who do that for a living. Returns the paths."""
    os.makedirs(folder, exist_ok=True)
    paths = [os.path.join(folder, n) for n in ("tls.crt", "tls.key")]
    if how == "rename":            # a new file in the place of the old one
        for path, source in zip(paths, (id.crt, id.key)):
            shutil.copy(source, path + ".new")
            os.rename(path + ".new", path)
    elif how == "certbot":         # each name is a link into an archive
        for path, source in zip(paths, (id.crt, id.key)):
            swap_link(path, source)
    else:                          # Kubernetes: the names are links through ..data, which alone is replaced
        version = tempfile.mkdtemp(prefix="..2026_", dir=folder)
        for path, source in zip(paths, (id.crt, id.key)):
            shutil.copy(source, os.path.join(version, os.path.basename(path)))
            if not os.path.islink(path):
                os.symlink(os.path.join("..data", os.path.basename(path)), path)
        swap_link(os.path.join(folder, "..data"), os.path.basename(version))
    return paths


@pytest.mark.parametrize("how", ["rename", "certbot", "kubernetes"])
def test_certificate_that_changes(redis3, ca, how):
    """reload_on_change: nobody tells kvmux, and the configuration itself is the same."""
    folder = temp_dir("live")
    crt, key = renewed(ca, folder, ca.issue("first-" + how), how)
    with Proxy({"p": redis_pool(redis3, tls_certificate=crt, tls_key=key)}, threads=2, section={"reload_on_change": "true"}) as px, connect(px, ca) as c:
        first = shown(px, ca)
        renewed(ca, folder, ca.issue("second-" + how), how)
        wait_until(lambda: shown(px, ca) != first, "the new certificate")
        assert re.search(r'config_changed file="%s/tls\.(crt|key)" action=reload' % re.escape(folder), px.log_text())
        assert c.cmd("PING") == PONG
        if how == "rename":   # one of two: refused, and taken when the other one is there, too
            third = ca.issue("third")
            shutil.copy(third.crt, crt)
            px.wait_log("key values mismatch")
            second = shown(px, ca)
            shutil.copy(third.key, key)
            wait_until(lambda: shown(px, ca) != second, "the third certificate")
        assert px.log_text().count("config_changed") == (3 if how == "rename" else 1)


def test_files_that_come_later(redis3, ca, ids):
    """reload_on_change: a file that was missing when the configuration was read is waited for; a CA and a secret are looked at, too."""
    folder = temp_dir("later")
    late, password = os.path.join(folder, "ca.crt"), os.path.join(folder, "password")
    with open(password, "w") as f:
        f.write("one\n")
    section = {"reload_on_change": "true", "admin_token": {"file": password}}
    with Proxy({"p": redis_pool(redis3, **accepts(ids))}, section=section) as px:
        with open(px.conf) as f:
            text = f.read()
        with open(px.conf, "w") as f:
            f.write(text.replace("  servers:", "  tls_client_ca: %s\n  tls_client_certificates: required\n  servers:" % late))
        px.wait_log("config_error .*ca.crt.*No such file")
        assert let_in(px, ca, None)
        shutil.copy(ca.crt, late)
        wait_until(lambda: not let_in(px, ca, None), "the CA")
        with open(password, "w") as f:
            f.write("two\n")
        px.wait_log('what="admin_token" name="" change=changed')


def test_tls_switched_on_and_off(ca, ids):
    """An address, and the connections to the servers, change from plain to TLS and back under the same clients."""
    with TlsRedis(ids["server"], ca) as s:
        tls = "%s:%d:1 s" % (HOST, s.tls_port)
        with Proxy({"p": redis_pool(["%s:%d:1 s" % (HOST, s.port)], timeout=20000, **accepts(ids))}, threads=2) as px, px.client() as c:
            plain, both = px.pools["p"]["listen"]
            assert c.cmd("SET", "a", "1") == OK
            rewrite(px, servers=[tls], server_tls="true", server_tls_ca=ca.crt, listen=[plain + " tls", both.replace(" tls", "")])
            wait_until(lambda: c.cmd("GET", "a") == bulk("1") and px.stats("p", "s")["tls_handshakes"] > 0, "TLS to the server")
            with TlsRaw(px.addr(), ca.context()) as t, Raw(px.tls["p"]) as p:
                assert t.cmd("GET", "a") == bulk("1") == p.cmd("GET", "a")
            rewrite(px, servers=["%s:%d:1 s" % (HOST, s.port)], server_tls=None, server_tls_ca=None, listen=[plain, both])
            wait_until(lambda: c.cmd("GET", "a") == bulk("1"), "the server without TLS")
            with connect(px, ca) as t, px.client() as p:
                assert t.cmd("GET", "a") == bulk("1") == p.cmd("GET", "a")


def let_in(px, ca, id):
    try:
        with connect(px, ca, id) as c:
            return c.cmd("PING") == PONG
    except (EOFError, OSError):
        return False


def test_trust_withdrawn(redis3, ca, ids, stranger):
    """A session that began under another CA for clients is not resumed under the new one."""
    session = os.path.join(temp_dir("session"), "s")
    with Proxy({"p": redis_pool(redis3, **accepts(ids, tls_client_ca=ca.crt, tls_client_certificates="required"))}, threads=1) as px:
        first = s_client(px, ca, "-tls1_3", "-cert", ids["client"].crt, "-key", ids["client"].key, "-sess_out", session)
        assert b"New, TLS" in first
        rewrite(px, tls_client_ca=stranger.crt)
        wait_until(lambda: not let_in(px, ca, ids["client"]), "the new CA")
        with pytest.raises(AssertionError):
            s_client(px, ca, "-tls1_3", "-sess_in", session)
        assert px.stats("p")["tls_resumed"] == 0


# ------------------------------------------------------------------------------------------------ the file

def check(text):
    path = os.path.join(temp_dir("conf"), "c.yml")
    with open(path, "w") as f:
        f.write(text)
    p = subprocess.run([KVMUX, "-t", "-c", path], capture_output=True, timeout=20)
    return p.returncode, p.stderr.decode().replace(path, "FILE")


def pool_text(ids, **keys):
    return yaml_text({"p": dict({"listen": "127.0.0.1:1 tls"}, servers=["127.0.0.1:1:1"], **accepts(ids, **keys))})


def test_files_are_tried(ca, ids):
    assert check(pool_text(ids)) == (0, "kvmux: configuration file 'FILE' syntax is ok\n")
    rc, said = check(pool_text(ids, tls_key=ids["client"].key))
    assert rc == 1 and said.startswith('FILE:4:3: tls_key: "%s": key values mismatch; the key of the certificate is wanted' % ids["client"].key)
    rc, said = check(pool_text(ids, tls_certificate=ids["near"].key))
    assert rc == 1 and ": no start line; a certificate in PEM" in said and said.startswith("FILE:3:3: tls_certificate: ")
    rc, said = check(pool_text(ids, tls_client_ca=ids["near"].key, tls_client_certificates="optional"))
    assert rc == 1 and said.startswith("FILE:5:3: tls_client_ca: ")
    rc, said = check(pool_text(ids, tls_certificate=ids["old"].crt, tls_key=ids["old"].key))
    assert rc == 0 and re.match(r'FILE:3:3: warning: tls_certificate: the certificate in ".*" expired at 20\d\d-\d\d-\d\d \d\d:\d\d UTC\n', said)
    both = os.path.join(temp_dir("pem"), "both.pem")
    with open(both, "w") as f:
        f.write(open(ids["near"].crt).read() + open(ids["near"].key).read())
    os.chmod(both, 0o644)
    text = pool_text(ids, tls_certificate=both).replace("  tls_key: %s\n" % ids["near"].key, "")
    rc, said = check(text)
    assert rc == 0 and "warning: tls_certificate: everybody on this machine may read the key" in said
    os.chmod(both, 0o640)
    assert check(text) == (0, "kvmux: configuration file 'FILE' syntax is ok\n")


def test_expiry(redis3, ca, ids):
    """What ends soon is told by the log, and by the metrics for all; what was replaced is not told of any more."""
    soon, old, fine = ca.issue("soon", days=5), ids["old"], ca.issue("fine", days=15)
    pools = {"p": redis_pool(redis3, **accepts(ids, tls_certificate=soon.crt, tls_key=soon.key)),
             "q": redis_pool(redis3, server_tls="true", server_tls_ca=ca.crt, server_tls_certificate=old.crt, server_tls_key=old.key),
             "r": redis_pool(redis3, tls_certificate=fine.crt, tls_key=fine.key)}
    with Proxy(pools, admin=True) as px:
        get(px, "/health")   # control runs
        log = px.log_text()
        assert re.search(r"\] certificate_expires pool=p key=tls_certificate at=20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ days=[45]\n", log), log
        assert re.search(r"\] certificate_expired pool=q key=server_tls_certificate at=\S+ note=", log) and log.count(" certificate_") == 2

        def days(pool, name):
            at = parse_metrics(get(px, "/metrics").text).value("kvmux_pool_%s_expires_seconds" % name, pool=pool)
            return round((at - time.time()) / 86400) if at > 0 else None
        assert [days(p, "tls_certificate") for p in "pqr"] == [5, None, 15]
        assert [days(p, "server_tls_certificate") for p in "pqr"] == [None, -1, None]
        shutil.copy(fine.crt, soon.crt)
        shutil.copy(fine.key, soon.key)
        post(px, "/reload")
        wait_until(lambda: days("p", "tls_certificate") == 15, "the new certificate")
        assert px.log_text().count(" certificate_expires ") == 1 and px.log_text().count(" certificate_expired ") == 2


def test_passphrase(ca, ids):
    locked = os.path.join(temp_dir("pem"), "locked.key")
    openssl("ec", "-in", ids["near"].key, "-aes256", "-passout", "pass:secret", "-out", locked)
    os.chmod(locked, 0o600)
    rc, said = check(pool_text(ids, tls_key=locked))
    assert rc == 1 and "tls_key: " in said and "without a passphrase" in said
