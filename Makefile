# Everything here needs Python 3.11 or newer, git and make; the first target that runs code makes
# .venv from requirements.lock. Another interpreter: make study PYTHON=python3.12
PYTHON ?= python3
# A version alone, as `make wheels` takes it, is that of another machine's Python.
ifneq ($(filter 3.%,$(PYTHON)),)
WHEELS_FOR := --python $(PYTHON)
override PYTHON := python3
endif
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
NOTEBOOKS := $(wildcard notebooks/*.ipynb)

# Published as source only. sam2 wants torch while it builds, so these three are built last, inside
# .venv: pip's separate build environment would fetch a second torch, of any version, unhashed.
SOURCE_ONLY := antlr4-python3-runtime iopath sam2
# The same masks everywhere: never compile sam2's optional CUDA hole filling (ours is pure torch).
export SAM2_BUILD_CUDA := 0

.PHONY: study quick beyond test lab lint docs bench lock wheels train-demo clean help

help:
	@echo "make study       the whole study on the embedded demo, into results/demo/"
	@echo "make quick       a first look: Table 1 and Figure 3 on two clips, into results/quick/"
	@echo "make beyond      rules beyond the paper, into results/beyond/: half an hour"
	@echo "make test        the tests"
	@echo "make lab         JupyterLab on the notebooks"
	@echo "make lint        ruff, pyright, who imports whom, and notebooks without outputs"
	@echo "make docs        write docs/settings.md afresh from the settings' fields"
	@echo "make bench       ratios to stock sam2, measured side by side, into benchmarks/results.json"
	@echo "make train-demo  train the demo models afresh, into runs/"
	@echo "make lock        resolve requirements.lock afresh from pyproject.toml"
	@echo "make wheels      wheels for a machine without a network, into wheels/ (README says how)"
	@echo "make clean       remove caches and results (.venv and runs/ stay)"

study: $(VENV)/.ready
	$(BIN)/sam2vss study --profile demo --out results --workers 2

quick: $(VENV)/.ready
	$(BIN)/sam2vss study --profile quick --out results --workers 2
	@echo "Done: open results/quick/report.html"

beyond: $(VENV)/.ready
	$(BIN)/sam2vss study --profile beyond --out results --workers 2

test: $(VENV)/.ready
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile

lab: $(VENV)/.ready
	$(BIN)/jupyter lab --notebook-dir=notebooks

lint: $(VENV)/.ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(if $(shell command -v actionlint),actionlint)
	$(if $(NOTEBOOKS),$(BIN)/nbstripout --verify --keep-id $(NOTEBOOKS))

docs: $(VENV)/.ready
	PYTHONPATH=. $(BIN)/python docs/settings.py > docs/settings.md

bench: $(VENV)/.ready
	$(BIN)/python -m benchmarks --out benchmarks/results.json

train-demo: $(VENV)/.ready
	$(BIN)/python -m demo_training.sam2 --out runs/demo-sam2 --processes 2
	$(BIN)/python -m demo_training.segmentors.segformer --out runs/demo-segformer
	$(BIN)/python -m demo_training.words.clip --out runs/demo-words
	@echo "Weights are in runs/. To ship them, copy and measure:"
	@echo "  cp runs/demo-sam2/sam2_micro.safetensors sam2vss_lib/masklets/demo/"
	@echo "  cp runs/demo-segformer/*.safetensors sam2vss_lib/segmentors/demo/"
	@echo "  cp runs/demo-words/model/* sam2vss_lib/isam2/words/demo/"
	@echo "  $(BIN)/python -m demo_training.segmentors.temporal --out runs/demo-temporal"
	@echo "    # on the SegFormers' encoders in place"
	@echo "  cp runs/demo-temporal/*.safetensors sam2vss_lib/segmentors/demo/"
	@echo "  $(BIN)/python -m demo_training.sam2.quality" \
	    "--out sam2vss_lib/masklets/demo/quality.json"
	@echo "(runs/demo-*/*_metrics.json measure the base models), then mend the model cards."

# Versions already in requirements.lock are kept where pyproject.toml allows them.
lock: $(VENV)/.ready
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra study --extra cluster \
	    --extra dev --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
	    --custom-compile-command "make lock" --output-file requirements.lock pyproject.toml

# EXTRAS=none, or names of extras: without torch and torchvision, and what else BESIDE names.
EXTRAS ?= all
BESIDE ?= torch torchvision
wheels: $(VENV)/.ready
	$(BIN)/python docs/wheels.py $(WHEELS_FOR) --extras "$(EXTRAS)" --beside "$(BESIDE)" \
	    --source-only "$(SOURCE_ONLY)" --out wheels

clean:
	rm -rf results build dist .pytest_cache .ruff_cache .hypothesis *.egg-info
	find sam2vss_lib tests notebooks -name __pycache__ -prune -exec rm -rf {} +
	find notebooks -name .ipynb_checkpoints -prune -exec rm -rf {} +

# The stamp is written last, so an interrupted set-up is taken up again by the next make.
$(VENV)/.ready: pyproject.toml requirements.lock
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	    $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || { \
	        echo "sam2vss needs Python 3.11 or newer, and '$(PYTHON)' is not (its answer:" \
	            "$$($(PYTHON) --version 2>&1 | head -n 1)); try: make PYTHON=python3.11" >&2; \
	        exit 1; }; \
	    $(PYTHON) -m venv --clear $(VENV); }
	@echo "Setting up $(VENV) from requirements.lock: some minutes, about 6 GB on Linux."
	@awk -v names=" $(SOURCE_ONLY) " '/^[^ #]/ { split($$1, name, "=="); \
	        file = index(names, " " name[1] " ") ? "source" : "wheels" } \
	    file { print > "$(VENV)/" file ".lock" }' requirements.lock
	$(PIP) install --no-deps --require-hashes -r $(VENV)/wheels.lock
	$(PIP) install --no-deps --require-hashes --no-build-isolation -r $(VENV)/source.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	$(PIP) check
	@touch $@
