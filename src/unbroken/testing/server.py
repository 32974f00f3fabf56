"""`FaultServer`: a loopback Claude Messages API on real sockets, with faults to order."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from unbroken.testing import voices
from unbroken.testing.api import COUNT_TOKENS, MESSAGES, AnswerSource, Api, Settings
from unbroken.testing.delivery import Style, deliver
from unbroken.testing.errors import STATUS_OF, ApiError
from unbroken.testing.faults import ErrorEvent, Fault, Hang, Html, NoResponse, Status
from unbroken.testing.orders import checked_answer, checked_faults, checked_path, checked_voice
from unbroken.testing.wire import ClientGoneError, Connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType

    from unbroken.testing.delivery import Response
    from unbroken.testing.voices import Voice
    from unbroken.testing.wire import Head

__all__ = ["FaultServer", "Request"]

DEFAULT_ANSWER = "Hello! How can I help you today?"

_BACKLOG = 1024
_JOIN_TIMEOUT = 10.0


@dataclass(frozen=True)
class Request:
    """A request that the server got.

    Attributes:
        method: The HTTP method.
        path: The path, without the query.
        headers: The headers, names in lower case.
        body: The JSON of the body, or `None`.
        kind: `prefill` and `user_turn` go on from an answer that this server began and did not end;
            `fresh` is any other request for a message.
        fault: What was scripted for it.
        id: Its `request-id`.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    kind: Literal["fresh", "prefill", "user_turn", "count_tokens", "other"]
    fault: Fault | None
    id: str


