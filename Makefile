# Everything runs from .venv, which is built from the lock file once, and again when the lock changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed.lock
# More workers than cores: some tests wait for what they killed, or for a network that is not there.
WORKERS := $$($(PYTHON) -c 'import os; print(os.cpu_count() + 2)')
# Modules are compiled once, whatever the environment says: hundreds of processes import them.
unexport PYTHONDONTWRITEBYTECODE
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder --durations 10

.PHONY: help environment browser demo lint check test unit suite nightly docs bench bench-gpu lock clean

help:
	@echo "make demo   train, register, classify a drawn clip   make check    lint, types, imports, spelling, unit tests"
	@echo "make test   all that a change must pass              make nightly  the tests' own simulators"
	@echo "make docs   the documentation, into outputs/site     make bench    speed of training and starts"
	@echo "make bench-gpu  what is claimed of a GPU"
	@echo "make lock   resolve the versions anew                make clean    remove .venv and caches"

# The copy of the lock is written last, so an interrupted installation starts over.
environment:
	@cmp -s requirements.lock $(INSTALLED) || { \
	  set -e; \
	  $(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'; \
	  echo "Building $(VENV) from requirements.lock (a few minutes, once)"; \
	  $(PYTHON) -m venv --clear $(VENV); \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock; \
	  cp requirements.lock $(INSTALLED); \
	}

demo: environment
	@$(BIN)/python train.py experiment=demo
	@$(BIN)/python register.py experiment=demo
	@$(BIN)/python infer.py experiment=demo model_uri=models:/fer-demo@champion

lint: environment
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

# The report's tests drive Debian's Chromium. Where it is missing and this is no root of a Debian, they are skipped.
browser:
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || { \
	  test "$$(id -u)" = 0 && command -v apt-get >/dev/null && echo "Installing Chromium for the report's tests" \
	  && { apt-get install -qq -y --no-install-recommends chromium chromium-driver >/dev/null 2>&1 \
	       || { apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium chromium-driver >/dev/null; }; }; \
	} || echo "Without chromium and chromium-driver the tests of the report in a browser are skipped"

# What one core checks, the other tests beside it.
check: environment
	@$(MAKE) --no-print-directory --jobs 2 lint unit

test: environment browser
	@$(MAKE) --no-print-directory --jobs 2 lint suite

# Quick tests wait for nothing.
unit: WORKERS := $$($(PYTHON) -c 'import os; print(os.cpu_count())')
unit: environment
	$(PYTEST) -m "not slow and not nightly"

suite: environment
	$(PYTEST) -m "not nightly"

nightly: environment
	$(PYTEST) -m nightly

# The theme would announce its makers' next project.
docs: environment
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "Documentation: outputs/site/index.html"

# With YUNET=FILE and CLIPS="FILE…" the pipeline of videos, too.
bench: environment
	$(BIN)/python -m benchmarks.train --rounds 3 --batches 8 dataset.batch_size=64 model.image_size=96 \
	  dataset.sources.synthetic.count=700
	$(if $(YUNET),$(BIN)/python -m benchmarks.yunet_runtimes --yunet $(YUNET) $(CLIPS))
	$(if $(YUNET),$(BIN)/python -m benchmarks.video --model pretrained --yunet $(YUNET) --rounds 2 $(CLIPS))
	$(BIN)/python -m benchmarks.sparse --minutes 2 --every 1 --rounds 2
	$(BIN)/python -m benchmarks.runtimes --rounds 5
	$(BIN)/python -m benchmarks.image_folder --images 1000 --rounds 2
	$(BIN)/python -m benchmarks.saturation --rounds 3
	$(BIN)/python -m benchmarks.transform --crops 1000 --rounds 3
	$(BIN)/python -m benchmarks.starts --rounds 1

bench-gpu: environment
	$(BIN)/python -m benchmarks.gpu

lock: environment
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-emit-index-url --no-emit-find-links -o requirements.lock
	$(BIN)/uv pip compile serving.in --constraint requirements.lock --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-emit-index-url --no-emit-find-links -o serving.lock
	$(BIN)/uv pip compile pyproject.toml jobs.in --extra aws --extra trackers --extra serve --extra analysis --extra study \
	  --extra export --extra google \
	  --constraint requirements.lock --no-emit-package opencv-python --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-emit-index-url --no-emit-find-links -o jobs.lock

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
