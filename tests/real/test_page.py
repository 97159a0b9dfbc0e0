"""The page at `/` of the admin port, in a real browser with real traffic (skipped where there is no chromium)."""
import html.parser
import http.server
import re
import shutil
import subprocess
import threading

import pytest

from harness import Proxy, RedisServer, redis_pool, spread, temp_dir, wait_until
from admin import get

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [pytest.mark.kvmux_only, pytest.mark.not_direct]
browser = pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed (Debian package chromium)")


def dump_dom(px, path="/", msec=20000):
    """What the page has become after so long, by the browser's clock (which runs ahead while nothing is under way)."""
    out = subprocess.run([CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--user-data-dir=" + temp_dir("browser"),
                          "--virtual-time-budget=%d" % msec, "--dump-dom", "http://127.0.0.1:%d%s" % (px.admin_port, path)],
                         capture_output=True, timeout=120)
    return out.stdout.decode()


class Dom(html.parser.HTMLParser):
    """Texts by what they are about: (pool, server, figure), (pool, None, figure), ("tile", name)."""

    def __init__(self, text):
        super().__init__()
        self.pool = self.server = self.figure = self.list = None
        self.texts, self.states, self.tags, self.lists = {}, {}, [], {}   # lists: title -> all its text
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        self.tags.append((tag, a))
        if "data-list" in a:
            self.list = a["data-list"]
        if "data-pool" in a:
            self.pool, self.server = a["data-pool"], None
        if "data-server" in a:
            self.server = a["data-server"]
            self.states[self.pool, self.server] = a.get("data-state")
        if "data-tile" in a:
            self.pool, self.server, self.figure = "tile", None, a["data-tile"]
        if "data-figure" in a:
            self.figure = a["data-figure"]

    def handle_data(self, data):
        if self.list:
            self.lists[self.list] = self.lists.get(self.list, "") + data
        if self.figure:
            key = (self.pool, self.server, self.figure)
            self.texts[key] = self.texts.get(key, "") + data

    def handle_endtag(self, tag):
        if tag == "section":
            self.list = None
        if tag in ("td", "b"):
            self.figure = None

    def number(self, pool, server, figure):
        v, unit = re.match(r"([\d.]+) ?(k?)", self.texts[pool, server, figure]).groups()
        return float(v) * (1000 if unit else 1)


class Traffic(threading.Thread):
    """Requests for as long as it is entered."""

    def __init__(self, px, pool):
        super().__init__(daemon=True)
        self.px, self.pool, self.over = px, pool, False

    def run(self):
        keys = spread(50)
        with self.px.client(self.pool) as c:
            while not self.over:
                c.pipeline([("SET", k, "v") for k in keys])

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.over = True
        self.join()


@browser
def test_page_shows_pools_servers_and_rates(redis3):
    dying = RedisServer()
    pools = {"cache": redis_pool([s.entry(name="shard%d" % i) for i, s in enumerate(redis3)] + [dying.entry(name="dying")],
                                 auto_eject_hosts="true", server_failure_limit="1", server_retry_timeout="3600000"),
             '<b>sess"ions</b>': redis_pool([redis3[0].entry(name="<i>one")])}
    with Proxy(pools, admin=True) as px, Traffic(px, "cache"), Traffic(px, '<b>sess"ions</b>'):
        wait_until(lambda: px.stats("cache", "dying")["requests"] > 100, "traffic")
        dying.stop()
        wait_until(lambda: px.stats("cache", "dying")["server_ejected_at"] > 0, "the ejection")

        def busy():   # the browser's clock runs ahead, so a rate is that of a few milliseconds
            dom = Dom(dump_dom(px))
            rows = [("cache", "shard0"), ("cache", "shard1"), ("cache", "shard2"), ("cache", None), ('<b>sess"ions</b>', "<i>one")]
            timed = dom.texts["cache", None, "p99_usec"] != "–" and dom.texts.get(("cache", None, "write"))   # those of the last period of two seconds
            return all(dom.number(*row, "requests") > 0 for row in rows) and timed and dom.lists and dom
        dom = wait_until(busy, "rates that are not zero", 120)
    assert dom.states == {("cache", "shard0"): "up", ("cache", "shard1"): "up", ("cache", "shard2"): "up",
                          ("cache", "dying"): "ejected", ('<b>sess"ions</b>', "<i>one"): "up"}
    assert next(iter(dom.states)) == ("cache", "dying"), "trouble first"
    for server in ("shard0", "shard1", "shard2"):
        assert dom.number("cache", server, "uplinks") > 0
    assert dom.number("cache", None, "clients") == 1 and dom.number("cache", "dying", "requests") == 0
    assert dom.texts["tile", None, "requests"].startswith("Requests per second")
    assert re.match(r"[\d.]+ (µs|ms|s)$", dom.texts["cache", None, "p99_usec"])
    assert re.match(r"p50 [\d.]+ (µs|ms|s) · p99 [\d.]+ (µs|ms|s)$", dom.texts["cache", None, "write"])
    assert re.search(r'k:[0-9a-f]{12}[\d.]+k?/s[\d.]+ % of (?:cache · shard\d|<b>sess"ions</b> · <i>one)', dom.lists["Hot keys"])
    assert not [t for t, _ in dom.tags if t in ("i", "b") and not _], "a name became an element"
    assert any("M" in a.get("d", "") for t, a in dom.tags if t == "path"), "charts"


