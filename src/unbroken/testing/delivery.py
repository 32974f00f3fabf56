"""Sends one response, with the fault that was scripted for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from unbroken.testing.errors import error_body
from unbroken.testing.events import PING, encode
from unbroken.testing.faults import Break, ErrorEvent, Fault, Slow, Stall
from unbroken.testing.feed import Feed
from unbroken.testing.place import Frame, in_bytes
from unbroken.testing.wire import Body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from unbroken.testing.wire import Connection

__all__ = ["Response", "Style", "deliver"]


@dataclass(frozen=True)
class Style:
    """How responses stand on the wire.

    Attributes:
        next_size: Gives the size of each write of a stream; without it, a frame is a write.
        ensure_ascii: Whether JSON escapes what is not ASCII.
        gzip: Whether bodies are compressed.
    """

    next_size: Callable[[], int] | None = None
    ensure_ascii: bool = False
    gzip: bool = False


@dataclass(frozen=True)
class Response:
    """A response before any fault.

    Attributes:
        status: The HTTP status.
        headers: The headers, but for those of the framing.
        body: The whole body, or the frames of a stream.
        ended: Called once, with whether all of it was sent.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes | Iterable[Frame]
    ended: Callable[[bool], None] = lambda _complete: None


def deliver(connection: Connection, response: Response, fault: Fault | None, style: Style) -> bool:
    """Send the response, or what the fault leaves of it.

    Returns:
        Whether the connection can serve another request.

    Raises:
        ClientGoneError: If the client went away.
    """
    complete = False
    try:
        delivery = _Delivery(connection, response, fault, style)
        keep = delivery.run()
        complete = delivery.complete
    finally:
        response.ended(complete)
    return keep


class _Delivery:
    def __init__(
        self, connection: Connection, response: Response, fault: Fault | None, style: Style
    ) -> None:
        self._connection = connection
        self._response = response
        whole = response.body
        self._fault = in_bytes(fault, len(whole)) if isinstance(whole, bytes) else fault
        self._style = style
        self.complete = False

    def run(self) -> bool:
        whole = isinstance(self._response.body, bytes)
        chunked = not whole or self._ends_properly() or self._style.gzip
        self._send_head(chunked=chunked)
        self._body = Body(
            self._connection,
            chunked=chunked,
            gzip=self._style.gzip,
            next_size=None if whole else self._style.next_size,
        )
        self._feed = Feed(_frames(self._response), ensure_ascii=self._style.ensure_ascii)
        return self._send_body()

    def _ends_properly(self) -> bool:
        """Whether the fault ends the body early but properly, which no announced length allows."""
        return isinstance(self._fault, Break) and self._fault.end == "eof"

    def _send_head(self, *, chunked: bool) -> None:
        headers = dict(self._response.headers)
        if self._style.gzip:
            headers["content-encoding"] = "gzip"
        if isinstance(self._response.body, bytes) and not chunked:
            headers["content-length"] = str(len(self._response.body))
        else:
            headers["transfer-encoding"] = "chunked"
        self._connection.send_head(self._response.status, headers)

    def _send_body(self) -> bool:
        match self._fault:
            case Break() | ErrorEvent() | Stall() as fault:
                self._write(self._feed.until(fault.at))
                if self._feed.arrived:
                    return self._fail(fault)
            case Slow(seconds):
                self._write(self._feed, wait=seconds)
        self._write(self._feed)
        self._body.finish()
        self.complete = True
        return True

    def _write(self, frames: Iterable[Frame], wait: float = 0.0) -> None:
        for frame in frames:
            if wait:
                self._body.flush()
                self._connection.wait(wait)
            self._body.write(frame.data)

    def _fail(self, fault: Break | ErrorEvent | Stall) -> bool:
        match fault:
            case Break():
                return self._break(fault)
            case ErrorEvent():
                return self._send_error(fault)
            case Stall():
                return self._stall(fault)

    def _break(self, fault: Break) -> bool:
        if fault.half_frame:
            frame = next(self._feed, Frame(b""))
            self._body.write(frame.data[: len(frame.data) // 2])
        self._body.write(fault.garbage)
        if fault.end == "eof":
            self._body.finish()
            return True
        self._body.flush()
        if fault.end == "reset":
            self._connection.reset()
        return False

    def _send_error(self, fault: ErrorEvent) -> bool:
        request_id = self._response.headers.get("request-id", "")
        error = error_body(fault.type, fault.message or "", fault.code, request_id)
        self._body.write(encode(error, ensure_ascii=self._style.ensure_ascii))
        self._body.finish()
        return True

    def _stall(self, fault: Stall) -> bool:
        self._body.flush()
        if fault.pings:
            self._ping(fault)
        else:
            self._connection.wait(fault.seconds)
        self._write(self._feed)
        self._body.finish()
        self.complete = True
        return True

    def _ping(self, fault: Stall) -> None:
        left = float("inf") if fault.seconds is None else fault.seconds
        while left > 0:
            self._body.write(encode(PING))
            self._body.flush()
            self._connection.wait(min(fault.ping_interval, left))
            left -= fault.ping_interval


def _frames(response: Response) -> Iterable[Frame]:
    return [Frame(response.body)] if isinstance(response.body, bytes) else response.body
