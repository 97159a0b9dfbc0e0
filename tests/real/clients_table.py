"""The generated part of docs/clients.md, from what the applications found. `clients_table.py` by itself runs all of them and writes it.

    KVMUX=build/kvmux /usr/bin/python3 tests/real/clients_table.py"""
import collections
import os
import re
import subprocess
import sys

from clients import CLIENTS, KNOWN, LIMIT_REASONS
from harness import HERE, ROOT

DOC = os.path.join(ROOT, "docs", "clients.md")
BEGIN, END = "<!-- begin: written by tests/real/clients_table.py -->", "<!-- end -->"


def number_of(reason):
    return list(collections.OrderedDict.fromkeys(KNOWN.values())).index(reason) + 1


def cell(outcome, feature):
    """Yes, no or partly, with the marks of the reasons. What is refused everywhere is no."""
    if feature not in outcome.features():
        return " "
    limits, known = outcome.limits.get(feature, {}), outcome.known.get(feature, {})
    marks = sorted({m for of in limits.values() for m in of})
    marks += [str(n) for n in sorted({number_of(r) for reasons in known.values() for r in reasons})]
    nothing = {t for t in ("one", "four") if all(k[0] != feature or outcome.found[t].get(k) != v for k, v in outcome.found["plain"].items())}
    text = "no" if "one" in nothing or "one" in known else "one" if "four" in nothing or "four" in known else "yes"
    return " ".join([text] + marks)


def total(outcome):
    """One cell for all features: the word they have in common, or one for each."""
    cells = collections.OrderedDict((f, cell(outcome, f)) for f in outcome.features())
    if len({c.split()[0] for c in cells.values()}) > 1:
        return ", ".join("%s: %s" % each for each in cells.items())
    return " ".join(collections.OrderedDict.fromkeys(w for c in cells.values() for w in c.split()))


def row(words):
    return "| " + " | ".join(words) + " |\n"


def table(head, rows):
    return row(head) + row(["---"] + [":-:"] * (len(head) - 1)) + "".join(row(r) for r in rows) + "\n"


def matrix(outcomes):
    """Features are rows, clients are columns."""
    features = list(collections.OrderedDict.fromkeys(f for o in outcomes for f in o.features()))
    return table([" "] + [o.client.name for o in outcomes], [[f] + [cell(o, f) for o in outcomes] for f in features])


def render(outcomes):
    """outcomes: one of each client, in their order."""
    of = lambda what: [o for o in outcomes if o.client.what == what]
    text = "### Redis clients\n\n" + matrix(of("client"))
    text += "### What is built on them\n\n"
    text += table(["library"] + ["what it does here", "result"], [[o.client.name, ", ".join(o.features()), total(o)] for o in of("library")])
    text += "### memcached clients\n\n" + matrix(of("memcached"))
    reasons = ["* **%s**: %s\n" % (k, v) for k, v in sorted(LIMIT_REASONS.items())]
    reasons += ["* **%d**: %s\n" % (number_of(r), r) for r in collections.OrderedDict.fromkeys(KNOWN.values())]
    text += "### Reasons\n\n" + "".join(reasons) + "\n"
    text += "### Versions\n\n"
    text += table(["client", "version", "language", "with", "checks"], [[o.client.name, o.version, o.client.language, ", ".join(o.client.packages), str(len(o.found["plain"]) - 1)] for o in outcomes])
    return "%s\n\n%s%s\n" % (BEGIN, text, END)


def without_versions(text):
    return re.sub(r"\b\d+(\.\d+)+\b", "N", text)


def committed():
    with open(DOC, encoding="utf-8") as f:
        text = f.read()
    return text[text.index(BEGIN):text.index(END) + len(END) + 1]


def write(outcomes):
    with open(DOC, encoding="utf-8") as f:
        text = f.read()
    text = text.replace(committed(), render(outcomes))
    with open(DOC, "w", encoding="utf-8") as f:
        f.write(text)


if __name__ == "__main__":
    sys.exit(subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", os.path.join(HERE, "test_clients.py")] + sys.argv[1:],
                            env=dict(os.environ, KVMUX_WRITE_CLIENTS="1")).returncode)
