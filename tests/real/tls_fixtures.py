"""What the tests of TLS share: a small CA made with openssl, raw clients that speak TLS, servers that do."""
import os
import select
import ssl
import subprocess
import time

from harness import HOST, MemcachedServer, Raw, RedisServer, free_port, temp_dir


def openssl(*args, deadline=60, **more):
    return subprocess.run(["openssl"] + [str(a) for a in args], check=True, capture_output=True, timeout=deadline, **more)


class Id:
    """A certificate and its key, as files."""

    def __init__(self, path):
        self.crt, self.key = path + ".crt", path + ".key"


class Authority(Id):
    def __init__(self, name="ca"):
        self.dir = temp_dir("tls")
        super().__init__(os.path.join(self.dir, name))
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.key, "-out", self.crt,
                "-days", 2, "-subj", "/CN=" + name)

    def issue(self, name, alt="DNS:localhost,IP:127.0.0.1", days=30):
        """days=-1: it expired yesterday."""
        made = Id(os.path.join(self.dir, name))
        request, extra = made.crt + ".req", made.crt + ".ext"
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", made.key, "-out", request,
                "-subj", "/CN=" + name)
        with open(extra, "w") as f:
            f.write("subjectAltName=" + alt)
        openssl("x509", "-req", "-in", request, "-CA", self.crt, "-CAkey", self.key, "-CAcreateserial", "-days", days, "-extfile", extra,
                "-out", made.crt)
        for path in (made.key, made.crt):
            os.chmod(path, 0o600 if path == made.key else 0o644)
        return made

    def context(self, id=None, max_version=None):
        """Of a client that believes this CA."""
        c = ssl.create_default_context(cafile=self.crt)
        if id is not None:
            c.load_cert_chain(id.crt, id.key)
        if max_version is not None:
            c.maximum_version = max_version
        return c


class TlsRaw(Raw):
    """Raw, over TLS. What lies decrypted in OpenSSL is not seen by select."""

    def __init__(self, addr, context, deadline=None):
        super().__init__(addr, deadline)
        self.s.settimeout(self.deadline)
        try:
            self.s = context.wrap_socket(self.s, server_hostname="localhost")
        except Exception:
            self.s.close()
            raise
        self.s.setblocking(False)

    def _pump(self, end, want_read=True):
        left = end - time.monotonic()
        if left <= 0:
            return False
        if not self.s.pending():
            select.select([self.s] if want_read and not self.eof else [], [self.s] if self.out else [], [], left)
        try:
            self.out = self.out[self.s.send(self.out[:1 << 20]):] if self.out else self.out
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except (BrokenPipeError, ConnectionResetError):
            self.out = b""
        try:
            data = self.s.recv(1 << 16) if want_read and not self.eof else None
            self.eof = self.eof or data == b""
            self.inb += data or b""
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except ConnectionResetError:
            self.eof = self.reset = True
        except ssl.SSLError as e:   # their alert
            self.eof, self.alert = True, e.reason
        return True

class TlsRedis(RedisServer):
    """Listens for plain clients too, so that tests can look."""

    def __init__(self, id, ca, **options):
        self.tls_port = free_port()
        super().__init__(tls_port=self.tls_port, tls_cert_file=id.crt, tls_key_file=id.key, tls_ca_cert_file=ca.crt,
                         **dict({"tls_auth_clients": "no"}, **options))

    def entry(self, weight=1, name=None):
        return "%s:%d:%d s%d" % (HOST, self.tls_port, weight, self.tls_port)

    @property
    def name(self):
        return "s%d" % self.tls_port


class TlsMemcached(MemcachedServer):
    def __init__(self, id, **options):
        self.id = id
        self.tls_port = free_port()
        os.chmod(os.path.dirname(id.key), 0o755)
        os.chmod(id.key, 0o644)   # memcached reads it as nobody
        super().__init__(**options)

    def argv(self):
        argv = super().argv()
        at = argv.index("-l")
        argv[at:at + 4] = ["-l", "notls:%s:%d,%s:%d" % (HOST, self.port, HOST, self.tls_port)]
        return argv + ["-Z", "-o", "ssl_chain_cert=%s,ssl_key=%s" % (self.id.crt, self.id.key)]

    def entry(self, weight=1, name=None):
        return "%s:%d:%d s%d" % (HOST, self.tls_port, weight, self.tls_port)


class Slow:
    """TLS step by step, for what a socket of Python would do at once."""

    def __init__(self, addr, context):
        self.raw, self.inside, self.outside = Raw(addr), ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl = context.wrap_bio(self.inside, self.outside, server_hostname="localhost")

    def send(self):
        self.raw.send(self.outside.read())

    def begin(self):
        """The first words of the handshake."""
        try:
            self.ssl.do_handshake()
        except ssl.SSLWantReadError:
            self.send()

    def until_done(self, step):
        while True:
            try:
                value = step()
                self.send()
                return value
            except ssl.SSLWantReadError:
                self.send()
                self.raw.need(lambda: True if self.raw.inb else None, "an answer")
                self.inside.write(self.raw.take(len(self.raw.inb)))

    def shake(self):
        self.until_done(self.ssl.do_handshake)

    def write(self, data):
        self.ssl.write(data)
        self.send()

    def exact(self, n):
        got = b""
        while len(got) < n:
            got += self.until_done(lambda: self.ssl.read(n - len(got)))
        return got

    def ended(self):
        """Their close_notify is there."""
        try:
            return self.ssl.read(1) == b""
        except ssl.SSLZeroReturnError:
            return True
        except ssl.SSLWantReadError:
            return False


def connect(px, ca, id=None, pool="p", max_version=None):
    return TlsRaw(px.tls[pool], ca.context(id, max_version))

