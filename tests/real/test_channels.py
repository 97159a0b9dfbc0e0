"""Publish and subscribe: many clients on few subscriptions upstream, both protocol versions, servers that come back."""
import threading

import pytest
import redis

from harness import OK, PONG, Proxy, RedisServer, bulk, redis_pool, resp, wait_until

pytestmark = [pytest.mark.kvmux_only, pytest.mark.not_direct]


@pytest.fixture()
def px(shards):
    with Proxy({"p": redis_pool(shards, timeout=2000, hash_tag="{}")}, threads=2) as p:
        yield p


def message(channel, text, head=b"*"):
    return head + b"3\r\n" + bulk("message") + bulk(channel) + bulk(text)


def told(channel, n, word="subscribe", head=b"*"):
    return head + b"3\r\n" + bulk(word) + bulk(channel) + b":%d\r\n" % n


def direct(server):
    return redis.Redis(*server.addr)


def upstream(servers):
    """Connections that listen, at each server."""
    return [len(direct(s).client_list(_type="pubsub")) for s in servers]


def test_redis_py_subscribes(px):
    r = redis.Redis(*px.addr())
    ps = r.pubsub()
    ps.subscribe("news", "other")
    ps.psubscribe("n?ws")
    assert [ps.get_message(timeout=10)["type"] for _ in range(3)] == ["subscribe", "subscribe", "psubscribe"]
    assert r.publish("news", "hi") > 0
    got = sorted((m["type"], m["channel"], m["data"]) for m in (ps.get_message(timeout=10), ps.get_message(timeout=10)))
    assert got == [("message", b"news", b"hi"), ("pmessage", b"news", b"hi")]
    assert sorted(r.pubsub_channels()) == [b"news", b"other"]
    ps.unsubscribe()
    assert sorted(ps.get_message(timeout=10)["channel"] for _ in range(2)) == [b"news", b"other"]
    ps.punsubscribe("n?ws")
    assert ps.get_message(timeout=10)["type"] == "punsubscribe"
    r.publish("news", "nobody")
    wait_until(lambda: r.pubsub_channels() == [], "channels to be given up")
    assert ps.get_message(timeout=0.05) is None


def test_many_clients_cost_one_subscription_per_worker_and_server(px, shards):
    clients = [px.client() for _ in range(300)]
    for i, c in enumerate(clients):
        c.post((resp("HELLO", "3") if i % 2 else b"") + resp("SUBSCRIBE", "ch"))
    for i, c in enumerate(clients):
        if i % 2:
            assert c.reply().startswith(b"%7")
        assert c.reply() == told("ch", 1, head=b">" if i % 2 else b"*")
    assert all(1 <= n <= 2 for n in upstream(shards)), upstream(shards)
    with px.client() as publisher:
        publisher.pipeline([("PUBLISH", "ch", "m%d" % n) for n in range(50)])
    for i, c in enumerate(clients):
        assert c.replies(50) == [message("ch", "m%d" % n, b">" if i % 2 else b"*") for n in range(50)]
    for c in clients:
        c.close()
    wait_until(lambda: px.client().value("PUBSUB", "CHANNELS") == [], "channels to be given up")


def test_messages_are_in_order_and_complete(px):
    """Several publishers, several channels, big and small messages: each channel arrives whole and in its publisher's order."""
    names = ["ch%d" % i for i in range(4)]
    text = {n: [("%s-%d-" % (n, i)) + "x" * (20000 if i % 10 == 0 else i) for i in range(100)] for n in names}
    with px.client() as c:
        c.post(resp("SUBSCRIBE", *names))
        c.replies(4)

        def publish(name):
            with px.client() as p:
                for t in text[name]:
                    p.cmd("PUBLISH", name, t)
        threads = [threading.Thread(target=publish, args=(n,)) for n in names]
        [t.start() for t in threads]
        got = {n: [] for n in names}
        for raw in c.replies(400):
            parts = raw.split(b"\r\n", 6)
            got[parts[4].decode()].append(parts[6][:-2].decode())
        [t.join() for t in threads]
        assert got == text


def test_published_in_a_transaction_or_script(px, shards):
    with px.client() as c, px.client() as listener:
        listener.post(resp("SUBSCRIBE", "anywhere"))
        assert listener.reply() == told("anywhere", 1)
        for req in (("MULTI",), ("SET", "{a}k", "1"), ("PUBLISH", "anywhere", "txn")):
            c.cmd(*req)
        got = c.cmd("EXEC")
        assert got.startswith(b"*2\r\n+OK\r\n:"), got
        assert listener.reply() == message("anywhere", "txn")
        c.cmd("EVAL", "return redis.call('publish', 'anywhere', ARGV[1])", "1", "{b}k", "script")
        assert listener.reply() == message("anywhere", "script")


def test_keyspace_events_of_all_servers(px, shards):
    for s in shards:
        direct(s).config_set("notify-keyspace-events", "KEA")
    try:
        with px.client() as c, px.client() as listener:
            listener.post(resp("PSUBSCRIBE", "__keyevent@0__:set"))
            assert listener.reply() == told("__keyevent@0__:set", 1, "psubscribe")
            keys = ["k%d" % i for i in range(40)]
            for k in keys:
                assert c.cmd("SET", k, "v") == OK
            got = {listener.reply().split(b"\r\n")[8].decode() for _ in keys}
            assert got == set(keys)
    finally:
        for s in shards:
            direct(s).config_set("notify-keyspace-events", "")


