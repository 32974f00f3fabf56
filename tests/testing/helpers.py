"""A bare HTTP client of a `FaultServer`, and what its streams hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
from tests.samples import HEADERS, PREFILLS

if TYPE_CHECKING:
    from unbroken.testing import FaultServer


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def body(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "model": PREFILLS,
        "max_tokens": 10_000,
        "messages": list(messages) or [user("Hi")],
        **fields,
    }


class Api:
    """A bare HTTP client of one server."""

    def __init__(self, server: FaultServer) -> None:
        self.server = server
        # A TLS context that nobody needs would take most of a test's time.
        self.http = httpx.Client(base_url=server.url, headers=HEADERS, timeout=10, verify=False)

    def post(self, *messages: dict[str, Any], **fields: Any) -> httpx.Response:
        return self.http.post("/v1/messages", json=body(*messages, **fields))

    def message(self, *messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
        response = self.post(*messages, **fields)
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    def text(self, *messages: dict[str, Any], **fields: Any) -> str:
        return "".join(b.get("text", "") for b in self.message(*messages, **fields)["content"])

    def refusal(self, *messages: dict[str, Any], **fields: Any) -> str:
        response = self.post(*messages, **fields)
        assert response.status_code == 400, response.text
        error: dict[str, Any] = response.json()
        assert error["error"]["type"] == "invalid_request_error"
        assert error["request_id"] == response.headers["request-id"]
        return str(error["error"]["message"])

    def broken(
        self, *messages: dict[str, Any], **fields: Any
    ) -> tuple[bytes, httpx.HTTPError | None]:
        """What arrived of a stream, and how it broke."""
        arrived = bytearray()
        content = body(*messages, **{"stream": True, **fields})
        try:
            with self.http.stream("POST", "/v1/messages", json=content) as response:
                assert response.status_code == 200
                for chunk in response.iter_bytes():
                    arrived += chunk
        except httpx.HTTPError as error:
            return bytes(arrived), error
        return bytes(arrived), None


def events(raw: bytes) -> list[dict[str, Any]]:
    """The complete frames of a body, each of which must name its own type."""
    frames = raw.split(b"\n\n")[:-1]
    found = []
    for frame in frames:
        name, data = frame.decode().split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        found.append(event)
    return found


def deltas(raw: bytes, kind: str = "text_delta", field: str = "text") -> str:
    return "".join(
        e["delta"][field]
        for e in events(raw)
        if e["type"] == "content_block_delta" and e["delta"]["type"] == kind
    )
