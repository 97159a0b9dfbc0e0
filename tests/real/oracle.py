"""The differential oracle's machine: a seeded stream of requests made from oracle_rows.py, the forms in which replies are compared,
and the loop that asks every side the same. test_oracle.py says what is asked of whom.

A stream speaks on several connections in turn (RESP2 and RESP3), in pipelines of random size; one connection's pipeline is answered before
the next one's is sent, so all sides see one order. Nothing in it depends on a clock or on chance inside a server, but for what CANON says."""
import bisect
import collections
import hashlib
import random
import re

from harness import resp, resp_end, to_bytes
from oracle_rows import BLOCKING, FREE, GROUPS, LIB, LIB2, LOADABLE, NEWER, NOT_IN_MULTI, ODD, SCRIPTS, UNKNOWN

FAR = 33177117420            # seconds: a time that no test run reaches
TAGS = ["{t%d}" % i for i in range(8)]
APART = ("-", "c", "o", "y")   # kinds that no other command may touch: c is short, sums of o's scores depend on their order, y's scores are equal
KINDS = "snblhgzpx"            # what a key of a wrong kind may be
PLAIN_KEYS = ["", "{}", "{}x", "{", "x}{", "{t1", "\x00\r\n\xff", "{t1}{t2}", "k" * 250]


RIGID = set(NEWER) | set(BLOCKING)   # how many words the first take only kvmux knows; the others end with their time


# What only SCRIPT LOAD makes known. (Bodies that kvmux saw in an EVAL it remembers, also when the server refused that EVAL.)
LOADED = [hashlib.sha1(s.encode()).hexdigest() for s in LOADABLE] + ["f" * 40]


class Keyed(bytes):
    """A word that says where the request goes, or that chance must not touch."""


