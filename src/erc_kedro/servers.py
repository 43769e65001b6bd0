"""Kedro-Viz and optuna-dashboard, which answer whoever calls this machine by its own name, and nobody else.

Pages of strangers could otherwise read them through a visitor's browser, under a name that they have pointed
to 127.0.0.1. MLflow's server has options against it.
"""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIServer, make_server

ADDRESS = "127.0.0.1"
NAMES = (ADDRESS, "localhost")


def viz(port: int, env: str) -> None:
    """Serves Kedro-Viz of the project in the working directory until it is interrupted."""
    import uvicorn
    from kedro_viz.api.apps import create_api_app_from_project
    from kedro_viz.server import load_and_populate_data
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    load_and_populate_data(Path.cwd(), env)
    app = create_api_app_from_project(Path.cwd())
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(NAMES), www_redirect=False)
    uvicorn.run(app, host=ADDRESS, port=port, log_level="warning")


def studies(port: int, storage: str) -> None:
    """Serves optuna-dashboard over a journal or the URL of a database until it is interrupted."""
    from optuna_dashboard import wsgi

    class Server(ThreadingMixIn, WSGIServer):
        daemon_threads = True

    with make_server(ADDRESS, port, own_only(wsgi(storage)), server_class=Server) as server:
        server.serve_forever()


def own_only(app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """The WSGI application for requests that name this machine, and that no foreign page makes."""

    def guarded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        host, origin = environ.get("HTTP_HOST", ""), environ.get("HTTP_ORIGIN")
        if _named(f"//{host}") and (origin is None or _named(origin)):
            return app(environ, start_response)
        start_response("400 Bad Request", [("Content-Type", "text/plain")])
        return [b"Invalid host header"]

    return guarded


def _named(url: str) -> bool:
    try:
        return urlsplit(url).hostname in NAMES
    except ValueError:
        return False


def main() -> None:
    """``python -m erc_kedro.servers viz --env=local``, or ``studies STORAGE``."""
    parser = argparse.ArgumentParser(prog="python -m erc_kedro.servers")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, default in (("viz", 4141), ("studies", 8080)):
        commands.add_parser(name).add_argument("--port", type=int, default=default)
    commands.choices["viz"].add_argument("--env", default="local")
    commands.choices["studies"].add_argument("storage")
    chosen = vars(parser.parse_args())
    serve: dict[str, Callable[..., None]] = {"viz": viz, "studies": studies}
    try:
        serve[chosen.pop("command")](**chosen)
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
