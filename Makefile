# The commands that people and .ci/run call. `make` lists them. ARGS goes on to the command: make bench ARGS='disk --short'

PYTHON := .venv/bin/python
WITH_TESTS := PYTHONPATH=src:tests
# A folder outside the project with cases of how real software writes and rotates logs.
CASES ?=
# Case 20 wants the settings that take wrappers off; tests of ours have its lines.
CASES_LEFT_OUT := 20-%
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup run keys monitoring replace-admin test test-one lint types format docs bench torture flood cases audit \
  sbom ci clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand --tabs=15

setup: ## make .venv, with what tests and measurements need
	bash -c 'source scripts/common.sh; source scripts/processes.sh; prepare_venv requirements.txt requirements-test.txt requirements-bench.txt'

run: ## start everything, until Ctrl+C
	./start.sh $(ARGS)

keys: ## make, list or revoke keys of the containers: make keys ARGS='add operator'
	bash -c 'source scripts/common.sh; source scripts/containers.sh; load_settings; keys_of_containers "$$@"' keys $(ARGS)

monitoring: ## start Prometheus and Grafana beside the containers that run
	bash -c 'source scripts/common.sh; source scripts/containers.sh; start_monitoring'

replace-admin: ## give InfluxDB's admin a new token and password: the containers have to run
	bash -c 'source scripts/common.sh; source scripts/containers.sh; replace_admin'

test: ## run all tests
	./run_tests.sh $(ARGS)

test-one: ## run some tests, and stop at the first that fails: make test-one ARGS='tests/unit -k parser'
	$(PYTHON) -m pytest --exitfirst --quiet $(ARGS)

lint: ## check style, format and scripts
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	shellcheck --external-sources ./*.sh scripts/*.sh deploy/cluster/*.sh .ci/run

types: ## check types
	.venv/bin/mypy

format: ## mend style and format
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

docs: ## write the settings page, the comments of .env.local and the api's examples anew
	$(WITH_TESTS) $(PYTHON) tests/settings_page.py
	$(WITH_TESTS) $(PYTHON) tests/example_answers.py

bench: ## measure, an hour or more; ARGS names parts
	$(WITH_TESTS) $(PYTHON) -m bench $(ARGS)

flood: ## flood the log and the api for five minutes, and ask about real customers; ARGS as --seconds 60
	$(WITH_TESTS) $(PYTHON) -m flood $(ARGS)

torture: ## kill the processor again and again, and compare the store with the log
	$(WITH_TESTS) $(PYTHON) -m torture --store sqlite $(ARGS)

cases: ## run the cases of a folder, each with a store and ports of its own: make cases CASES=folder
	printf '%s\n' $(filter-out $(CASES_LEFT_OUT),$(notdir $(wildcard $(CASES)/[0-9]*))) | \
	  xargs --max-procs="$$((2 * $$(nproc)))" --max-args=1 $(CASES)/run

audit: .venv-audit ## ask whether a weakness is known of a package that is locked
	for lock in requirements.txt requirements-test.txt; do \
	  .venv-audit/bin/pip-audit --strict --disable-pip --require-hashes --requirement $$lock || exit; \
	done

sbom: .venv-audit ## write sbom.json, the list of the packages that run
	.venv-audit/bin/cyclonedx-py requirements --output-reproducible --output-format JSON --output-file sbom.json \
	  requirements.txt

# Apart from .venv: what audits is not audited with the rest.
.venv-audit: requirements-audit.txt
	python3 -m venv --clear $@
	$@/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	touch $@

ci: ## everything that has to hold before a change is taken; on a fresh Debian machine, as root
	.ci/run

clean: ## stop and remove everything that was made
	./cleanup.sh
