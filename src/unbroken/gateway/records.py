"""What the journal keeps of a stream besides its frames."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

__all__ = ["About", "Call", "Saved"]


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a stream for as long as it is kept.

    Attributes:
        owner: Whose it is: a user, or what stands for the client's own credentials.
        digest: What stands for the request.
        streams: Whether the client asked for a stream.
        model: The model that the request names.
    """

    owner: str
    digest: str
    streams: bool
    model: str

    def to_text(self) -> str:
        """What `from_text()` reads."""
        return json.dumps([self.owner, self.digest, self.streams, self.model])

    @classmethod
    def from_text(cls, text: str) -> About | None:
        """Read it; None if another program wrote it."""
        try:
            owner, digest, streams, model = json.loads(text)
        except ValueError:
            return None
        return cls(owner, digest, streams, model)


@dataclass(frozen=True, slots=True)
class Call:
    """A request to the upstream.

    Attributes:
        path: The path and the query, below the base URL.
        headers: The headers, without credentials.
        body: The JSON.
        linger: Seconds that it goes on without a reader; infinite to its end.
        has_own_key: Whether the client's credentials are needed to ask for it.
        has_key: Whether the client gave it an `Idempotency-Key`.
    """

    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    linger: float
    has_own_key: bool
    has_key: bool

    def to_note(self) -> bytes:
        """What `from_note()` reads."""
        fields = {
            "path": self.path,
            "headers": self.headers,
            "linger": self.linger,
            "has_own_key": self.has_own_key,
            "has_key": self.has_key,
        }
        return json.dumps(fields).encode() + b"\n" + self.body

    @classmethod
    def from_note(cls, note: bytes) -> Call | None:
        """Read it; None where there is none."""
        head, newline, body = note.partition(b"\n")
        if not newline:
            return None
        fields = json.loads(head)
        headers = tuple((name, value) for name, value in fields.pop("headers"))
        return cls(headers=headers, body=body, **fields)


@dataclass(frozen=True, slots=True)
class Saved:
    """A response that is not streamed, as the journal keeps it.

    Attributes:
        status: The HTTP status.
        headers: The headers for the client.
        body: The body.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def to_frame(self) -> bytes:
        """What `from_frame()` reads."""
        head = json.dumps([self.status, self.headers]).encode()
        return head + b"\n" + self.body

    @classmethod
    def from_frame(cls, frame: bytes) -> Saved:
        """Read it."""
        head, _, body = frame.partition(b"\n")
        given: Any = json.loads(head)
        return cls(given[0], tuple((name, value) for name, value in given[1]), body)
