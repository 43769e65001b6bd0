"""What the package's own code does, as a hash: results are reused only where it is still the same."""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


@cache
def version(*patterns: str, without: tuple[str, ...] = ()) -> str:
    """A SHA-256 over what the package's sources do, comments and docstrings aside.

    Args:
        patterns: of paths below the package.
        without: paths below the package that the patterns match, but that are not to count.
    """
    paths = {path for pattern in patterns for path in PACKAGE.glob(pattern)}
    return _hashed(paths - {PACKAGE / name for name in without})


def _hashed(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list) and body and _is_docstring(body[0]):
                del body[0]
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + ast.dump(tree).encode())
    return digest.hexdigest()


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
