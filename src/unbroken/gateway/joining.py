"""Which requests surely ask for the same answer, so that the second joins the first.

There are three signs, and without one of them two equal requests are two: the second may be a
sample that is wanted. The same `Idempotency-Key`; Claude Code's session and agent with the same
body, as it repeats a request that broke; the SDKs' count of retries above 0 with the same body.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RECENT", "Signs", "body_digest", "signs_of"]

RECENT = 300.0
"""Seconds for which a request without a key can be joined after its answer began."""


@dataclass(frozen=True, slots=True)
class Signs:
    """Under which names a request joins another, and is found by later ones.

    Attributes:
        key: Of its `Idempotency-Key`, if it has one.
        joins: The names of streams that it joins.
        found_by: The names under which later requests find it.
    """

    key: str | None
    joins: tuple[str, ...]
    found_by: tuple[str, ...]


def signs_of(owner: str, headers: Mapping[str, str], digest: str) -> Signs:
    """The signs of a request.

    Args:
        owner: Who asks: requests of others are never joined.
        headers: Its headers, names in lower case.
        digest: The digest of what it asks for.
    """
    key = headers.get("idempotency-key", "").strip()
    if key:
        name = _name("key", owner, key)
        return Signs(name, (name,), (name,))
    body = _name("body", owner, digest)
    session = headers.get("x-claude-code-session-id", "")
    if session:
        agent = headers.get("x-claude-code-agent-id", "")
        name = _name("session", owner, session, agent, digest)
        return Signs(None, (name,), (name, body))
    return Signs(None, (body,) if _is_retry(headers) else (), (body,))


def body_digest(path: str, body: bytes) -> str:
    """What stands for a request's path and body."""
    return hashlib.sha256(path.encode() + b"\n" + body).hexdigest()


def _is_retry(headers: Mapping[str, str]) -> bool:
    count = headers.get("x-stainless-retry-count", "")
    return count.isascii() and count.isdigit() and int(count[:9]) > 0


def _name(kind: str, *parts: str) -> str:
    """A name that tells nothing of its parts."""
    joined = "\0".join(f"{len(part)}:{part}" for part in (kind, *parts))
    return hashlib.sha256(joined.encode("utf-8", "surrogateescape")).hexdigest()
