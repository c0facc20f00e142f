#!/bin/sh
# Writes the locks: one to run Fuze from the repository, one to check it too, one per service. They
# name no host, so that they are the same whatever index they were made from. Needs uv on the PATH;
# `make lock` sees to that.
set -eu
cd "$(dirname "$0")/.."

own= # our own packages are installed from the source tree, never from an index
for project in libs/* services/*; do
    own="$own --no-emit-package fuze-$(basename "$project")"
done

compile() {
    output=$1
    shift
    uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
        --no-emit-index-url --custom-compile-command "make lock" \
        $own --output-file "$output" "$@"
    echo "$output"
}

compile requirements-dev.lock "$@" --group pyproject.toml:dev libs/*/pyproject.toml services/*/pyproject.toml
# The same versions, of the packages that `make demo` needs.
compile requirements.lock --constraint requirements-dev.lock --group pyproject.toml:setup \
    $(ls libs/*/pyproject.toml services/*/pyproject.toml | grep -v ^libs/testing/)
compile deploy/uv.lock --constraint requirements-dev.lock --group pyproject.toml:uv
for service in services/*; do
    compile "$service/requirements.lock" "$@" "$service/pyproject.toml"
done
compile deploy/build.lock "$@" --group pyproject.toml:build
# Tools, each lock in an environment of its own.
compile deploy/tools.lock "$@" --group pyproject.toml:tools
compile deploy/checkov.lock "$@" --group pyproject.toml:checkov
compile deploy/docs.lock "$@" --group pyproject.toml:docs
compile deploy/pictures.lock "$@" --group pyproject.toml:pictures
# The packages of the programs that `fuze bench` compares Fuze with, in an environment of its own.
compile libs/bench/rivals.lock "$@" libs/bench/rivals.in
