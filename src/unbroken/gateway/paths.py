"""Which paths pass, and what users with limits may reach."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from unbroken.gateway.errors import GatewayError

if TYPE_CHECKING:
    from unbroken.gateway.config import User

__all__ = ["MESSAGES", "check_path", "check_reach", "is_messages"]

MESSAGES = "/v1/messages"

_PLAIN = re.compile(r"/v1/[A-Za-z0-9._~!$&'()*+,;=:@%/-]+")
_FREE = re.compile(r"/v1/(messages/count_tokens|models(/[^/]+)?|files(/[^/]+){0,2})/?")
"""What costs no output tokens."""


def is_messages(path: str) -> bool:
    """Whether a path, decoded, is that of messages."""
    return path.rstrip("/") == MESSAGES


def check_path(raw_path: str) -> None:
    """Refuse paths that the upstream could read as others.

    Raises:
        GatewayError: If it is one.
    """
    decoded = unquote(raw_path)
    parts = decoded.removesuffix("/").split("/")[1:]
    is_plain = _PLAIN.fullmatch(raw_path) is not None and decoded.isprintable()
    if not is_plain or "\\" in decoded or "%" in decoded or not {"", ".", ".."}.isdisjoint(parts):
        raise GatewayError(404, "there is no such path")


def check_reach(user: User | None, path: str) -> None:
    """Refuse a user with limits what would get round them, such as batches.

    Raises:
        GatewayError: If the user may not use the path.
    """
    limited = user is not None and (
        user.models or user.max_tokens or user.output_tokens_per_day or user.system
    )
    if limited and not _FREE.fullmatch(path):
        raise GatewayError(403, "this key is for messages, models and files only")
