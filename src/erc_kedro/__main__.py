"""``python -m erc_kedro``: ``kedro run`` where only the package is installed."""

from typing import Any

from kedro.framework.project import configure_project


def main(*args: Any, **options: Any) -> Any:
    """Runs what the command line, or these arguments of a click command, ask for."""
    configure_project("erc_kedro")
    from erc_kedro.cli import run

    return run(*args, **options)


if __name__ == "__main__":
    main()
