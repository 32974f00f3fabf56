# Needs make and Python 3.11 or later. Everything else goes into .venv and .nox.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: test versions release nightly demo bench clean

# `make test T=tests/core/test_bounds.py` runs these tests, and nothing else.
test: $(VENV)/dev.installed
	$(if $(T),$(BIN)/pytest $(T),$(BIN)/nox --session lint types tests)

versions: $(VENV)/dev.installed
	$(BIN)/nox --session versions

release: $(VENV)/dev.installed
	$(BIN)/nox --session floors pythons nightly

nightly: $(VENV)/dev.installed
	$(BIN)/nox --session nightly

demo: $(VENV)/package.installed
	@$(BIN)/unbroken demo $(ARGS)

bench: $(VENV)/package.installed
	$(BIN)/python -m benchmarks.overhead
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.recovery
	$(BIN)/python -m benchmarks.scale
	$(if $(PEERS),$(BIN)/python -m benchmarks.peers)
	$(BIN)/python -m benchmarks.results

clean:
	rm -rf $(VENV) .nox

$(VENV)/package.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade 'pip>=25.1'
	$(PIP) install --quiet --editable .
	touch $@

$(VENV)/dev.installed: $(VENV)/package.installed
	$(PIP) install --quiet --group dev
	touch $@