class Gen:
    """One random request, or sequence of requests, after the other."""

    def __init__(self, seed, dumps=()):
        self.r = random.Random(seed)
        self.dumps = list(dumps) or [b"no dump"]
        self.tag, self.fixed, self.single = "", False, False
        self.ids = 10
        self.n = 0
        names, weights = [], []
        for weight, rows in GROUPS:
            for name in rows:
                names.append(name)
                weights.append(weight / len(rows))
        self.names, total = names, 0
        self.cum = [total := total + w for w in weights]
        self.forms = {n: [Form(f) for f in t.split(";")] for g in [r for _, r in GROUPS] + [BLOCKING] for n, t in g.items()}
        self.blocking = list(BLOCKING)
        self.multi_ok = [n for n in names if n.split("|")[0] not in NOT_IN_MULTI]

    # requests

    def some(self):
        """A list of requests that belong together on one connection; mostly one."""
        r = self.r.random()
        if r < 0.955:
            return [self.one(self.names[bisect.bisect(self.cum, self.r.random() * self.cum[-1])])]
        if r < 0.970:
            return self.transaction()
        if r < 0.975:
            return self.wait()
        if r < 0.985:
            return [[to_bytes(self.r.choice(UNKNOWN))] + [to_bytes(self.v_m()) for _ in range(self.r.randrange(3))]]
        if r < 0.995:
            return [[b"SELECT", b"%d" % self.r.choice([0, 0, 1, 2])]]
        if r < 0.996:
            return [[b"HELLO", self.r.choice([b"2", b"3"])]]
        return [[b"SCAN", b"0"] + self.r.choice([[], [b"MATCH", b"*g*"], [b"TYPE", b"set"], [b"MATCH", b"none*", b"COUNT", b"100"]])]

    def one(self, name):
        if not self.fixed:
            self.tag = self.r.choice(TAGS)
        form = self.r.choice(self.forms[name])
        self.single = form.single
        req = [to_bytes(w) for w in name.split("|")]
        head = len(req)
        form.make(self, req)
        if self.r.random() < 0.025 and name not in RIGID:
            req = self.odd(req, head)
        if self.r.random() < 0.3:
            req[0] = bytes(self.r.choice((c, c ^ 32)) if 97 <= c <= 122 else c for c in req[0])   # any case
        return req

    def odd(self, req, head):
        """Something is missing, too much, or not what was meant. It keeps the tag: a key more may not lead to another server."""
        kind = self.r.randrange(4)
        free = [i for i in range(head, len(req)) if not isinstance(req[i], Keyed)]
        if kind == 0 and len(req) > 1 and not isinstance(req[-1], Keyed):
            return req[:-1]
        if kind == 1:
            return req + [to_bytes(self.tag + self.r.choice(["", "l1", "odd"]))]
        if free:
            req[self.r.choice(free)] = self.r.choice(ODD).encode("latin-1")
        return req

    def transaction(self):
        r = self.r
        self.tag, self.fixed = r.choice(TAGS), True
        out = []
        watched = r.random() < 0.4
        if watched:
            out.append([b"WATCH"] + [to_bytes(self.key("slhzg")) for _ in range(r.randrange(1, 3))])
            for _ in range(r.choice([0, 0, 1, 2])):
                out.append(self.one(r.choice(self.multi_ok)))
            if r.random() < 0.15:
                self.fixed = False
                return out + [[b"UNWATCH"]]
        out.append([b"MULTI"])
        for _ in range(r.choice([0, 1, 2, 3, 5, 9])):
            out.append(self.one(r.choice(self.multi_ok)) if r.random() < 0.9 else self.one(r.choice(self.blocking)))
        if r.random() < 0.2:
            bad = r.choice([[b"MULTI"], [b"WATCH", to_bytes(self.key("s"))], [b"NOSUCH"], [b"GET"], [b"GET", b"a", b"b"], [b"OBJECT", b"BOGUS"], [b"EXEC", b"now"]])
            out.insert(r.randrange(out.index([b"MULTI"]) + 1, len(out) + 1), bad)
        out.append([b"EXEC"] if r.random() < 0.85 else [b"DISCARD"])
        if r.random() < 0.05:
            out.append([b"EXEC"])
        self.fixed = False
        return out

    def wait(self):
        """A blocking command behind what lets it go on."""
        r = self.r
        self.tag, self.fixed = r.choice(TAGS), True
        name = r.choice(self.blocking)
        req = self.one(name)
        out = [req]
        keys = [w for w in req if isinstance(w, Keyed) and w.startswith(self.tag.encode())]
        if keys and r.random() < 0.8:
            fill = [b"ZADD", keys[0], b"1", b"a", b"2", b"b"] if name.startswith("bz") else [b"RPUSH", keys[0], b"a", b"b"]
            out.insert(0, fill)
        self.fixed = False
        return out

    # words

    def key(self, kinds, free=False):
        r = self.r
        x = r.random()
        own = kinds in APART
        kind = r.choice(kinds) if x < 0.93 or own else r.choice(KINDS)
        tag = self.tag
        if not self.fixed:
            if free:
                tag = r.choice(TAGS) if r.random() < 0.7 else ""
            if (free or self.single) and x > 0.98 and not own:
                return Keyed(r.choice(PLAIN_KEYS).encode("latin-1"))
        if 0.92 < x < 0.93:
            return Keyed(tag.encode() + b"\x00\r\n\xff" + kind.encode())
        return Keyed(b"%s%s%d" % (tag.encode(), kind.encode(), r.randrange(6)))

    def v_v(self):
        r = self.r.random()
        if r < 0.4:
            return str(self.r.randrange(-50, 1000))
        if r < 0.8:
            return self.r.choice(["a", "b", "hello", "", "foo bar", "\r\n", "$5\r\n", "\x00z", "ключ"])
        if r < 0.985:
            return self.r.randbytes(self.r.randrange(0, 70))
        return self.r.randbytes(1) * self.r.randrange(70, 20000)

    def v_short(self):
        return self.r.choice(["ohmytext", "mynewtext", "", "abcabcab", "x" * 40])

    def v_m(self):
        return self.r.choice("abcdefghij") if self.r.random() < 0.7 else str(self.r.randrange(20))

    def v_n(self):
        return self.r.choice(["0", "1", "-1", "2", "3", "-2", "5", "10", "100", "77", "x", "1.5", "9223372036854775807"])

    def v_i(self):
        return self.r.choice(["0", "1", "2", "-1", "-2", "5", "-100", "100", "0", "-1", "x"])

    def v_off(self):
        return self.r.choice(["0", "7", "100", "1000", "3", "12", "-1", "x"])

    def v_sc(self):
        return self.r.choice(["0", "1", "2.5", "-3", "inf", "-inf", "(1", "x", "1e3", "10", "+inf"])

    def v_sa(self):
        return self.r.choice(["1", "2", "-1.5", "inf", "3", "0.25", "0", "100", "1e6", "7", "x", "nan"] if self.r.random() < 0.1 else ["1", "2", "-1.5", "3", "0.25", "0", "7", "100"])

    def v_lex(self):
        return self.r.choice(["-", "+", "[a", "(c", "[e", "[", "x"])

    def v_far(self):
        return Keyed(b"%d" % (FAR + self.r.randrange(3)))

    def v_farms(self):
        return Keyed(b"%d" % (FAR * 1000 + self.r.randrange(3)))

    def v_dump(self):
        return self.r.choice(self.dumps)

    def v_sortby(self):
        return Keyed(self.tag.encode() + self.r.choice([b"s*", b"w_*", b"h1->*", b"n*"]))

    def v_weights(self):
        return [self.r.choice(["1", "2", "0.5", "0", "4"] if self.r.random() < 0.97 else ["x", "nan", ""]) for _ in range(self.n)]

    def v_lon(self):
        return self.r.choice(["13.36", "15.08", "14.5", "2.35"])

    def v_lat(self):
        return self.r.choice(["38.11", "37.5", "48.85"])

    def v_new(self):
        self.ids += self.r.choice([0, 1, 1, 1])
        return "%d-%d" % (self.ids, self.r.randrange(1, 3))

    def v_id(self):
        return self.r.choice(["0", "%d-1" % self.ids, "%d-2" % (self.ids - self.r.randrange(20)), "%d-1" % (self.ids - self.r.randrange(1, 200)), "%d" % self.ids] + (["x"] if self.r.random() < 0.1 else []))

    def v_auto(self):
        self.ids += 1
        return "%d-*" % self.ids

    def v_bound(self):
        return self.r.choice(["-", "+", "(" + self.v_id(), self.v_id(), self.v_id()])

    def v_script(self):
        return self.r.choice(SCRIPTS)

    def v_free(self):
        return self.r.choice(FREE)

    def v_loadable(self):
        return self.r.choice(LOADABLE)

    def v_sha(self):
        return self.r.choice(LOADED)

    def v_lib(self):
        return LIB

    def v_lib2(self):
        return LIB2


