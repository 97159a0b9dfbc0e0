#!/usr/bin/python3
"""Runs scenario files against the real binary: run_real.py KVMUX FILE...

The language is docs/simulator.md's. Servers and clients are played over loopback sockets; ports are mapped to free
ones; `advance` waits; every expectation waits with a deadline. A file that says `sim only` is skipped (exit code 77 when
all were).
"""
import json
import os
import random
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

DEADLINE = 5.0
QUIET = 0.06  # how long nothing must come for `idle`


class Failed(Exception):
    pass


class PortTaken(Exception):
    """Between free_port and the proxy's start somebody else took it: another run of tests beside this one."""


# ---------------------------------------------------------------------------------------------- the language

ESCAPES = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\", '"': '"'}


def unquote(text):
    out, i = [], 0
    while i < len(text):
        if text[i] != "\\":
            out.append(text[i])
        elif text[i + 1] == "x":
            out.append(chr(int(text[i + 2:i + 4], 16)))
            i += 3
        else:
            out.append(ESCAPES[text[i + 1]])
            i += 1
        i += 1
    return "".join(out).encode("latin-1")


def tokens(line, variables):
    """Words as str, strings as bytes."""
    for name, value in variables.items():
        line = line.replace("${%s}" % name, str(value))
    found = []
    for m in re.finditer(r'"((?:[^"\\]|\\.)*)"(?:\*(\d+))?|(#.*)|(\S+)', line):
        if m.group(3) is not None:
            break
        if m.group(4) is not None:
            found.append(m.group(4))
        else:
            found.append(unquote(m.group(1)) * int(m.group(2) or 1))
    return found


def joined(words):
    """The strings that a statement goes on with, and what follows them."""
    n = 0
    while n < len(words) and isinstance(words[n], bytes):
        n += 1
    return b"".join(words[:n]), words[n:]


