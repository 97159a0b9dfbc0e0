"""memcached's binary protocol, from a client's side, as bytes."""
import struct

HEAD = struct.Struct("!BBHBBHIIQ")
GET, SET, ADD, REPLACE, DELETE, INCR, DECR, QUIT, FLUSH, GETQ, NOOP, VERSION, GETK, GETKQ, APPEND, PREPEND, STAT = range(0x11)
SETQ, ADDQ, REPLACEQ, DELETEQ, INCRQ, DECRQ, QUITQ, FLUSHQ, APPENDQ, PREPENDQ, VERBOSITY, TOUCH, GAT, GATQ = range(0x11, 0x1f)
GATK, GATKQ = 0x23, 0x24
NEVER_MADE = 0xffffffff


def request(op, key=b"", extras=b"", value=b"", cas=0, opaque=0xdeadbeef, magic=0x80, nkey=None, nextras=None, nbody=None):
    return HEAD.pack(magic, op, len(key) if nkey is None else nkey, len(extras) if nextras is None else nextras, 0, 0,
                     len(extras) + len(key) + len(value) if nbody is None else nbody, opaque, cas) + extras + key + value


def store(op, key, value, flags=0, exptime=0, **more):
    return request(op, key, struct.pack("!II", flags, exptime), value, **more)


def delta(op, key, by, initial=0, exptime=0, **more):
    return request(op, key, struct.pack("!QQI", by, initial, exptime), **more)


def touch(op, key, exptime, **more):
    return request(op, key, struct.pack("!I", exptime), **more)


class Response:
    def __init__(self, head, body):
        self.magic, self.op, nkey, nextras, self.datatype, self.status, _, self.opaque, self.cas = head
        self.extras, self.key, self.value = body[:nextras], body[nextras:nextras + nkey], body[nextras + nkey:]

    def same(self):
        """All of it; of the cas, whether there is one: the numbers differ between servers."""
        return (self.magic, self.op, self.datatype, self.status, self.opaque, self.cas != 0, self.extras, self.key, self.value)

    def __repr__(self):
        return "<%#x status %#x opaque %#x cas %d extras %r key %r value %r>" % (
            self.op, self.status, self.opaque, self.cas, self.extras, self.key[:60], self.value[:60])


def response_of(raw):
    """One response, read from a harness.Raw."""
    def done():
        if len(raw.inb) < HEAD.size:
            return None
        n = HEAD.unpack_from(raw.inb)[6]
        return HEAD.size + n if len(raw.inb) >= HEAD.size + n else None
    data = raw.take(raw.need(done, "a response"))
    head = HEAD.unpack_from(data)
    assert head[0] == 0x81, data[:100]
    return Response(head, data[HEAD.size:])


def talk(raw, data, end=0x77777777):
    """Sends, and reads until the answer of a noop that is sent behind it."""
    raw.post(data + request(NOOP, opaque=end))
    answers = []
    while True:
        r = response_of(raw)
        if r.op == NOOP and r.opaque == end:
            return answers
        answers.append(r)


def last_words(raw, data):
    """Sends what closes the connection; what is said until then."""
    raw.post(data)
    raw.flush()
    said = raw.until_close()
    answers = []
    while said:
        head = HEAD.unpack_from(said)
        answers.append(Response(head, said[HEAD.size:HEAD.size + head[6]]))
        said = said[HEAD.size + head[6]:]
    return answers