class Form:
    """One form of a command, compiled: functions that append words to a request."""

    def __init__(self, text):
        words = text.split(" ")
        self.steps, rest = self.sequence([w for w in words if w], 0)
        assert rest is None
        keys = re.findall(r"(?<!\S)!?(?:#|many)?[$%][a-z-]+", text)
        self.single = len(keys) == 1 and keys[0].lstrip("!").startswith("$") and "(" not in text and "STREAMS" not in text and "sortby" not in text and "|load" not in text

    def make(self, gen, out):
        for step in self.steps:
            step(gen, out)

    def sequence(self, words, pos, close=None):
        steps = []
        while pos < len(words):
            w = words[pos]
            if w == close:
                return steps, pos + 1
            if w in "[(":
                inner, pos = self.sequence(words, pos + 1, "]" if w == "[" else ")")
                steps.append(optional(inner) if w == "[" else repeated(inner))
                continue
            steps.append(word(w))
            pos += 1
        assert close is None, words
        return steps, None


def optional(inner):
    def step(gen, out):
        if gen.r.random() < 0.4:
            for s in inner:
                s(gen, out)
    return step


def repeated(inner):
    def step(gen, out):
        for _ in range(gen.r.choice((1, 1, 2, 3))):
            for s in inner:
                s(gen, out)
    return step


