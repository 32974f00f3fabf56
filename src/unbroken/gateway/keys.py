"""Keys of users: they are stored as SHA-256 only, and compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from unbroken.gateway.config import User

__all__ = ["digest", "new_key", "presented_keys", "user_of"]

_PREFIX = "ub-"


def new_key() -> str:
    """Make a key of 256 random bits."""
    return _PREFIX + secrets.token_urlsafe(32)


def digest(key: str) -> str:
    """The SHA-256 of a key, as the configuration holds it."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def presented_keys(headers: Mapping[str, str]) -> list[str]:
    """The keys in the headers of a request: some clients send one in both places."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    found = [headers.get("x-api-key", ""), bearer.strip() if scheme.lower() == "bearer" else ""]
    return [key for key in dict.fromkeys(found) if key]


def user_of(headers: Mapping[str, str], users: Iterable[User]) -> User | None:
    """The user that a request is of; None if its keys are nobody's."""
    presented = [digest(key) for key in presented_keys(headers)]
    found = None
    for user in users:  # all of them, so that the time tells nothing
        for one in presented:
            if hmac.compare_digest(one, user.key_sha256):
                found = user
    return found
