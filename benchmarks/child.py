"""``python -m benchmarks.child TASK ARGUMENTS``: one measurement in this process, its result as JSON."""

import json
import sys
from collections.abc import Callable
from typing import Any

from benchmarks import peers, shapes, speed

TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    "train": speed.train,
    "infer": speed.infer,
    "work": speed.work,
    "peers": peers.peers,
}


def main(task: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Runs a task; ``shape`` in its arguments is the fields of a :class:`shapes.Shape`."""
    given = dict(arguments["shape"])
    shape = shapes.Shape(**{**given, "dimensions": tuple(given["dimensions"])})
    return TASKS[task](**{**arguments, "shape": shape})


if __name__ == "__main__":
    result = main(sys.argv[1], json.loads(sys.argv[2]))
    print("\n" + json.dumps(result))
