"""The tools of libmemcached, which are its users: memccp, memccat, memcexist, memctouch, memcrm, memcping, memccapable. See checks.py."""
import os
import re
import subprocess
import tempfile

from checks import HOST, LIMIT, PORT, check, run

SERVER = "--servers=%s:%d" % (HOST, PORT)


def tool(name, *more):
    """[status, output] of one of them."""
    p = subprocess.run([name, SERVER] + list(more), capture_output=True, stdin=subprocess.DEVNULL, timeout=LIMIT)
    return [p.returncode, (p.stdout + p.stderr).decode("latin-1").replace(":%d" % PORT, ":PORT")]


def files(binary):
    """Stores files as keys, reads, touches and removes them."""
    more = ["--binary"] if binary else []
    with tempfile.TemporaryDirectory() as d:
        names = ["lib%d%d" % (binary, i) for i in range(12)]
        for n in names:
            with open(os.path.join(d, n), "w") as f:
                f.write("content of " + n)
        paths = [os.path.join(d, n) for n in names]
        return [tool("memccp", *more, *paths), [tool("memccat", *more, n) for n in names[:3]], tool("memcexist", *more, names[0]), tool("memcexist", *more, "none"),
                tool("memctouch", *more, "--expire=100", names[1]), tool("memcrm", *more, names[0]), tool("memccat", *more, names[0])[0], tool("memccat", *more, *names[1:])]


def capable(mode):
    p = subprocess.run(["memccapable", mode, "-t", "10", "-h", HOST, "-p", str(PORT)], capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
    return dict(re.findall(r"^(?:ascii|binary) (.*?) *\[(\w+)", p.stdout.decode(), re.M))


def main():
    check("connect", "memcping", lambda: tool("memcping"))
    check("get, set", "files as values", lambda: files(False))
    check("binary protocol", "files as values", lambda: files(True))
    check("text protocol", "memccapable", lambda: capable("-a"), here=True)
    check("binary protocol", "memccapable", lambda: capable("-b"), here=True)


run(main)
