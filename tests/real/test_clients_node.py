"""Clients of other languages: ioredis and node-redis (npm, RESP2), hiredis (C and its Python module), libmemcached is in
test_memcached.py (memccapable).

node/install.sh, which ./test.sh calls, brings the npm packages into tests/real/.npm and writes there which node to use;
NODE in the environment chooses another."""
import os
import re
import shutil
import subprocess

import hiredis
import pytest

from harness import HERE, HOST, Proxy, RedisServer, redis_pool, resp, spread, temp_dir

kvmux_only = pytest.mark.kvmux_only
NPM = os.path.join(HERE, ".npm")


@pytest.fixture(scope="module")
def px(redis4):
    for s in redis4:
        s.flush()
    with Proxy({"p": redis_pool(redis4, hash_tag="{}", timeout=20000)}) as p:
        yield p


@pytest.fixture(scope="module")
def node():
    path = os.environ.get("NODE")
    if not path and os.path.exists(os.path.join(NPM, "node-path")):
        with open(os.path.join(NPM, "node-path")) as f:
            path = f.read().strip()
    path = path or shutil.which("node")
    assert path, "no node: run tests/real/node/install.sh"
    version = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30).stdout.strip()
    assert int(re.match(r"v(\d+)", version).group(1)) >= 20, "node %s is older than 20: run tests/real/node/install.sh" % version
    assert os.path.isdir(os.path.join(NPM, "node_modules", "ioredis")), "no npm packages: run tests/real/node/install.sh"
    return path


def app(node, script, addr, *more):
    p = subprocess.run([node, os.path.join(HERE, "node", script), addr[0], str(addr[1])] + list(more), capture_output=True, text=True, timeout=90,
                       env=dict(os.environ, NODE_PATH=os.path.join(NPM, "node_modules")), stdin=subprocess.DEVNULL)
    assert p.returncode == 0 and re.search(r"^ok \d+ checks$", p.stdout, re.M), p.stdout + p.stderr
    return int(re.search(r"^ok (\d+) checks$", p.stdout, re.M).group(1))


@kvmux_only
@pytest.mark.parametrize("script", ["app_ioredis.js", "app_node_redis.js"])
def test_node_application(px, node, script):
    assert app(node, script, px.addr()) > 20


@kvmux_only
@pytest.mark.parametrize("script", ["app_ioredis.js", "app_node_redis.js"])
@pytest.mark.not_direct
def test_node_application_with_password(node, script):
    with RedisServer(requirepass="pw") as a, RedisServer(requirepass="pw") as b:
        with Proxy({"p": redis_pool([a, b], hash_tag="{}", redis_auth="pw", timeout=20000)}) as px:
            assert app(node, script, px.addr(), "pw") > 20


@kvmux_only
def test_hiredis_application(px):
    binary = os.path.join(temp_dir(), "hiredis_app")
    cc = os.environ.get("CC", "cc").split()
    built = subprocess.run(cc + ["-Wall", "-O1", "-o", binary, os.path.join(HERE, "hiredis_app.c"), "-lhiredis"], capture_output=True, text=True, timeout=60)
    assert built.returncode == 0, "hiredis_app.c does not build (Debian packages libhiredis-dev, gcc):\n" + built.stderr
    host, port = px.addr()
    p = subprocess.run([binary, host, str(port)], capture_output=True, text=True, timeout=60)
    assert (p.returncode, p.stdout) == (0, "ok\n"), p.stderr


def test_hiredis_reader_understands_every_reply(px):
    """hiredis' own parser over what the proxy sends, in one stream."""
    keys = spread(30, "hr:")
    data = b"".join(resp("SET", k, "v" + k) for k in keys) + resp("MGET", *keys) + resp("LPUSH", keys[0], "x") + resp("DEL", *keys) + resp("GET", "hr:none")
    reader = hiredis.Reader()
    with px.client() as c:
        c.send(data)
        c.half_close()
        reader.feed(c.until_close())
    assert [reader.gets() for _ in keys] == [b"OK"] * 30
    assert reader.gets() == [b"v" + k.encode() for k in keys]
    error = reader.gets()
    assert isinstance(error, hiredis.ReplyError) and str(error).startswith("WRONGTYPE")
    assert reader.gets() == 30 and reader.gets() is None
    assert reader.gets() is False, "nothing is left"
