"""Imports what processes need that are forked from the one that imports this (``tests.forkserver``).

It imports nothing of the project: a copy of that runs in some of them.
"""

import gc
import sys
from contextlib import suppress
from importlib import import_module

LIBRARIES = (
    "accelerate",
    "alembic.command",
    "alembic.config",
    "attrs",
    "av",
    "cv2",
    "dynaconf",
    "fsspec.implementations.local",
    "hypothesis.strategies",
    "jinja2",
    "joblib.externals.loky",
    "kedro.framework.cli",
    "kedro.framework.session",
    "kedro.runner",
    "kedro.validation.parameter_validator",
    "kedro_datasets.json",
    "kedro_datasets.pandas",
    "kedro_datasets.partitions",
    "kedro_datasets.plotly",
    "kedro_datasets.text",
    "kedro_telemetry.plugin",
    "kedro_viz.integrations.kedro.hooks",
    "kedro_viz.integrations.kedro.run_hooks",
    "kedro_viz.launchers.cli.main",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "multiprocessing.managers",
    "omegaconf._impl",
    "optuna",
    "pandera.pandas",
    "pathspec",
    "plotly.express",
    "plotly.graph_objects",
    "safetensors.torch",
    "scipy.signal",
    "scipy.stats",
    "sklearn.linear_model",
    "sklearn.manifold",
    "sklearn.metrics",
    "sqlalchemy.dialects.sqlite",
    # Of which an optimiser makes use.
    "torch._dynamo",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.bert.modeling_bert",
)

# What imports make stays. Looking for garbage takes a fifth of their time, and then some of every process.
gc.disable()
for name in LIBRARIES:
    with suppress(ImportError):
        import_module(name)
# Kedro asks for it once a parameter, three thousand times a run, and Python looks through all of sys.path.
sys.modules.setdefault("ibis", None)  # type: ignore[arg-type]
gc.freeze()
gc.enable()
