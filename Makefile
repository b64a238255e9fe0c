# make book PARAMS=params/smoke.yml   another parameter file
# make lab LAB=--allow-root           options of JupyterLab
# make book PYTHON=/path/to/python3   another Python for the virtual environment

.PHONY: book check test lab bench lint lock clean
.DEFAULT_GOAL := book
SHELL := /bin/sh
BIN := .venv/bin

book: .venv/.installed
	@$(BIN)/fesem book $(PARAMS)

# What needs no training, no kernel and no browser.
check: lint
	@$(pytest) -m "not slow"

test: check
	@$(pytest) -m slow --durations 20

lab: .venv/.installed
	@JUPYTER_CONFIG_PATH=.jupyter $(BIN)/jupyter lab --LabApp.default_url=/lab/tree/notebooks/README.md $(LAB)

bench: .venv/.installed
	@for benchmark in benchmarks/*.py; do $(BIN)/python "$$benchmark" || exit 1; done

lint: .venv/.tests-installed
	@$(BIN)/ruff check && $(BIN)/ruff format --check && $(BIN)/mypy && $(BIN)/lint-imports --no-logo

lock: .venv/.installed
	@$(find_uv) && "$$uv" pip compile --upgrade $(lock_options) pyproject.toml -o requirements.lock \
	  && "$$uv" pip compile --upgrade $(lock_options) --extra test --extra cluster -c requirements.lock pyproject.toml -o tests/requirements.lock

clean:
	@echo "removing build and the caches of the tools; .venv stays"
	@rm -rf build .mypy_cache .pytest_cache .ruff_cache .hypothesis */.ruff_cache */.ipynb_checkpoints */__pycache__ *.egg-info

# The stamp is written last: an interrupted installation is taken up again.
.venv/.installed: requirements.lock pyproject.toml
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { $(find_python) && "$$python" -m venv --clear .venv; }
	@echo "installing what requirements.lock names into .venv; the first time takes some minutes"
	@$(BIN)/python -m pip install -q --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	@touch $@

# What only the tests need, PoreSpy with its VTK above all, the book does without.
.venv/.tests-installed: .venv/.installed tests/requirements.lock
	@echo "installing what tests/requirements.lock adds to it"
	@$(BIN)/python -m pip install -q --require-hashes -r tests/requirements.lock
	@touch $@

# The first suitable Python: asked for its version, because a name on the PATH may be an empty shim.
suitable = import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
complete = import ensurepip, venv
candidates = $(or $(PYTHON),python3.13 python3.12 python3.11 python3 python)
define find_python
python= found=; for candidate in $(candidates); do \
	  "$$candidate" -c "$(suitable)" 2>/dev/null || continue; found=$$candidate; \
	  if "$$candidate" -c "$(complete)" 2>/dev/null; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "error: no Python >= 3.11 and < 3.14 among: $(candidates); name one with make PYTHON=…" >&2; exit 1; \
	elif [ -z "$$python" ]; then \
	  echo "error: $$found lacks venv or ensurepip; install them (Debian, Ubuntu: the package python3-venv)" >&2; exit 1; \
	fi
endef

# Many processes import the same modules: they are compiled once, whatever the environment says.
pytest = PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# uv from the PATH, else from a virtual environment of its own.
lock_options = -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --extra transfer
define find_uv
uv=$$(command -v uv) || { uv=build/uv/bin/uv; [ -x $$uv ] || \
	  { $(BIN)/python -m venv build/uv && build/uv/bin/python -m pip install -q uv; }; }
endef
