"""Tests that every journal passes.

Subclass `JournalTests` in a test module for pytest:

class TestMyJournal(JournalTests):
    def open(self, **settings):
        return MyJournal("127.0.0.1:4000", **settings)
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import anyio.lowlevel

from unbroken.journal.protocol import Deposed, EntryState, Page

if TYPE_CHECKING:
    from collections.abc import Callable

    from unbroken.journal.protocol import AsyncJournal, Journal

__all__ = ["JournalTests", "ManualClock"]

_LEASE = 10.0
_TTL = 100.0
_PATIENCE = 10.0


class ManualClock:
    """Seconds since the epoch that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1_700_000_000.0

    def __call__(self) -> float:
        """The time."""
        return self.seconds

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds


class JournalTests:
    """What is promised of every journal. Define `open()`."""

    def open(self, **settings: Any) -> Journal:
        """Open the journal that is tested: the same one each time in a test, empty at first.

        Args:
            settings: `lease`, `ttl` and `clock`, for its constructor.
        """
        raise NotImplementedError

    def setup_method(self) -> None:
        """Start with a new time."""
        self.clock = ManualClock()
        self._opened: list[Journal] = []

    def teardown_method(self) -> None:
        """Dispose of what was opened."""
        for journal in self._opened:
            journal.dispose()

    def journal(self, *, ttl: float = _TTL) -> Journal:
        """One more connection to the journal."""
        opened = self.open(lease=_LEASE, ttl=ttl, clock=self.clock)
        self._opened.append(opened)
        return opened

    # Who owns an entry

    def test_an_absent_entry_is_claimed(self) -> None:
        """The first writer owns it."""
        claim = self.journal().claim("k", "a", about="said", note=b"kept")
        assert (claim.granted, claim.found, claim.last) == (True, EntryState.ABSENT, 0)
        assert (claim.about, claim.note) == ("said", b"kept")

    def test_an_entry_with_a_writer_is_not_claimed(self) -> None:
        """The second writer is told so, and what the first one said."""
        self.journal().claim("k", "a", about="said", note=b"kept")
        claim = self.journal().claim("k", "b", about="else", note=b"else")
        assert (claim.granted, claim.found) == (False, EntryState.ALIVE)
        assert (claim.about, claim.note) == ("said", b"kept")

    def test_an_entry_without_a_sign_of_life_is_taken_over(self) -> None:
        """The next writer goes on after the last frame."""
        first, second = self.journal(), self.journal()
        first.claim("k", "a", about="said", note=b"kept")
        first.append("k", "a", 1, [b"one", b"two"])
        self.clock.advance(_LEASE)
        claim = second.claim("k", "b")
        assert (claim.granted, claim.found, claim.last) == (True, EntryState.LEFT, 2)
        assert (claim.about, claim.note) == ("said", b"kept")

    def test_signs_of_life_keep_an_entry(self) -> None:
        """Renewing and appending are signs of life."""
        journal = self.journal()
        journal.claim("k", "a")
        self.clock.advance(_LEASE - 1)
        journal.renew("k", "a")
        self.clock.advance(_LEASE - 1)
        journal.append("k", "a", 1, [b"one"])
        self.clock.advance(_LEASE - 2)
        assert not journal.claim("k", "b").granted

    def test_an_entry_that_was_left_is_taken_over_at_once(self) -> None:
        """Nobody waits for the lease."""
        journal = self.journal()
        journal.claim("k", "a")
        journal.append("k", "a", 1, [b"one"])
        journal.leave("k", "a")
        assert journal.read("k", 1).state is EntryState.LEFT
        assert journal.claim("k", "b").granted
        journal.append("k", "b", 2, [b"two"])
        assert journal.read("k").frames == (b"one", b"two")

    def test_a_deposed_writer_leaves_nothing(self) -> None:
        """The new owner keeps the entry."""
        journal = self.journal()
        journal.claim("k", "a")
        self.clock.advance(_LEASE)
        journal.claim("k", "b")
        journal.leave("k", "a")
        assert journal.read("k").state is EntryState.ALIVE
        assert self.is_deposed(lambda: journal.renew("k", "a"))
        assert self.is_deposed(lambda: journal.close("k", "a"))

    # Who has written a number

    def test_a_deposed_writer_writes_nothing(self) -> None:
        """Its frames are refused, whether or not the number is taken."""
        first, second = self.journal(), self.journal()
        first.claim("k", "a")
        first.append("k", "a", 1, [b"one"])
        self.clock.advance(_LEASE)
        second.claim("k", "b")
        assert self.is_deposed(lambda: first.append("k", "a", 2, [b"two"]))
        second.append("k", "b", 2, [b"zwei"])
        assert self.is_deposed(lambda: first.append("k", "a", 2, [b"two", b"three"]))
        assert first.read("k").frames == (b"one", b"zwei")

    def test_a_number_is_written_once(self) -> None:
        """Not again, not in part, and none is left out."""
        journal = self.journal()
        journal.claim("k", "a")
        journal.append("k", "a", 1, [b"one", b"two"])
        for first in (1, 2, 4):
            assert self.is_deposed(partial(journal.append, "k", "a", first, [b"x", b"y"]))
        assert journal.read("k") == Page((b"one", b"two"), 2, EntryState.ALIVE)

    def test_nothing_is_appended_to_an_entry_that_nobody_claimed(self) -> None:
        """Nor to one that was forgotten."""
        journal = self.journal()
        assert self.is_deposed(lambda: journal.append("k", "a", 1, [b"one"]))
        journal.claim("k", "a")
        assert journal.forget("k")
        assert self.is_deposed(lambda: journal.append("k", "a", 1, [b"one"]))
        assert not journal.forget("k")

    def test_of_many_writers_one_writes_a_number(self) -> None:
        """In whatever order they come."""
        journals = [self.journal() for _ in range(4)]
        journals[0].claim("k", "a")
        written: list[int] = []

        def write(number: int) -> None:
            for first in range(1, 21):
                frame = b"%d" % number
                if not self.is_deposed(partial(journals[number].append, "k", "a", first, [frame])):
                    written.append(first)

        threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(_PATIENCE)
        assert sorted(written) == list(range(1, len(written) + 1))
        assert journals[0].read("k").last == len(written)

    # The end

    def test_a_closed_entry_is_replayed(self) -> None:
        """It takes no more frames, and nobody can claim it."""
        journal = self.journal()
        journal.claim("k", "a", note=b"kept")
        journal.append("k", "a", 1, [b"one"])
        journal.append("k", "a", 2, [b"two"], closes=True)
        assert self.journal().read("k") == Page((b"one", b"two"), 2, EntryState.CLOSED)
        assert self.is_deposed(lambda: journal.append("k", "a", 3, [b"three"]))
        claim = journal.claim("k", "b")
        assert (claim.granted, claim.found, claim.note) == (False, EntryState.CLOSED, b"")

    def test_an_entry_is_closed_without_a_frame(self) -> None:
        """Its frames stay."""
        journal = self.journal()
        journal.claim("k", "a")
        journal.append("k", "a", 1, [b"one"])
        journal.close("k", "a")
        assert journal.read("k") == Page((b"one",), 1, EntryState.CLOSED)

    def test_entries_are_swept(self) -> None:
        """What was kept for its time is removed, and nothing else."""
        journal = self.journal()
        journal.claim("old", "a")
        journal.append("old", "a", 1, [b"one"], closes=True)
        self.clock.advance(_TTL - 1)
        journal.claim("new", "a")
        assert journal.sweep() == 0
        self.clock.advance(1)
        assert journal.sweep() == 1
        assert [entry.key for entry in journal.entries()] == ["new"]
        assert journal.read("old").state is EntryState.ABSENT

    def test_without_a_time_to_live_a_closed_entry_is_forgotten(self) -> None:
        """Also if its last frames close it."""
        journal = self.journal(ttl=0)
        journal.claim("k", "a")
        journal.append("k", "a", 1, [b"one"])
        assert journal.read("k").frames == (b"one",)
        journal.append("k", "a", 2, [b"two"], closes=True)
        journal.claim("l", "a")
        journal.close("l", "a")
        assert journal.entries() == []

    def test_entries_are_listed(self) -> None:
        """With what they hold."""
        journal = self.journal()
        journal.claim("k", "a", about="said", note=b"kept")
        journal.append("k", "a", 1, [b"one", b"three"])
        self.clock.advance(1)
        journal.claim("l", "b")
        last, first = journal.entries()
        assert (last.key, last.last, last.size, last.closed) == ("l", 0, 0, False)
        assert (first.key, first.about, first.owner, first.last) == ("k", "said", "a", 2)
        assert first.size >= len(b"onethree")
        assert journal.state(first) is EntryState.ALIVE

    # Reading

    def test_an_absent_entry_has_no_frames(self) -> None:
        """And is not waited for."""
        assert self.journal().read("k", wait=_PATIENCE) == Page((), 0, EntryState.ABSENT)

    def test_frames_are_any_bytes(self) -> None:
        """Empty ones, too, and many of them."""
        journal = self.journal()
        frames = [b"", b"\x00\xff\r\n", *(b"%d" % number for number in range(3000)), b"x" * 100_000]
        journal.claim("k", "a")
        journal.append("k", "a", 1, frames)
        found: list[bytes] = []
        while (page := journal.read("k", len(found))).frames:
            found += page.frames
            assert page.last == len(found)
        assert found == frames

    def test_a_reader_waits_for_a_frame(self) -> None:
        """Of the same connection, and of another one."""
        writer = self.journal()
        writer.claim("k", "a")
        for number, reader in enumerate((writer, self.journal()), 1):
            with _Reader(reader, number - 1) as waiting:
                writer.append("k", "a", number, [b"one"])
            assert waiting.page == Page((b"one",), number, EntryState.ALIVE)

    def test_a_reader_waits_for_the_end(self) -> None:
        """However it comes."""
        writer, reader = self.journal(), self.journal()
        writer.claim("k", "a")
        with _Reader(reader, 0) as waiting:
            writer.leave("k", "a")
        assert waiting.page == Page((), 0, EntryState.LEFT)
        writer.claim("k", "b")
        with _Reader(reader, 0) as waiting:
            writer.close("k", "b")
        assert waiting.page == Page((), 0, EntryState.CLOSED)

    def test_a_reader_waits_no_longer_than_it_says(self) -> None:
        """Then it has no frames."""
        journal = self.journal()
        journal.claim("k", "a")
        assert journal.read("k", wait=0.01) == Page((), 0, EntryState.ALIVE)

    # Tasks

    def test_tasks_do_the_same(self) -> None:
        """On asyncio and on trio."""
        for backend in ("asyncio", "trio"):
            anyio.run(self._in_tasks, self.journal().for_tasks(), backend, backend=backend)

    async def _in_tasks(self, journal: AsyncJournal, key: str) -> None:
        claim = await journal.claim(key, "a", about="said", note=b"kept")
        assert claim.granted
        await journal.append(key, "a", 1, [b"one"])
        pages: list[Page] = []

        async def follow() -> None:
            pages.append(await journal.read(key, 1, wait=_PATIENCE))

        async with anyio.create_task_group() as group:
            group.start_soon(follow)
            await anyio.lowlevel.checkpoint()
            await journal.renew(key, "a")
            await journal.append(key, "a", 2, [b"two"])
        assert pages == [Page((b"two",), 2, EntryState.ALIVE)]
        try:
            await journal.append(key, "b", 3, [b"three"])
        except Deposed:
            await journal.leave(key, "a")
        assert (await journal.claim(key, "b")).granted
        await journal.close(key, "b")
        assert (await journal.read(key)) == Page((b"one", b"two"), 2, EntryState.CLOSED)
        assert [entry.key for entry in await journal.entries()] == [key]
        assert await journal.sweep() == 0
        assert await journal.forget(key)

    async def _many(self, journal: AsyncJournal) -> None:
        async def write(key: str) -> None:
            await journal.claim(key, "a")
            for number in range(1, 6):
                await journal.append(key, "a", number, [key.encode()])
            await journal.close(key, "a")

        async with anyio.create_task_group() as group:
            for key in map(str, range(20)):
                group.start_soon(write, key)
        for key in map(str, range(20)):
            page = await journal.read(key)
            assert page == Page((key.encode(),) * 5, 5, EntryState.CLOSED)

    def test_many_tasks_write_at_once(self) -> None:
        """Each to its own entry."""
        anyio.run(self._many, self.journal().for_tasks())

    @staticmethod
    def is_deposed(work: Callable[[], object]) -> bool:
        """Whether a writer is told that it was deposed."""
        try:
            work()
        except Deposed:
            return True
        return False


class _Reader:
    """A thread that reads while something is done."""

    def __init__(self, journal: Journal, after: int) -> None:
        self.page: Page | None = None
        """What it got."""
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(journal, after))

    def _read(self, journal: Journal, after: int) -> None:
        self._started.set()
        self.page = journal.read("k", after, wait=_PATIENCE)

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait(_PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(2 * _PATIENCE)
