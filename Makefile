# Everything that a person or a pipeline runs; `make` alone prints this help.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LIBS := libs/contracts libs/runtime libs/devstack libs/testing libs/chaos
SERVICES := services/order services/payment services/shipping services/gateway services/sandbox
PACKAGES := $(LIBS) $(SERVICES)
READY := $(VENV)/.ready
TESTS ?=
# More workers than cores: tests wait more than they compute.
WORKERS ?= 4
PYTEST = $(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
PROOF = FUZE_FUZZ_EXAMPLES=120 FUZE_FUZZ_MIN_CASES=5000 FUZE_LISTED_ORDERS=1000000 \
	FUZE_PAYMENT_CRASH_ORDERS=500 FUZE_STATE_MACHINE_EXAMPLES=200
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo up test lint format types imports unit e2e proof fuzz chaos chaos-defects bench-gateway mutation migrate revision openapi histories lock images clean

##@ Run it
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY) ## Start a stack on free ports, play four orders, show their timelines, stop
	@$(BIN)/fuze demo

up: $(READY) ## Start everything on the default ports until Ctrl-C; state stays in .fuze/
	@$(BIN)/fuze up

##@ Check it
test: lint types imports $(READY) ## What decides whether a change may go in: every check, in minutes
	$(PYTEST) -m "not proof" $(if $(TESTS),$(TESTS),--cov --cov-report=term --durations=10)

lint: $(READY) ## Style and mistakes (ruff)
	$(BIN)/ruff format --check --quiet
	$(BIN)/ruff check --quiet

format: $(READY) ## Format the code and fix what can be fixed
	$(BIN)/ruff check --fix --quiet || true
	$(BIN)/ruff format --quiet

types: $(READY) ## Types (mypy --strict)
	$(BIN)/mypy $(PACKAGES:%=%/src)

imports: $(READY) ## Who may import whom (import-linter)
	$(BIN)/lint-imports --no-cache

unit: $(READY) ## The tests of the packages alone, without a running stack
	$(PYTEST) -m "not proof" --durations=10 libs services

e2e: $(READY) ## The end-to-end tests alone, against stacks of their own
	$(PYTEST) -m "not proof" --durations=10 tests-e2e

proof: $(READY) ## Everything at full size, before a release: an hour
	$(PROOF) $(BIN)/pytest --durations=20 --junit-xml=.fuze/proof.xml
	$(MAKE) mutation

fuzz: $(READY) ## More than five thousand requests that the API's description allows or forbids
	$(PROOF) $(BIN)/pytest -rP tests-e2e/test_fuzz.py

chaos: $(READY) ## Orders under faults, then every record compared: make chaos N=10000 SEED=42
	@$(BIN)/fuze chaos --orders $(or $(N),500) $(if $(SEED),--seed $(SEED)) $(if $(FAULTS),--faults $(FAULTS))

chaos-defects: $(READY) ## Inject every defect, one after another: each must make the checker fail
	$(BIN)/pytest tests-e2e/test_chaos.py -k defect

bench-gateway: $(READY) ## What the gateway costs beside a bare handler with the same query
	$(BIN)/python services/gateway/tests/bench.py

mutation: $(READY) ## Does a test notice when the money code is changed? Takes minutes
	$(BIN)/python services/payment/tests/mutation.py

##@ Change it
setup: $(READY) ## Make .venv from the locks

migrate: $(READY) ## Bring the schemas of the stack in .fuze/ to their newest revision
	@$(BIN)/fuze migrate

revision: $(READY) ## Write a migration: make revision SERVICE=order MESSAGE="add a column"
	@$(BIN)/fuze revision $(SERVICE) --message "$(MESSAGE)"

openapi: $(READY) ## Write docs/openapi.json and docs/problems.md from the code
	@FUZE_DATABASE_URL=postgresql://nowhere/ $(BIN)/python -m fuze_gateway export-openapi docs

histories: $(READY) ## Record the workflow histories that the replay tests hold
	$(BIN)/python tests-e2e/record_histories.py

lock: $(READY) ## Write the locks anew from the pyproject files (UPGRADE=1 takes newer versions)
	@PATH="$(CURDIR)/$(BIN):$$PATH" deploy/lock.sh $(if $(UPGRADE),--upgrade)

images: ## Build the images of the services
	docker compose build

clean: ## Delete the environment and every cache; .fuze/ stays (fuze reset deletes it)
	rm -rf $(VENV) .coverage* .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

$(READY): requirements-dev.lock $(PACKAGES:%=%/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit("Fuze needs Python 3.11 or newer; name one: make PYTHON=python3.13" if sys.version_info < (3, 11) else 0)'
	@echo "making $(VENV) …"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/pip install --quiet --require-hashes -r requirements-dev.lock
	@$(BIN)/pip install --quiet --no-deps --no-build-isolation $(PACKAGES:%=-e %)
	@touch $@
