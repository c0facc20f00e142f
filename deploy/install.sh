#!/bin/sh
# Installs a lock into an environment, and packages of this repository in place:
#
#     deploy/install.sh .venv requirements.lock libs/contracts …
#
# uv does in seconds what takes pip a minute. pip fetches it, and tells it the index and certificates
# that pip is configured with. Where uv fails, pip installs the same.
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

settings=$(pip config list) # those of files and of variables, as global.index-url='…'
setting() {
    echo "$settings" | sed -n "s/^.*[.]$1='\(.*\)'\$/\1/p" | tail -n 1
}

index=$(setting index-url) cert=$(setting cert)
[ -z "$index" ] || export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}"
[ -z "$cert" ] || export SSL_CERT_FILE="${SSL_CERT_FILE:-$cert}"
export UV_COMPILE_BYTECODE=1 # as pip does; else every process of the stack compiles for itself

pip install --quiet --require-hashes -r deploy/uv.lock
mkdir -p "$("$venv/bin/python" -m uv cache dir)" 2>/dev/null || export UV_NO_CACHE=1
install --require-hashes -r "$lock"
for package; do
    set -- "$@" --editable "./$package"
    shift
done
if [ $# -gt 0 ]; then
    install --no-deps --no-build-isolation "$@"
fi
