#!/usr/bin/env bash
# Runs every test, on Debian 12 as root or with sudo; installs what is missing first.
#
#   ./test.sh                 about ten minutes on two cores
#   ./test.sh --full          the long forms too: fuzzers run for minutes each, long streams against real servers
#   ./test.sh --only WORD     only the parts whose name contains WORD (their builds are made where they are missing)
#
# Ends with a line `N passed, N failed, N skipped`; exit 1 when something failed. Logs: build-test/*.log
set -u
cd "$(dirname "$0")" || exit 1
exec </dev/null
. tools/packages.sh

full=no only=''
while [ $# -gt 0 ]; do
    case "$1" in
    --full) full=yes ;;
    --only) only=${2-} && shift ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "$0" && exit 2 ;;
    esac
    shift
done

out=$PWD/build-test
mkdir -p "$out" && rm -f "$out"/*.log "$out"/*.xml "$out"/counts
python=/usr/bin/python3 # sees Debian's Python modules, whatever else is installed
passed=0 failed=0 skipped=0
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
export KVMUX_FULL=0
[ $full = yes ] && KVMUX_FULL=1

# count_meson LOG.json, count_pytest JUNIT.xml: print "PASSED FAILED SKIPPED" and write names of failed tests to stderr.
count_meson() {
    $python - "$1" <<'PY'
import json, re, sys
p = f = s = 0
for line in open(sys.argv[1], errors="replace"):
    t = json.loads(line)
    text = t.get("stdout", "") + t.get("stderr", "")
    # A unit test program holds many tests and says so as cmocka does; any other is one test.
    ok = len(re.findall(r"^\[ +OK \]|^ok \d+(?! .*# SKIP)", text, re.M))
    bad = re.findall(r"^\[ +FAILED +\] (\w+)$|^not ok \d+ - (.*)", text, re.M)
    if t["result"] == "SKIP":
        s += 1
    elif t["result"] in ("OK", "EXPECTEDFAIL"):
        p += max(ok, 1)
    else:
        names = {a or b for a, b in bad}
        p, f = p + ok, f + max(len(names), 1)
        print("  failed: %s (%s) %s" % (t["name"], t["result"], " ".join(sorted(names))), file=sys.stderr)
        at = re.search(r"(?m)^.*(ERROR: |runtime error|WARNING: ThreadSanitizer)", text)
        lines = text[at.start():].splitlines()[:25] if at else text.splitlines()[-25:]
        print("\n".join("    " + x for x in lines), file=sys.stderr)
print(p, f, s)
PY
}
count_pytest() {
    $python - "$1" <<'PY'
import sys, xml.etree.ElementTree as xml
p = f = s = 0
for case in xml.parse(sys.argv[1]).iter("testcase"):
    bad = case.find("failure") if case.find("failure") is not None else case.find("error")
    if bad is not None:
        f += 1
        if f <= 15:
            print("  failed: %s::%s" % (case.get("classname"), case.get("name")), file=sys.stderr)
            print("\n".join("    " + x for x in (bad.text or "").splitlines()[-12:]), file=sys.stderr)
    elif case.find("skipped") is not None:
        s += 1
    else:
        p += 1
print(p, f, s)
PY
}

add() { passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3)); }
report() { # report NAME BEGIN PASSED FAILED SKIPPED
    add "$3" "$4" "$5"
    printf '%-28s %5s passed %4s failed %4s skipped  %4d s\n' "$1" "$3" "$4" "$5" $((SECONDS - $2))
}
wanted() { [[ -z $only || $1 == *"$only"* ]]; }

# part NAME SECONDS COMMAND...: one test that is a command.
part() {
    local name=$1 limit=$2 begin=$SECONDS
    shift 2
    wanted "$name" || return 0
    if timeout -k 10 "$limit" "$@" >"$out/$name.log" 2>&1; then
        report "$name" "$begin" 1 0 0
    else
        echo "  failed: $* (status $?; $out/$name.log)"
        tail -n 25 "$out/$name.log" | sed 's/^/    /'
        report "$name" "$begin" 0 1 0
        return 1
    fi
}

# counted NAME SECONDS COUNTER RESULTS COMMAND...: a test runner that leaves a file with results.
counted() {
    local name=$1 limit=$2 counter=$3 results=$4 begin=$SECONDS p f s rc=0
    shift 4
    wanted "$name" || return 0
    rm -f "$results"
    timeout -k 10 "$limit" "$@" >"$out/$name.log" 2>&1 || rc=$?
    if [ -s "$results" ] && read -r p f s < <($counter "$results" 2>"$out/$name.failed"); then
        cat "$out/$name.failed"
        if [ $rc -ne 0 ] && [ "$f" -eq 0 ]; then
            echo "  failed: $* ended with status $rc"
            tail -n 15 "$out/$name.log" | sed 's/^/    /'
            f=1
        fi
    else
        echo "  failed: $* left no results (status $rc; $out/$name.log)"
        tail -n 25 "$out/$name.log" | sed 's/^/    /'
        p=0 f=1 s=0
    fi
    report "$name" "$begin" "$p" "$f" "$s"
}

skip() { # skip NAME WHY
    wanted "$1" || return 0
    echo "  skipped: $1: $2"
    report "$1" $SECONDS 0 0 1
}

# build DIR COMPILER OPTION...: sets it up once (again when the options changed), compiles all. Warnings are errors.
build() {
    local dir=$1 cc=$2 begin=$SECONDS
    shift 2
    if ! { [ -f "$dir/build.ninja" ] && [ "$(cat "$dir/options" 2>/dev/null)" = "$cc $*" ]; }; then
        rm -rf "$dir"
        CC=$cc meson setup "$dir" -Dwerror=true "$@" >"$out/$dir.log" 2>&1 && echo "$cc $*" >"$dir/options"
    fi
    if ninja -C "$dir" >>"$out/$dir.log" 2>&1; then
        report "$dir" "$begin" 1 0 0
    else
        echo "  failed: $cc $* ($out/$dir.log)"
        grep -E 'error|warning|FAILED|ERROR' "$out/$dir.log" | head -n 25 | sed 's/^/    /'
        report "$dir" "$begin" 0 1 0
        return 1
    fi
}

# Some kernels place memory where ThreadSanitizer does not expect it: without randomisation it works (set below).
prefix=()

meson_tests() { # meson_tests NAME DIR SECONDS ARGUMENT... (of meson test)
    local name=$1 dir=$2 limit=$3
    shift 3
    counted "$name" "$limit" count_meson "$dir/meson-logs/testlog.json" \
        "${prefix[@]}" meson test -C "$dir" --no-rebuild --print-errorlogs --timeout-multiplier 3 "$@"
}

real_tests() { # real_tests NAME DIR SECONDS ARGUMENT... (of pytest)
    local name=$1 dir=$2 limit=$3
    shift 3
    counted "$name" "$limit" count_pytest "$out/$name.xml" env KVMUX="$PWD/$dir/kvmux" "${prefix[@]}" \
        $python -m pytest -q --maxfail=40 -p no:cacheprovider --junitxml="$out/$name.xml" "$@" tests/real
}

# ------------------------------------------------------------------------------------------------------------ packages
packages=("${BUILD_PACKAGES[@]}" clang libclang-rt-14-dev libcmocka-dev python3 python3-pytest python3-redis
    python3-yaml python3-pymemcache python3-pylibmc python3-hiredis ruby-dalli redis-server redis-tools memcached libmemcached-tools libhiredis-dev nutcracker
    openssl php-cli php-redis ruby-redis libredis-perl python3-celery python3-rq build-essential debhelper lintian logrotate haproxy)
command -v npm >/dev/null || packages+=(npm)
need_packages "$out/apt.log" "${packages[@]}" || echo "  going on with what is there"
[ -x tests/real/node/install.sh ] && part node-packages 300 tests/real/node/install.sh
[ -x /usr/sbin/nutcracker ] && export NUTCRACKER=/usr/sbin/nutcracker

# ------------------------------------------------------------------------------------------------- what needs no build
part layers 60 tools/check-layers
part headers 120 tools/check-headers
part log 60 tools/check-log

# --------------------------------------------------------------------------------------------------- builds, each with its tests
limit=600
[ $full = yes ] && limit=3600
debug=(--buildtype=debugoptimized -Dtests=true -Db_lto=false)

if build build-asan gcc "${debug[@]}" -Db_sanitize=address,undefined; then
    meson_tests unit-asan build-asan $limit
    [ -x tools/check-commands ] && part commands 120 tools/check-commands
    real_tests real-asan build-asan $limit
    part soak 300 $python tests/soak/soak.py build-asan/kvmux --seconds 20 --interval 2.2
else
    skip asan-tests "no build"
fi

# The corpora are replayed by every meson_tests; here the fuzzers look for new inputs, for seconds or for minutes.
fuzz() {
    local exe name bad=0 seconds=3
    [ "$KVMUX_FULL" = 1 ] && seconds=${FUZZ_SECONDS:-600}
    for exe in build-clang/tests/fuzz/fuzz-*; do
        { [ -f "$exe" ] && [ -x "$exe" ]; } || continue
        name=${exe##*/fuzz-}
        mkdir -p "build-test/fuzz-$name"
        "$exe" -max_total_time="$seconds" -timeout=25 -rss_limit_mb=4096 -print_final_stats=1 \
            -artifact_prefix="build-test/fuzz-$name-" "build-test/fuzz-$name" "tests/fuzz/corpus/$name" 2>&1 |
            grep -E 'ERROR|SUMMARY|Test unit|stat::number_of_executed|^ +#[0-9]' | sed "s/^/$name: /"
        [ "${PIPESTATUS[0]}" -eq 0 ] || bad=1
    done
    return $bad
}
export -f fuzz
if build build-clang clang "${debug[@]}" -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false; then
    meson_tests unit-clang build-clang $limit
    part fuzz 36000 bash -c fuzz
