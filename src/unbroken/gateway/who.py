"""Who asks: a user of the gateway, or somebody with credentials of their own."""

from __future__ import annotations

import hashlib
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unbroken.gateway.config import User
from unbroken.gateway.errors import GatewayError
from unbroken.gateway.keys import presented_keys, user_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import HTTPConnection

    from unbroken.gateway.config import Config

    Authenticate = Callable[[HTTPConnection], "User | Awaitable[User | None] | None"]

__all__ = ["Who", "identify"]


@dataclass(frozen=True, slots=True)
class Who:
    """Who asks.

    Attributes:
        user: The user; None where there are none.
        owner: What streams are bound to: the user, or what stands for the client's credentials.
    """

    user: User | None
    owner: str

    @property
    def name(self) -> str:
        """The name for metrics and access lines."""
        return "-" if self.user is None else self.user.name


async def identify(
    connection: HTTPConnection, config: Config, authenticate: Authenticate | None
) -> Who:
    """Find out who asks.

    Raises:
        GatewayError: If it is nobody who may.
    """
    if authenticate is not None:
        user = authenticate(connection)
        if inspect.isawaitable(user):
            user = await user
    elif config.users:
        user = user_of(connection.headers, config.users)
    else:
        return Who(None, _owner_by(presented_keys(connection.headers)))
    if user is None:
        raise GatewayError(401, "invalid x-api-key", {"www-authenticate": "Bearer"})
    if not isinstance(user, User):
        raise TypeError(f"authenticate must return a User or None, not {type(user).__name__}")
    return Who(user, f"user {user.name}")


def _owner_by(keys: list[str]) -> str:
    if not keys:
        return "anybody"
    joined = "\0".join(keys).encode("utf-8", "surrogateescape")
    return f"key {hashlib.sha256(joined).hexdigest()[:32]}"
