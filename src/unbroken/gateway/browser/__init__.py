"""What the gateway serves to browsers: one module of JavaScript, and the page of the demo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["routes"]

_HERE = Path(__file__).parent


def routes() -> list[Route]:
    """The routes of what browsers get."""
    script = _HERE.joinpath("unbroken.js").read_bytes()

    async def unbroken_js(_: Request) -> Response:
        headers = {"cache-control": "no-cache", "x-content-type-options": "nosniff"}
        return Response(script, 200, headers, "text/javascript")

    return [Route("/unbroken.js", unbroken_js, methods=["GET"])]