@browser
def test_many_pools_are_folded_but_those_in_trouble(redis_alone):
    dead = RedisServer()
    pools = {"p%d" % i: redis_pool([redis_alone.entry(name="s")] + ([dead.entry(name="dead")] if i == 3 else [])) for i in range(8)}
    dead.stop()
    with Proxy(pools, admin=True) as px, px.client("p3") as c:
        wait_until(lambda: any(c.cmd("GET", k)[:1] == b"-" for k in spread(50)), "a key of the dead server")
        dom = Dom(dump_dom(px))
    boxes = {a["data-pool"]: "folded" in a["class"].split() for t, a in dom.tags if "data-pool" in a}
    assert boxes == {name: name != "p3" for name in pools} and next(iter(boxes)) == "p3"
    assert {pool for pool, _ in dom.states} == {"p3"}, "rows that nobody sees are not made"


@browser
def test_page_says_that_it_lost_kvmux(redis_alone):
    """Its first request is the page, and from then on nobody answers."""
    with Proxy({"p": redis_pool([redis_alone])}, admin=True) as px:
        page = get(px, "/").body

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/":
                self.send_response(200)
                self.end_headers()
                self.wfile.write(page)
            else:
                self.close_connection = True

        def log_message(self, *args):
            pass
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        px.admin_port = server.server_address[1]
        text = dump_dom(px)
        server.shutdown()
    assert re.search(r'class="banner" id="lost"[^>]*>kvmux cannot be reached', text) and ">unreachable<" in text


@browser
def test_page_asks_for_a_token(redis_alone):
    px = Proxy({"p": redis_pool([redis_alone])}, admin=True, env={"KVMUX_TEST_TOKEN": "abc"}, start=False)
    write = px.write_conf

    def with_token():
        write()
        with open(px.conf, "a") as f:
            f.write("kvmux: {admin_token: {env: KVMUX_TEST_TOKEN}}\n")
    px.write_conf = with_token
    with px.start():
        assert re.search(r'class="banner" id="token"', dump_dom(px))


def test_page_is_whole(redis_alone):
    """It loads nothing from elsewhere, and its policy lets it run."""
    with Proxy({"p": redis_pool([redis_alone])}, admin=True) as px:
        a = get(px, "/")
    assert a.headers["Content-Type"] == "text/html; charset=utf-8"
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//|@import|url\(""", a.text)
    assert len(re.findall("<script>", a.text)) == len(re.findall("<style>", a.text)) == 1
    assert not re.search(r"""<[^>]+\s(on\w+|style)\s*=""", a.text) and "innerHTML" not in a.text
    policy = a.headers["Content-Security-Policy"]
    assert "unsafe" not in policy and policy.count("'sha256-") == 2 and "connect-src 'self'" in policy
