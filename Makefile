# `make` alone prints this help: every target with a `##` comment.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
MODEL  ?=
PORT   ?= 18000
# Tests run in this many processes, each file in one of them. Most of a test of a server is waiting.
JOBS   ?= 2
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help serve test test-fast soak check format lint types contracts docs coverage bench conformance deploy-check screenshots clean

help: ## Show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(VENV)/.installed-clients: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,clients]'
	@touch $@

serve: $(VENV)/.installed ## Install, fetch the default model, serve it on 127.0.0.1:18000 (MODEL=, PORT=)
	@exec $(BIN)/python -m obeaver serve $(MODEL) --port $(PORT)

test: $(VENV)/.installed-dev ## Install what tests need and run them all, on real models too (JOBS=)
	$(PYTEST)

test-fast: $(VENV)/.installed-dev ## Run the tests that need no real model
	$(PYTEST) -m 'not real and not slow'

check: $(VENV)/.installed-dev format lint types contracts docs coverage ## Format, lint, types, import contracts, docs and tests with coverage

format: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml obeaver

types: $(VENV)/.installed-dev
	$(BIN)/mypy

contracts: $(VENV)/.installed-dev
	$(BIN)/lint-imports

docs: $(VENV)/.installed-dev
	$(BIN)/python docs/write_reference.py --check

SOAK_MINUTES ?= 20

soak: $(VENV)/.installed-dev ## Everything at once for SOAK_MINUTES=20; five thousand pairs of forms; hostile bodies in full
	OBEAVER_SOAK_SECONDS=$$(($(SOAK_MINUTES) * 60)) $(BIN)/python -m pytest -s tests/e2e/test_mixed_load.py
	OBEAVER_FORM_PAIRS=5000 $(BIN)/python -m pytest tests/engine/test_forms_kept.py
	OBEAVER_HOSTILE_SCALE=1 $(BIN)/python -m pytest tests/e2e/test_hostile_bodies.py
	$(BIN)/python tests/soak_clients.py
	$(BIN)/python tests/soak_loading.py
	OBEAVER_FUZZ_EXAMPLES=2000 $(BIN)/python -m pytest tests/test_hostile_input.py tests/e2e/test_raw_sockets.py
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,fuzz]'
	$(BIN)/python tests/fuzz_openapi.py 15

coverage: $(VENV)/.installed-dev
	$(PYTEST) --cov --cov-report=term:skip-covered --cov-report=json:.coverage.json
	$(BIN)/python tests/check_coverage.py .coverage.json

$(VENV)/.installed-bench: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@

bench: $(VENV)/.installed-bench ## Measure every provider, runner and peer here (QUICK=1: within 3 minutes; ARGS=)
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick,--out benchmarks) $(ARGS)

conformance: $(VENV)/.installed-dev ## Ask the servers what the official SDKs ask; writes conformance/REPORT.md
	$(BIN)/python -m conformance all --start conformance/servers.json --gaps conformance/gaps.json --jobs 4 \
		--markdown conformance/REPORT.md
	$(BIN)/python -m conformance all --start conformance/dashboard.json --gaps conformance/gaps.json --jobs 4
	$(BIN)/python docs/write_reference.py

$(VENV)/.installed-deploy: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[deploy,ray]'
	@touch $@

deploy-check: $(VENV)/.installed-deploy ## Judge what stands in deploy/, with nginx and Ray Serve run for real
	$(BIN)/python -m pytest tests/deploy

screenshots: $(VENV)/.installed-dev ## Make the pictures of README and docs (needs Chromium)
	PYTHONPATH=tests $(BIN)/python tools/screenshots.py

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
