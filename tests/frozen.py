"""Imported last by the process that others are forked from: what it has is there for good."""

import gc
import sys

# Kedro asks for it once a parameter, three thousand times a run, and Python looks through all of sys.path.
sys.modules.setdefault("ibis", None)  # type: ignore[arg-type]
# No collector need look at it again in every process.
gc.freeze()