def word(w):
    hold = Keyed if w[0] == "!" and len(w) > 1 else bytes
    w = w[1:] if hold is Keyed else w
    if w == "!empty":
        return lambda gen, out: out.append(Keyed(b""))
    if w.startswith("many%"):
        return lambda gen, out: out.extend(gen.key(w[5:], True) for _ in range(40))
    if re.fullmatch(r"#[$%][a-z-]+", w):
        return counted(w[2:], w[1] == "%")
    if re.fullmatch(r"[$%][a-z-]+", w):
        return lambda gen, out: out.append(gen.key(w[1:], w[0] == "%"))
    items = [choice_item(x) for x in w.split("|")]
    if len(items) == 1:
        item = items[0]
        if callable(item):
            return lambda gen, out: add(out, item(gen))
        return lambda gen, out: out.append(hold(item))

    def step(gen, out):
        item = gen.r.choice(items)
        add(out, item(gen) if callable(item) else hold(item))
    return step


def choice_item(x):
    if x.startswith("<") and x.endswith(">"):
        return getattr(Gen, "v_" + x[1:-1])
    return b"$" if x == "$$" else x.encode()


def add(out, value):
    if isinstance(value, list):
        out.extend(to_bytes(v) for v in value)
    else:
        out.append(value if isinstance(value, bytes) else value.encode())


def counted(kinds, free):
    def step(gen, out):
        gen.n = n = gen.r.choice((1, 2, 2, 3))
        said = b"%d" % n if gen.r.random() < 0.97 else gen.r.choice([b"0", b"-1", b"x", b"01", b"99999"])
        out.append(Keyed(said))
        out.extend(gen.key(kinds, free) for _ in range(n))
    return step


# ------------------------------------------------------------------------------------------------ what is compared

def children(raw):
    """(kind, raw elements); a map's are its keys and values in turn."""
    eol = raw.index(b"\r\n")
    n, pos = int(raw[1:eol]), eol + 2
    out = []
    for _ in range(max(n, 0) * (2 if raw[:1] in b"%|" else 1)):
        end = resp_end(raw, pos)
        out.append(raw[pos:end])
        pos = end
    return raw[:1], out


def is_list(raw):
    return raw[:1] in (b"*", b"~", b"%") and raw[1:2] != b"-"


def pairs(raw):
    kind, kids = children(raw)
    if kind == b"%" or not kids or not is_list(kids[0]):
        kids = list(zip(kids[::2], kids[1::2]))
    return kind, sorted(kids)


def as_set(raw):
    if not is_list(raw):
        return raw
    kind, kids = children(raw)
    return kind, sorted(kids)


def as_pairs(raw):
    return pairs(raw) if is_list(raw) else raw


def as_scan(inner):
    def form(raw, req):
        words = [w.lower() for w in req[3:]]
        if b"count" not in words or b"1000" not in words:
            return raw[:1]  # how much a page has, and where the next begins, is chance inside a server
        cursor, page = children(raw)[1]
        return cursor, inner(page)
    form.asks = True
    return form


def as_count(raw):
    return (raw[:1], len(children(raw)[1])) if is_list(raw) else raw[:1]


def as_kind(raw):
    return raw[:2] if raw[1:2] == b"-" else raw[:1]


def as_time(raw):
    return raw if raw[:2] == b":-" else raw[:1]


def as_deep(raw):
    """At no level an order."""
    if not is_list(raw):
        return raw
    kind, kids = children(raw)
    kids = [as_deep(k) for k in kids]
    if kind == b"%":
        kids = list(zip(kids[::2], kids[1::2]))
    return kind, sorted(kids, key=repr)


