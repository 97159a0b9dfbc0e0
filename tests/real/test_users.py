"""Users: who may log in, and as whom their requests reach the servers, whose own ACLs decide."""
import os

import pytest
import redis

from harness import NIL, OK, PONG, KVMUX, Process, Proxy, RedisServer, bulk, integer, redis_pool, resp, spread, temp_dir, wait_until

pytestmark = pytest.mark.kvmux_only

WRONGPASS = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
NOAUTH = b"-NOAUTH Authentication required\r\n"
USERS = [{"name": "app", "password": "one"},
         {"name": "web", "password": "two", "server_user": "reader", "server_password": "three"},
         {"name": "ghost", "password": "boo"}]


def allow(server):
    with server.client() as c:
        assert c.cmd("ACL", "SETUSER", "app", "reset", "on", ">one", "~*", "&*", "+@all") == OK
        assert c.cmd("ACL", "SETUSER", "reader", "reset", "on", ">three", "~*", "+@read", "+@connection", "+multi", "+exec") == OK
        assert c.cmd("ACL", "SETUSER", "proxy", "reset", "on", ">px", "~*", "&*", "+@all") == OK


@pytest.fixture(scope="module", params=[1, 4], ids=["one_server", "four_servers"])
def servers(request):
    """Their default user is closed to whoever has no password."""
    made = [RedisServer(requirepass="master") for _ in range(request.param)]
    for s in made:
        allow(s)
    yield made
    for s in made:
        s.stop()


@pytest.fixture()
def px(servers):
    for s in servers:
        s.flush()
    with Proxy({"p": redis_pool(servers, timeout=10000, redis_auth="own", server_user="proxy", server_password="px", users=USERS,
                                auto_eject_hosts=True, server_failure_limit=1)}, threads=3) as p:
        yield p


def seen_users(server):
    """Names of the users that are logged in at a server."""
    with server.client() as c:
        lines = c.value("CLIENT", "LIST").decode().splitlines()
    return {f[5:] for line in lines for f in line.split() if f.startswith("user=")}


@pytest.mark.parametrize("version", [2, 3])
def test_servers_see_the_user(px, servers, version):
    keys = spread(24)
    with px.client() as c:
        assert c.cmd("GET", "a") == NOAUTH
        c.post(resp("HELLO", version, "AUTH", "app", "one"))
        head = c.line()
        assert head == (b"%7\r\n" if version == 3 else b"*14\r\n")
        c.replies(14)
        for k in keys:
            assert c.cmd("SET", k, "v") == OK
        assert c.cmd("ACL", "WHOAMI") == bulk("app")
        assert c.cmd("DBSIZE") == integer(len(keys))  # all of them are asked
        for s in servers:
            assert "app" in seen_users(s)


def test_rights_are_the_servers(px):
    with px.client() as web, px.client() as app:
        assert app.cmd("AUTH", "app", "one") == OK
        assert web.cmd("AUTH", "web", "two") == OK
        for k in spread(8):
            assert app.cmd("SET", k, "v") == OK
            assert web.cmd("GET", k) == bulk("v")
            assert web.cmd("SET", k, "w").startswith(b"-NOPERM ")
            assert app.cmd("GET", k) == bulk("v")
        assert web.cmd("ACL", "WHOAMI") == bulk("web")


def test_password_of_the_pool(px, servers):
    """redis_auth keeps its meaning for clients; the servers see server_user."""
    with px.client() as c:
        assert c.cmd("AUTH", "own") == OK
        for k in spread(8):
            assert c.cmd("SET", k, "v") == OK
        assert c.cmd("ACL", "WHOAMI") == bulk("default")
        assert c.cmd("DBSIZE") == integer(8)  # all of them are asked
        for s in servers:
            assert "proxy" in seen_users(s)
        assert c.cmd("AUTH", "default", "own") == OK
        assert c.cmd("AUTH", "px") == WRONGPASS
        assert c.cmd("GET", "k") == NOAUTH


def test_wrong_names_and_passwords(px):
    with px.client() as c:
        for args in (("app", "two"), ("nobody", "one"), ("one",), ("proxy", "px"), ("reader", "three"), ("default", "master"), ("", "")):
            assert c.cmd("AUTH", *args) == WRONGPASS, args
        for args in (("app", "two"), ("nobody", "one")):
            assert c.cmd("HELLO", "3", "AUTH", *args) == WRONGPASS
        assert c.cmd("PING") == NOAUTH
        assert c.cmd("HELLO", "3").startswith(b"-NOAUTH HELLO must be called")
        assert c.cmd("AUTH", "a", "b", "c") == b"-ERR syntax error\r\n"


