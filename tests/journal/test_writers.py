"""Two writers of one entry, in any order, with crashes, pauses and removals."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from tests.profiles import examples

from unbroken._core.journal.cursor import Cursor, Mode, Step
from unbroken._core.journal.entries import Deposed, EntryState
from unbroken.journal import SqliteJournal
from unbroken.journal.testkit import ManualClock

if TYPE_CHECKING:
    from collections.abc import Callable

LEASE = 10.0
KEY = "k"


class Writer:
    """A call that follows the entry, or writes it; what it writes names it."""

    def __init__(self, name: str, journal: Any) -> None:
        self.name = name
        self.journal = journal
        self.cursor = Cursor()
        self.delivered: list[bytes] = []
        self.is_over = False
        self._skip = 0
        self.claim()

    def claim(self) -> None:
        self.cursor.claimed(self.journal.claim(KEY, self.name))
        self._skip = len(self.delivered)

    def step(self, *, closes: bool) -> None:
        """Read one page, or write one frame."""
        if self.cursor.mode is Mode.WRITING:
            self._write(closes=closes)
        elif self.cursor.mode is Mode.READING:
            self._read()
        else:
            self.is_over = True

    def _write(self, *, closes: bool) -> None:
        frame = f"{self.name}:{self.cursor.last + 1};".encode()
        try:
            self.journal.append(KEY, self.name, self.cursor.last + 1, [frame], closes=closes)
        except Deposed:
            self.cursor.stop()
            self.claim()
            return
        self.cursor.wrote(1, ends=closes)
        assert self.cursor.deliver(frame) == frame
        self.delivered.append(frame)

    def _read(self) -> None:
        step = self.cursor.take(self.journal.read(KEY, self.cursor.last))
        if step is Step.CLAIM:
            self.cursor.claimed(self.journal.claim(KEY, self.name))
        if step is None:
            while chunk := self.cursor.chunk():
                new = self.cursor.deliver(chunk)
                self.delivered += [part + b";" for part in new.split(b";")[:-1]]


class Writers(RuleBasedStateMachine):
    """Any number of calls, of which each may stop for good, or for longer than its lease."""

    open: ClassVar[Callable[..., Any]]

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.journals = [type(self).open(self.clock) for _ in range(2)]
        self.count = 0
        self.writers: list[Writer] = []

    @precondition(lambda self: len(self.writers) < 3)
    @rule(of=st.integers(0, 1))
    def start(self, of: int) -> None:
        self.count += 1
        self.writers.append(Writer(f"w{self.count}", self.journals[of]))

    @precondition(lambda self: self.writers)
    @rule(which=st.integers(0, 2), closes=st.booleans(), many=st.integers(1, 4))
    def go_on(self, which: int, closes: bool, many: int) -> None:
        writer = self.writers[which % len(self.writers)]
        for _ in range(many):
            writer.step(closes=closes and many == 1)

    @precondition(lambda self: self.writers)
    @rule(which=st.integers(0, 2))
    def crash(self, which: int) -> None:
        self.check(self.writers.pop(which % len(self.writers)))

    @precondition(lambda self: self.writers)
    @rule(which=st.integers(0, 2))
    def leave(self, which: int) -> None:
        writer = self.writers.pop(which % len(self.writers))
        writer.journal.leave(KEY, writer.name)
        self.check(writer)

    @precondition(lambda self: self.writers)
    @rule(which=st.integers(0, 2))
    def sign(self, which: int) -> None:
        writer = self.writers[which % len(self.writers)]
        if writer.cursor.owns:
            try:
                writer.journal.renew(KEY, writer.name)
            except Deposed:
                assert self.journals[0].read(KEY).state is not EntryState.ABSENT

    @rule(seconds=st.sampled_from([LEASE / 2, LEASE + 1]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def check(self, writer: Writer) -> None:
        """What a caller had is how the entry begins, whoever wrote it."""
        written = list(self.journals[0].read(KEY).frames)
        assert written[: len(writer.delivered)] == writer.delivered
        assert [int(frame.split(b":")[1][:-1]) for frame in written] == [
            *range(1, len(written) + 1)
        ]

    def teardown(self) -> None:
        for writer in self.writers:
            self.check(writer)
        for journal in self.journals:
            journal.dispose()


def run(open_journal: Callable[..., Any], count: int) -> None:
    machine = type("Machine", (Writers,), {"open": staticmethod(open_journal)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples(count),
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_no_reader_sees_a_mixture_in_a_file():
    with tempfile.TemporaryDirectory() as folder:
        names = iter(range(10**9))
        newest: dict[Any, Path] = {}

        def open_journal(clock: ManualClock) -> SqliteJournal:
            path = newest.get(id(clock))
            if path is None:
                newest.clear()
                path = newest[id(clock)] = Path(folder) / f"{next(names)}.db"
            return SqliteJournal(path, lease=LEASE, clock=clock)

        run(open_journal, 25)


def test_no_reader_sees_a_mixture_in_redis(redis_url):
    redis = pytest.importorskip("redis")
    from unbroken.journal.redis import RedisJournal

    newest: list[Any] = []

    def open_journal(clock: ManualClock) -> RedisJournal:
        if newest != [clock]:
            newest[:] = [clock]
            with redis.Redis.from_url(redis_url) as client:
                client.flushall()
        return RedisJournal(redis_url, lease=LEASE, clock=clock)

    run(open_journal, 25)
