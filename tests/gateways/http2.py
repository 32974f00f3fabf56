"""A gateway from HTTP/2, spoken at once and in the clear, to a `FaultServer`, which speaks 1.1."""

from __future__ import annotations

import socketserver
import threading
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any, Literal

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import H2Error
from hyperframe.frame import GoAwayFrame
from tests.gateways.loopback import Loopback, address_of, hang_up

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.client import HTTPResponse

    from unbroken.testing import FaultServer


class Http2Gateway(Loopback):
    """A gateway as load balancers are.

    Args:
        upstream: Where requests go.
        breaks: What the client is told when the upstream breaks in the middle of a response: the
            end of that stream (RST_STREAM), or of the whole connection, with a GOAWAY or without.

    Attributes:
        streams: The id of each stream there was, by connection in the order of their opening.
        resets: The streams that the client reset.
        goes_away: The first so many connections get a GOAWAY before the first response body. Their
            streams are served to the end, as by a gateway that is to be restarted.
    """

    def __init__(
        self,
        upstream: FaultServer,
        breaks: Literal["stream", "connection", "goaway"] = "stream",
    ) -> None:
        super().__init__(_Http2)
        self.upstream = address_of(upstream)
        self.breaks = breaks
        self.streams: list[list[int]] = []
        self.resets: list[int] = []
        self.goes_away = 0


class _Http2(socketserver.BaseRequestHandler):
    """One connection: this thread reads it, and each stream has a thread that writes."""

    server: Http2Gateway

    def setup(self) -> None:
        config = H2Configuration(client_side=False, header_encoding="utf-8")
        self.h2 = H2Connection(config)
        self.changed = threading.Condition()  # held to touch any of these
        self.requests: dict[int, tuple[dict[str, str], bytearray]] = {}
        self.upstreams: dict[int, HTTPConnection] = {}
        self.gone = False
        self.goes_away = len(self.server.streams) < self.server.goes_away
        self.workers: list[threading.Thread] = []
        self.streams: list[int] = []
        self.server.streams.append(self.streams)

    def handle(self) -> None:
        self.h2.initiate_connection()
        self.flush()
        while data := self.request.recv(65536):
            with self.changed:
                for event in self.h2.receive_data(data):
                    self.take(event)
                self.flush()
                self.changed.notify_all()

    def finish(self) -> None:
        with self.changed:
            self.gone = True
            self.changed.notify_all()
            for stream_id in self.upstreams:
                self.abandon(stream_id)
        for worker in self.workers:
            worker.join()

    def take(self, event: Any) -> None:
        match event:
            case RequestReceived():
                self.requests[event.stream_id] = (dict(event.headers), bytearray())
            case DataReceived():
                self.requests[event.stream_id][1].extend(event.data)
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case StreamEnded():
                self.streams.append(event.stream_id)
                worker = threading.Thread(target=self.serve, args=(event.stream_id,))
                self.workers.append(worker)
                worker.start()
            case StreamReset():
                self.server.resets.append(event.stream_id)
                self.abandon(event.stream_id)

    def abandon(self, stream_id: int) -> None:
        upstream = self.upstreams.get(stream_id)
        if upstream is not None and upstream.sock is not None:
            hang_up(upstream.sock)

    # One stream

    def serve(self, stream_id: int) -> None:
        with suppress(H2Error), closing(HTTPConnection(*self.server.upstream)) as upstream:
            try:
                self.relay(stream_id, upstream)
            except (OSError, HTTPException):
                self.break_off(stream_id)  # an `H2Error` if the client reset the stream

    def relay(self, stream_id: int, upstream: HTTPConnection) -> None:
        fields, body = self.requests[stream_id]
        plain = {name: value for name, value in fields.items() if name[0] != ":"}
        upstream.connect()
        with self.changed:
            self.upstreams[stream_id] = upstream
        upstream.request(fields[":method"], fields[":path"], bytes(body), plain)
        with upstream.getresponse() as response:
            head = [(":status", str(response.status)), *response.getheaders()]
            with self.changed:
                self.h2.send_headers(stream_id, head)
                self.flush()
            for data in _parts(response):
                self.send(stream_id, data)
        with self.changed:
            self.h2.end_stream(stream_id)
            self.flush()

    def send(self, stream_id: int, data: bytes) -> None:
        """Send a part of a body, as fast as the client takes it."""
        while data:
            with self.changed:
                self.changed.wait_for(lambda: self.gone or self.room(stream_id))
                if self.gone:
                    raise ConnectionAbortedError
                room = self.room(stream_id)
                if self.goes_away:
                    self.goes_away = False
                    self.go_away(ErrorCodes.NO_ERROR)
                self.h2.send_data(stream_id, data[:room])
                self.flush()
            data = data[room:]

    def room(self, stream_id: int) -> int:
        return min(self.h2.local_flow_control_window(stream_id), self.h2.max_outbound_frame_size)

    def break_off(self, stream_id: int) -> None:
        with self.changed:
            if self.gone:
                return
            if self.server.breaks == "stream":
                self.h2.reset_stream(stream_id, ErrorCodes.INTERNAL_ERROR)
                self.flush()
                return
            if self.server.breaks == "goaway":
                self.go_away(ErrorCodes.INTERNAL_ERROR)
            hang_up(self.request)

    def go_away(self, code: ErrorCodes) -> None:
        """Announce the end of the connection, after which `h2` itself would send no more."""
        last = max(self.streams)
        self.write(GoAwayFrame(0, last_stream_id=last, error_code=code).serialize())

    def flush(self) -> None:
        self.write(self.h2.data_to_send())

    def write(self, data: bytes) -> None:
        with suppress(OSError):  # who reads the connection finds out, too
            self.request.sendall(data)


def _parts(response: HTTPResponse) -> Iterator[bytes]:
    """The body as it comes, or whole where its length is known.

    Raises:
        IncompleteRead: If it ends early.
    """
    if response.chunked:
        yield from iter(response.read1, b"")
    else:
        yield response.read()
