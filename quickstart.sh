#!/usr/bin/env bash
# From nothing to a running kvmux in front of real servers, on Debian 12 as root or with sudo.
#
#   ./quickstart.sh           builds, starts 4 redis-servers, 2 memcacheds and kvmux, shows it at work, runs until Ctrl-C
#   ./quickstart.sh --check   the same, but ends by itself: exit 0 when all of it worked
#
# Everything it starts listens on loopback only, keeps its data in a temporary folder, and is gone at the end.
set -u
cd "$(dirname "$0")" || exit 1
. tools/packages.sh

check=no
case "${1-}" in
'') ;;
--check) check=yes ;;
*)
    sed -n '2,7s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac

work=$(mktemp -d "${TMPDIR:-/tmp}/kvmux-quickstart.XXXXXX") || exit 1
chmod 711 "$work"
pids=() # what we started, and nothing else is stopped
failed=no

finish() {
    trap - EXIT INT TERM HUP
    [ ${#pids[@]} -gt 0 ] && kill "${pids[@]}" 2>/dev/null && wait "${pids[@]}" 2>/dev/null
    rm -rf "$work"
    exit "$1"
}
trap 'finish 1' EXIT
trap 'echo; echo "stopping everything"; finish 0' INT
trap 'finish 1' TERM HUP

if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; else bold='' dim='' plain=''; fi
step() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
die() {
    printf '\n%s\n' "$1" >&2
    [ -n "${2-}" ] && [ -s "$2" ] && tail -n 20 "$2" | sed 's/^/  /' >&2
    finish 1
}
wrong() {
    failed=yes
    printf '  WRONG: %s\n' "$*"
}

step "1. Packages"
need_packages "$work/apt.log" "${BUILD_PACKAGES[@]}" redis-server redis-tools memcached libmemcached-tools || die "cannot go on without packages"
echo "  all there: $(gcc -dumpfullversion | sed 's/^/gcc /'), meson $(meson --version)," \
    "$(redis-server --version | sed 's/.*v=\([^ ]*\).*/redis \1/'), $(memcached -V)"

step "2. Build"
[ -f build/build.ninja ] || echo "  compiling; the first time takes a minute"
{
    [ -f build/build.ninja ] || meson setup build --buildtype=release
} >"$work/build.log" 2>&1 </dev/null || die "meson setup failed:" "$work/build.log"
ninja -C build kvmux >>"$work/build.log" 2>&1 </dev/null || die "the build failed:" "$work/build.log"
echo "  build/kvmux, $(($(stat -c %s build/kvmux) / 1024)) KiB"

step "3. Servers"
# The example asks for ports 7001.., 22121..; where one is taken, the next free one is used instead.
conf=$work/kvmux.yml
cp conf/quickstart.yml "$conf"
replace_port() { # replace_port PORT-IN-THE-EXAMPLE: sets PORT to a free one and writes it into our copy
    free_port $((next > $1 ? next : $1))
    next=$((PORT + 1))
    sed -i "s/127\.0\.0\.1:$1\b/127.0.0.1:$PORT/" "$conf"
}
next=0
for p in 7001 7002 7003 7004; do
    replace_port $p
    redis-server --port "$PORT" --bind 127.0.0.1 --save '' --appendonly no --dir "$work" --daemonize no \
        >"$work/redis-$PORT.log" 2>&1 </dev/null &
    pids+=($!)
    wait_for 10 redis-cli -p "$PORT" ping || die "redis-server on port $PORT did not start:" "$work/redis-$PORT.log"
    echo "  redis-server  127.0.0.1:$PORT"
done
next=0
user=()
[ "$(id -u)" -eq 0 ] && user=(-u nobody)
for p in 7011 7012; do
    replace_port $p
    memcached "${user[@]}" -l 127.0.0.1 -p "$PORT" -U 0 -m 64 >"$work/memcached-$PORT.log" 2>&1 </dev/null &
    pids+=($!)
    wait_for 10 memcping --servers="127.0.0.1:$PORT" || die "memcached on port $PORT did not start:" "$work/memcached-$PORT.log"
    echo "  memcached     127.0.0.1:$PORT"
done

step "4. kvmux"
next=0
replace_port 22121
redis_port=$PORT
replace_port 22122
mc_port=$PORT
free_port 22222
stats_port=$PORT
free_port 22280
admin=127.0.0.1:$PORT
./build/kvmux -t -c "$conf" >"$work/test.log" 2>&1 || die "kvmux does not take its own example:" "$work/test.log"
echo "  \$ kvmux -t -c $conf"
sed 's/^/  /' "$work/test.log"
./build/kvmux -c "$conf" -a 127.0.0.1 -s "$stats_port" --admin "$admin" -o "$work/kvmux.log" >"$work/kvmux.out" 2>&1 </dev/null &
kvmux_pid=$!
pids+=($kvmux_pid)
{ wait_for 10 redis-cli -p "$redis_port" ping && wait_for 10 memcping --servers="127.0.0.1:$mc_port"; } || {
    cat "$work/kvmux.out" >>"$work/kvmux.log"
    die "kvmux did not come up:" "$work/kvmux.log"
}
echo "  \$ kvmux -c $conf -a 127.0.0.1 -s $stats_port --admin $admin"
echo "  pid $kvmux_pid: redis on 127.0.0.1:$redis_port, memcached on 127.0.0.1:$mc_port, statistics on 127.0.0.1:$stats_port,"
echo "  a page for people on http://$admin/"

where() { ./build/kvmux -c "$conf" --where "$@" 2>>"$work/where.log"; }
rc() { redis-cli -p "$redis_port" "$@" 2>&1; }

step "5. Redis through kvmux"
echo "  \$ redis-cli -p $redis_port SET KEY VALUE ... GET KEY"
printf '  %s%-16s %-12s %-8s %s%s\n' "$dim" key value server address "$plain"
names=(ada grace linus margaret ken barbara dennis frances)
keys=()
for i in "${!names[@]}"; do
    key="user:$((i + 1))" value=${names[i]}
    keys+=("$key")
    [ "$(rc set "$key" "$value")" = OK ] || wrong "SET $key was not answered OK"
    [ "$(rc get "$key")" = "$value" ] || wrong "GET $key did not return $value"
    IFS=$'\t' read -r _ server address < <(where cache "$key")
    printf '  %-16s %-12s %-8s %s\n' "$key" "$value" "${server:-?}" "${address:-?}"
    # The server itself must hold it, and nobody else: asked directly, not through kvmux.
    [ "$(redis-cli -p "${address##*:}" get "$key" 2>&1)" = "$value" ] || wrong "$key is not on $server"
done
echo
echo "  \$ redis-cli -p $redis_port MGET ${keys[*]}"
all=$(rc mget "${keys[@]}" | tr '\n' ' ')
echo "  ${all}"
[ "$all" = "${names[*]} " ] || wrong "MGET did not return all values in order"
deleted=$(rc del "${keys[0]}" "${keys[1]}" "${keys[2]}")
echo "  \$ redis-cli -p $redis_port DEL ${keys[*]:0:3}"
echo "  (integer) $deleted"
[ "$deleted" = 3 ] || wrong "DEL did not count 3 keys over all servers"

step "6. Four servers that feel like one"
# show COMMAND WANTED WHAT: runs redis-cli with the command on its standard input, and shows the last line of the answer
show() {
    local got
    got=$(printf '%b' "$1" | rc -3 | tail -n 1)
    printf '  %-62s %s%s%s\n' "$(printf '%b' "$1" | paste -sd ';' | sed 's/;/; /g')" "$dim" "$3" "$plain"
    echo "    $got"
    [ "$got" = "$2" ] || wrong "wanted $2"
}
show 'MULTI\nSET {cart:7}:n 1\nINCR {cart:7}:n\nEXEC\n' 2 "a transaction, on the server of its keys"
show 'SADD fruit apple plum\nSADD red apple cherry\nSINTER fruit red\n' apple "sets of two servers"
show "EVAL 'return redis.call(\"incrby\", KEYS[1], ARGV[1])' 1 {cart:7}:n 40\n" 42 "a script"
show 'DBSIZE\n' 8 "all servers together"
(rc subscribe news & echo $! >"$work/listener"; wait) >"$work/news" 2>&1 &
wait_for 10 grep -q '^1$' "$work/news" || wrong "SUBSCRIBE was not answered"
rc publish news 'hello' >/dev/null
wait_for 10 grep -q '^hello$' "$work/news" || wrong "the message did not arrive"
kill "$(cat "$work/listener")" 2>/dev/null
printf '  %-62s %s%s%s\n    hello\n' "SUBSCRIBE news ... PUBLISH news hello" "$dim" "published on one server, heard on all" "$plain"

step "7. memcached through kvmux"
echo "  \$ memccp --servers=127.0.0.1:$mc_port FILE ... memccat --servers=127.0.0.1:$mc_port KEY"
printf '  %s%-16s %-12s %-8s %s%s\n' "$dim" key value server address "$plain"
i=0
for key in basket-17 basket-18 basket-19 basket-20; do
    i=$((i + 1))
    printf '%s' "$i apples" >"$work/$key"
    memccp --servers="127.0.0.1:$mc_port" "$work/$key" >/dev/null 2>&1 || wrong "set $key failed"
    value=$(memccat --servers="127.0.0.1:$mc_port" "$key" 2>&1)
    [ "$value" = "$i apples" ] || wrong "get $key did not return its value"
    IFS=$'\t' read -r _ server address < <(where sessions "$key")
    printf '  %-16s %-12s %-8s %s\n' "$key" "$value" "${server:-?}" "${address:-?}"
    [ "$(memccat --servers="$address" "$key" 2>/dev/null)" = "$i apples" ] || wrong "$key is not on $server"
done
stats=$( (exec 3<>"/dev/tcp/127.0.0.1/$stats_port" && cat <&3) 2>/dev/null)
[[ $stats == *'"cache":'*'"sessions":'* ]] || wrong "no statistics on port $stats_port"
page=$( (exec 3<>"/dev/tcp/${admin/:/\/}" && printf 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3 && cat <&3) 2>/dev/null)
[[ $page == 'HTTP/1.1 200 OK'*'</html>'* ]] || wrong "no page at http://$admin/"

kill -0 "$kvmux_pid" 2>/dev/null || {
    wrong "kvmux is gone"
    tail -n 20 "$work/kvmux.log" | sed 's/^/  /'
}
if [ $failed = yes ]; then
    die "something did not work; the end of kvmux's log:" "$work/kvmux.log"
fi
if [ $check = yes ]; then
    kill -TERM "$kvmux_pid"
    wait "$kvmux_pid"
    rc=$?
    [ $rc -eq 0 ] || die "kvmux ended with status $rc instead of 0 after SIGTERM; the end of its log:" "$work/kvmux.log"
    echo
    echo "quickstart: all good"
    finish 0
fi

red_port=$(sed -n 's/.*127\.0\.0\.1:\([0-9]*\):1 red$/\1/p' "$conf")
echo
echo "${bold}It runs.${plain} Try it from another terminal:"
echo
printf '  %-50s %s\n' \
    "redis-cli -p $redis_port" "any Redis client works, with this address" \
    "memccat --servers=127.0.0.1:$mc_port basket-17" "any memcached client, with this one" \
    "redis-cli -p $red_port shutdown nosave" "ends the server \"red\": kvmux gives its keys to the others" \
    "http://$admin/" "a page that shows it live, in a browser" \
    "cat < /dev/tcp/127.0.0.1/$stats_port" "statistics as JSON (in bash)"
cat <<END
  ./build/kvmux -c $conf --where cache some-key

  configuration   $conf
  log             $work/kvmux.log

Ctrl-C stops everything that was started here.
END
while kill -0 "$kvmux_pid" 2>/dev/null; do
    wait "$kvmux_pid"
done
die "kvmux ended; the end of its log:" "$work/kvmux.log"
