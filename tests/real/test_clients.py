"""Today's clients, unchanged and with default settings, in applications in their own languages (node/, apps/): every result must be what a
plain server gives, through kvmux over one server and over four. What may differ stands in clients.py: LIMITS (on several servers, and the
answer must be the clear error) and KNOWN (not there yet). docs/clients.md has the table that this test finds; clients_table.py writes it."""
import os

import hiredis
import pytest

import clients_table
from clients import CLIENTS, KNOWN, Farm, Missing, Outcome
from harness import resp, spread

pytestmark = [pytest.mark.kvmux_only, pytest.mark.not_direct]
found = {}


@pytest.fixture(scope="module")
def farms():
    made = {}

    def farm(kind):
        if kind not in made:
            made[kind] = Farm(kind)
        return made[kind]
    yield farm
    for f in made.values():
        f.close()


@pytest.mark.parametrize("client", CLIENTS, ids=lambda c: c.name.replace(" ", "-").replace(",", ""))
def test_client(client, farms):
    try:
        client.version(), client.command()
    except Missing as e:
        pytest.skip(str(e))
    outcome = Outcome(client, farms("memcached" if client.what == "memcached" else "redis"))
    assert len(outcome.found["plain"]) > 1
    assert not outcome.broken and not outcome.differences, outcome.explain()
    found[client.name] = outcome


def test_everything_known_is_still_so():
    """An entry that nothing needs any more must go."""
    names = [c.name for c in CLIENTS]
    if set(found) != set(names):
        pytest.skip("says something only when all clients ran and passed; without: %s" % ", ".join(n for n in names if n not in found))
    assert not set(KNOWN) - {e for o in found.values() for e in o.used}, "remove these from KNOWN in clients.py"


def test_the_table_is_what_was_found():
    names = [c.name for c in CLIENTS]
    if set(found) != set(names):
        pytest.skip("all clients must have run and passed; without: %s" % ", ".join(n for n in names if n not in found))
    outcomes = [found[n] for n in names]
    if os.environ.get("KVMUX_WRITE_CLIENTS"):
        clients_table.write(outcomes)
    want, have = (clients_table.without_versions(t) for t in (clients_table.render(outcomes), clients_table.committed()))
    assert have == want, "docs/clients.md is not what was found: run tests/real/clients_table.py"


def test_hiredis_reader_understands_every_reply(farms):
    """hiredis' own parser over what the proxy sends, in one stream."""
    farm = farms("redis")
    farm.flush()
    keys = spread(30, "hr:")
    data = b"".join(resp("SET", k, "v" + k) for k in keys) + resp("MGET", *keys) + resp("LPUSH", keys[0], "x") + resp("DEL", *keys) + resp("GET", "hr:none")
    reader = hiredis.Reader()
    with farm.proxy.client("four{}") as c:
        c.send(data)
        c.half_close()
        reader.feed(c.until_close())
    assert [reader.gets() for _ in keys] == [b"OK"] * 30
    assert reader.gets() == [b"v" + k.encode() for k in keys]
    error = reader.gets()
    assert isinstance(error, hiredis.ReplyError) and str(error).startswith("WRONGTYPE")
    assert reader.gets() == 30 and reader.gets() is None
    assert reader.gets() is False, "nothing is left"
