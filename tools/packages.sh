# packages.sh: for quickstart.sh and test.sh, which source it: Debian packages, ports, waiting.

# need_packages LOG PACKAGE...: installs those that are missing. With nothing missing it needs no network and no root.
# Services of new packages are not started: the scripts run their own servers on ports of their own.
need_packages() {
    local log=$1 missing=() p sudo='' policy=/usr/sbin/policy-rc.d made='' rc=0
    shift
    for p in "$@"; do
        dpkg -s "$p" 2>/dev/null | grep -q '^Status: install ok installed' || missing+=("$p")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || {
            echo "missing packages: ${missing[*]}; run as root, or install them with: apt-get install ${missing[*]}" >&2
            return 1
        }
        sudo=sudo
    fi
    echo "installing ${missing[*]}"
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null && $sudo chmod 755 $policy && made=yes
    fi
    {
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get -q update &&
            $sudo env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "${missing[@]}"
    } >>"$log" 2>&1 </dev/null || rc=1
    [ -n "$made" ] && $sudo rm -f $policy
    if [ $rc -ne 0 ]; then
        echo "installing failed; the end of $log:" >&2
        tail -n 15 "$log" >&2
    fi
    return $rc
}

# What a build of kvmux needs.
BUILD_PACKAGES=(gcc libc6-dev meson ninja-build pkg-config libyaml-dev libc-ares-dev libssl-dev libmicrohttpd-dev)

# port_taken PORT: somebody listens there on loopback.
port_taken() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# free_port FIRST: sets PORT to the first port from FIRST on that nobody listens on.
free_port() {
    PORT=$1
    while port_taken "$PORT"; do
        PORT=$((PORT + 1))
    done
}

# wait_for SECONDS COMMAND...: until it succeeds; 1 when it does not in time.
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -ge $end ] && return 1
        sleep 0.05
    done
}
