# Needs make and Python 3.11 or later. Everything else goes into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: test demo bench clean

test: $(VENV)/dev.installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest -n 2
	$(BIN)/nox --session "versions(lowest)" "versions(last-0.x)" "versions(last-1.x)"

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
	rm -rf $(VENV)

$(VENV)/package.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade 'pip>=25.1'
	$(PIP) install --quiet --editable .
	touch $@

$(VENV)/dev.installed: $(VENV)/package.installed
	$(PIP) install --quiet --group dev
	touch $@
