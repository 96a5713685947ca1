# Needs Python 3.11.2 or newer with venv and pip, git and make. Set-up is the only part that uses the network.
PYTHON ?= python3
PROJECT := <<cookiecutter.project_slug>>
export UV_PYTHON_DOWNLOADS := never
# No cache may lie among the sources that are rendered.
export PYTHONDONTWRITEBYTECODE := 1
export RUFF_CACHE_DIR = $(CURDIR)/.ruff_cache
export MYPY_CACHE_DIR = $(CURDIR)/.mypy_cache
UV := .tools/bin/uv
# What a project that uses it installs, see its Makefile: the build, for the CPU or for CUDA, is pip's configuration.
TORCH := torch==2.13.0
FRAMEWORKS := xgboost sklearn pytorch

.PHONY: help demo test test-fast test-nightly lint format docs bench lock upgrade-locks golden clean

help:
	@echo "make demo       generate a project and run its whole loop: train, serve, watch, retrain, promote"
	@echo "make test       test the template and the projects it renders"
	@echo "make test-fast  run on each save: style, types, rendering with the default answers, units of the machinery"
	@echo "make test-nightly what takes too long for each change: further sets of answers, every Region"
	@echo "make lint       check style and types of the template and, in place, of what it renders"
	@echo "make format     format the code"
	@echo "make docs       build the documentation as a site: build/site/index.html"
	@echo "make bench      measure generating and running against their alternatives"
	@echo "make golden     renew the golden pipeline definition"
	@echo "make lock       bring the locks of the template and of the project up to their pyproject.toml"
	@echo "make upgrade-locks   renew them with the newest versions"
	@echo "make clean      remove environments, the demo and test output"

.tools/.complete: locks/tools.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11, 2))' \
		|| { echo "Python 3.11.2 or newer is needed: make demo PYTHON=python3.13"; exit 1; }
	$(PYTHON) -m venv --clear .tools
	.tools/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement locks/tools.txt
	@touch $@

.venv/.complete: locks/dev.txt .tools/.complete
	$(UV) venv --quiet --clear --python $(PYTHON) .venv
	$(UV) pip sync --quiet --python .venv --require-hashes --compile-bytecode locks/dev.txt
	.tools/bin/pip --python .venv install --quiet --disable-pip-version-check $(TORCH)
	@touch $@

.checkov/.complete: locks/checkov.txt .tools/.complete
	$(UV) venv --quiet --clear --python $(PYTHON) .checkov
	$(UV) pip sync --quiet --python .checkov --require-hashes --compile-bytecode locks/checkov.txt
	@touch $@

.docs/.complete: locks/docs.txt .tools/.complete
	$(UV) venv --quiet --clear --python $(PYTHON) .docs
	$(UV) pip sync --quiet --python .docs --require-hashes --compile-bytecode locks/docs.txt
	@touch $@

# AWS's code, which exists as sources only, is built with the setuptools of its own lock. Tests work in copies.
.aws-images/%/.complete: locks/aws-images-%.txt .tools/.complete
	$(UV) venv --quiet --clear --relocatable --python $(PYTHON) $(@D)
	$(UV) pip sync --quiet --python $(@D) --require-hashes --build-constraints $< --compile-bytecode $<
	@touch $@

DEMO := demo/doctor-visits

demo/.complete: | .tools/.complete
	rm -rf demo
	.tools/bin/cookiecutter . --no-input --output-dir demo
	cd $(DEMO) && git init --quiet && git add . && git -c user.name=demo -c user.email=demo@localhost \
		-c commit.gpgsign=false -c core.hooksPath=/dev/null commit --quiet -m "Generate the project"
	@touch $@

# Each step says its command first, so that it can be repeated by hand.
demo: demo/.complete
	@test ! -e demo/.shown || { echo "It has run already: look around in $(DEMO), or start over: rm -rf demo"; exit 1; }
	@$(MAKE) --no-print-directory -C $(DEMO) setup PYTHON=$(PYTHON)
	@if [ -e $(DEMO)/.mlops ]; then echo "Starting over: an earlier demonstration was interrupted."; cd $(DEMO) \
		&& { .venv/bin/python -m mlops serve --stop >/dev/null 2>&1 || true; } && $(MAKE) --no-print-directory clean \
		&& rm -f data/raw/later.csv; fi
	@set -e; cd $(DEMO); trap '.venv/bin/python -m mlops serve --stop >/dev/null 2>&1 || true' EXIT; \
	step() { printf '\n== python -m mlops %s\n' "$$*"; .venv/bin/python -m mlops "$$@"; }; \
	step run; \
	step approve latest --comment "the first one"; \
	step serve --detach --port 0; \
	step invoke data/request.csv; \
	step traffic --rows 2000 --seed 1; \
	step monitor; \
	step traffic --rows 4000 --seed 2 --drift 1 --labels data/raw/later.csv; \
	step monitor --retrain; \
	step models 1 2; \
	step approve latest --comment "trained on what is asked now"; \
	step serve --detach --port 0; \
	step invoke data/request.csv; \
	step models; \
	step serve --stop; \
	printf '\n== The project is yours: $(DEMO). Open in a browser:\n'; \
	ls -1d "$$PWD"/.mlops/runs/*/report.html "$$PWD"/.mlops/s3/*/*/monitoring/*/*/report/report.html
	@touch demo/.shown

