"""Signatures of thinking blocks, bound to what stood before the block when it was made.

A signature has a nonce and three marks: of the block's own text, of its prefix (`system`, `tools`
and every block before it), and of the thinking block before it. Thinking may be removed from the
front of a conversation, so the first one sent is not asked for the block before it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from typing import TYPE_CHECKING, Any

from unbroken.testing.conversation import blocks_of, canonical, is_thinking
from unbroken.testing.errors import ApiError
from unbroken.testing.models import binds_thinking

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["Signer"]

_MARK = 12

_BOUND = (
    "messages.{}.content.{}: Invalid `signature` in `thinking` block. The block is bound to a "
    "different conversation. Remove the block, or set "
    '`thinking.block_binding.prefix_mismatch_behavior` to "drop_block".'
)
_TAMPERED = "messages.{}.content.{}: Invalid `signature` in `thinking` block"


class _Prefix:
    """All that stands before a block, as one growing digest."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._hash = hashlib.sha256()
        for block in (*(body.get("tools") or ()), *blocks_of(body.get("system"))):
            self.add("system", block)

    def add(self, role: str, block: Mapping[str, Any]) -> None:
        if not is_thinking(block):
            self._hash.update(f"{role}\n{canonical(block)}\n".encode())

    def add_messages(self, messages: Iterable[Mapping[str, Any]]) -> None:
        for message in messages:
            for block in blocks_of(message.get("content")):
                self.add(message["role"], block)

    def digest(self) -> bytes:
        return self._hash.digest()


class Signer:
    """Signs the thinking of one server, and checks what comes back.

    Args:
        enforce: Check the prefix for all models, not only those that the API checks it for.
    """

    def __init__(self, *, enforce: bool = False) -> None:
        self._enforce = enforce
        self._secret = os.urandom(16)

    def seal(
        self, body: Mapping[str, Any], content: Iterable[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """The content of an answer to this request, with its thinking signed."""
        prefix = _Prefix(body)
        prefix.add_messages(body["messages"])
        before = _last_signature(body["messages"])
        sealed = []
        for block in map(dict, content):
            if block["type"] == "thinking":
                before = block["signature"] = self._sign(block["thinking"], prefix, before)
            prefix.add("assistant", block)
            sealed.append(block)
        return sealed

    def check(self, body: Mapping[str, Any]) -> None:
        """Refuse a request whose thinking is not as it was, or not where it was.

        Raises:
            ApiError: With the API's own message, naming the block.
        """
        bound = self._enforce or binds_thinking(body["model"])
        if _drops_mismatches(body):
            bound = False
        prefix = _Prefix(body)
        before: str | None = None
        for i, j, role, block in _walk(body["messages"]):
            if block.get("type") == "thinking":
                self._check_block(block, prefix, before, bound=bound, at=(i, j))
                before = block["signature"]
            prefix.add(role, block)

    def _check_block(
        self,
        block: Mapping[str, Any],
        prefix: _Prefix,
        before: str | None,
        *,
        bound: bool,
        at: tuple[int, int],
    ) -> None:
        nonce, own, where, chain = _marks(block.get("signature"))
        if not hmac.compare_digest(own, self._mark(nonce, str(block.get("thinking")).encode())):
            raise ApiError(_TAMPERED.format(*at))
        unbroken = before is None or hmac.compare_digest(chain, self._mark(nonce, before.encode()))
        if bound and not (
            unbroken and hmac.compare_digest(where, self._mark(nonce, prefix.digest()))
        ):
            raise ApiError(_BOUND.format(*at))

    def _sign(self, text: str, prefix: _Prefix, before: str | None) -> str:
        nonce = os.urandom(_MARK)
        parts = (text.encode(), prefix.digest(), (before or "").encode())
        return base64.b64encode(nonce + b"".join(self._mark(nonce, p) for p in parts)).decode()

    def _mark(self, nonce: bytes, part: bytes) -> bytes:
        return hmac.digest(self._secret + nonce, part, "sha256")[:_MARK]


def _marks(signature: Any) -> tuple[bytes, bytes, bytes, bytes]:
    try:
        raw = base64.b64decode(str(signature), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    first, second, third, fourth = (raw[i * _MARK : (i + 1) * _MARK] for i in range(4))
    return first, second, third, fourth


def _walk(
    messages: Iterable[Mapping[str, Any]],
) -> Iterator[tuple[int, int, str, dict[str, Any]]]:
    for i, message in enumerate(messages):
        for j, block in enumerate(blocks_of(message.get("content"))):
            yield i, j, message["role"], block


def _last_signature(messages: Iterable[Mapping[str, Any]]) -> str | None:
    found = None
    for _, _, _, block in _walk(messages):
        if block.get("type") == "thinking":
            found = block.get("signature")
    return found


def _drops_mismatches(body: Mapping[str, Any]) -> bool:
    binding = (body.get("thinking") or {}).get("block_binding") or {}
    return bool(binding.get("prefix_mismatch_behavior") == "drop_block")
