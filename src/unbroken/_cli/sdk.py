"""What commands ask of the installed SDK."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import anthropic

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["has_credentials", "http_library"]


def http_library() -> ModuleType:
    """Return `httpx` or `httpx2`, whichever the SDK is built on."""
    bases = (base.__module__.partition(".")[0] for base in anthropic.DefaultHttpxClient.__mro__)
    return next(sys.modules[name] for name in bases if name in ("httpx", "httpx2"))


def has_credentials(client: Any) -> bool:
    """Return whether a client of the API has found a key, a token or a profile."""
    names = ("api_key", "auth_token", "credentials")  # older SDKs have no profiles
    return any(getattr(client, name, None) for name in names)