def without_idle(raw):
    """Milliseconds since, and times of day, hidden."""
    raw = re.sub(rb"(\$(?:4\r\nidle|8\r\ninactive|9\r\nseen-time|11\r\nactive-time)\r\n):-?\d+", rb"\1:T", raw)
    return re.sub(rb":\d{12,13}\r\n", b":T\r\n", raw)


def pending(raw):
    """Of the long form the third field, milliseconds since the delivery."""
    if not is_list(raw):
        return raw
    kind, kids = children(raw)
    return [[x for i, x in enumerate(children(k)[1]) if i != 2] if is_list(k) and len(children(k)[1]) == 4 and kind == b"*" else k for k in kids]


def by_pattern(raw, req):
    """With equal weights a set's members come in any order."""
    return as_set(raw) if any(w.upper() == b"BY" for w in req) else raw


def zero(raw):
    return raw.replace(b"$2\r\n-0\r\n", b"$1\r\n0\r\n").replace(b",-0\r\n", b",0\r\n")


# command: (form, why its reply is not compared byte for byte). Errors always are.
CANON = {
    "smembers": (as_set, "a set has no order"), "sinter": (as_set, "a set has no order"), "sunion": (as_set, "a set has no order"), "sdiff": (as_set, "a set has no order"),
    "spop": (as_set, "asked for all members; they have no order"), "sscan": (as_scan(as_set), "a set has no order"),
    "hgetall": (as_pairs, "a large hash has no order"), "hkeys": (as_set, "a large hash has no order"), "hvals": (as_set, "a large hash has no order"), "hscan": (as_scan(as_pairs), "a large hash has no order"),
    "zscan": (as_scan(as_pairs), "a large sorted set is scanned by its hash"),
    "srandmember": (as_count, "chance"), "hrandfield": (as_count, "chance"), "zrandmember": (as_count, "chance"), "randomkey": (as_kind, "chance"), "lolwut": (as_kind, "art"),
    "keys": (as_set, "keys have no order"), "scan": (as_kind, "keys have no order, and cursors are kvmux's own: the driver walks to the end and compares all"),
    "ttl": (as_time, "from a relative time of two moments"), "pttl": (as_time, "from a relative time of two moments"), "expiretime": (as_time, "from a relative time of two moments"), "pexpiretime": (as_time, "from a relative time of two moments"),
    "dump": (as_kind, "the order of sets and hashes is in it"), "memory|usage": (as_kind, "depends on the allocator"), "object|idletime": (as_kind, "a clock"),
    "lastsave": (as_kind, "a clock"), "memory|doctor": (as_kind, "one server's memory"), "memory|malloc-stats": (as_kind, "one server's memory"), "memory|stats": (as_kind, "one server's memory"),
    "xinfo|consumers": (without_idle, "a clock"), "xinfo|stream": (without_idle, "a clock"), "xpending": (pending, "a clock"),
    "sort": (by_pattern, "equal weights"), "sort_ro": (by_pattern, "equal weights"),
    "zinter": (zero, "of 0 and -0 either is the larger one"),
    "command": (as_deep, "a server's table has no order"), "command|docs": (as_deep, "a server's table has no order"), "command|info": (as_deep, "a server's table has no order"), "command|list": (as_set, "a server's table has no order"),
    "function|list": (as_deep, "libraries have no order"), "function|dump": (as_kind, "libraries have no order"), "function|stats": (as_deep, "engines have no order"), "hello": (as_kind, "server, version and id are kvmux's own"),
}
CONTAINERS = {n.split("|")[0] for n in CANON if "|" in n}


def name_of(req):
    name = req[0].decode("latin-1").lower()
    if name in CONTAINERS and len(req) > 1:
        sub = name + "|" + req[1].decode("latin-1").lower()
        return sub if sub in CANON else name
    return name


