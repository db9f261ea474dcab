#!/bin/sh
# Says whether the machine has what a step needs, and brings it where that is possible.
#   need.sh base PYTHON | node | test | full
# Ends with 2 and the exact command when somebody with more rights has to install something.
set -eu
cd "$(dirname "$0")/.."

fail() {
    echo "$*" >&2
    exit 2
}

base() {
    [ -n "$1" ] || fail "Python 3.11 or newer is missing. On Debian: apt-get install python3 python3-venv"
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "Python 3.11 or newer is needed; $1 is $("$1" -V 2>&1). Name another one: make PYTHON=/path/to/python3.11 run"
    "$1" -c 'import ssl, sqlite3, venv, ensurepip' 2>/dev/null ||
        fail "$1 lacks venv, ssl or sqlite3. On Debian: apt-get install python3-venv"
}

node_fits() {
    npm --version >/dev/null 2>&1 && node -e '
        const [major, minor] = process.versions.node.split(".").map(Number);
        process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)' 2>/dev/null
}

# Node 20.19 or newer of the machine, else the one that comes as a Python wheel into .venv/node.
frontend_node() {
    node_fits && return
    echo "No Node 20.19 or newer on this machine; bringing one into .venv/node."
    scripts/install.sh node
    PATH="$(pwd)/.venv/node/bin:$PATH"
    node_fits || fail "Node 20.19 or newer is needed to build the pages and could not be installed.
On Debian: apt-get install nodejs npm (12 has an older one; another source is named on the site of Node)"
}

has_postgres() {
    command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1
}

# Debian's packages for what is missing; $@ are the parts.
debian() {
    missing=""
    for part in "$@"; do
        case "$part" in
        redis) command -v redis-server >/dev/null || command -v valkey-server >/dev/null || missing="$missing redis-server" ;;
        postgres) has_postgres || missing="$missing postgresql" ;;
        chromium) [ -n "${CHROMIUM:-}" ] || command -v chromium >/dev/null || missing="$missing chromium" ;;
        fonts) [ -n "$(ls /usr/share/fonts/truetype 2>/dev/null)" ] || missing="$missing fonts-liberation" ;;
        esac
    done
    [ -n "$missing" ] || return 0
    line="apt-get -y --no-install-recommends install$missing"
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        fail "Missing:$missing. As root, on Debian:
    $line
Or name what is somewhere else: $elsewhere"
    fi
    echo "Installing from Debian:$missing"
    # Only the programs are wanted, not a server on the usual port that nobody asked for.
    mkdir -p /etc/postgresql-common
    conf=/etc/postgresql-common/createcluster.conf
    grep -qs create_main_cluster "$conf" || echo "create_main_cluster = false" >>"$conf"
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
    apt-get -qq update &&
        apt-get -qq -y -o DPkg::Lock::Timeout=600 --no-install-recommends install $missing >/dev/null ||
        fail "apt could not install them. Try: $line"
}

case "$1" in
base) base "${2:-}" ;;
node) frontend_node ;;
test)
    parts="fonts chromium"
    elsewhere="TEST_DATABASE_URL, TEST_REDIS_URL, and CHROMIUM for the program."
    [ -n "${TEST_REDIS_URL:-}" ] || parts="$parts redis"
    [ -n "${TEST_DATABASE_URL:-}" ] || parts="$parts postgres"
    debian $parts
    ;;
full)
    parts=""
    elsewhere="DATABASE_URL and REDIS_URL."
    [ -n "${REDIS_URL:-}" ] || parts="$parts redis"
    [ -n "${DATABASE_URL:-}" ] || parts="$parts postgres"
    debian $parts
    ;;
*) fail "need.sh: unknown step '$1'" ;;
esac
