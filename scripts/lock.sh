#!/bin/sh
# Resolves the pinned requirements into locks with hashes: no host, no path, so that they fit every machine.
set -eu
cd "$(dirname "$0")/.."
# A developer's own indexes must not leak into what everybody installs.
unset PIP_FIND_LINKS PIP_INDEX_URL PIP_EXTRA_INDEX_URL
export PIP_CONFIG_FILE=/dev/null
resolve() {
    .venv/bin/uv pip compile --quiet --no-config --python-version 3.11 --universal --generate-hashes --no-header "$@"
}
resolve scripts/uv.txt -o scripts/uv.lock
resolve scripts/node.txt -o scripts/node.lock
resolve requirements.txt -o requirements.lock
resolve -c requirements.lock tests/requirements.txt -o tests/requirements.lock