class FaultServer:
    """A Claude Messages API on 127.0.0.1, to test an application against failures.

    It is as strict as the API about what it is sent, says what it is told to, and fails when it is
    told to:

        with FaultServer("Once upon a time ...", faults=[faults.reset(after_chars=9)]) as server:
            client = anthropic.Anthropic(base_url=server.url, api_key="test")
            ...
        assert len(server.message_requests) == 2

    An answer that was interrupted is gone on with as the API does: right after a prefill, or in a
    new turn in the words of the `voice`.

    Args:
        answer: What the model says: a text, an `Answer`, or a function from the JSON of a request
            to one of these, asked for each request that does not go on from an interrupted answer.
        voice: How the model goes on in a new turn.
        faults: One for each `POST /v1/messages` in order, `None` for none; may be endless. After
            the last one, requests succeed.
        split: How many bytes each write of a stream has, or a function that gives the next number;
            by default each event is a write.
        delta_chars: How many characters a delta has; by default about a word.
        latency: Seconds before each response.
        ping_every: Send a ping after each so many events.
        strict: Whether to refuse what the API refuses.
        gzip: Whether to compress the responses to clients that accept it.
        ensure_ascii: Whether JSON escapes what is not ASCII.
        enforce_signatures: Whether thinking must be sent back behind the very same prefix on all
            models, not only those that the API checks it on.
        prefill: Whether models take prefill, whatever their ids say.

    Raises:
        TypeError: If the answer, the voice or a fault is none. Faults of a generator are checked
            when it is their turn; a wrong one is raised at the end of the `with` block.
        ValueError: If `split` is below 1.
    """

    def __init__(
        self,
        answer: AnswerSource = DEFAULT_ANSWER,
        *,
        voice: Voice = voices.exact,
        faults: Iterable[Fault | None] = (),
        split: int | Callable[[], int] | None = None,
        delta_chars: int | None = None,
        latency: float = 0.0,
        ping_every: int | None = None,
        strict: bool = True,
        gzip: bool = False,
        ensure_ascii: bool = False,
        enforce_signatures: bool = False,
        prefill: bool | None = None,
    ) -> None:
        settings = Settings(
            checked_answer(answer),
            checked_voice(voice),
            strict,
            enforce_signatures,
            prefill,
            delta_chars,
            ping_every,
            ensure_ascii,
        )
        self._api = Api(settings)
        self._style = Style(_sizes(split), ensure_ascii)
        self._gzip = gzip
        self._latency = latency
        self._scripts: dict[str, Iterator[Fault | None]] = {MESSAGES: checked_faults(faults)}
        self._requests: list[Request] = []
        self._errors: list[Exception] = []
        self._changed = threading.Condition()
        self._active = 0
        self._connections: dict[Connection, threading.Thread] = {}
        self._closing = False
        self._listener: socket.socket | None = None
        self._acceptor = threading.Thread(target=self._accept, name="FaultServer", daemon=True)

    # --- what a test reads and sets

    @property
    def url(self) -> str:
        """The `base_url` to give to a client."""
        if self._listener is None:
            raise RuntimeError("the server is not started; use it as a context manager")
        host, port = self._address
        return f"http://{host}:{port}"

    @property
    def answer(self) -> AnswerSource:
        """What the model says to requests that do not go on from an interrupted answer."""
        return self._api.settings.answer

    @answer.setter
    def answer(self, answer: AnswerSource) -> None:
        self._api.settings.answer = checked_answer(answer)

    @property
    def voice(self) -> Voice:
        """How the model goes on in a new turn."""
        return self._api.settings.voice

    @voice.setter
    def voice(self, voice: Voice) -> None:
        self._api.settings.voice = checked_voice(voice)

    @property
    def requests(self) -> list[Request]:
        """All requests so far, in order."""
        return list(self._requests)

    @property
    def message_requests(self) -> list[Request]:
        """The requests for a message so far, in order."""
        return [r for r in self._requests if (r.method, r.path) == ("POST", MESSAGES)]

    @property
    def unmatched(self) -> list[dict[str, Any]]:
        """Bodies of requests that go on from an interrupted answer, but not with its words."""
        return list(self._api.unmatched)

    @property
    def errors(self) -> list[Exception]:
        """Exceptions out of the answer, the voice or the server itself; clients got a 500."""
        return list(self._errors)

    @property
    def open_connections(self) -> int:
        """How many connections are open, at work or kept alive."""
        return len(self._connections)

    @property
    def active(self) -> int:
        """How many responses are under way."""
        return self._active

    def script(self, *faults: Fault | None, path: str = MESSAGES) -> None:
        """Append faults for the next requests to this path, one for each in order.

        Raises:
            TypeError: If one of them is neither a fault nor None.
            ValueError: If no request can have the path.
        """
        checked, path = checked_faults(faults), checked_path(path)
        with self._changed:
            self._scripts[path] = itertools.chain(self._scripts.get(path, iter(())), checked)

    def wait_idle(self, timeout: float = 5.0) -> bool:
        """Wait until no response is under way.

        Returns:
            Whether that came before the timeout.
        """
        return self._wait_until(lambda: not self._active, timeout)

    def wait_closed(self, timeout: float = 5.0) -> bool:
        """Wait until no connection is open.

        Returns:
            Whether that came before the timeout.
        """
        return self._wait_until(lambda: not self._connections, timeout)

    def wait_for_requests(self, count: int, timeout: float = 5.0) -> bool:
        """Wait until the server has got so many requests.

        Returns:
            Whether that came before the timeout.
        """
        return self._wait_until(lambda: len(self._requests) >= count, timeout)

    def _wait_until(self, reached: Callable[[], bool], timeout: float) -> bool:
        with self._changed:
            return self._changed.wait_for(reached, timeout)

    # --- its life

    def start(self) -> Self:
        """Begin to listen."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self._address = self._listener.getsockname()
        self._acceptor.start()
        return self

    def close(self) -> None:
        """End all connections and threads; does nothing the second time."""
        if self._closing or self._listener is None:
            return
        self._closing = True
        self._wake_acceptor()
        self._acceptor.join(_JOIN_TIMEOUT)
        self._listener.close()
        for connection in list(self._connections):
            connection.shut_down()
        deadline = time.monotonic() + _JOIN_TIMEOUT
        for thread in list(self._connections.values()):
            thread.join(max(0.0, deadline - time.monotonic()))

    def _wake_acceptor(self) -> None:
        with contextlib.suppress(OSError), socket.create_connection(self._address, 1.0):
            pass

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        if error is None and self._errors:
            raise self._errors[0]

    def _accept(self) -> None:
        assert self._listener is not None
        while True:
            sock, _ = self._listener.accept()
            if self._closing:
                sock.close()
                return
            connection = Connection(sock)
            thread = threading.Thread(
                target=self._serve, args=(connection,), name="FaultServer connection", daemon=True
            )
            self._connections[connection] = thread
            thread.start()

    # --- one connection

    def _serve(self, connection: Connection) -> None:
        try:
            while (head := connection.read_request()) is not None:
                if not self._serve_one(connection, head):
                    break
        except ClientGoneError:
            pass
        finally:
            connection.close()
            with self._changed:
                del self._connections[connection]
                self._changed.notify_all()

    def _serve_one(self, connection: Connection, head: Head) -> bool:
        request = self._record(head)
        try:
            if self._latency:
                connection.wait(self._latency)
            keep = self._respond(connection, head, request)
        finally:
            with self._changed:
                self._active -= 1
                self._changed.notify_all()
        return keep and head.headers.get("connection", "").lower() != "close"

    def _record(self, head: Head) -> Request:
        path = head.target.partition("?")[0]
        body = _json(head.body)
        with self._changed:
            self._active += 1
            fault = self._next_fault(path)
            request = Request(
                method=head.method,
                path=path,
                headers=head.headers,
                body=body,
                kind=self._kind(path, body),
                fault=fault,
                id=self._api.new_request_id(),
            )
            self._requests.append(request)
            self._changed.notify_all()
        return request

    def _next_fault(self, path: str) -> Fault | None:
        try:
            return next(self._scripts.get(path, iter(())), None)
        except Exception as error:  # noqa: BLE001  # out of a generator, which may do anything
            self._errors.append(error)
            return None

    def _kind(
        self, path: str, body: Any
    ) -> Literal["fresh", "prefill", "user_turn", "count_tokens", "other"]:
        if path == COUNT_TOKENS:
            return "count_tokens"
        if path != MESSAGES:
            return "other"
        return self._api.kind(body)

    def _respond(self, connection: Connection, head: Head, request: Request) -> bool:
        fault = request.fault
        match fault:
            case NoResponse(end):
                if end == "reset":
                    connection.reset()
                return False
            case Hang():
                connection.wait(None)
                return False
            case Status() | Html():
                response, fault = self._api.failure(fault, request.id), None
            case _:
                response = self._right_response(head, request)
        if fault is not None and isinstance(response.body, bytes):
            response, fault = self._without_events(response, fault, request)
        return deliver(connection, response, fault, self._style_for(head))

    def _right_response(self, head: Head, request: Request) -> Response:
        try:
            return self._api.respond(
                request.method, request.path, head.headers, head.body, request.id
            )
        except Exception as error:  # noqa: BLE001
            self._errors.append(error)
            message = f"FaultServer: {type(error).__name__}: {error}"
            return self._api.error(ApiError(message, status=500), request.id)

    def _without_events(
        self, response: Response, fault: Fault, request: Request
    ) -> tuple[Response, Fault | None]:
        """Errors are sent whole, and an error event becomes a status where there are no events."""
        if response.status != 200:
            return response, None
        if not isinstance(fault, ErrorEvent):
            return response, fault
        response.ended(False)
        status = STATUS_OF.get(fault.type, 500)
        failure = Status(status, fault.type, fault.code, fault.message)
        return self._api.failure(failure, request.id), None

    def _style_for(self, head: Head) -> Style:
        gzip = self._gzip and "gzip" in head.headers.get("accept-encoding", "")
        return Style(self._style.next_size, self._style.ensure_ascii, gzip)


def _sizes(split: int | Callable[[], int] | None) -> Callable[[], int] | None:
    if split is None or callable(split):
        return split
    if split < 1:
        raise ValueError(f"split must be 1 or more, not {split}")
    return lambda: split


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return None
