#!/usr/bin/env python3
"""Watches the cost of a request without a quiet machine: user-space instructions, counted by valgrind's callgrind, against the
figures in bench/instructions.json. Fails when a row grew by more than 3 %.

    bench/instructions.py check [ROW...]     compares; exit status 1: something grew, 77: cannot be compared here
    bench/instructions.py record [ROW...]    writes the figures of this build as the new ones
    bench/instructions.py show [ROW...]      prints them only

Built with: meson setup build --buildtype=release -Dbench=true && ninja -C build

Figures are those of one compiler and one processor architecture: with another one there is nothing to compare. How many requests
meet in one turn of the loop depends a little on the scheduler, so a row that grew is measured again, and its least figure counts.
"""
import argparse
import json
import os
import platform
import re
import shutil
import signal
import sys

import lab
from lab import SCENARIOS

FIGURES = os.path.join(lab.ROOT, "bench", "instructions.json")
ROWS = ["get-p1", "get-p16", "get-p64", "set-p16", "mget-10", "mget-100", "set-1m", "txn-5", "resp3-get-p16",
        "mc-get-p1", "mc-get-p16", "mc-mget-10"]
LIMIT = 1.03
AGAIN = 2
CANNOT = 77


def made_by(build):
    """Compiler and machine: what the figures depend on beside the code. (The compiler signs what it made.)"""
    with open(os.path.join(build, "kvmux"), "rb") as f:
        signed = re.search(rb"GCC: \([^)]*\) \d+|clang version \d+", f.read())
    with open(os.path.join(build, "meson-info", "intro-buildoptions.json")) as f:
        options = {o["name"]: o["value"] for o in json.load(f)}
    return {"compiler": re.sub(r" \([^)]*\)", "", signed.group(0).decode()) if signed else "unknown", "machine": platform.machine(),
            "build": "%s, sanitizers: %s, link-time optimisation: %s" % (options["buildtype"], options["b_sanitize"], options["b_lto"])}


def measure(the_lab, proxy, name):
    s = SCENARIOS[name]
    s = dict(s, conf=dict(s["conf"], slowlog_slower_than=-1))  # under valgrind every request is slow
    few = 100 if s["value"] >= 1 << 20 else 500 if s["keys"] >= 100 else 2000 if s["depth"] == 1 else 6000
    return lab.instructions(the_lab, proxy, s, few)


def figure(the_lab, proxy, name, limit):
    """The least of some runs, the first when it is good already."""
    least = measure(the_lab, proxy, name)
    for _ in range(AGAIN):
        if limit is not None and least <= limit:
            break
        least = min(least, measure(the_lab, proxy, name))
    return least


def load_figures():
    try:
        with open(FIGURES) as f:
            return json.load(f)
    except FileNotFoundError:
        return {"made_by": {}, "instructions": {}}


def check(the_lab, proxy, a, made):
    old = load_figures()
    if old["made_by"] != made:
        print("the figures were recorded with %s; this is %s: nothing to compare" % (old["made_by"], made))
        return CANNOT
    grew = []
    for name in a.rows:
        was = old["instructions"].get(name)
        now = figure(the_lab, proxy, name, was and was * LIMIT)
        recorded = "%d (%+.1f %%)" % (was, 100 * (now / was - 1)) if was else "nothing"
        print("%-14s %8.0f instructions a request, recorded %s" % (name, now, recorded), flush=True)
        if was is None or now > was * LIMIT:
            grew.append(name)
    if grew:
        print("grew by more than %.0f %% (or was never recorded): %s\n"
              "Make it as fast as it was; when the change is worth its price, say so in the commit and run: bench/instructions.py record %s"
              % (100 * (LIMIT - 1), ", ".join(grew), " ".join(grew)))
    return 1 if grew else 0


def record(the_lab, proxy, a, made):
    old = load_figures()
    if old["made_by"] not in ({}, made) and set(old["instructions"]) - set(a.rows):
        sys.exit("recorded with %s; record all rows with %s, or none" % (old["made_by"], made))
    for name in a.rows:
        old["instructions"][name] = round(figure(the_lab, proxy, name, None))
        print("%-14s %8d" % (name, old["instructions"][name]), flush=True)
    with open(FIGURES, "w") as f:
        json.dump({"made_by": made, "instructions": old["instructions"]}, f, indent=2)
        f.write("\n")
    return 0


def show(the_lab, proxy, a, made):
    print(made)
    for name in a.rows:
        print("%-14s %8.0f" % (name, measure(the_lab, proxy, name)), flush=True)
    return 0


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("cmd", choices=["check", "record", "show"])
    ap.add_argument("rows", nargs="*", metavar="ROW", help="default: " + " ".join(ROWS))
    ap.add_argument("--build", default=os.path.join(lab.ROOT, "build"), help="build folder with kvmux and bench/ (build)")
    a = ap.parse_args()
    a.rows = a.rows or ROWS
    unknown = [r for r in a.rows if r not in SCENARIOS]
    if unknown:
        sys.exit("no such row: %s" % " ".join(unknown))
    if not shutil.which("valgrind"):
        print("no valgrind here: nothing to compare")
        return CANNOT
    lab.enter_namespace()
    build = os.path.abspath(a.build)
    the_lab = lab.Lab(build)
    proxy = lab.Proxy("kvmux=%s/kvmux:--threads 1" % build, 0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        return {"check": check, "record": record, "show": show}[a.cmd](the_lab, proxy, a, made_by(build))
    finally:
        lab.stop_all()


sys.exit(main())