def test_shard_channels(px):
    with px.client() as c, px.client() as p:
        assert c.cmd("SSUBSCRIBE", "sh") == told("sh", 1, "ssubscribe")
        p.cmd("PUBLISH", "sh", "no")
        p.cmd("SPUBLISH", "sh", "yes")
        assert c.reply() == b"*3\r\n" + bulk("smessage") + bulk("sh") + bulk("yes")
        assert p.value("PUBSUB", "SHARDCHANNELS") == [b"sh"]
        assert c.cmd("SUNSUBSCRIBE") == told("sh", 0, "sunsubscribe")


def test_what_a_listener_may_do(px):
    with px.client() as c:
        assert c.cmd("SUBSCRIBE", "x") == told("x", 1)
        for req in (("GET", "a"), ("MULTI",), ("HELLO", "3"), ("SELECT", "1")):
            assert c.cmd(*req).startswith(b"-ERR Can't execute '%s': only (P|S)SUBSCRIBE" % req[0].lower().encode()), req
        assert c.cmd("PING") == b"*2\r\n$4\r\npong\r\n$0\r\n\r\n"
        assert c.cmd("PING", "hi") == b"*2\r\n$4\r\npong\r\n$2\r\nhi\r\n"
        assert c.cmd("RESET") == b"+RESET\r\n"
        assert c.cmd("PING") == PONG
        assert c.cmd("SUBSCRIBE", "x") == told("x", 1)
        assert c.cmd("QUIT") == OK
        assert c.until_close() == b""
    with px.client() as c:
        c.cmd("HELLO", "3")
        assert c.cmd("SUBSCRIBE", "x") == told("x", 1, head=b">")
        assert c.cmd("SET", "a", "1") == OK
        c.post(resp("BLPOP", "nothing", "0") + resp("GET", "a"))
        c.flush()
        with px.client() as p:
            p.cmd("PUBLISH", "x", "while it waits")
            assert c.reply() == message("x", "while it waits", b">")
            p.cmd("RPUSH", "nothing", "e")
        assert c.reply() == b"*2\r\n$7\r\nnothing\r\n$1\r\ne\r\n"
        assert c.reply() == bulk("1")


def test_server_restarts():
    with RedisServer() as a, RedisServer() as b:
        with Proxy({"p": redis_pool([a, b], timeout=2000)}, threads=2) as px:
            listeners = [px.client() for _ in range(6)]
            for c in listeners:
                assert c.cmd("SUBSCRIBE", "x") == told("x", 1)
            a.kill9()
            a.start()

            wait_until(lambda: upstream([a]) == upstream([b]), "connections to come back")
            wait_until(lambda: direct(a).pubsub_numsub("x") == direct(b).pubsub_numsub("x"), "subscriptions to come back")
            direct(a).publish("x", "from a")
            direct(b).publish("x", "from b")
            for c in listeners:
                assert sorted(c.replies(2)) == sorted([message("x", "from a"), message("x", "from b")])


def test_listener_that_does_not_read(shards):
    with Proxy({"p": redis_pool(shards, subscriber_limit=1 << 20)}, threads=1) as px:
        slow, good, pub = px.client(), px.client(), px.client()
        assert slow.cmd("SUBSCRIBE", "x") == told("x", 1)
        assert good.cmd("SUBSCRIBE", "x") == told("x", 1)
        text, n = "m" * 65536, 0

        def push():
            nonlocal n
            pub.cmd("PUBLISH", "x", text)
            assert good.reply() == message("x", text)
            n += 1
            return px.stats()["p"]["client_slow"] == 1
        wait_until(push, "the slow listener to be dropped", poll=0)
        assert n < 400
        assert pub.cmd("PUBLISH", "x", "last") == b":1\r\n"
        assert good.reply() == message("x", "last")


def test_listeners_are_counted_over_workers(px):
    """NUMSUB counts clients, whatever worker they are at; a server would count the workers."""
    clients = [px.client() for _ in range(9)]
    for i, c in enumerate(clients):
        assert c.cmd("SUBSCRIBE", "a") == told("a", 1)
        if i < 4:
            assert c.cmd("SUBSCRIBE", "b") == told("b", 2)
        if i < 2:
            assert c.cmd("SSUBSCRIBE", "b") == told("b", 1, "ssubscribe")
        if i < 3:
            assert c.cmd("PSUBSCRIBE", "p%d*" % (i % 2)) == told("p%d*" % (i % 2), 3, "psubscribe")
    with px.client() as c:
        assert c.value("PUBSUB", "NUMSUB", "b", "a", "none", "b") == [b"b", 4, b"a", 9, b"none", 0, b"b", 4]
        assert c.value("PUBSUB", "SHARDNUMSUB", "b", "a") == [b"b", 2, b"a", 0]
        assert c.value("PUBSUB", "NUMSUB") == []
        assert c.value("PUBSUB", "NUMPAT") == 2
    for c in clients:
        c.close()
