"""What the Python applications here share, as node/checks.js: app_*.py HOST PORT AUTH_PORT. One JSON line a check."""
import hashlib
import json
import os
import sys
import threading
import time

HOST, PORT, AUTH_PORT = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
LIMIT = float(os.environ.get("CHECK_SECONDS", "4"))  # for one check


def plain(v):
    """Any value as JSON."""
    if isinstance(v, (bytes, bytearray)):
        try:
            return v.decode("ascii") if bytes(v).isalnum() or all(32 <= b < 127 for b in v) else {"hex": bytes(v).hex()}
        except UnicodeDecodeError:
            return {"hex": bytes(v).hex()}
    if isinstance(v, dict):
        return {str(plain(k)): plain(x) for k, x in v.items()}
    if isinstance(v, (set, frozenset)):
        return sorted((plain(x) for x in v), key=str)
    if isinstance(v, (list, tuple)):
        return [plain(x) for x in v]
    if isinstance(v, Exception):
        return {"error": str(v)}
    return v


def say(o):
    print(json.dumps(o), flush=True)


def check(feature, name, f, here=False):
    """f() in a thread, so that a reply that never comes fails this check only; here: in this one, where signals are handled."""
    box = {}

    def work():
        try:
            box["result"] = plain(f())
        except BaseException as e:  # whatever it is, it is the result
            box["result"] = {"failed": "%s: %s" % (type(e).__name__, e)}
    if here:
        work()
    else:
        t = threading.Thread(target=work, daemon=True)
        t.start()
        t.join(LIMIT)
    say({"feature": feature, "check": name, "result": box.get("result", {"failed": "no end within %d s" % LIMIT})})


def error(f):
    """The words of the error that f must end with."""
    try:
        return {"answered": plain(f())}
    except Exception as e:
        return {"error": str(e)}


def retry(f):
    """The first result of f that is no error and not None, within the limit."""
    end = time.monotonic() + LIMIT - 0.5
    while True:
        try:
            v = f()
            if v is not None or time.monotonic() > end:
                return v
        except Exception:
            if time.monotonic() > end:
                raise
        time.sleep(0.005)


def ask(word):
    """Asks the runner for something, e.g. "kill": all connections of the servers are closed when it answers."""
    say({"ask": word})
    sys.stdin.readline()


def spread(n, prefix):
    """Keys that any hash puts on several servers."""
    return [prefix + hashlib.md5(b"%d" % i).hexdigest()[:12] for i in range(n)]


def run(main):
    main()
    say({"end": True})
    os._exit(0)  # threads of checks that never ended do not hold it up