def normal(req, raw, queued=None):
    """What is compared of a reply; of EXEC, element by element as the queued request says."""
    if raw[:1] == b"-":
        return raw
    name = name_of(req)
    if name == "exec" and is_list(raw):
        kids = children(raw)[1]
        if queued and len(kids) == len(queued):
            return [normal(q, k) for q, k in zip(queued, kids)]
        return raw
    form = CANON.get(name)
    if form is None:
        return raw
    return form[0](raw, req) if form[0] is by_pattern or getattr(form[0], "asks", False) else form[0](raw)


# ------------------------------------------------------------------------------------------------ asking

CONTEXT = 12


class Difference:
    def __init__(self, where, seed, number, req, ours, redis, keys, talk):
        self.where, self.seed, self.number, self.req, self.ours, self.redis, self.keys, self.talk = where, seed, number, req, ours, redis, keys, talk

    def __str__(self):
        def lines(reqs):
            return "\n  ".join(repr([bytes(y[:60]) for y in x[:12]]) for x in reqs)
        return ("%s, seed %d, command %d: %r\n kvmux: %r\n redis: %r\n before it on its keys:\n  %s\n before it on its connection:\n  %s"
                % (self.where, self.seed, self.number, [bytes(x[:200]) for x in self.req], self.ours[:600], self.redis[:600], lines(self.keys), lines(self.talk)))


class Talk:
    """One connection of the stream, open to every side at once."""

    def __init__(self, sides, version):
        self.clients = [s() for s in sides]
        self.todo = collections.deque()
        self.queued = None      # requests between MULTI and EXEC
        self.trail = collections.deque(maxlen=400)
        if version == 3:
            for c in self.clients:
                assert c.cmd("HELLO", "3")[:1] == b"%"

    def close(self):
        for c in self.clients:
            c.close()


def inline(req, rng):
    """As somebody at a keyboard types it, when that is possible."""
    if all(x and re.fullmatch(rb"[A-Za-z0-9_{}.-]+", x) for x in req) and len(req) < 20:
        return rng.choice([b" ", b"  "]).join(req) + rng.choice([b"\r\n", b"\n"])
    return None


def encode(req, rng):
    return rng.random() < 0.02 and inline(req, rng) or resp(*req)