else
    skip clang-tests "no build"
fi

if build build-tsan gcc "${debug[@]}" -Db_sanitize=thread; then
    ./build-tsan/kvmux -V >/dev/null 2>&1 || prefix=(setarch -R)
    meson_tests unit-tsan build-tsan $limit --no-suite sim # the simulator has one thread
    real_tests real-tsan build-tsan $limit
    prefix=()
else
    skip tsan-tests "no build"
fi

# The back end of FreeBSD and macOS, over an imitation of kqueue.
if build build-kqueue gcc "${debug[@]}" -Devents=kqueue; then
    io_tests=$(meson test -C build-kqueue --list 2>/dev/null | grep -o 'unit-io-.*')
    # shellcheck disable=SC2086
    meson_tests unit-kqueue build-kqueue $limit $io_tests
    real_tests real-kqueue build-kqueue $limit -k 'test_failover or test_large'
else
    skip kqueue-tests "no build"
fi

# What people run and measure.
instructions() { # user-space instructions per request, against bench/instructions.json
    local begin=$SECONDS rc=0
    # A very busy machine batches less, which counts: not a test that everybody has to pass.
    { [ $full = yes ] || [ -n "$only" ]; } && wanted instructions || return 0
    timeout -k 10 300 bench/instructions.py check --build build-release >"$out/instructions.log" 2>&1 || rc=$?
    case $rc in
    0) report instructions "$begin" 1 0 0 ;;
    77) skip instructions "$(tail -n 1 "$out/instructions.log")" ;;
    *)
        sed 's/^/    /' "$out/instructions.log"
        report instructions "$begin" 0 1 0
        ;;
    esac
}
package() { # the Debian package: built, judged, installed, upgraded, removed
    local begin=$SECONDS rc=0
    wanted package || return 0
    timeout -k 10 900 tools/check-package >"$out/package.log" 2>&1 || rc=$?
    case $rc in
    0) report package "$begin" "$(grep -c '^ok: ' "$out/package.log")" 0 0 ;;
    77) skip package "$(tail -n 1 "$out/package.log")" ;;
    *)
        tail -n 25 "$out/package.log" | sed 's/^/    /'
        report package "$begin" "$(grep -c '^ok: ' "$out/package.log")" 1 0
        ;;
    esac
}
package
if build build-release gcc --buildtype=release -Dbench=true; then
    # Each row of the benchmark for a moment: replies must be right, nothing is timed.
    [ $full = yes ] && part soak-full 600 $python tests/soak/soak.py build-release/kvmux --seconds 180 --interval 10
    part bench-smoke 300 bench/bench.py smoke --build build-release --proxy kvmux=build-release/kvmux --proxy direct
    instructions
else
    skip bench-smoke "no build"
    skip instructions "no build"
fi

# ------------------------------------------------------------------------------------------------------------- the sum
echo "$SECONDS s"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
