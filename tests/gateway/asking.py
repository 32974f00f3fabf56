"""Raw clients of a gateway."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
from tests.samples import HEADERS, NEWEST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.gateway.serving import Served

PATIENCE = 10.0


def body(**fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "Tell me a story."}]
    return {"model": NEWEST, "max_tokens": 1000, "messages": messages, **fields}


def client(gateway: Served, **headers: str) -> httpx.Client:
    return httpx.Client(base_url=gateway.url, headers={**HEADERS, **headers}, timeout=PATIENCE)


def ask(gateway: Served, *, headers: Any = None, **fields: Any) -> httpx.Response:
    """Ask for a stream, and read it to its end."""
    with client(gateway) as http:
        return http.post("/v1/messages", headers=headers, json=body(**{"stream": True, **fields}))


@contextmanager
def asking(gateway: Served, *, headers: Any = None, **fields: Any) -> Iterator[Events]:
    """Ask for a stream, and read it event by event."""
    asked = body(**{"stream": True, **fields})
    with (
        client(gateway) as http,
        http.stream("POST", "/v1/messages", headers=headers, json=asked) as response,
    ):
        yield Events(response)


class Events:
    """The events of a response that is being read."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.stream = response.headers.get("x-unbroken-stream-id", "")
        self._lines = response.iter_lines()
        self.last = 0

    def __iter__(self) -> Iterator[tuple[int, dict[str, Any]]]:
        number = 0
        for line in self._lines:
            name, _, value = line.partition(": ")
            if name == "id":
                number = self.last = int(value)
            elif name == "data":
                yield number, json.loads(value)
            elif not name:
                number = 0

    def until_text(self, chars: int) -> str:
        """Read until so much text came."""
        text = ""
        for _, event in self:
            text += event.get("delta", {}).get("text", "")
            if len(text) >= chars:
                break
        return text


def events_of(text: str) -> list[tuple[int, dict[str, Any]]]:
    """The numbers and events of a body."""
    found = []
    for frame in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in frame.splitlines() if ": " in line)
        if "data" in fields:
            found.append((int(fields.get("id", 0)), json.loads(fields["data"])))
    return found


def text_of(text: str) -> str:
    """The answer in a body."""
    deltas = (event.get("delta", {}) for _, event in events_of(text))
    return "".join(delta.get("text", "") for delta in deltas)
