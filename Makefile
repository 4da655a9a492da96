# The two commands that matter: `make demo` and `make test`. Both set up what they need first.
PYTHON ?= python3
VENV   ?= .venv
RUN     = $(VENV)/bin
READY   = $(VENV)/.ready

.PHONY: demo test lint types tests tests-grading tests-lessons lab build site setup clean

demo: setup  ## build the student version, grade a small class, show marks, messages and feedback pages
	$(RUN)/course build --check 02-vae || $(RUN)/course build 02-vae
	$(RUN)/course demo

test: lint types tests  ## everything CI runs

lint: setup
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .

types: setup
	$(RUN)/mypy

# Two halves of about the same length, side by side; `pytest` runs both, one after the other.
GRADING = tests/grading tests/guard tests/hand_in tests/feedback tests/builder tests/test_pretend_gpu.py

tests: setup
	$(MAKE) --no-print-directory --jobs=2 tests-grading tests-lessons

tests-grading: setup
	$(RUN)/python -m pytest $(GRADING)

tests-lessons: setup
	$(RUN)/python -m pytest tests $(GRADING:%=--ignore=%)

lab: setup  ## JupyterLab on the student notebooks
	$(RUN)/jupyter lab notebooks

build: setup  ## rebuild every lesson whose source changed
	$(RUN)/course build

site: setup  ## the lessons without solutions, and the guides, as a static site in build/site
	$(RUN)/course site

setup: $(READY)

# Both distributions, in place; their pyproject.toml files are the only lists of dependencies.
$(READY): pyproject.toml course_lib/pyproject.toml constraints.txt
	test -x $(RUN)/python || $(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ./course_lib -e '.[test]'
	touch $(READY)

clean:  ## remove what grading and building leave behind, not your submissions
	rm -rf demo build .pytest_cache .mypy_cache .ruff_cache