def test_changing_users_in_a_pipeline(px):
    """Nothing overtakes, nothing runs as somebody else."""
    keys = spread(8)
    with px.client() as c:
        requests = [("AUTH", "app", "one")]
        for i in range(4):
            requests += [("AUTH", "web", "two")] + [("SET", k, "web") for k in keys]
            requests += [("AUTH", "app", "one")] + [("SET", k, str(i)) for k in keys] + [("GET", k) for k in keys]
        got = c.pipeline(requests)
        at = 1
        for i in range(4):
            assert got[at] == OK
            assert all(r.startswith(b"-NOPERM ") for r in got[at + 1:at + 9])
            assert got[at + 9:at + 18] == [OK] * 9
            assert got[at + 18:at + 26] == [bulk(str(i))] * 8
            at += 26


def test_user_that_servers_refuse(px):
    """The client is told and stays who it was; no server is ejected for it, and others are served."""
    with px.client() as c, px.client() as other:
        assert other.cmd("AUTH", "app", "one") == OK
        for _ in range(3):
            assert c.cmd("AUTH", "ghost", "boo").startswith(b"-WRONGPASS ")
            assert c.cmd("GET", "k") == NOAUTH
        assert c.cmd("HELLO", "3", "AUTH", "ghost", "boo").startswith(b"-WRONGPASS ")
        assert c.cmd("AUTH", "app", "one") == OK
        assert c.cmd("AUTH", "ghost", "boo").startswith(b"-WRONGPASS ")
        assert c.cmd("ACL", "WHOAMI") == bulk("app")
        for k in spread(8):
            assert c.cmd("SET", k, "v") == OK
            assert other.cmd("GET", k) == bulk("v")
        assert px.stats("p")["server_ejects"] == 0


def test_reset_leaves_the_user(px):
    with px.client() as c:
        assert c.cmd("AUTH", "app", "one") == OK
        assert c.cmd("SELECT", "3") == OK
        assert c.cmd("SET", "k", "three") == OK
        assert c.cmd("RESET") == b"+RESET\r\n"
        assert c.cmd("GET", "k") == NOAUTH
        assert c.cmd("AUTH", "own") == OK
        assert c.cmd("GET", "k") == NIL
        assert c.cmd("ACL", "WHOAMI") == bulk("default")


def test_user_in_another_database_and_transaction(px):
    with px.client() as c:
        assert c.cmd("AUTH", "web", "two") == OK
        assert c.cmd("SELECT", "2") == OK
        assert c.pipeline([("MULTI",), ("SET", "k", "v"), ("EXEC",)])[-1].startswith(b"-EXECABORT ")
        assert c.pipeline([("MULTI",), ("GET", "k"), ("EXEC",)])[-1] == b"*1\r\n$-1\r\n"
        assert c.cmd("GET", "k") == NIL
        assert c.cmd("ACL", "WHOAMI") == bulk("web")
        assert c.pipeline([("MULTI",), ("ACL", "WHOAMI"), ("DISCARD",)])[1].startswith(b"-ERR this command is not possible inside")


REFUSED = (redis.AuthenticationError, redis.ResponseError)  # as the version of redis-py has it


def test_redis_py(px):
    host, port = px.addr()
    with redis.Redis(host=host, port=port, username="app", password="one", client_name="n1") as r:
        for k in spread(8):
            assert r.set(k, "v") is True
            assert r.get(k) == b"v"
        assert r.client_getname() == "n1"
        assert r.acl_whoami() == "app"
        with r.pipeline() as p:
            assert p.set("t", 1).incr("t").execute() == [True, 2]
    with redis.Redis(host=host, port=port, username="app", password="no") as r, pytest.raises(REFUSED):
        r.ping()
    with redis.Redis(host=host, port=port, password="own") as r:
        assert r.ping()
    with redis.Redis(host=host, port=port, username="ghost", password="boo") as r, pytest.raises(REFUSED):
        r.ping()


def test_users_without_redis_auth(servers):
    """Clients must log in; what is left to the pool's own user is nothing."""
    with Proxy({"p": redis_pool(servers, users=USERS[:1])}) as px, px.client() as c:
        assert c.cmd("PING") == NOAUTH
        assert c.cmd("AUTH", "x") == WRONGPASS
        assert c.cmd("AUTH", "app", "one") == OK
        assert c.cmd("SET", "k", "v") == OK
        assert c.cmd("RESET") == b"+RESET\r\n"
        assert c.cmd("PING") == NOAUTH


def test_user_named_default(servers):
    users = [{"name": "default", "password": "d", "server_user": "app", "server_password": "one"}]
    with Proxy({"p": redis_pool(servers, users=users)}) as px, px.client() as c:
        assert c.cmd("AUTH", "d") == OK
        assert c.cmd("SET", "k", "v") == OK
        assert c.cmd("ACL", "WHOAMI") == bulk("default")


