# `make run`: set-up and the main job. `make test`: set-up and every test. Both work in a bare clone.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test lint clean
.DELETE_ON_ERROR:

run: .venv/installed
	$(BIN)/modescope run

test: .venv/installed-test
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

lint: .venv/installed-test
	$(BIN)/ruff check .

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	touch $@

.venv/installed-test: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[test]'
	touch $@ .venv/installed

clean:
	rm -rf .venv runs
