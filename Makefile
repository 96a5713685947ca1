# Needs Python 3.11 or newer with venv and pip, git and make. Set-up is the only part that uses the network.
PYTHON ?= python3
PROJECT := <<cookiecutter.project_slug>>
export UV_PYTHON_DOWNLOADS := never
# No cache may lie among the sources that are rendered.
export PYTHONDONTWRITEBYTECODE := 1
export RUFF_CACHE_DIR = $(CURDIR)/.ruff_cache
export MYPY_CACHE_DIR = $(CURDIR)/.mypy_cache
UV := .tools/bin/uv

.PHONY: help demo test test-fast lint format bench lock golden clean

help:
	@echo "make demo       generate a project with the default answers, run it, approve its model and ask it"
	@echo "make test       test the template and the projects it renders"
	@echo "make test-fast  the same without what takes longest: the projects' own commands, faults, upgrades"
	@echo "make lint       check style and types of the template and, in place, of what it renders"
	@echo "make format     put the code into style"
	@echo "make bench      measure generating and running against their alternatives"
	@echo "make golden     renew the golden pipeline definition"
	@echo "make lock       renew the locks of the template and of the project"
	@echo "make clean      remove environments and what demo and tests left"

.tools/.complete: locks/tools.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make demo PYTHON=python3.13"; exit 1; }
	$(PYTHON) -m venv --clear .tools
	.tools/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement locks/tools.txt
	@touch $@

.venv/.complete: locks/dev.txt .tools/.complete
	$(UV) venv --quiet --clear --python $(PYTHON) .venv
	$(UV) pip sync --quiet --python .venv --require-hashes --compile-bytecode locks/dev.txt
	@touch $@

DEMO := demo/doctor-visits
DEMO_MLOPS := cd $(DEMO) && .venv/bin/python -m mlops

# A demonstration that is there already is used as it is: it may have been played with. `make clean` removes it.
demo/.complete: | .tools/.complete
	rm -rf demo
	.tools/bin/cookiecutter . --no-input --output-dir demo
	cd $(DEMO) && git init --quiet && git add . && git -c user.name=demo -c user.email=demo@localhost \
		-c commit.gpgsign=false -c core.hooksPath=/dev/null commit --quiet -m "Generate the project"
	@touch $@

demo: demo/.complete
	@$(MAKE) --no-print-directory -C $(DEMO) setup PYTHON=$(PYTHON)
	@echo "== python -m mlops run: validate, prepare, train, evaluate, gate, register"
	@$(DEMO_MLOPS) run
	@echo "== python -m mlops approve latest"
	@$(DEMO_MLOPS) approve latest --comment "the demonstration"
	@echo "== python -m mlops invoke data/request.csv: a probability for each row"
	@$(DEMO_MLOPS) invoke data/request.csv
	@echo "== python -m mlops models"
	@$(DEMO_MLOPS) models
	@echo "== The project is yours: $(DEMO). Its report: $$(ls -d $(DEMO)/.mlops/runs/*/report.html | tail -n 1)"

test: .venv/.complete lint
	.venv/bin/python -m pytest -n 2

test-fast: .venv/.complete
	.venv/bin/python -m pytest -n 2 -m "not slow"

lint: .venv/.complete
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	cd '$(PROJECT)' && ../.venv/bin/mypy

format: .venv/.complete
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench: .venv/.complete
	.venv/bin/python benchmarks/generate.py
	.venv/bin/python benchmarks/local_run.py

golden: .venv/.complete
	REFRESH_GOLDEN=1 .venv/bin/python -m pytest tests/mlops/test_compile.py

COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links --upgrade

# The project's locks are made from a rendered project; the template's hold the same versions.
lock: .tools/.complete
	rm -rf build/lock && mkdir -p build
	.tools/bin/cookiecutter . --no-input --output-dir build project_slug=lock
	$(MAKE) -C build/lock lock
	cp build/lock/locks/*.txt '$(PROJECT)/locks/'
	$(COMPILE) build/lock/pyproject.toml --constraint build/lock/locks/dev.txt \
		--group pyproject.toml:generate --group pyproject.toml:dev --group build/lock/pyproject.toml:dev \
		--output-file locks/dev.txt
	$(COMPILE) --group pyproject.toml:generate --constraint locks/dev.txt --output-file locks/tools.txt

clean:
	rm -rf .tools .venv build demo