def test_pool_without_users_is_as_before():
    with RedisServer(requirepass="s3cret") as s, Proxy({"p": redis_pool([s], redis_auth="s3cret")}) as px, px.client() as c:
        assert c.cmd("AUTH", "x") == b"-ERR invalid password\r\n"
        assert c.cmd("AUTH", "app", "s3cret") == b"-ERR invalid password\r\n"
        assert c.cmd("AUTH", "s3cret") == OK
        assert c.cmd("SET", "k", "v") == OK


def test_probe_logs_in_as_the_pool_does():
    """A server that comes back is asked as server_user."""
    with RedisServer(requirepass="master") as s:
        allow(s)
        with Proxy({"p": redis_pool([s], redis_auth="own", server_user="proxy", server_password="px", auto_eject_hosts=True,
                                    server_failure_limit=1, server_retry_timeout=100)}) as px, px.client() as c:
            assert c.cmd("AUTH", "own") == OK
            assert c.cmd("SET", "k", "v") == OK
            s.kill9()
            wait_until(lambda: c.cmd("GET", "k").startswith(b"-") and px.stats("p")["server_ejects"] == 1, "the ejection")
            s.start()
            allow(s)
            px.wait_log("server_returned")
            wait_until(lambda: c.cmd("GET", "k") == NIL, "the server to serve again")


def test_secrets_from_files_and_the_environment(servers):
    path = os.path.join(temp_dir(), "secret")
    with open(path, "w") as f:
        f.write("one\n")
    users = [{"name": "app", "password": {"file": path}}, {"name": "w", "password": {"env": "KV_TWO"}, "server_user": "reader", "server_password": {"env": "KV_THREE"}}]
    with Proxy({"p": redis_pool(servers, users=users)}, env={"KV_TWO": "two", "KV_THREE": "three"}) as px, px.client() as c:
        assert c.cmd("AUTH", "app", "one") == OK
        assert c.cmd("SET", "k", "v") == OK
        assert c.cmd("AUTH", "w", "two") == OK
        assert c.cmd("GET", "k") == bulk("v")
        assert "three" not in px.log_text() and "one\n" not in px.log_text()


def test_check_of_the_file():
    conf, out = os.path.join(temp_dir(), "c.yml"), os.path.join(temp_dir(), "out")
    with open(conf, "w") as f:
        f.write("p:\n  listen: 127.0.0.1:1\n  redis: false\n  users:\n  - {name: a, password: b}\n  - {name: a, pasword: c}\n  servers: ['h:1:1']\n")
    p = Process([KVMUX, "-t", "-c", conf], out)
    assert p.wait() != 0
    said = p.output()
    assert "c.yml:4:3: users: is only valid for a redis pool" in said
    assert 'c.yml:6:15: users: unknown field "pasword"' in said and 'did you mean "password"?' in said


def test_channels_as_a_user(px, servers):
    """Servers decide by their ACLs who may listen to what."""
    for s in servers:
        with s.client() as c:
            assert c.cmd("ACL", "SETUSER", "app", "resetchannels", "&app:*") == OK
    with px.client() as c, px.client() as own:
        assert c.cmd("AUTH", "app", "one") == OK
        assert c.cmd("SUBSCRIBE", "other").startswith(b"-NOPERM ")
        assert c.cmd("SUBSCRIBE", "app:1") == b"*3\r\n$9\r\nsubscribe\r\n$5\r\napp:1\r\n:1\r\n"
        assert own.cmd("AUTH", "own") == OK
        for i in range(8):
            own.cmd("PUBLISH", "app:1", str(i))
            assert c.reply() == b"*3\r\n$7\r\nmessage\r\n$5\r\napp:1\r\n" + bulk(str(i))


def test_another_user_while_listening(px):
    with px.client() as c:
        c.post(resp("HELLO", "3", "AUTH", "app", "one"))
        assert c.line() == b"%7\r\n"
        c.replies(14)
        assert c.cmd("SUBSCRIBE", "app:1").startswith(b">3\r\n")
        assert c.cmd("AUTH", "own") == OK
        assert c.cmd("SUBSCRIBE", "x") == b"-ERR this client listens to channels as another user\r\n"
        assert c.cmd("UNSUBSCRIBE").startswith(b">3\r\n")
        assert c.cmd("SUBSCRIBE", "x").startswith(b">3\r\n")


def test_servers_are_asked_for_their_version_as_the_pool_does(px, servers):
    with px.client() as c:
        assert c.cmd("AUTH", "own") == OK
        assert c.cmd("DBSIZE") == integer(0)  # they are asked when somebody connects
        wait_until(lambda: b"redis_version:%s\r\n" % servers[0].info("redis_version").encode() in c.cmd("INFO", "server"), "the version")
