#!/bin/sh
# Renders the manifests and checks them, and the Dockerfiles: `make deploy-lint`.
set -eu
cd "$(dirname "$0")/.."
tools=.venv/tools/bin
rendered=$(mktemp -d)
trap 'rm -r "$rendered"' EXIT

for overlay in deploy/kubernetes/overlays/*/; do
    file="$rendered/$(basename "$overlay").yaml"
    "$tools/kubectl" kustomize "$overlay" >"$file"
    # Without a warning for each custom resource (KEDA, Temporal), for which it has no schema.
    "$tools/kubernetes-validate" --strict --no-warn --quiet "$file"
done
.venv/checkov/bin/checkov --config-file deploy/checkov.yaml --directory "$rendered"
"$tools/hadolint" deploy/Dockerfile deploy/proxy/Dockerfile
echo "the manifests and Dockerfiles are valid"
