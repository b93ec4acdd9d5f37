# make run and make test are each enough on a fresh clone: they set up what they need.
PYTHON := $(shell command -v python3.11 || command -v python3)
# uv makes the locked environment; where it is missing it is installed into a folder of the project.
UV := $(shell command -v uv || echo .uv/bin/uv)

# Every command here starts Python processes that import much: each would compile all of it again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup run test test-unit test-spark test-services test-emr test-engines test-s3 test-ui test-serve test-benchmarks connectors chaos permissions ui notebook audit lint bench bench-small emr-emulator clean

setup: .venv/.locked

.venv/.locked: uv.lock pyproject.toml
	@test -x "$$(command -v $(UV))" || ($(PYTHON) -m venv .uv && .uv/bin/python -m pip install --quiet uv)
	$(UV) sync --locked --quiet
	.venv/bin/python -m spark_steps.spark.class_archive_training
	@# Writes the bytecode of what fruits run imports: it may be run where PYTHONDONTWRITEBYTECODE is set.
	.venv/bin/python -c "import fruits_assets.definitions, fruits_assets.jobs.pipeline"
	@touch $@

run: setup
	.venv/bin/fruits demo

# Files, not tests, are shared out: their fixtures take longer than most tests.
PYTEST_OF = .venv/bin/pytest -n $(1) --dist loadfile --no-loadscope-reorder
PYTEST := $(call PYTEST_OF,2)
# One process more than cores: these tests wait for other processes for a fifth of their time.
PYTEST_THAT_WAITS := $(call PYTEST_OF,3)
# Browsers, servers and processes may be late on a busy machine: their tests have more time, are run once more, and the summary
# names those.
RERUNS := --reruns 1 -raR --timeout 600

# It ends with the first stage in which a test fails. Stages whose tests start much of the same are one run. Of lint's programs the
# slow one, mypy, uses one core: the unit tests use the other meanwhile.
test: setup
	$(UV) lock --check --quiet
	@$(MAKE) --no-print-directory --jobs 2 lint test-unit
	@$(MAKE) --no-print-directory test-spark
	@$(MAKE) --no-print-directory test-services

# About a minute.
test-unit: setup
	@echo "== Stage: unit =="
	$(PYTEST) tests/unit

test-spark: setup connectors
	@echo "== Stage: spark, store, dagster, erasure =="
	$(PYTEST) tests/spark tests/store tests/dagster tests/erasure

test-services: setup connectors
	@echo "== Stage: benchmarks, ui, serve, emr, engines, s3 =="
	$(PYTEST_THAT_WAITS) $(RERUNS) tests/benchmarks tests/ui tests/serve tests/emr tests/engines tests/s3

# Each of them alone.
test-emr test-engines test-s3 test-ui test-serve test-benchmarks: setup connectors
	@echo "== Stage: $(@:test-%=%) =="
	$(PYTEST_THAT_WAITS) $(RERUNS) tests/$(@:test-%=%)

# The emulator's connector for S3 and that of Delta Lake are fetched before, because Ivy is not made for two at once.
connectors: setup
	.venv/bin/python -c "from tests.emr_emulator.spark import delta_jars, s3_jars; s3_jars(); delta_jars()"

# Faults on purpose for so many minutes, and a comparison with undisturbed runs: make chaos SEED=1 MINUTES=10 (docs/faults.md).
chaos: setup
	.venv/bin/python -m tests.chaos --seed $(or $(SEED),1) --minutes $(or $(MINUTES),10) $(CHAOS)

# The table of docs/permissions.md: each permission is taken away once, which takes most of an hour. What is not in the table:
# make permissions PERMISSIONS=--missing
permissions: setup connectors
	.venv/bin/python -m tests.permissions $(PERMISSIONS)

# Known vulnerabilities of all that is locked. It asks PyPI, so that it fails where that cannot be reached, and is no part of
# make test, which sees that each file is locked with its hash (docs/security.md).
audit: setup
	$(UV) export --locked --all-groups --no-emit-project --no-annotate --quiet --output-file .venv/audited.txt
	$(UV) tool run pip-audit --strict --require-hashes --disable-pip --requirement .venv/audited.txt

lint: setup
	.venv/bin/ruff format --check --quiet .
	.venv/bin/ruff check --quiet .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo --no-cache

# IMAGES and STORE: those of the last run where they are not given. Ctrl-C ends it with code 130, which is no failure.
ui: setup
	.venv/bin/fruits ui $(if $(IMAGES),--images "$(IMAGES)") $(if $(STORE),--store "$(STORE)") $(if $(PORT),--port $(PORT)) || [ $$? = 130 ]

# The platform beside its rivals, which takes hours; for a part of it: make bench BENCH='--only pca' (docs/benchmarks.md).
# What the rivals need is added to .venv and changes nothing else in it; Daft has an environment of its own.
bench: setup
	$(UV) sync --locked --quiet --compile-bytecode --group bench
	$(UV) sync --locked --quiet --compile-bytecode --script benchmarks/contenders/features/daft.py
	.venv/bin/python -m benchmarks $(BENCH)

# Does it work? A few photos, one round, with the rivals that are installed.
bench-small: setup
	.venv/bin/python -m benchmarks --small --output .benchmarks

# JupyterLab with notebooks/explore.ipynb; STORE: that of make run where it is not given.
notebook: setup
	FRUITS_STORE="$(if $(filter s3://%,$(STORE)),$(STORE),$(abspath $(or $(STORE),sample/store)))" $(UV) run --locked --quiet --group explore jupyter lab notebooks/explore.ipynb

# AWS on this machine, for trying the emr deployment; what to paste into another terminal is printed. PORT: 5555 where it is
# not given.
emr-emulator: setup
	.venv/bin/python -m tests.emr_emulator --port $(or $(PORT),5555) --directory .emr-emulator --stack --photos

clean:
	rm -rf .venv .uv .dagster .benchmarks .emr-emulator sample .hypothesis .pytest_cache .ruff_cache .mypy_cache
