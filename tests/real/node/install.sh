#!/bin/sh
# Puts ioredis, node-redis and memjs, and Node itself where the system's is older than 20, into tests/real/.npm (not in git).
# Prints the path of the node to use. Run by ./test.sh; running it again is quick.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=$here/../.npm
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)

major() { "$1" -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0; }

if ! command -v npm >/dev/null 2>&1; then
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get install -y --no-install-recommends npm >&2
fi

npm_install() { npm install --prefix "$cache" --no-package-lock --no-audit --no-fund --loglevel=error "$@" >&2; }

if ! cmp -s "$here/package.json" "$cache/package.json.done"; then
    cp "$here/package.json" "$cache/package.json"
    npm_install
    cp "$here/package.json" "$cache/package.json.done"
fi

node=$(command -v node || true)
if [ -z "$node" ] || [ "$(major "$node")" -lt 20 ]; then
    node=$cache/node_modules/.bin/node
    # the clients' own folder is left alone: npm would prune what package.json does not name
    if [ "$(major "$node")" -lt 20 ]; then
        npm_install --no-save node@20
    fi
fi
[ "$(major "$node")" -ge 20 ] || { echo "no node of version 20 or later: $node" >&2; exit 1; }
printf '%s\n' "$node" > "$cache/node-path"
printf '%s\n' "$node"
