# Every command that a developer or CI runs; `make` prints them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := $(patsubst %/pyproject.toml,%,$(wildcard libs/*/pyproject.toml services/*/pyproject.toml))
TESTING := libs/testing
TOOLS := $(VENV)/tools/.ready
RUNS := $(VENV)/.runs
READY := $(VENV)/.ready
TESTS ?=
# One more than cores: tests also wait, but each worker starts servers of its own.
WORKERS ?= 3
CLIENTS := tests-e2e/clients
NODE = cd $(CLIENTS) && node_modules/.bin/
PYTEST = $(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
PROOF = FUZE_FUZZ_PHASES=examples,coverage,fuzzing,stateful FUZE_FUZZ_EXAMPLES=120 FUZE_FUZZ_MIN_CASES=5000 \
	FUZE_LISTED_ORDERS=1000000 FUZE_EVENT_STREAMS=1000 FUZE_OPEN_ORDERS=10000 \
	FUZE_PAYMENT_CRASH_ORDERS=500 FUZE_STATE_MACHINE_EXAMPLES=200 FUZE_WEBHOOK_ORDERS=1000
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Temporal's sandbox imports a workflow's modules for each run of it: without bytecode it compiles.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo up test tests lint format types imports unit e2e fuzz chaos chaos-defects bench bench-gateway observability-check mutation api-lint api-clients proof migrate revision openapi client histories services settings new-service no-name lock images docs docs-serve pictures diagrams reference clean deploy-check deploy-lint release audit sbom

##@ Run it
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(RUNS) ## Start a stack on free ports, run six orders, show their timelines, stop
	@$(BIN)/fuze demo

up: $(RUNS) ## Start a stack on the default ports until Ctrl-C; its state stays in .fuze/
	@$(BIN)/fuze up

##@ Check it
test: $(READY) ## Lint, types, import rules, and all tests: the one command
	@$(MAKE) --no-print-directory --jobs 2 --output-sync lint imports
	@$(MAKE) --no-print-directory --jobs 2 types tests # at once: neither keeps two cores busy

tests:
	$(PYTEST) -m "not proof" $(if $(TESTS),$(TESTS),--cov --cov-report=term --durations=10)

lint: $(READY) ## Style and common errors (ruff), spelling and vocabulary (codespell)
	$(BIN)/ruff format --check --quiet
	$(BIN)/ruff check --quiet
	@git ls-files -z | xargs -0 $(BIN)/codespell
	@git ls-files -z | xargs -0 $(BIN)/codespell --dictionary deploy/banned_words.txt --regex "$$(cat deploy/banned_words.regex)"

format: $(READY) ## Format the code and fix what ruff can fix
	$(BIN)/ruff check --fix --quiet || true
	$(BIN)/ruff format --quiet

types: $(READY) ## Types (mypy --strict)
	$(BIN)/mypy --num-workers 2 $(PACKAGES:%=%/src) deploy

imports: $(READY) ## Who may import whom (import-linter)
	$(BIN)/lint-imports --no-cache

unit: $(READY) ## All tests except the end-to-end tests
	$(PYTEST) -m "not proof" --durations=10 libs services

e2e: $(READY) ## Only the end-to-end tests, against stacks of their own
	$(PYTEST) -m "not proof" --durations=10 tests-e2e

##@ Prove it (takes minutes to hours)
proof: $(READY) ## Everything at full size, before a release
	$(PROOF) $(BIN)/pytest --durations=20 --junit-xml=.fuze/proof.xml
	$(MAKE) mutation

fuzz: $(READY) ## Send more than 5,000 valid and invalid requests, made from the OpenAPI description
	$(PROOF) $(BIN)/pytest -rP tests-e2e/test_fuzz.py

chaos: $(READY) ## Run orders under faults, then compare all records: make chaos N=10000 SEED=42
	@$(BIN)/fuze chaos --orders $(or $(N),500) $(if $(SEED),--seed $(SEED)) $(if $(FAULTS),--faults $(FAULTS))

chaos-defects: $(READY) ## Inject each known defect: the checker must report every one of them
	$(BIN)/pytest tests-e2e/test_chaos.py -m proof -k defect

bench: $(READY) ## Measure Fuze beside a bare Temporal program, DBOS and Celery: make bench QUICK=1
	@$(BIN)/fuze bench $(if $(QUICK),--quick)

bench-gateway: $(READY) ## Compare the gateway with a minimal handler that runs the same query
	$(BIN)/python services/gateway/tests/bench.py

observability-check: $(READY) ## Check alerts and dashboards with a real Prometheus (needs prometheus and promtool)
	@command -v prometheus promtool > /dev/null || { echo "install prometheus and promtool: apt-get install prometheus" >&2; exit 1; }
	$(BIN)/pytest tests-e2e/test_observability_configuration.py

mutation: $(READY) ## Mutate the code that moves money: the tests must notice each change
	$(BIN)/python services/payment/tests/mutation.py

api-lint: $(CLIENTS)/node_modules ## Lint docs/reference/openapi.json with the rules of Redocly and Spectral (needs Node.js)
	@$(NODE)redocly lint ../../docs/reference/openapi.json --max-problems 1000
	@$(NODE)spectral lint ../../docs/reference/openapi.json --fail-severity hint

api-clients: $(READY) $(CLIENTS)/node_modules ## Generate TypeScript clients, compile them, and run them against a stack (needs Node.js)
	rm -rf $(CLIENTS)/generated $(CLIENTS)/build
	@$(NODE)openapi-typescript ../../docs/reference/openapi.json --output generated/openapi_typescript.ts
	@$(NODE)openapi-ts
	@$(NODE)tsc
	@$(BIN)/python $(CLIENTS)/run.py

##@ Read it
docs: $(VENV)/docs/.ready ## Build the documentation site in dist/site; its links and anchors must exist
	@NO_MKDOCS_2_WARNING=1 $(VENV)/docs/bin/mkdocs build && echo dist/site/index.html

docs-serve: $(VENV)/docs/.ready ## Serve the site on http://127.0.0.1:8001, and build it again after each change
	@NO_MKDOCS_2_WARNING=1 $(VENV)/docs/bin/mkdocs serve --dev-addr 127.0.0.1:8001

##@ Deploy it
images: ## Build the image of each service
	FUZE_REVISION=$$(git rev-parse --short HEAD) docker compose build

deploy-check: $(READY) $(TOOLS) ## Can a service be deployed beside its version before? make deploy-check SERVICE=order
	@$(BIN)/python deploy/check.py $(SERVICE)

deploy-lint: $(TOOLS) $(VENV)/checkov/.ready ## Render the Kubernetes manifests; check them and the Dockerfiles
	@deploy/lint.sh

release: ## Check, freeze, build and tag a release: make release VERSION=0.1.0 [DRY_RUN=1 SKIP_PROOF=1 SKIP_TESTS=1]
	@$(PYTHON) deploy/release.py "$(VERSION)" $(if $(DRY_RUN),--dry-run) $(if $(SKIP_PROOF),--skip-proof) $(if $(SKIP_TESTS),--skip-tests)

audit: $(READY) $(TOOLS) ## Insecure code (bandit), licences of the dependencies, Dockerfiles (hadolint)
	@deploy/audit.sh

sbom: $(TOOLS) ## Write the bill of materials of each image to dist/sbom (CycloneDX)
	@mkdir -p dist/sbom
	@for service in $(notdir $(wildcard services/*)); do \
		$(VENV)/tools/bin/cyclonedx-py requirements services/$$service/requirements.lock \
			--pyproject services/$$service/pyproject.toml --output-reproducible \
			--output-file dist/sbom/fuze-$$service.cdx.json && echo dist/sbom/fuze-$$service.cdx.json || exit 1; \
	done

##@ Change it
setup: $(READY) ## Create .venv from the locks

migrate: $(RUNS) ## Upgrade the schemas of the stack in .fuze/ to their newest revisions
	@$(BIN)/fuze migrate

revision: $(READY) ## Write a migration: make revision SERVICE=order MESSAGE="add a column"
	@$(BIN)/fuze revision $(SERVICE) --message "$(MESSAGE)"

openapi: $(READY) ## Generate docs/reference/openapi.json, problems.md and operations.md from the code
	@FUZE_DATABASE_URL=postgresql://nowhere/ $(BIN)/python -m fuze_gateway export-openapi docs/reference
	@$(BIN)/python deploy/generate_reference.py

client: $(READY) ## Generate the sync client from the async one
	@$(BIN)/python deploy/generate_client.py

histories: $(READY) ## Record the workflow histories that the replay tests use
	$(BIN)/python tests-e2e/record_histories.py

pictures: $(READY) $(VENV)/pictures/.ready ## Make docs/pictures from the code and a running stack: make pictures REPORT=.fuze/chaos/…/report.html
	$(BIN)/python tests-e2e/record_pictures.py $(if $(REPORT),--report $(REPORT))
	@$(MAKE) --no-print-directory diagrams

diagrams: $(READY) $(VENV)/pictures/.ready ## Draw only the diagrams and charts of docs/pictures, from the code and what was recorded
	@cd deploy && ../$(BIN)/python -m pictures

new-service: $(if $(NAME),$(READY),no-name) ## Create a service from the template: make new-service NAME=inventory
	@$(BIN)/python deploy/new_service.py "$(NAME)"
	@PATH="$(CURDIR)/$(BIN):$$PATH" deploy/lock.sh
	@$(MAKE) --no-print-directory reference # installs the service, whose commands are in it

no-name:
	@echo "a service needs a name: make new-service NAME=inventory" >&2; exit 1

reference: $(READY) ## Generate the pages of docs/reference that the code determines
	@$(BIN)/python deploy/generate_reference.py

services: $(READY) ## Generate compose, roles.sql and package lists from services.toml
	@$(BIN)/python deploy/generate.py

settings: $(READY) ## Generate docs/reference/settings.md and the list of known variables from the settings classes
	@$(BIN)/python deploy/generate_settings.py

lock: $(READY) ## Write the locks from the pyproject files; UPGRADE=1 takes newer versions
	@PATH="$(CURDIR)/$(BIN):$$PATH" deploy/lock.sh $(if $(UPGRADE),--upgrade)

clean: ## Delete .venv and all caches; .fuze/ stays (`fuze reset` deletes it)
	rm -rf $(VENV) $(CLIENTS)/node_modules $(CLIENTS)/generated $(CLIENTS)/build .coverage* .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

$(CLIENTS)/node_modules: $(CLIENTS)/package-lock.json
	cd $(CLIENTS) && npm ci
	@touch $@

# What `make demo` and `make up` need is installed first, by itself; the tools come on top of it.
$(READY): $(RUNS) requirements-dev.lock
	@echo "adding the tools to $(VENV) …"
	@deploy/install.sh $(VENV) requirements-dev.lock $(TESTING)
	@touch $@

$(VENV)/%/.ready: deploy/%.lock | $(RUNS)
	@echo "making $(VENV)/$* …"
	@$(PYTHON) -m venv --clear $(VENV)/$*
	@deploy/install.sh $(VENV)/$* deploy/$*.lock
	@touch $@

$(RUNS): requirements.lock deploy/uv.lock $(PACKAGES:%=%/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit("Fuze needs Python 3.11 or newer; name one: make PYTHON=python3.13" if sys.version_info < (3, 11) else 0)'
	@echo "making $(VENV) …"
	@$(PYTHON) -m venv --clear $(VENV)
	@deploy/install.sh $(VENV) requirements.lock $(filter-out $(TESTING),$(PACKAGES))
	@pwd -P > $@

# An environment knows its own path: one that was moved, or lost its Python, is made again.
ifneq ($(shell [ -x $(BIN)/python ] && [ "$$(cat $(RUNS) 2>/dev/null)" = "$$(pwd -P)" ] && echo usable),usable)
.PHONY: $(RUNS)
endif
