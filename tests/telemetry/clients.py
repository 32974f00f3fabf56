"""The SDK's clients of all platforms, each with a server on loopback that drops its stream once."""

from __future__ import annotations

import importlib.util
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from tests.doors.platforms import ACCESS_KEY, SECRET_KEY, Drop, Platform
from tests.samples import STORY

from unbroken.testing import FaultServer, faults

if TYPE_CHECKING:
    from collections.abc import Iterator

AWS = {"aws_access_key": ACCESS_KEY, "aws_secret_key": SECRET_KEY, "aws_region": "us-east-1"}
VERTEX = {"region": "europe-west1", "project_id": "my-project", "access_token": "token"}


@dataclass(frozen=True)
class Kind:
    """One of the SDK's clients.

    Attributes:
        name: Its class; the async one has `Async` before it.
        provider: Who serves the model.
        options: What its constructor is given.
        model: The model to ask for.
        server: Which paths and framing it speaks.
        needs: A package that it needs.
        signs: Whether it signs its requests.
    """

    name: str
    provider: str = "anthropic"
    options: dict[str, Any] = field(default_factory=dict)
    model: str = "claude-haiku-4-5"
    server: Any = "anthropic"
    needs: str = "anthropic"
    signs: bool = False

    def client(self, url: str, *, is_async: bool, **options: Any) -> Any:
        cls = getattr(anthropic, f"Async{self.name}" if is_async else self.name)
        base_url = f"{url}/v1" if self.server == "vertex" else url
        return cls(base_url=base_url, **self.options, **options)

    @contextmanager
    def dropping(self) -> Iterator[Any]:
        """A server whose first stream drops: its URL, and the headers of the requests it got."""
        if self.server == "anthropic":
            with FaultServer(STORY, faults=[faults.reset(after_chars=20)]) as server:
                yield server.url, lambda: [dict(one.headers) for one in server.message_requests]
        else:
            with Platform(self.server, STORY, [Drop("reset", after=9)]) as platform:
                yield platform.url, lambda: [dict(seen.head.headers) for seen in platform.seen]


_KINDS = [
    Kind("Anthropic", options={"api_key": "test"}),
    Kind(
        "AnthropicBedrock",
        "aws.bedrock",
        AWS,
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "bedrock",
        "botocore",
        signs=True,
    ),
    Kind("AnthropicBedrockMantle", "aws.bedrock", {"api_key": "test", "aws_region": "us-east-1"}),
    Kind(
        "AnthropicVertex",
        "gcp.vertex_ai",
        VERTEX,
        "claude-sonnet-4-5@20250929",
        "vertex",
        "google.auth",
    ),
    Kind("AnthropicFoundry", options={"api_key": "test"}),
    Kind("AnthropicAWS", options={"api_key": "test", "workspace_id": "wrkspc_1"}),
    Kind("AnthropicGoogleCloud", options={"token_provider": lambda: "token", "project": "p"}),
]


def _is_here(kind: Kind) -> bool:
    """Whether this SDK has the client, and the packages that it needs."""
    try:
        found = importlib.util.find_spec(kind.needs)
    except ModuleNotFoundError:
        return False
    return found is not None and hasattr(anthropic, kind.name)


KINDS = [pytest.param(kind, id=kind.name) for kind in _KINDS if _is_here(kind)]
