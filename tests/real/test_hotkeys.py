"""Hot keys and big requests and replies: GET /hotkeys under real traffic."""
import json
import random
import time

import pytest
from admin import get
from harness import OK, Proxy, redis_pool, resp, wait_until

pytestmark = [pytest.mark.kvmux_only, pytest.mark.not_direct]

KEYS = 10000
HOT = b"hot:\xff\x00\"\\\n"
SHOWN = 'hot:\\xff\\x00\\"\\\\\\x0a'


def hotkeys(px, pool):
    r = get(px, "/hotkeys")
    r.body.decode("ascii")
    told = json.loads(r.body)
    assert list(told) == ["pools"] and [p["pool"] for p in told["pools"]] == sorted(px.pools, key=lambda n: (len(n), n))
    one = next(p for p in told["pools"] if p["pool"] == pool)
    assert set(one) == {"pool", "hot", "big"}
    for e in one["hot"]:
        assert set(e) == {"key", "per_second", "share", "error", "server"}
    for e in one["big"]:
        assert set(e) == {"key", "command", "direction", "bytes", "when"} and e["direction"] in ("request", "reply")
    assert [e["per_second"] for e in one["hot"]] == sorted((e["per_second"] for e in one["hot"]), reverse=True)
    assert [e["bytes"] for e in one["big"]] == sorted((e["bytes"] for e in one["big"]), reverse=True)
    return one


def mixed(dice, n):
    """One request in five is for the hot key, the others are spread over 10,000."""
    keys = [HOT if dice.random() < 0.2 else b"key:%d" % dice.randrange(KEYS) for _ in range(n)]
    return b"".join(resp("GET", k) for k in keys)


def test_a_hot_key_among_many(redis3):
    pool = redis_pool([s.entry(name="s%d" % i) for i, s in enumerate(redis3)])
    with Proxy({"alpha": pool, "cold": redis_pool([redis3[0]])}, threads=2, admin=True) as px:
        assert hotkeys(px, "alpha") == {"pool": "alpha", "hot": [], "big": []}
        clients = [px.client("alpha") for _ in range(4)]
        dice = random.Random(5)
        begun = time.monotonic()

        def found():
            for c in clients:
                c.send(mixed(dice, 500))
            for c in clients:
                assert c.replies(500) == [b"$-1\r\n"] * 500
            hot = hotkeys(px, "alpha")["hot"]
            # within seconds; some 100 samples are needed until the share is a share
            return hot if time.monotonic() > begun + 3 and hot[0]["key"] == SHOWN else None
        hot = wait_until(found, "the hot key", deadline=15)
        assert 0.12 < hot[0]["share"] < 0.28, hot[:3]
        assert hot[0]["error"] < hot[0]["per_second"] / 2 and len(hot) <= 64
        assert all(e["share"] < 0.12 for e in hot[1:])
        where = get(px, "/where?pool=alpha&hex=1&key=" + HOT.hex()).json()
        assert hot[0]["server"] == where["server"]["name"]
        assert hotkeys(px, "cold") == {"pool": "cold", "hot": [], "big": []}
        for c in clients:
            c.close()


def test_big_ones(redis_alone):
    """Requests at once, small enough to be copied or passed on while they arrive; replies with their key when they are asked for again."""
    with Proxy({"alpha": redis_pool([redis_alone.entry(name="s1")])}, threads=1, admin=True) as px, px.client("alpha") as c:
        sizes = {"mid": 20000, "large": 3 << 20}
        for key, size in sizes.items():
            assert c.cmd("SET", key, "x" * size) == OK

        def requests():
            return [(e["key"], e["command"], e["bytes"]) for e in hotkeys(px, "alpha")["big"] if e["direction"] == "request"]
        (first, second) = requests()
        assert first[:2] == ("large", "set") and 0 <= first[2] - sizes["large"] < 100
        assert second == ("mid", "set", len(resp("SET", "mid", "x" * 20000)))

        def replies():
            for key, size in sizes.items():
                assert len(c.cmd("GET", key)) == size + len("$%d\r\n\r\n" % size)
            big = {e["key"]: e for e in hotkeys(px, "alpha")["big"] if e["direction"] == "reply"}
            return big if set(sizes) <= set(big) else None
        big = wait_until(replies, "the keys of replies", deadline=15)
        for key, size in sizes.items():
            assert big[key]["bytes"] == size + len("$%d\r\n\r\n" % size) and big[key]["command"] == "get"
            assert abs(big[key]["when"] - time.time()) < 30


def test_switched_off(redis_alone):
    with Proxy({"alpha": redis_pool([redis_alone], hot_keys="0")}, threads=1, admin=True) as px, px.client("alpha") as c:
        for _ in range(10):
            c.send(resp("GET", "k") * 100)
            c.replies(100)
        assert c.cmd("SET", "k", "x" * 20000) == OK and len(c.cmd("GET", "k")) > 20000
        assert hotkeys(px, "alpha") == {"pool": "alpha", "hot": [], "big": []}
