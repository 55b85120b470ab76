# Two commands for a new user: `make demo` and `make test`. Each makes .venv from the lock file when it has to.
PYTHON ?= python3
KIND ?= cpu
VENV := .venv
BIN := $(VENV)/bin
ROOT ?= data
STAMP := $(VENV)/.installed-$(KIND)

.DEFAULT_GOAL := help
.PHONY: help demo test bench lint lock clean install

help:
	@echo "make demo    run the main job with the embedded model: a sealed version in $(ROOT)/demo, and a policy trained on it"
	@echo "make test    run the whole test suite"
	@echo "make bench   measure: prints ratios, asserts nothing"
	@echo "make lint    ruff and mypy"
	@echo "make clean   remove what these commands made, but not your datasets"

demo: $(STAMP)
	@$(BIN)/pairwright build demo --root $(ROOT)
	@$(BIN)/pairwright train demo --recipe demo --root $(ROOT)

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

bench: $(STAMP)
	@for file in tests/bench/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lock: $(STAMP)
	PATH="$(CURDIR)/$(BIN):$$PATH" requirements/lock.sh $(LOCK_OPTIONS)

install: $(STAMP)

# uv comes from the machine or from the package registry, into the environment itself. A CPU build of torch comes from
# the folder PIP_FIND_LINKS names, where it is set, and else from the index uv knows as the cpu backend.
$(STAMP): requirements/$(KIND).lock requirements/overrides-$(KIND).txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: Python 3.11 or later is needed, $(PYTHON) is older: run make PYTHON=python3.12" >&2; exit 3; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "make: $(PYTHON) cannot make a virtual environment: install its venv package (python3-venv)" >&2; exit 3; }
	@echo "installing into $(VENV) from requirements/$(KIND).lock"
	@command -v uv >/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@PATH="$(CURDIR)/$(BIN):$$PATH" uv pip install --python $(BIN)/python \
		$(if $(PIP_FIND_LINKS),--find-links "$(PIP_FIND_LINKS)",$(if $(filter cpu,$(KIND)),--torch-backend cpu)) \
		--override requirements/overrides-$(KIND).txt --requirement requirements/$(KIND).lock --editable .
	@rm -f $(VENV)/.installed-* && touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
