"""The functions of a policy, which are the caller's: what they raise is told from other errors."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CallbackError", "callback"]


class CallbackError(Exception):
    """A function of the policy raised.

    Args:
        error: What it raised.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


@contextmanager
def callback() -> Iterator[None]:
    """A block that calls a function of the policy.

    Raises:
        CallbackError: If the block raises.
    """
    try:
        yield
    except Exception as error:
        raise CallbackError(error) from error
