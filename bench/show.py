"""What bench.py prints: medians, ratios with their spread, Markdown."""
import statistics
import sys


def median(values):
    return statistics.median(values) if values else float("nan")


def table(head, rows):
    print("\n| " + " | ".join(head) + " |")
    print("|" + "|".join("---" for _ in head) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    sys.stdout.flush()


def count(x):
    return "{:,.0f}".format(x)


def verdict(met):
    return "yes" if met else "**no**"


def spread(values):
    return "%.2f (%.2f–%.2f)" % (median(values), min(values), max(values)) if values else "–"


def ratio(runs, base, key):
    """Of neighbouring runs."""
    return spread([r[key] / b[key] for r, b in zip(runs, base) if b.get(key)])
