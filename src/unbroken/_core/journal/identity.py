"""How a call is known in a journal, without its prompt."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unbroken._core.framing.frames import from_json

if TYPE_CHECKING:
    from unbroken._core.journal.block import Block

__all__ = ["IDEMPOTENCY_KEY", "Identity", "fingerprint", "identify"]

IDEMPOTENCY_KEY = "idempotency-key"
"""The header by which a call is journaled outside of a block, in lower case."""


@dataclass(frozen=True, slots=True)
class Identity:
    """How a call is known.

    Attributes:
        key: The key of its entry.
        about: What to say of the entry: its name, and the fingerprint of the request.
        fingerprint: The fingerprint of the request.
    """

    key: str
    about: str
    fingerprint: str

    def check(self, about: str) -> None:
        """Check that an entry with this key is of the same request.

        Raises:
            ValueError: If it is of another one.
        """
        try:
            said = from_json(about)
        except ValueError:
            said = None
        if not isinstance(said, dict) or said.get("request") != self.fingerprint:
            raise ValueError(
                "the Idempotency-Key header was used before with another request; use a new key"
            )


def fingerprint(path: str, body: Any, beta: str, host: str) -> str:
    """A digest of a request.

    Args:
        path: The path of its URL.
        body: Its JSON body.
        beta: Its `anthropic-beta` header; empty if it has none.
        host: The host that it goes to.
    """
    return _digest(path, body, beta, host)


def identify(request: str, block: Block | None, idempotency_key: str | None) -> Identity | None:
    """How a call is known; None if it is not to be journaled.

    Args:
        request: The fingerprint of the request.
        block: The durable block that it is made in.
        idempotency_key: Its `Idempotency-Key` header, which counts outside of a block.
    """
    if block is not None:
        number = block.number(request)
        about = {"name": block.name, "call": number, "request": request}
        return Identity(_digest("block", block.name, request, number), json.dumps(about), request)
    if idempotency_key:
        key = _digest("idempotency-key", idempotency_key)
        return Identity(key, json.dumps({"name": f"key {key[:8]}", "request": request}), request)
    return None


def _digest(*parts: Any) -> str:
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