def seconds(text):
    number, unit = re.fullmatch(r"([0-9.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 1e-6, "ms": 1e-3, "s": 1}[unit]


class Script:
    def __init__(self, path):
        self.path = path
        self.lines = open(path, encoding="utf-8").read().split("\n")
        self.configs, self.workers, self.sim_only, self.learns = {}, 1, False, False
        inside = None
        for i, line in enumerate(self.lines):
            if inside is not None:
                if line == "end":
                    inside = None
                else:
                    inside.append(line)
            elif line == "config" or line.startswith("config "):
                inside = self.configs.setdefault(line[7:], [])
            elif line.startswith("workers "):
                self.workers = int(line.split()[1])
            elif line == "sim only":
                self.sim_only = True
            elif line == "learns":
                self.learns = True
            elif line not in ("cuts off", "seeds off"):
                continue
            self.lines[i] = ""

    def block_end(self, i):
        deep = 0
        for k in range(i, len(self.lines)):
            word = self.lines[k].strip()
            if word.startswith("repeat ") or word == "together":
                deep += 1
            elif word == "end":
                deep -= 1
                if deep == 0:
                    return k
        raise Failed("a block without end")


# ---------------------------------------------------------------------------------------------- connections

class Conn:
    def __init__(self, sock):
        self.sock, self.got, self.eof = sock, b"", False
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read(self):
        try:
            piece = self.sock.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        self.got += piece
        self.eof = self.eof or not piece

    def send(self, data, pump):
        end = time.monotonic() + DEADLINE
        while data:
            try:
                data = data[self.sock.send(data):]
            except BlockingIOError:
                pump(0.01)
            except OSError:
                return  # the proxy closed: what comes next says whether it may
            if time.monotonic() > end:
                raise Failed("the proxy does not read")

    def end(self, how):
        try:
            if how == "fin":
                self.sock.shutdown(socket.SHUT_WR)
                return
            if how == "reset":
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.read()
            self.sock.close()
        except OSError:
            pass
        self.eof = True


class Server:
    def __init__(self):
        self.conns, self.model, self.keys = [], False, {}
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.port = bind_somewhere(self.sock)
        self.listen(True)

    def listen(self, on):
        """Refusing: the port stays bound, nobody listens."""
        self.listening = on
        if on:
            self.sock.listen(64)
            self.sock.setblocking(False)
        else:
            self.sock.close()
            self.sock = socket.socket()
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.sock.bind(("127.0.0.1", self.port))

    def serve(self, conn):
        """The small server in memory of `model redis`."""
        while True:
            m = re.match(rb"\*(\d+)\r\n", conn.got)
            if not m:
                return
            at, args = m.end(), []
            for _ in range(int(m.group(1))):
                b = re.compile(rb"\$(\d+)\r\n").match(conn.got, at)
                if not b or len(conn.got) < b.end() + int(b.group(1)) + 2:
                    return
                args.append(conn.got[b.end():b.end() + int(b.group(1))])
                at = b.end() + int(b.group(1)) + 2
            conn.got = conn.got[at:]
            conn.sock.send(self.answer([a for a in args]))

    def answer(self, args):
        name, keys = args[0].lower(), self.keys
        if name in (b"get", b"mget"):
            values = [keys.get(k) for k in args[1:]]
            bulks = b"".join(b"$-1\r\n" if v is None else b"$%d\r\n%s\r\n" % (len(v), v) for v in values)
            return (b"*%d\r\n" % len(values) if name == b"mget" else b"") + bulks
        if name in (b"set", b"mset"):
            keys.update(zip(args[1::2], args[2::2]))
            return b"+OK\r\n"
        if name in (b"del", b"unlink"):
            return b":%d\r\n" % sum(keys.pop(k, None) is not None for k in args[1:])
        if name in (b"exists", b"touch"):
            return b":%d\r\n" % sum(k in keys for k in args[1:])
        if name == b"incr":
            keys[args[1]] = b"%d" % (int(keys.get(args[1], b"0")) + 1)
            return b":" + keys[args[1]] + b"\r\n"
        return b"+PONG\r\n" if name == b"ping" else b"-ERR the model does not know this command\r\n"


# ---------------------------------------------------------------------------------------------- one run

class Run:
    def __init__(self, kvmux, script, folder):
        self.script, self.folder = script, folder
        self.clients, self.servers, self.seen = {}, {}, {}
        self.proxy = None
        self.ports = {}
        self.kvmux = kvmux
        self.line = 0

    # -- moving bytes

    def everything(self):
        for s in self.servers.values():
            for c in s.conns:
                yield c, s
        for c in self.clients.values():
            yield c, None

    def pump(self, wait):
        watch = {}
        for s in self.servers.values():
            if s.listening:
                watch[s.sock] = s
        for c, s in self.everything():
            if not c.eof:
                watch[c.sock] = (c, s)
        for sock in select.select(list(watch), [], [], wait)[0]:
            who = watch[sock]
            if isinstance(who, Server):
                try:
                    who.conns.append(Conn(who.sock.accept()[0]))
                except BlockingIOError:
                    pass
                continue
            who[0].read()
            if who[1] is not None and who[1].model:
                who[1].serve(who[0])

    def until(self, condition, what):
        end = time.monotonic() + DEADLINE
        while True:
            result = condition()
            if result:
                return
            if time.monotonic() > end:
                raise Failed(what() if callable(what) else what)
            self.pump(0.02)

    def wait(self, duration):
        end = time.monotonic() + duration
        while time.monotonic() < end:
            self.pump(max(0, end - time.monotonic()))

    # -- the proxy

    def write_config(self, name):
        text = "\n".join(self.script.configs[name]) + "\n"
        if not self.script.learns:  # else one more connection would come to each server
            text = re.sub(r"(?m)^( +)redis: true$", r"\1redis: true\n\1learn_commands: false", text)

        def port(m):
            old = int(m.group(1))
            for s in self.servers.values():
                if s.declared == old:
                    return "127.0.0.1:%d" % s.port
            if old not in self.ports:
                self.ports[old] = free_port()
            return "127.0.0.1:%d" % self.ports[old]

        text = re.sub(r"127\.0\.0\.1:(\d+)", port, text)
        conf = os.path.join(self.folder, "kvmux.yml")
        open(conf, "w", encoding="utf-8").write(text)
        return conf, dict(re.findall(r"(?m)^(\w+):\s*\n(?:  .*\n)*?  listen: \[?127\.0\.0\.1:(\d+)", text))

    def do_reload(self, words):
        def outcomes():
            text = self.log_text()
            return text.count("reload_done ") + text.count("reload_failed ")
        before, refused = outcomes(), words[2:] == ["refused"]
        listens = self.write_config("" if words[1] == "first" else words[1])[1]
        self.listens = self.listens if refused else listens
        self.proxy.send_signal(signal.SIGHUP)
        self.until(lambda: outcomes() > before, "the reload has no outcome")
        if (("reload_failed " in self.log_text().split("action=reload\n")[-1]) != refused):
            raise Failed("the configuration was %staken" % ("" if refused else "not "))

    def start(self):
        conf, self.listens = self.write_config("")
        self.log = os.path.join(self.folder, "log")
        self.stats = free_port()
        self.proxy = subprocess.Popen([self.kvmux, "-c", conf, "-o", self.log, "-v", "6", "-a", "127.0.0.1", "-s",
                                       str(self.stats), "--threads", str(self.script.workers), "--admin", "none"])
        self.until(lambda: self.metrics() is not None, lambda: "the proxy did not start:\n" + self.log_text())

    def metrics(self):
        if self.proxy.poll() is not None:
            if re.search(r"\] start_failed .*Address already in use", self.log_text()):
                raise PortTaken
            raise Failed("the proxy has ended with %d" % self.proxy.returncode)
        try:
            with socket.create_connection(("127.0.0.1", self.stats), 1) as s:
                data = b""
                while piece := s.recv(1 << 16):
                    data += piece
            return json.loads(data)
        except (OSError, ValueError):
            return None

    def log_text(self):
        try:
            return open(self.log, encoding="utf-8", errors="replace").read()
        except OSError:
            return ""

    def stop(self):
        for c, _ in self.everything():
            c.end("close")
        for s in self.servers.values():
            s.sock.close()
        if self.proxy is None:
            return
        if self.proxy.poll() is None:
            self.proxy.send_signal(signal.SIGTERM)
        try:
            code = self.proxy.wait(15)
        except subprocess.TimeoutExpired:
            self.proxy.kill()
            self.proxy.wait()
            raise Failed("the proxy does not end")
        if code != 0:
            raise Failed("the proxy ended with %d:\n%s" % (code, self.log_text()[-4000:]))

    # -- statements

    def do_bytes(self, conn, words):
        verb = words[0]
        if verb == ">>>":
            data, rest = joined(words[1:])
            conn.send(data, self.pump)
            if rest:
                conn.end(rest[0])
        elif verb == "<<<":
            want = joined(words[1:])[0]
            self.until(lambda: len(conn.got) >= len(want) or conn.eof or not want.startswith(conn.got[:len(want)]),
                       lambda: "expected %r\n  actual %r" % (want[:300], conn.got[:300]))
            if not conn.got.startswith(want):
                raise Failed("expected %r\n  actual %r" % (want[:300], conn.got[:300]))
            conn.got = conn.got[len(want):]
        elif verb == "<<<~":
            want = joined(words[1:])[0]
            self.until(lambda: b"\n" in conn.got or conn.eof, lambda: "no line: %r" % conn.got[:300])
            if not conn.got.startswith(want):
                raise Failed("expected a line %r\n  actual %r" % (want, conn.got[:300]))
            conn.got = conn.got.split(b"\n", 1)[1]
        elif verb == "skip":
            n = int(words[1])
            self.until(lambda: len(conn.got) >= n, "fewer bytes than to be skipped")
            conn.got = conn.got[n:]
        elif verb == "idle":
            self.wait(QUIET)
            if conn.got or conn.eof:
                raise Failed("not idle: %r eof %s" % (conn.got[:300], conn.eof))
        elif verb == "closed":
            self.until(lambda: conn.eof, "not closed")
            if conn.got:
                raise Failed("bytes instead of the end: %r" % conn.got[:300])
        elif verb in ("fin", "reset", "close"):
            conn.end(verb)
        else:
            raise Failed("not for real servers: %s" % verb)

    def do_client(self, words):
        name = words[1]
        if words[2] != "connect":
            return self.do_bytes(self.clients[name], words[2:])
        if name in self.clients:
            self.clients[name].end("close")
        pool = next((w for w in words[3:] if w in self.listens), next(iter(self.listens)))
        source = (words[words.index("from") + 1], 0) if "from" in words else None
        self.clients[name] = Conn(socket.create_connection(("127.0.0.1", int(self.listens[pool])), DEADLINE, source))

    def do_server(self, words):
        name, _, number = words[1].partition("#")
        if name not in self.servers:
            self.servers[name] = Server()
        server, words = self.servers[name], words[2:]
        set_up = False
        while words and words[0] in ("at", "accept", "refuse", "model"):
            set_up = True
            if words[0] == "at":
                server.declared = int(words[1].rpartition(":")[2])
            elif words[0] == "model":
                server.model = True
            else:
                server.listen(words[0] == "accept")
            words = words[2 if words[0] in ("at", "model") else 1:]
        if set_up:
            return
        if words[0] == "accepted":
            n = int(words[1])
            self.until(lambda: len(server.conns) >= n, lambda: "%d connections" % len(server.conns))
            self.wait(QUIET)
            if len(server.conns) != n:
                raise Failed("%d connections, expected %d" % (len(server.conns), n))
            return
        k = int(number) if number else 1
        self.until(lambda: len(server.conns) >= k, "no such connection")
        if not number and words[0] == "<<<":  # the latest: a new one may be on its way
            self.until(lambda: server.conns[-1].got or server.conns[-1].eof, "nothing came")
            self.until(lambda: server.conns[-1].got, "nothing came on a new connection")
        self.do_bytes(server.conns[k - 1] if number else server.conns[-1], words)

    def do_metric(self, words):
        pool, _, server = words[1].partition("/")
        words = [w.rstrip(",") for w in words[2:]]
        while words:
            name, op = words[0], words[1]
            key = (pool, server, name)
            if op.startswith("+"):
                want, op, words = self.seen.get(key, 0) + int(op[1:]), "=", words[2:]
            else:
                want, words = int(words[2]), words[3:]
            last = [None]

            def holds():
                block = (self.metrics() or {}).get(pool, {})
                last[0] = (block.get(server, {}) if server else block).get(name)
                v = last[0]
                return v is not None and (v >= want if op == ">=" else v <= want if op == "<=" else v == want)

            self.until(holds, lambda: "%s %s: expected %s %d, actual %s" % (pool, name, op, want, last[0]))
            self.seen[key] = last[0]

    def do(self, words):
        verb = words[0]
        if verb == "client":
            self.do_client(words)
        elif verb == "server":
            self.do_server(words)
        elif verb == "advance":
            self.wait(seconds(words[1]))
        elif verb == "metric":
            self.do_metric(words)
        elif verb == "log":
            if words[1] == "not":
                self.wait(QUIET)
                if words[2].decode() in self.log_text():
                    raise Failed("this was logged")
            else:
                self.until(lambda: words[1].decode() in self.log_text(), lambda: "not logged:\n" + self.log_text())
        elif verb == "reload":
            self.do_reload(words)
        elif verb == "drain":
            self.proxy.send_signal(signal.SIGTERM)
        elif verb == "stopped":
            self.until(lambda: self.proxy.poll() is not None, "the proxy runs on")
        elif verb != "buffers":
            raise Failed("not for real servers: %s" % verb)

    def run_lines(self, first, last, variables):
        i = first
        while i < last:
            self.line = i
            words = tokens(self.script.lines[i], variables)
            if words and self.proxy is None and not (words[0] == "server" and words[2] == "at"):
                self.start()
            if words and words[0] == "repeat":
                end = self.script.block_end(i)
                for k in range(int(words[1])):
                    self.run_lines(i + 1, end, {**variables, (words[2] if len(words) > 2 else "i"): k})
                i = end
            elif words and words[0] == "together":
                end = self.script.block_end(i)
                self.run_lines(i + 1, end, variables)
                i = end
            elif words:
                self.do(words)
            i += 1


def bind_somewhere(sock):
    """Below the ports that the system gives to outgoing connections, which may take one back at any moment."""
    for _ in range(100):
        port = random.randrange(10000, 30000)
        try:
            sock.bind(("127.0.0.1", port))
            return port
        except OSError:
            continue
    raise Failed("no free port")


def free_port():
    with socket.socket() as s:
        return bind_somewhere(s)


def run_once(kvmux, script):
    with tempfile.TemporaryDirectory() as folder:
        run = Run(kvmux, script, folder)
        try:
            run.run_lines(0, len(script.lines), {})
            run.stop()
        except PortTaken:
            run.proxy = None    # has ended
            run.stop()
            raise
        except Failed as e:
            print("%s:%d: %s\nlog:\n%s" % (script.path, run.line + 1, e, run.log_text()[-3000:] if run.proxy else ""))
            if run.proxy is not None and run.proxy.poll() is None:
                run.proxy.kill()
                run.proxy.wait()
            return False
    return True


def run_file(kvmux, path):
    """True: passed; None: skipped."""
    script = Script(path)
    if script.sim_only:
        return None
    for _ in range(5):
        try:
            return run_once(kvmux, script)
        except PortTaken:
            print("%s: a port was taken meanwhile; again with others" % path)
    return False


def main():
    if len(sys.argv) < 3:
        sys.exit("usage: run_real.py KVMUX FILE...")
    results = []
    for path in sys.argv[2:]:
        result = run_file(os.path.abspath(sys.argv[1]), path)
        results.append(result)
        print("%s: %s" % (os.path.basename(path), {True: "ok", False: "FAILED", None: "skipped (sim only)"}[result]), flush=True)
    sys.exit(1 if False in results else 77 if True not in results else 0)


if __name__ == "__main__":
    main()
