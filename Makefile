# make app    set up once, then serve the app on http://127.0.0.1:8501
# make test   set up once, then run all tests
# make check  lint, formatting and types
# make bench  all races against peers and hardware limits (long), then docs/performance.md
PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin

.PHONY: app test check lint types demo bench clean

app: $(VENV)/.installed
	$(BIN)/streamlit run app.py

# The browser's tests wait for trainings, so they have the machine to themselves.
test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m "not browser" -n $(WORKERS) --dist loadfile
	$(BIN)/python -m pytest -m browser

demo: $(VENV)/.installed
	$(BIN)/python -m compat_core demo

bench: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps -r benchmarks/requirements.txt
	$(BIN)/python -m benchmarks

check: lint types

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "CompatBench needs Python 3.11 or newer; try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --progress-bar off -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --progress-bar off -r requirements-dev.txt
	@touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
