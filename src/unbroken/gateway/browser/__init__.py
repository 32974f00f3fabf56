"""What the gateway serves to browsers: one module of JavaScript, and the page of the demo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

__all__ = ["demo_routes", "routes"]

_HERE = Path(__file__).parent
_PLAIN = {"cache-control": "no-cache", "x-content-type-options": "nosniff"}
_PAGE = {
    **_PLAIN,
    "content-security-policy": "default-src 'self'; style-src 'unsafe-inline'; "
    "script-src 'self' 'unsafe-inline'; frame-ancestors 'none'",
}


def routes() -> list[Route]:
    """The route of the module."""
    return [_file("/unbroken.js", "unbroken.js", "text/javascript", _PLAIN)]


def demo_routes(kill: Callable[[str], Awaitable[None]]) -> list[Route]:
    """The routes of the demo.

    Args:
        kill: Kills the process that asks for the answer of this stream.
    """

    async def killed(request: Request) -> Response:
        await kill(request.path_params["id"])
        return Response(status_code=204)

    page = _file("/", "demo.html", "text/html", _PAGE)
    return [page, Route("/demo/kill/{id}", killed, methods=["POST"])]


def _file(path: str, name: str, media_type: str, headers: dict[str, str]) -> Route:
    content = _HERE.joinpath(name).read_bytes()

    async def serve(_: Request) -> Response:
        return Response(content, 200, headers, media_type)

    return Route(path, serve, methods=["GET"])
