"""A `FaultServer` in a process of its own, so that it takes no time from the client."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import time
from typing import TYPE_CHECKING, Any

from benchmarks.common import prose

from unbroken.testing import FaultServer, count_tokens, voices
from unbroken.testing.conversation import blocks_of, text_of
from unbroken.testing.faults import Break, ErrorEvent, Fault, Stall, Status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

    from unbroken.testing.server import Request


@dataclasses.dataclass(frozen=True)
class Settings:
    """How the server behaves.

    Attributes:
        chars: How long an answer is; its text follows from the prompt, a number.
        voice: How the model goes on in a new turn: `exact` or `as_asked`.
        fresh_fault: A fault for each request that begins an answer; other faults are scripted.
        delta_chars: Characters a delta.
        latency: Seconds before each response.
    """

    chars: int
    voice: str = "exact"
    fresh_fault: Fault | None = None
    delta_chars: int | None = None
    latency: float = 0.0


def answer_to(prompt: str, chars: int) -> str:
    """What the model means to say."""
    return prose(chars, seed=int(prompt))


def as_asked(asked: voices.Cue) -> str:
    """Goes on from the words that the prompt quotes; exactly, if it quotes none."""
    ends = asked.partial.rstrip()[-12:], asked.remaining.strip()[:12]
    quoted = any(words in (asked.prompt or "") for words in ends if words)
    return voices.follows_anchor(asked) if quoted else voices.exact(asked)


_VOICES = {"exact": voices.exact, "as_asked": as_asked}


class _Server(FaultServer):
    """One whose faults can be replaced, or go to each request that begins an answer.

    It keeps when each response ended.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.fresh_fault: Fault | None = None
        self.scripted: list[Fault | None] = []
        self.ended: dict[str, float] = {}

    def _record(self, head: Any) -> Request:
        request = super()._record(head)
        fault = self.scripted.pop(0) if self.scripted else None
        if fault is None and request.kind == "fresh":
            fault = self.fresh_fault
        object.__setattr__(request, "fault", fault)  # the record of it is the same object
        return request

    def _respond(self, connection: Any, head: Any, request: Request) -> bool:
        try:
            return super()._respond(connection, head, request)
        finally:
            self.ended[request.id] = time.monotonic()


def _serve(pipe: Connection, settings: Settings) -> None:
    def answer(body: dict[str, Any]) -> str:
        return answer_to(text_of(blocks_of(body["messages"][0]["content"])), settings.chars)

    seen = 0
    server = _Server(
        answer,
        voice=_VOICES[settings.voice],
        delta_chars=settings.delta_chars,
        latency=settings.latency,
    )
    server.fresh_fault = settings.fresh_fault
    with server:
        pipe.send(server.url)
        while (order := pipe.recv()) is not None:
            name, args = order
            if name == "script":
                server.scripted = list(args)
                pipe.send(None)
            elif name == "ended":
                server.wait_idle()
                pipe.send(server.ended)
                server.ended = {}
            elif name == "requests":
                server.wait_idle()
                new = server.message_requests[seen:]
                seen += len(new)
                pipe.send([_account(request, settings.chars) for request in new])
            else:
                server.wait_closed(args)
                pipe.send(server.open_connections)


def _account(request: Request, chars: int) -> dict[str, Any]:
    """What a request sent, and what the model generated for it."""
    turns = request.body["messages"]
    said = [turn for turn in turns if turn["role"] == "assistant"]
    have = len(text_of(blocks_of(said[-1]["content"]))) if said else 0
    left = chars - have
    match request.fault:
        case Status():
            left = 0
        case Break(at=at) | ErrorEvent(at=at) | Stall(at=at) if at.unit == "chars":
            left = min(left, at.count)
    generated = -(-left // 4)
    return {"kind": request.kind, "sent": count_tokens(request.body), "generated": generated}


class Server:
    """The other end of a server in another process."""

    def __init__(self, pipe: Connection, url: str) -> None:
        self._pipe = pipe
        self.url = url

    def _ask(self, name: str, args: Any = ()) -> Any:
        self._pipe.send((name, args))
        return self._pipe.recv()

    def script(self, *faults: Fault | None) -> None:
        """Faults for the next requests, one each, in place of those that are left."""
        self._ask("script", faults)

    def requests(self) -> list[dict[str, Any]]:
        """The requests since this was last asked: kind, tokens sent, tokens generated."""
        asked: list[dict[str, Any]] = self._ask("requests")
        return asked

    def ended(self) -> dict[str, float]:
        """Monotonic seconds at which responses ended since this was last asked, by `request-id`."""
        ended: dict[str, float] = self._ask("ended")
        return ended

    def open_connections(self, timeout: float = 5.0) -> int:
        """How many connections are open, after waiting for the last one to be closed."""
        still_open: int = self._ask("open_connections", timeout)
        return still_open


@contextlib.contextmanager
def serving(settings: Settings) -> Iterator[Server]:
    """Run a server."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, settings), daemon=True)
    process.start()
    try:
        yield Server(ours, ours.recv())
    finally:
        with contextlib.suppress(OSError):
            ours.send(None)
        process.join(15)
        if process.is_alive():
            process.kill()
