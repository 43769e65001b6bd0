"""One process that has imported the libraries, and from which tests fork others.

A process of Python's has one such server, so that whoever asks for another list of imports takes it from all.
It imports nothing of the project: a copy of that runs in some.
"""

import multiprocessing

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
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
        "tests.integration.forked",
        # Last, since it freezes what the others made.
        "tests.frozen",
    ]
)
