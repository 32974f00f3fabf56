"""What the processes of one journal tell each other: who reads a stream, and what is to be stopped.

They append to one entry, which all of them follow. Each hour has an entry of its own, so that none
grows without end.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unbroken.journal import Deposed, EntryState, JournalUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from unbroken.journal import AsyncJournal

__all__ = ["Control", "Told"]

_log = logging.getLogger("unbroken.gateway")

_OWNER = "gateway"  # all of them: who comes second with a number tries the next one
_HOUR = 3600
_WAIT = 5.0
_PAUSE = 0.25


@dataclass(frozen=True, slots=True)
class Told:
    """What one process tells the others.

    Attributes:
        what: `stop`, `reading`, or in a demo `kill`.
        stream: The id of the stream.
    """

    what: str
    stream: str


class Control:
    """Tells other processes, and listens to them.

    Args:
        journal: The journal of all of them.
        hear: Called with what they tell.
        now: Seconds since the epoch.
    """

    def __init__(
        self,
        journal: AsyncJournal,
        hear: Callable[[Told], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._journal = journal
        self._hear = hear
        self._now = now

    async def tell(self, told: Told) -> None:
        """Tell all processes, this one included.

        Raises:
            JournalUnavailable: If the journal fails.
        """
        entry = self._entry()
        frame = json.dumps([told.what, told.stream]).encode()
        claim = await self._journal.claim(entry, _OWNER)
        last = claim.last
        while True:
            try:
                await self._journal.append(entry, _OWNER, last + 1, [frame])
            except Deposed:
                last += 1
            else:
                return

    async def listen(self) -> None:
        """Listen for as long as the process lives."""
        entry, after = self._entry(), 0
        while True:
            try:
                if not after:
                    after = (await self._journal.claim(entry, _OWNER)).last
                page = await self._journal.read(entry, after, wait=_WAIT)
            except JournalUnavailable as error:
                _log.warning("the other processes cannot be heard: %s", error)
                await asyncio.sleep(_WAIT)
                continue
            for frame in page.frames:
                self._hear(Told(*json.loads(frame)))
            after = page.last
            if not page.frames:
                if page.state is not EntryState.ALIVE:
                    await asyncio.sleep(_PAUSE)
                if entry != self._entry():
                    entry, after = self._entry(), 0

    async def renew(self) -> None:
        """Show that somebody listens."""
        try:
            await self._journal.renew(self._entry(), _OWNER)
        except (Deposed, JournalUnavailable):
            return

    def _entry(self) -> str:
        return f"gateway/control/{int(self._now() // _HOUR)}"
