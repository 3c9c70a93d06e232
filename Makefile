# `make run` and `make test` need Python ≥ 3.11 and a package index, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install run test soak check bench format lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; set PYTHON=") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

# What only runs, by hash. --no-deps: the lock names every package there is.
$(VENV)/.run: requirements/run.txt pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --require-hashes --no-deps -r requirements/run.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --require-hashes --no-deps -r requirements/dev.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.run

install: $(VENV)/.dev ## Make .venv with all that run, test, bench and check need

run: $(VENV)/.run ## Start the sidecar on 127.0.0.1:8080 (admin on 9090)
	@exec $(BIN)/sidecar serve $(ARGS)

test: $(VENV)/.dev ## Run the whole suite
	$(BIN)/python -m pytest $(ARGS)

soak: $(VENV)/.dev ## Run what takes minutes to hours: a thousand kills, 5,000 histories of money
	SIDECAR_MONEY_EXAMPLES=5000 $(BIN)/python -m pytest --timeout=14400 \
	  tests/budget/test_state_machine.py
	$(BIN)/python -m pytest -m slow $(ARGS)

check: $(VENV)/.dev ## Format, lint, types and import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## Format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# hnswlib has no wheels. Whoever has no C++ compiler measures without it.
$(VENV)/.peers: requirements/peers.txt $(VENV)/.dev
	-$(BIN)/pip install --quiet --require-hashes --no-deps --no-build-isolation -r requirements/peers.txt
	@touch $@

bench: $(VENV)/.peers ## Measure; tables on the terminal, exit status 1 where a target is missed
	@failed=0; for name in embed overhead gateway budget footprint search fill; do \
	  $(BIN)/python -m benchmarks.bench_$$name || failed=1; done; exit $$failed

lock: $(VENV)/.dev ## Write the hash locks anew from pyproject.toml
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 \
	  pyproject.toml --group build -o requirements/run.txt
	$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 \
	  pyproject.toml --extra test --extra bench --group check --group build --group build-peers \
	  -c requirements/run.txt -o requirements/dev.txt
	$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 \
	  --group pyproject.toml:peers -c requirements/dev.txt -o requirements/peers.txt

clean: ## Remove .venv and caches; state in .sidecar stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
