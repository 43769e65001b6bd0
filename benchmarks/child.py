"""``python -m benchmarks.child TASK ARGUMENTS``: one measurement in this process, its result as JSON."""

import json
import sys
from importlib import import_module
from typing import Any

from benchmarks import shapes

# Imported only when asked for: torch would count in the memory and the start of what does without it.
TASKS = {
    "train": "benchmarks.speed:train",
    "infer": "benchmarks.speed:infer",
    "work": "benchmarks.speed:work",
    "peers": "benchmarks.peers:peers",
    "clips": "benchmarks.extraction:clips",
    "extract": "benchmarks.extraction:speed",
    "compare": "benchmarks.extraction:compare",
    "cached": "benchmarks.extraction:cached",
    "memory": "benchmarks.extraction:memory",
    "bundle": "benchmarks.scoring:bundle",
    "recording": "benchmarks.scoring:recording",
    "score": "benchmarks.scoring:score",
    "coverage": "benchmarks.coverage:coverage",
}


def main(task: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Runs a task; ``shape`` in its arguments, if any, is the fields of a :class:`shapes.Shape`."""
    module, function = TASKS[task].split(":")
    if "shape" in arguments:
        given = dict(arguments["shape"])
        shape = shapes.Shape(**{**given, "dimensions": tuple(given["dimensions"])})
        arguments = {**arguments, "shape": shape}
    return getattr(import_module(module), function)(**arguments)


if __name__ == "__main__":
    result = main(sys.argv[1], json.loads(sys.argv[2]))
    print("\n" + json.dumps(result))
