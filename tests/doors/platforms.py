"""Amazon Bedrock and Vertex AI on a loopback socket: their paths, their framing, the strict API.

What is asked of them is translated into a request to the API that `FaultServer` has, and its
answer back into theirs.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import unquote

from tests.core.aws_frames import chunk, exception
from tests.samples import HEADERS

from unbroken.testing import voices
from unbroken.testing.api import Api, Settings
from unbroken.testing.wire import Body, ClientGoneError, Connection, Head

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from unbroken.testing.delivery import Response

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

_BEDROCK = re.compile(r"/model/(?P<model>[^/]+)/invoke(?P<streams>-with-response-stream)?")
_VERTEX = re.compile(
    r"/v1/projects/my-project/locations/(?P<region>[^/]+)/publishers/anthropic/models/"
    r"(?P<model>[^/:]+):(?P<streams>streamR|r)awPredict"
)


@dataclass(frozen=True)
class Drop:
    """How a stream ends early.

    Attributes:
        end: `reset`, a proper `eof`, `half_frame` before one, an `exception` frame, or a `status`
            in place of the stream.
        after: After so many events.
        kind: The exception, or its name with the status.
        status: The status.
    """

    end: Literal["reset", "eof", "half_frame", "exception", "status"]
    after: int = 0
    kind: str = "modelStreamErrorException"
    status: int = 429


@dataclass(frozen=True)
class Seen:
    """A request: the model of its path, its JSON, its headers, its first line and its bytes."""

    model: str
    body: dict[str, Any]
    head: Head


class Platform:
    """A platform's endpoint.

    Args:
        name: Which platform.
        answer: What the model says.
        drops: What happens to each request in order; None for nothing.
    """

    def __init__(
        self, name: Literal["bedrock", "vertex"], answer: str, drops: Iterable[Drop | None] = ()
    ) -> None:
        self._path = _BEDROCK if name == "bedrock" else _VERTEX
        self._is_bedrock = name == "bedrock"
        self._api = Api(Settings(answer, voices.exact, True, False, None, None, None, False))
        self._drops = list(drops)
        self._threads: list[threading.Thread] = []
        self._connections: list[Connection] = []
        self._closing = False
        self.seen: list[Seen] = []
        self.errors: list[Exception] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing = True
        socket.create_connection(self._listener.getsockname()).close()
        self._threads[0].join(5)
        self._listener.close()
        for connection in self._connections:
            connection.shut_down()
        for thread in self._threads:
            thread.join(5)

    def _start(self, target: Any, *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            if self._closing:
                sock.close()
                return
            self._connections.append(Connection(sock))
            self._start(self._serve, self._connections[-1])

    def _serve(self, connection: Connection) -> None:
        try:
            while head := connection.read_request():
                if not self._respond(connection, head):
                    break
        except ClientGoneError:
            pass
        except Exception as wrong:
            self.errors.append(wrong)
            raise
        finally:
            connection.close()

    def _respond(self, connection: Connection, head: Head) -> bool:
        path = self._path.fullmatch(head.target)
        if path is None:
            return self._send(connection, 404, b'{"message": "no such path"}')
        seen = Seen(unquote(path["model"]), json.loads(head.body), head)
        self.seen.append(seen)
        drop = self._drops.pop(0) if self._drops else None
        if drop is not None and drop.end == "status":
            message = json.dumps({"message": "Too many requests"}).encode()
            return self._send(connection, drop.status, message, {"x-amzn-errortype": drop.kind})
        streams = path["streams"] in ("-with-response-stream", "streamR")
        response = self._api.respond(
            "POST", "/v1/messages", HEADERS, self._translated(seen, streams=streams), "req_1"
        )
        if isinstance(response.body, bytes):
            return self._send(connection, response.status, response.body)
        return self._stream(connection, response, drop)

    def _translated(self, seen: Seen, *, streams: bool) -> bytes:
        assert seen.body["anthropic_version"]
        assert "model" not in seen.body
        assert ("stream" in seen.body) is (streams and not self._is_bedrock)
        body = {
            name: value
            for name, value in seen.body.items()
            if name not in ("anthropic_version", "anthropic_beta")
        }
        return json.dumps({**body, "model": seen.model, "stream": streams}).encode()

    def _send(self, connection: Connection, status: int, content: bytes, more: Any = ()) -> bool:
        headers = {"content-type": "application/json", "content-length": str(len(content))}
        connection.send_head(status, {**headers, **dict(more)})
        connection.send(content)
        return True

    def _stream(self, connection: Connection, response: Response, drop: Drop | None) -> bool:
        kind = "application/vnd.amazon.eventstream" if self._is_bedrock else "text/event-stream"
        headers = {"content-type": kind, "transfer-encoding": "chunked"}
        connection.send_head(200, {**headers, "x-amzn-requestid": f"aws-{len(self.seen)}"})
        body = Body(connection, chunked=True)
        assert not isinstance(response.body, bytes)
        frames = [self._framed(one.data, one.event) for one in response.body]
        response.ended(drop is None)
        for one in frames if drop is None else frames[: drop.after]:
            body.write(one)
        if drop is not None and drop.end == "reset":
            connection.reset()
            return False
        if drop is not None and drop.end == "exception":
            body.write(exception(drop.kind))
        if drop is not None and drop.end == "half_frame":
            body.write(frames[drop.after][:-3])
        body.finish()
        return True

    def _framed(self, data: bytes, event: Any) -> bytes:
        return chunk(event, p="abcdefgh") if self._is_bedrock else data
