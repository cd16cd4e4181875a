# `make` lists what can be made. Another interpreter for .venv: make PYTHON=python3.12 book

PYTHON ?= python3
PROFILE ?= ci
JOBS ?= 2
PORT ?= 8000
COURSE ?= assignments
PAPER ?= a4
SLIDES ?= slides
REQUIREMENTS ?= requirements.txt

# One thread a process: notebooks and tests run side by side, and more threads would be several times slower.
export OMP_NUM_THREADS := 1
export OMP_WAIT_POLICY := PASSIVE
export REQUIREMENTS # a test compares them with what is installed
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Whatever the locale is.
export PYTHONUTF8 := 1

BIN := .venv/bin
# Of all packages with their hashes. Other requirements, as the lowest, are tried without.
LOCK := $(if $(filter requirements.txt,$(REQUIREMENTS)),requirements.lock)
HASH := $(shell $(PYTHON) -c "import hashlib, pathlib, sys; print(hashlib.sha256(b''.join(p.read_bytes() for p in map(pathlib.Path, sys.argv[1:]) if p.exists())).hexdigest()[:16])" $(REQUIREMENTS) $(LOCK))
INSTALLED := .venv/.installed-$(HASH)
# nbgrader brings JupyterLab and more: it has an environment of its own, which sees the packages of the other one.
NBGRADER := nbgrader==0.9.6
GRADING := .venv-nbgrader/.installed-$(NBGRADER)
UV := uv==0.13.9

.DEFAULT_GOAL := help
.PHONY: help book pdf test check serve chapter pair kernel references student assignments slides lock clean

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

book: $(INSTALLED) ## execute the notebooks that changed and build the book: _build/html/index.html
	$(BIN)/python book/check_chapters.py --to-build
	$(BIN)/python book/build.py --profile $(PROFILE) --jobs $(JOBS)

pdf: browser book ## write the book as a PDF: _build/pdf/medlatent.pdf; PAPER=letter, API=1: with the API reference
	$(BIN)/python book/pdf.py --paper "$(PAPER)" $(if $(API),--api)

test: browser lint book $(GRADING) ## build the book and test everything, in a browser too
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --nbval-lax --durations=15

check: lint ## the fast part of the tests: format, lint, pairs in step, unit tests; SLOW=1: with slow ones
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "not built and not browser and not nbgrader and not recorded and not executes$(if $(SLOW),, and not slow)"

serve: port book ## show the book at http://127.0.0.1:8000, or PORT=8001
	@$(BIN)/python book/serve.py $(PORT)

student: $(INSTALLED) ## collect the student's edition of the exercises: _build/student
	$(BIN)/python book/exercises.py student

assignments: $(INSTALLED) ## write an nbgrader course with solutions: assignments, or COURSE=FOLDER
	$(BIN)/python book/exercises.py assignments --course "$(COURSE)"

slides: $(INSTALLED) ## derive and convert decks of slides, keeping edited ones: slides, or SLIDES=FOLDER [CHAPTER=vae]
	$(BIN)/python book/build.py --profile $(PROFILE) --jobs $(JOBS) $(if $(CHAPTER),--only "$(CHAPTER)",--execute)
	$(BIN)/python book/slides.py --to "$(SLIDES)" $(if $(CHAPTER),"$(CHAPTER)")

chapter: $(INSTALLED) ## write the skeleton of a chapter: SLUG=style_content [NUMBER=30] [TITLE="…"]
	$(BIN)/python book/chapter.py "$(SLUG)" $(if $(NUMBER),--number "$(NUMBER)") $(if $(TITLE),--title "$(TITLE)")

pair: $(INSTALLED) ## derive the .ipynb from the .py, and every public address from _config.yml
	$(BIN)/python book/address.py
	$(BIN)/python book/pair.py
	$(BIN)/python book/chapters.py

kernel: $(INSTALLED) ## assemble the explorer's kernel: medlatent/explore/web/kernel.wasm
	$(BIN)/python -c "from pathlib import Path; from wasmtime import wat2wasm; web = Path('medlatent/explore/web'); (web / 'kernel.wasm').write_bytes(wat2wasm((web / 'kernel.wat').read_text()))"

references: $(if $(CHAPTER),$(INSTALLED),book) ## store today's metrics and outputs for later builds; CHAPTER=vae: of one
	$(if $(CHAPTER),$(BIN)/python book/build.py --only "$(CHAPTER)")
	$(BIN)/python book/references.py $(CHAPTER)

lock: ## resolve requirements.txt: requirements.lock, all packages with hashes; without that file, the newest
	$(PYTHON) -m venv --clear _build/uv
	_build/uv/bin/python -m pip install --quiet $(UV)
	$(PYTHON) book/lock.py --uv _build/uv/bin/uv

clean: ## remove what was built; the environments, decks of slides and a course with its grades stay
	@if [ -e _build/build.lock ] && $(BIN)/python -c "import filelock" 2>/dev/null; then $(BIN)/python book/alone.py; fi
	@if [ -e _build/assignments ]; then \
	  echo "_build/assignments stays: it is a course of nbgrader. Move it out with: mv _build/assignments $(COURSE)"; \
	fi
	if [ -d _build ]; then find _build -mindepth 1 -maxdepth 1 ! -name assignments -exec rm -rf {} +; fi
	rm -rf .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

.PHONY: lint types environment browser port
environment: $(INSTALLED)

# First of all that make test does: without a browser its last part would fail, after most of an hour.
browser: $(INSTALLED)
	@$(BIN)/python book/browser.py

# First of all that make serve does, for the same reason.
port: $(INSTALLED)
	@$(BIN)/python book/serve.py $(PORT) --check

# Annotations of PyTorch and NumPy differ between their versions: the types are right for the pinned ones.
types: $(INSTALLED)
	$(BIN)/mypy
ifeq ($(REQUIREMENTS),requirements.txt)
lint: types
endif

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/deptry .
	$(BIN)/deptry book tests benchmarks data_scripts notebooks medlatent --config book/dependencies.toml
	$(BIN)/python book/address.py --check
	$(BIN)/python book/pair.py --check
	$(BIN)/python book/check_chapters.py

# torch by itself and exactly: a looser request on the way would fetch gigabytes of another build of it.
$(INSTALLED): $(REQUIREMENTS) $(LOCK)
	@$(PYTHON) -c "import sys; sys.exit('medlatent needs Python 3.11 or newer: make PYTHON=python3.12 ...' if sys.version_info < (3, 11) else 0)"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
ifdef LOCK
	@$(PYTHON) book/lock.py --check
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r $(LOCK)
endif
	$(BIN)/python -m pip install --quiet "$$(grep '^torch==' $(REQUIREMENTS))"
ifndef LOCK
	$(BIN)/python -m pip install --quiet -r $(REQUIREMENTS)
endif
	$(BIN)/python -m pip install --quiet --no-deps -e .
	@rm -f .venv/.installed-* && touch $@

$(GRADING): $(INSTALLED)
	@.venv-nbgrader/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv-nbgrader
	.venv-nbgrader/bin/python -m pip install --quiet $(NBGRADER)
	@.venv-nbgrader/bin/python -c "import pathlib, site, sys; pathlib.Path(site.getsitepackages()[0], 'medlatent.pth').write_text('\n'.join(sys.argv[1:]))" \
	  "$$($(BIN)/python -c 'import site; print(site.getsitepackages()[0])')" "$(CURDIR)"
	@rm -f .venv-nbgrader/.installed-* && touch $@