# ARGS=--costs shows what tests take, by file and by folder.
PYTEST := .venv/bin/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder $(ARGS)

ENVIRONMENTS := .venv/.complete .checkov/.complete .docs/.complete $(FRAMEWORKS:%=.aws-images/%/.complete)

test: $(ENVIRONMENTS) lint
	.venv/bin/python -m tests.environments
	$(PYTEST)

test-fast: lint
	$(PYTEST) -m "not slow and not nightly" tests/render tests/machinery

test-nightly: $(ENVIRONMENTS)
	.venv/bin/python -m tests.environments
	$(PYTEST) -m nightly

lint: .venv/.complete
	.venv/bin/ruff check --config pyproject.toml .
	.venv/bin/ruff format --check --config pyproject.toml .
	.venv/bin/mypy
	cd '$(PROJECT)' && ../.venv/bin/mypy src pipelines mlops modelkit tests
	cd '$(PROJECT)' && ../.venv/bin/lint-imports ../pyproject.toml --cache-dir ../.import_linter_cache

format: .venv/.complete
	.venv/bin/ruff check --fix --config pyproject.toml .
	.venv/bin/ruff format --config pyproject.toml .

docs: .docs/.complete
	NO_MKDOCS_2_WARNING=1 .docs/bin/mkdocs build --strict --site-dir build/site
	@echo "Open build/site/index.html in a browser."

bench: .venv/.complete
	.venv/bin/python benchmarks/generate.py
	.venv/bin/python benchmarks/overview.py
	.venv/bin/python benchmarks/local_run.py
	.venv/bin/python benchmarks/batch.py

golden: .venv/.complete
	REFRESH_GOLDEN=1 .venv/bin/python -m pytest tests/machinery/compile/test_compile.py

COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links

# The locks of projects are made from rendered ones; one that only deploys tests with less. The template's are made from
# the default project's, so that tests run what its users run, with what the other frameworks need beside it.
upgrade-locks: COMPILE += --upgrade
lock upgrade-locks: .tools/.complete
	for framework in $(FRAMEWORKS); do \
		rm -rf build/lock-$$framework \
		&& .tools/bin/cookiecutter . --no-input --output-dir build project_slug=lock-$$framework framework=$$framework \
		&& $(MAKE) -C build/lock-$$framework $@ \
		&& cp build/lock-$$framework/locks/dev.txt build/lock-$$framework/locks/runtime.txt \
			'$(PROJECT)/locks/'$$framework/ \
		&& rm -rf build/deploy-$$framework \
		&& .tools/bin/cookiecutter . --no-input --output-dir build project_slug=deploy-$$framework framework=$$framework \
			project_scope=deploy monitoring=off \
		&& $(COMPILE) build/deploy-$$framework/pyproject.toml --group build/deploy-$$framework/pyproject.toml:dev \
			--constraint build/lock-$$framework/locks/dev.txt --output-file '$(PROJECT)/locks/'$$framework/deploy.txt \
		|| exit 1; \
	done
	cp build/lock-xgboost/locks/setup.txt '$(PROJECT)/locks/'
	$(COMPILE) build/lock-xgboost/pyproject.toml --constraint build/lock-xgboost/locks/dev.txt \
		--group pyproject.toml:generate --group pyproject.toml:dev --group build/lock-xgboost/pyproject.toml:dev \
		--output-file locks/dev.txt
	$(COMPILE) --group pyproject.toml:generate --constraint locks/dev.txt --output-file locks/tools.txt
	$(COMPILE) --group pyproject.toml:checkov --output-file locks/checkov.txt
	$(COMPILE) --group pyproject.toml:docs --output-file locks/docs.txt
	for framework in $(FRAMEWORKS); do \
		$(COMPILE) --group pyproject.toml:aws-images-$$framework --output-file locks/aws-images-$$framework.txt || exit 1; \
	done

# The marks first: what is left when this is interrupted is not taken for complete.
clean:
	rm -f .tools/.complete .venv/.complete .checkov/.complete .docs/.complete .aws-images/*/.complete .environments/*/key demo/.complete
	rm -rf .tools .venv .checkov .docs .aws-images .environments build demo
