"""`durable()`: a block of code whose calls are journaled under its name."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Block", "current_block", "durable"]


class Block:
    """Counts the calls of one block of code.

    Args:
        name: Its name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        """Its name."""
        self._calls: dict[str, int] = {}

    def number(self, fingerprint: str) -> int:
        """How many times this request was made in this block, with this time."""
        self._calls[fingerprint] = number = self._calls.get(fingerprint, 0) + 1
        return number


_current: ContextVar[Block | None] = ContextVar("unbroken.durable", default=None)


def current_block() -> Block | None:
    """The block that this thread or task runs in."""
    return _current.get()


@contextmanager
def durable(name: str) -> Iterator[None]:
    """Journal the calls of a block of code, in this thread or task and the tasks that it starts.

    A call that was made before under this name gets the answer it had, as far as it had come, and
    the rest from the model. So a job that is run again after a crash pays for nothing twice:

        with unbroken.durable("invoice-42"):
            run_my_agent(client)

    An answer is known by this name, by the request (path, body, beta header, host), and by how many
    times that same request was made in this block.

    The client needs a journal (`journal=`, or the variable `UNBROKEN_JOURNAL`). Without one its
    calls are made as they are outside of a block, and a warning is logged, once for each client.

    Args:
        name: What is the same when the job is run again, and differs for other jobs. It is kept in
            the journal in the clear.

    Raises:
        ValueError: If `name` is not a text, or empty.
    """
    if not isinstance(name, str) or not name:  # type: ignore[redundant-expr]
        raise ValueError(f"name must be a text that is not empty, not {name!r}")
    token = _current.set(Block(name))
    try:
        yield
    finally:
        _current.reset(token)
