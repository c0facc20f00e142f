#!/bin/sh
# Writes the locks: one to run Fuze from the repository, one to check it too, one per service. They
# name no host, so that they are the same whatever index they were made from. Needs uv on the PATH;
# `make lock` sees to that.
set -eu
cd "$(dirname "$0")/.."

compile() {
    output=$1
    shift
    uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
        --no-emit-index-url --custom-compile-command "make lock" \
        --no-emit-package fuze-contracts --no-emit-package fuze-runtime \
        --no-emit-package fuze-devstack --no-emit-package fuze-order \
        --no-emit-package fuze-payment --no-emit-package fuze-shipping \
        --no-emit-package fuze-gateway --output-file "$output" "$@"
    echo "$output"
}

compile requirements-dev.lock "$@" --group pyproject.toml:dev libs/*/pyproject.toml services/*/pyproject.toml
# The same versions, of the packages that `make demo` needs.
compile requirements.lock --constraint requirements-dev.lock --group pyproject.toml:setup \
    libs/*/pyproject.toml services/*/pyproject.toml
compile deploy/uv.lock --constraint requirements-dev.lock --group pyproject.toml:uv
for service in services/*; do
    compile "$service/requirements.lock" "$@" "$service/pyproject.toml"
done
compile libs/devstack/sandbox.lock "$@" --group libs/devstack/pyproject.toml:sandbox
compile deploy/build.lock "$@" --group pyproject.toml:build