class Oracle:
    """sides[0] is the plain server, the others are kvmux: (name, function that opens a connection)."""
    VERSIONS = (2, 3, 2)

    def __init__(self, sides, seed, reset, dumps=()):
        self.sides, self.seed, self.reset = sides, seed, reset
        self.gen = Gen(seed, dumps)
        self.rng = random.Random(seed + 1)
        self.done = 0
        self.errors = 0
        self.names = collections.Counter()
        self.trail = collections.deque(maxlen=3000)
        self.differences = []
        self.begin()

    def begin(self):
        self.reset()
        self.talks = [Talk([open_it for _, open_it in self.sides], v) for v in self.VERSIONS]

    def run(self, count, stop_after=1):
        """So many requests; ends early at the stop_after-th difference. After each one everything begins anew, so that one does not cause others."""
        while self.done < count and len(self.differences) < stop_after:
            self.batch(count)
        self.close()
        return self.differences

    def close(self):
        for t in self.talks:
            t.close()

    def batch(self, count):
        talk = self.rng.choice(self.talks)
        n = min(self.rng.choice((1, 1, 2, 5, 20, 100, 300)), max(1, count - self.done))
        while len(talk.todo) < n:
            talk.todo.extend(self.gen.some())
        reqs = [talk.todo.popleft() for _ in range(n)]
        walk = next((i for i, r in enumerate(reqs) if r[0] == b"SCAN" and r[1] == b"0" and len(r) != 3 and talk.queued is None), None)
        if walk is not None:   # a walk goes alone
            talk.todo.extendleft(reversed(reqs[walk + 1:]))
            reqs = reqs[:max(walk, 1)] if walk else reqs[:1]
            if walk:
                talk.todo.appendleft([b"SCAN", b"0"])
        found = self.walk(talk, reqs[0]) if walk == 0 else self.exchange(talk, reqs)
        self.done += len(reqs)
        if found:
            self.differences.extend(found[:1])
            self.close()
            self.begin()

    def exchange(self, talk, reqs):
        data = b"".join(encode(r, self.rng) for r in reqs)
        cuts = []
        pos = 0
        while self.rng.random() < 0.3 and pos < len(data):
            pos += self.rng.randrange(1, min(len(data) - pos, 5000) + 1)
            cuts.append(pos)
        for c, first in zip(talk.clients, (True,) + (False,) * 9):
            begin = 0
            for end in () if first else cuts:
                c.send(data[begin:end])
                begin = end
            c.post(data[begin:])
        for c in talk.clients:   # all are at work, also those that are not read yet
            try:
                c.s.setblocking(False)
                c.out = c.out[c.s.send(c.out):] if c.out else c.out
            except BlockingIOError:
                pass
        want = talk.clients[0].replies(len(reqs))
        whole = b"".join(want)
        got = [self.read(c, whole, want) for c in talk.clients[1:]]
        found = self.compare(talk, reqs, want, got)
        self.trail.extend(reqs)
        talk.trail.extend(reqs)
        return found

    @staticmethod
    def read(client, whole, want):
        """want itself when the bytes are the same."""
        n = len(want)
        state = {"pos": 0, "out": []}

        def done():
            if client.inb.startswith(whole):
                return True
            if len(client.inb) >= len(whole) or client.eof or not whole.startswith(client.inb):
                out = state["out"]
                while len(out) < n and state["pos"] < len(client.inb):
                    end = resp_end(client.inb, state["pos"])
                    if end < 0:
                        return None
                    out.append(bytes(memoryview(client.inb)[state["pos"]:end]))
                    state["pos"] = end
                return True if len(out) == n else None
            return None
        client.need(done, "%d replies" % n)
        if client.inb.startswith(whole):
            client.take(len(whole))
            return want
        client.take(state["pos"])
        return state["out"]

    def compare(self, talk, reqs, want, got):
        found = []
        for i, (req, b) in enumerate(zip(reqs, want)):
            self.names[name_of(req)] += 1
            self.errors += b[:1] == b"-"
            queued = talk.queued
            name = req[0].lower()
            if b == b"+QUEUED\r\n" and queued is not None:
                queued.append(req)
            elif name == b"multi" and b == b"+OK\r\n":
                talk.queued = []
            elif name in (b"exec", b"discard") and len(req) == 1:
                talk.queued = None
            for (where, _), answers in zip(self.sides[1:], got):
                a = answers[i]
                if a != b and normal(req, a, queued) != normal(req, b, queued):
                    found.append(Difference(where, self.seed, self.done + i, req, a, b, self.before(reqs[:i], req, queued), (list(talk.trail) + reqs[:i])[-CONTEXT:]))
            if found:
                break
        return found

    def before(self, batch, req, queued):
        keys = {w for r in [req] + (queued or []) for w in r[1:] if isinstance(w, Keyed)}
        about = [x for x in list(self.trail) + batch if any(w in keys for w in x[1:])]
        return [r for r in about if len(r) < 30][-CONTEXT:]

    def walk(self, talk, req):
        """SCAN to its end on every side: the same keys."""
        seen = []
        for c in talk.clients:
            cursor, keys = b"0", set()
            while True:
                raw = c.cmd(*([req[0], cursor] + req[2:]))
                if raw[:1] == b"-":
                    keys.add(raw)
                    break
                head, page = children(raw)[1]
                keys.update(children(page)[1])
                cursor = head[head.index(b"\r\n") + 2:-2]
                if cursor == b"0":
                    break
            seen.append(keys)
        self.trail.append(req)
        self.names["scan"] += 1
        return [Difference(where, self.seed, self.done, req, repr(sorted(k - seen[0])).encode(), repr(sorted(seen[0] - k)).encode(), [], list(talk.trail)[-CONTEXT:])
                for (where, _), k in zip(self.sides[1:], seen[1:]) if k != seen[0]]
