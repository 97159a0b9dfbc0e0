"""Requests to the admin port of a Proxy(admin=True)."""
import http.client
import json

from harness import HOST, Raw


class Answer:
    def __init__(self, r):
        self.status, self.headers, self.body = r.status, r.headers, r.read()
        self.text = self.body.decode()

    def json(self):
        assert self.headers["Content-Type"] == "application/json"
        return json.loads(self.text)


def ask(px, path, method="GET", headers=None, body=None):
    c = http.client.HTTPConnection(HOST, px.admin_port, timeout=20)
    try:
        c.request(method, path, body=body, headers=headers or {})
        return Answer(c.getresponse())
    finally:
        c.close()


def get(px, path, status=200, **kw):
    a = ask(px, path, **kw)
    assert a.status == status, (path, a.status, a.text)
    return a


def post(px, path, status=200, **kw):
    return get(px, path, status, method="POST", **kw)


def raw_http(px, data):
    with Raw((HOST, px.admin_port)) as c:
        c.send(data)
        return c.until_close()
