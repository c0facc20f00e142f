#!/bin/sh
# Installs a lock into an environment, and packages of this repository in place:
#
#     deploy/install.sh .venv requirements.lock libs/contracts …
#
# uv does in seconds what takes pip a minute. pip fetches it, from the index that pip knows. Where uv
# fails, for instance because it finds no index, pip installs the same.
set -eu
venv=$1 lock=$2
shift 2

pip() {
    "$venv/bin/python" -m pip --disable-pip-version-check "$@"
}

install() {
    if ! "$venv/bin/python" -m uv --quiet pip install --python "$venv/bin/python" "$@"; then
        echo "uv cannot install here; pip does, which takes longer …"
        pip install --quiet "$@"
    fi
}

export UV_COMPILE_BYTECODE=1 # as pip does: eight processes start at once, and would each compile
index=${PIP_INDEX_URL:-$(pip config get global.index-url 2>/dev/null || true)}
if [ -n "$index" ]; then
    export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}"
fi

pip install --quiet --require-hashes -r deploy/uv.lock
install --require-hashes -r "$lock"
for package; do
    set -- "$@" --editable "./$package"
    shift
done
if [ $# -gt 0 ]; then
    install --no-deps --no-build-isolation "$@"
fi
