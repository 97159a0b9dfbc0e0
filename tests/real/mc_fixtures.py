"""What the tests of memcached's classic and meta commands share: a proxy over one server and over two, and a plain server that says
what memcached itself answers. Import all of it."""
import pytest

from harness import TARGET, Proxy, mc_pool

__all__ = ["one", "two", "px", "empty", "c", "plain"]


@pytest.fixture(scope="module")
def one(mc2):
    """One server behind the proxy."""
    with Proxy({"one": mc_pool(mc2[:1], timeout=10000)}) as p:
        yield p


@pytest.fixture(scope="module")
def two(mc2):
    """Two servers, two uplinks to each."""
    with Proxy({"two": mc_pool(mc2, timeout=10000, server_connections=1 if TARGET == "nutcracker" else 2)}) as p:
        yield p


@pytest.fixture(params=["one", "two"])
def px(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(autouse=True)
def empty(mc2, mc_alone):
    for s in mc2 + [mc_alone]:
        s.flush()


@pytest.fixture()
def c(px):
    with px.client() as client:
        yield client.mc_prepare()


@pytest.fixture()
def plain(mc_alone):
    with mc_alone.client() as client:
        yield client.mc_prepare()
