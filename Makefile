# make demo | score | test | test-fast | ui | viz | lint | help
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PORT_UI ?= 5000
PORT_VIZ ?= 4141
PORT_TUNE ?= 8080
# What `make viz` shows: your own data once there is some, the embedded corpora before.
ENV ?= $(if $(wildcard data/07_model_output/*/*),local,demo)
export DO_NOT_TRACK = 1
export MLFLOW_DISABLE_TELEMETRY = true
export PYTHONWARNINGS = ignore::FutureWarning

.DEFAULT_GOAL := help
.PHONY: help setup demo score test test-fast lint bench ui viz tune-dashboard clean-demo

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*## ' Makefile | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

setup: $(VENV)/.ready  ## a virtual environment with the pinned packages of requirements.lock

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else f"Python 3.11 to 3.13 is needed, this is {v[0]}.{v[1]}; say which: make $(MAKECMDGOALS) PYTHON=python3.12")'
	@echo "== Setting up $(VENV) with the packages of requirements.lock (a few minutes, once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --progress-bar on -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup  ## every stage on embedded synthetic corpora, offline
	@echo "== 1/3 Drawing, voicing and encoding two small synthetic corpora of clips in the release layouts of MELD and IEMOCAP, and a recording"
	@$(BIN)/kedro run --env=demo --pipelines=demo
	@echo "== 2/3 Ingestion, features of text, voice and face, training and report, tracked in MLflow"
	@$(BIN)/kedro run --env=demo
	@echo "== 3/3 Scoring the recording, which is synthetic as well, with the model that was just trained"
	@$(BIN)/kedro run --env=demo --pipeline=score --params=recordings=data/demo/01_raw/interview,model=meld/full
	@echo
	@echo "Done. Where to look:"
	@echo "  report   data/demo/08_reporting/full/report.html"
	@echo "  audit    data/demo/08_reporting/audit/meld_with_features.md, iemocap_with_features.md"
	@echo "  scored   data/demo/07_model_output/scored/meld-full/index.html"
	@echo "  make viz the pipelines as a graph"
	@echo "  make ui  the runs in MLflow"

# Who is scored, and by which model: make score FILE=interview.mp4 MODEL=meld/full
MODEL ?= meld/full

score: export FILE := $(FILE)
score: export MODEL := $(MODEL)
score: setup  ## emotions in a recording: make score FILE=interview.mp4 MODEL=meld/full
	@test -n "$$FILE" || { echo "say which recording: make score FILE=interview.mp4 MODEL=meld/full (docs/scoring.md)"; exit 1; }
	@$(BIN)/kedro run --env=$(ENV) --pipeline=score --params="recordings=$$FILE,model=$$MODEL"

# Processes that share the tests: make test JOBS=8
JOBS ?= 2
PYTEST = $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

test: setup  ## all tests (six minutes on two cores)
	@echo "== Tests (about six minutes on two free cores)"
	@$(PYTEST)
	@echo "Passed. Next: make demo, then make viz and make ui."

test-fast: setup  ## the quick ones, in a minute: no training, no media, no processes
	@$(PYTEST) -m "not slow"

lint: setup  ## ruff, import rules and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports --config pyproject.toml && $(BIN)/mypy

bench: setup  ## speed, memory, growth, overhead (half an hour; less: BENCH=--quick)
	@$(BIN)/python -m benchmarks.run $(BENCH)

# The store that `make ui` shows: STORE=sqlite:////elsewhere/mlflow.db
STORE ?= $(or $(filter sqlite:%,$(MLFLOW_TRACKING_URI)),sqlite:///mlflow.db)

ui: setup  ## MLflow's pages on 127.0.0.1
	@$(BIN)/python -m erc_kedro.tracking '$(STORE)'
	@echo "MLflow: http://127.0.0.1:$(PORT_UI)/#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=corpora   (Ctrl-C ends it)"
	@MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow server --host 127.0.0.1 --port $(PORT_UI) --allowed-hosts 'localhost:*,127.0.0.1:*' --workers 1 --backend-store-uri '$(STORE)'

viz: setup  ## Kedro-Viz on 127.0.0.1
	@echo "Kedro-Viz: http://127.0.0.1:$(PORT_VIZ)   (environment $(ENV); Ctrl-C ends it)"
	@$(BIN)/python -m erc_kedro.servers viz --port $(PORT_VIZ) --env $(ENV)

# The storage that `kedro run --pipeline=tune` fills, if it is not the journal: STUDIES=sqlite:///tune.db
STUDIES ?= $(if $(filter demo,$(ENV)),data/demo,data)/06_models/tuning/journal.log

tune-dashboard: setup  ## hyperparameter studies in optuna-dashboard on 127.0.0.1
	@test -n "$(findstring ://,$(STUDIES))" -o -f "$(STUDIES)" || { echo "$(STUDIES) does not exist yet; kedro run --env=$(ENV) --pipeline=tune makes it"; exit 1; }
	@echo "optuna-dashboard: http://127.0.0.1:$(PORT_TUNE)/dashboard   ($(STUDIES); Ctrl-C ends it)"
	@$(BIN)/python -m erc_kedro.servers studies --port $(PORT_TUNE) "$(STUDIES)"

clean-demo:  ## removes what the demo wrote
	@rm -rf data/demo
