"""The HTTP library that the installed SDK is built on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import anthropic

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["http_library"]


def http_library() -> ModuleType:
    """Return `httpx` or `httpx2`."""
    bases = (base.__module__.partition(".")[0] for base in anthropic.DefaultHttpxClient.__mro__)
    return next(sys.modules[name] for name in bases if name in ("httpx", "httpx2"))
