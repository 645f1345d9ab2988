# `make` alone lists the targets. Variables: PYTHON, TORCH_INDEX (see scripts/install.sh), HOST, PORT, VENV,
# WORKERS (processes that test at once).
HOST ?= 127.0.0.1
PORT ?= 8501
VENV ?= .venv
WORKERS ?= 3
BIN = $(VENV)/bin
# Files go to workers whole: what a file's tests make once, and their order, stay together.
# Modules are compiled once, not by each of the processes that tests start.
PYTEST = PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=20

.PHONY: help install install-dev run test test-wide check bench lock sbom advisories dockerfile clean

help:
	@sed -n 's/^\([a-z-]*\):.*## /make \1|/p' Makefile | awk -F'|' '{ printf "%-17s %s\n", $$1, $$2 }'

install: ## make or update the environment (.venv)
	@VENV="$(VENV)" sh scripts/install.sh

install-dev: ## the same, with what the tests need
	@VENV="$(VENV)" sh scripts/install.sh --dev

run: install ## open memviz at http://127.0.0.1:8501 (PORT=8600, HOST=0.0.0.0: see docs/sharing.md)
	$(BIN)/python -m streamlit run app.py --server.port $(PORT) --server.address $(HOST) --server.headless true

test: install-dev ## every test but the wide ones, in Chromium too; ends with the twenty slowest
	@$(BIN)/python tests/support/chromium.py
	$(PYTEST) -m "not wide"

test-wide: install-dev ## the wide tests alone: what `make test` takes a sample of, whole
	@$(BIN)/python tests/support/chromium.py
	$(PYTEST) -m wide

check: install-dev ## lint, format, types, layers, sizes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/oxlint -c memviz/figures/components/.oxlintrc.json --deny-warnings memviz/figures/components
	$(BIN)/python -m pytest -q tests/test_layers.py tests/test_sizes.py

bench: install-dev ## the speed ratios of bench/, of those that need no sweep
	@set -e; for file in $$(grep -L "required=True" bench/*.py); do echo "$$file"; $(BIN)/python "$$file"; done

UV_COMPILE = build/lock/bin/uv pip compile --quiet --generate-hashes --no-annotate --no-header
lock: ## resolve constraints.txt anew from the pins in requirements*.txt, with hashes
	python3 -m venv build/lock
	build/lock/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements-first.txt
	$(UV_COMPILE) --universal --python-version 3.11 \
		requirements.txt requirements-dev.txt requirements-ray.txt --output-file build/lock/all.txt
	{ echo '# The full lock, written by `make lock`: versions, and hashes of the usual index.'; \
		cat build/lock/all.txt; } > constraints.txt
	sed -n 's/==\([^ ]*\).*/==\1/p' requirements-first.txt > build/lock/first.in
	$(UV_COMPILE) --no-deps build/lock/first.in --output-file build/lock/first.txt
	{ grep '^#' requirements-first.txt; cat build/lock/first.txt; } > build/lock/first-new.txt
	mv build/lock/first-new.txt requirements-first.txt

sbom: ## what memviz is made of, as CycloneDX: build/sbom.json
	@python3 scripts/sbom.py build/sbom.json

advisories: ## ask osv.dev for advisories against the locked packages; skipped where it is out of reach
	@python3 scripts/advisories.py

dockerfile: ## run the Dockerfile's commands in a folder, without Docker
	$(BIN)/python scripts/run_dockerfile.py build/docker TORCH_INDEX="$(TORCH_INDEX)"

clean: ## remove what the tests and tools leave behind (not .venv, not cache/)
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -path './.venv*' -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
