import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from harness import KVMUX, NUTCRACKER, TARGET, MemcachedServer, RedisServer  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "kvmux_only: says what nutcracker does not do")
    config.addinivalue_line("markers", "not_direct: needs a proxy, of whatever kind")
    if TARGET not in ("kvmux", "nutcracker", "direct"):
        raise pytest.UsageError("KVMUX_REAL_TARGET=%s: kvmux, nutcracker or direct" % TARGET)
    if TARGET == "kvmux" and not os.access(KVMUX, os.X_OK):
        raise pytest.UsageError("no kvmux at %s: build it, or set KVMUX" % KVMUX)
    if not NUTCRACKER:
        raise pytest.UsageError("nutcracker is not installed (Debian package nutcracker)")


def pytest_collection_modifyitems(items):
    """The other targets exist only to check the tests themselves."""
    for item in items:
        if TARGET == "nutcracker" and item.get_closest_marker("kvmux_only"):
            item.add_marker(pytest.mark.skip(reason="about kvmux alone (target is %s)" % TARGET))
        if TARGET == "direct" and item.get_closest_marker("not_direct"):
            item.add_marker(pytest.mark.skip(reason="needs a proxy (target is direct)"))


@pytest.fixture(scope="session", autouse=True)
def clean_up():
    yield
    harness.kill_leftovers()
    harness.remove_base()


@pytest.hookimpl(tryfirst=True, hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    setattr(item, "rep_" + call.when, outcome.get_result())


@pytest.fixture(autouse=True)
def explain_failures(request):
    """A failed test shows what its proxies wrote."""
    yield
    rep = getattr(request.node, "rep_call", None)
    if rep is not None and rep.failed:
        for value in list(request.node.funcargs.values()):
            if isinstance(value, harness.Proxy):
                value.explain()


@pytest.fixture(scope="session")
def redis4():
    servers = [RedisServer() for _ in range(4)]
    yield servers
    for s in servers:
        s.stop()


@pytest.fixture(scope="session")
def redis3():
    servers = [RedisServer() for _ in range(3)]
    yield servers
    for s in servers:
        s.stop()


@pytest.fixture(params=[1, 3], ids=["one_server", "three_servers"])
def shards(redis3, request):
    """Empty servers: one, then three."""
    for s in redis3:
        s.flush()
    return redis3[:request.param]


@pytest.fixture(scope="session")
def redis_alone():
    """The plain server that says what Redis itself answers."""
    with RedisServer() as s:
        yield s


@pytest.fixture(scope="session")
def mc2():
    servers = [MemcachedServer() for _ in range(2)]
    yield servers
    for s in servers:
        s.stop()


@pytest.fixture(scope="session")
def mc_alone():
    with MemcachedServer() as s:
        yield s
