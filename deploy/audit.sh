#!/bin/sh
# Checks what the images are made of: `make audit`.
set -eu
cd "$(dirname "$0")/.."
tools=.venv/tools/bin

# B104 and B608 are the same rules as ruff's S104 and S608; each exception in the code has its reason there.
"$tools/bandit" --quiet --severity-level medium --skip B104,B608 --recursive \
    libs/contracts/src libs/psp/src libs/runtime/src services/*/src

packages=$(sed -n 's/^\([a-z0-9._-]*\)==.*/\1/p' services/*/requirements.lock | sort --unique)
# shellcheck disable=SC2086 - a list of packages
"$tools/pip-licenses" --python .venv/bin/python --from mixed --partial-match --format csv \
    --allow-only "MIT;Apache;BSD;PSF;Public Domain;Mozilla Public License 2.0" \
    --packages $packages >/dev/null

"$tools/hadolint" deploy/Dockerfile deploy/proxy/Dockerfile
echo "code, licences and Dockerfiles pass"
