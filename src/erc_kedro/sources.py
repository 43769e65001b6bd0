"""What code does, as a hash: results are reused only where it is still the same."""

import ast
import hashlib
import sysconfig
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec, resolve_name
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
    counted = paths - {PACKAGE / name for name in without}
    return _hashed({path.relative_to(PACKAGE).as_posix(): path for path in counted})


@cache
def version_of_module(name: str) -> str:
    """A SHA-256 over what a module's source does, and those of its own that it imports, however deep.

    Its own are those of its top-level package, all that is not installed, and this package's networks.

    Args:
        name: of a module that was imported; what its source says later is not asked, as Python itself does.
    """
    found: dict[str, Path] = {}
    left, seen = [name], {name}
    while left:
        module = left.pop()
        path = _source(module, name.partition(".")[0])
        if path is not None:
            found[module] = path
            new = set(_imports(path, module)) - seen
            seen |= new
            left += sorted(new)
    return _hashed(found)


def _source(module: str, package: str) -> Path | None:
    """The file of a module, if it counts as one's own."""
    top = module.partition(".")[0]
    if top == PACKAGE.name and not module.startswith(f"{PACKAGE.name}.models."):
        return None
    try:
        spec = find_spec(module)
    except Exception:
        # What is imported from a module need not be one, nor be there on every machine.
        return None
    if spec is None or spec.origin is None or not spec.has_location:
        return None
    path = Path(spec.origin)
    return path if top in (package, PACKAGE.name) or not _is_installed(path) else None


def _is_installed(path: Path) -> bool:
    places = (sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    return any(path.is_relative_to(place) for place in places)


def _imports(path: Path, module: str) -> Iterator[str]:
    """Names of what a source imports, some of which are modules, and of the packages that hold these."""
    if path.suffix != ".py":
        return
    parent = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), parent)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _hashed(sources: Mapping[str, Path]) -> str:
    """Over names and what the files of that name do; what is no Python counts as it stands."""
    digest = hashlib.sha256()
    for name, path in sorted(sources.items()):
        if path.suffix != ".py":
            digest.update(name.encode() + path.read_bytes())
            continue
        tree = ast.parse(path.read_bytes())
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list) and body and _is_docstring(body[0]):
                del body[0]
        digest.update(name.encode() + ast.dump(tree).encode())
    return digest.hexdigest()


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
