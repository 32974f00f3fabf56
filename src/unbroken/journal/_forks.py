"""What a forked process must not use: connections, locks and threads of its parent."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet

__all__ = ["forget_in_children"]


class _Journal(Protocol):
    def after_fork(self) -> None: ...


_journals: WeakSet[_Journal] = WeakSet()


def forget_in_children(journal: _Journal) -> None:
    """Call `after_fork()` of a journal in each forked process."""
    _journals.add(journal)


def _after_fork() -> None:
    for journal in list(_journals):
        journal.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
