#!/bin/sh
# Installs a lock into an environment, and packages of this repository in place:
#
#     deploy/install.sh .venv requirements.lock libs/contracts …
#
# uv does in seconds what takes pip a minute. pip fetches it, from the index that pip knows; where uv
# finds no index (behind a mirror that only pip is told of), pip installs everything.
set -eu
venv=$1 lock=$2
shift 2

pip() {
    "$venv/bin/python" -m pip --disable-pip-version-check "$@"
}

index=${PIP_INDEX_URL:-$(pip config get global.index-url 2>/dev/null || true)}
if [ -n "$index" ] && [ -z "${UV_DEFAULT_INDEX:-}" ]; then
    export UV_DEFAULT_INDEX="$index"
fi

pip install --quiet --require-hashes -r deploy/uv.lock
if ! "$venv/bin/python" -m uv --quiet pip install --python "$venv/bin/python" \
    --compile-bytecode --require-hashes -r "$lock"; then
    echo "uv could not install $lock; pip does, which takes longer …"
    pip install --quiet --require-hashes -r "$lock"
fi

for package; do
    set -- "$@" --editable "./$package"
    shift
done
if [ $# -gt 0 ]; then
    pip install --quiet --no-deps --no-build-isolation "$@"
fi
