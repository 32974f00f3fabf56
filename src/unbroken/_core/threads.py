"""Message threads: the conversations of a client's threads, remembered by reference.

The API keeps the conversation of a thread, so a request that continues one has only its new turns.
The rest of an answer cannot be asked for with those alone: it takes the whole conversation.
"""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ThreadTurn", "Threads", "continues_thread", "refuses_thread"]

MAX_THREADS = 1_000
"""The threads that a client remembers; those that were continued last stay."""

MAX_BYTES = 64 * 2**20
"""The bytes of text that their conversations hold together."""

_REFUSALS = frozenset({"thread_already_continued", "thread_continue_in_flight", "thread_not_found"})
"""The API's codes for a thread that goes on with the whole conversation only."""

_KEPT_BY_API = ("system", "tools")
"""The fields of the request that began a thread which those that continue it must not repeat."""

_HOLDS_BLOCKS = ("content", "source")


def continues_thread(body: object) -> bool:
    """Whether a request has the new turns of a thread only."""
    return _previous_id(body) is not None


def refuses_thread(error_code: str | None) -> bool:
    """Whether an error says that a thread cannot be continued from where the request says."""
    return error_code in _REFUSALS


@dataclass(frozen=True, slots=True)
class _Conversation:
    """A thread up to a response.

    Attributes:
        fields: What the API keeps besides the messages.
        messages: All messages, the response included.
        size: About how many bytes they hold.
        is_stored: Whether the API may have it. It stores a response that it sent whole, under the
            id of that response.
    """

    fields: Mapping[str, Any]
    messages: tuple[Any, ...]
    size: int
    is_stored: bool


_Key = tuple[int, str]
"""An owner, and the id of the response to continue from."""


class Threads:
    """What is remembered of the threads of a client. Threads and tasks may share it.

    Args:
        max_threads: How many threads to remember.
        max_bytes: How many bytes of text their conversations may hold together.
    """

    def __init__(self, max_threads: int = MAX_THREADS, max_bytes: int = MAX_BYTES) -> None:
        self._max_threads = max_threads
        self._max_bytes = max_bytes
        self._size = 0
        self._known: OrderedDict[_Key, _Conversation] = OrderedDict()
        self._lock = threading.Lock()

    def turn(self, body: Any, owner: int = 0) -> ThreadTurn | None:
        """The turn of a thread that a request asks for; None if it is of no thread.

        Args:
            body: The request.
            owner: Tells whose credentials it has: nobody gets the thread of somebody else.
        """
        if not isinstance(body, dict) or not body.get("thread"):
            return None
        previous = _previous_id(body)
        if previous is None:
            return ThreadTurn(self, body, owner, _beginning(body))
        key = (owner, previous)
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                self._known.move_to_end(key)
        return ThreadTurn(self, body, owner, known)

    def remember(self, key: _Key, before: _Key | None, conversation: _Conversation) -> None:
        """Remember a conversation in place of what it goes on from."""
        with self._lock:
            self._forget(before)
            self._forget(key)
            self._known[key] = conversation
            self._size += conversation.size
            while len(self._known) > self._max_threads or self._size > self._max_bytes:
                self._forget(next(iter(self._known)))

    def _forget(self, key: _Key | None) -> None:
        forgotten = None if key is None else self._known.pop(key, None)
        if forgotten is not None:
            self._size -= forgotten.size


class ThreadTurn:
    """One turn of a thread: the requests that can ask for it.

    Args:
        threads: Remembers it.
        body: The caller's request.
        owner: Tells whose credentials it has.
        known: The conversation before it, without its new messages; None if it was forgotten.
    """

    def __init__(
        self, threads: Threads, body: dict[str, Any], owner: int, known: _Conversation | None
    ) -> None:
        self._threads = threads
        self._body = body
        self._owner = owner
        self._known = known

    @property
    def first(self) -> Mapping[str, Any]:
        """The request to make first: the caller's, unless the API is known not to have the thread.

        The API does not store a response that took more than one request.
        """
        if self._known is None or self._known.is_stored:
            return self._body
        return self.anew or self._body

    @property
    def anew(self) -> Mapping[str, Any] | None:
        """The request that begins a new thread with the whole conversation; None if forgotten."""
        whole = self.whole
        return None if whole is None else {**whole, "thread": {"type": "create"}}

    @cached_property
    def whole(self) -> dict[str, Any] | None:
        """The request with the whole conversation, and without a thread; None if forgotten."""
        if self._known is None:
            return None
        body = {name: value for name, value in self._body.items() if name != "thread"}
        return {**self._known.fields, **body, "messages": [*self._known.messages, *self._new()]}

    def answered(
        self, message_id: Any, content: Sequence[dict[str, Any]], *, is_stored: bool
    ) -> None:
        """Remember the conversation with the response to this turn.

        Args:
            message_id: The id of the response.
            content: Its content, as a request sends it back.
            is_stored: Whether the API may have stored it under that id.
        """
        known, previous = self._known, _previous_id(self._body)
        if known is None or not isinstance(message_id, str):
            return
        # A breakpoint of the cache was set for the turn that sent it: a request takes four.
        new = [_without_cache_control(message) for message in self._new()]
        if content:
            new.append({"role": "assistant", "content": list(content)})
        size = known.size + sum(map(_size, new))
        messages = (*known.messages, *new)
        self._threads.remember(
            (self._owner, message_id),
            None if previous is None else (self._owner, previous),
            _Conversation(known.fields, messages, size, is_stored),
        )

    def _new(self) -> list[Any]:
        """The messages that the request has itself."""
        new = self._body.get("messages")
        return new if isinstance(new, list) else []


def _previous_id(body: object) -> str | None:
    thread = body.get("thread") if isinstance(body, dict) else None
    if not isinstance(thread, dict) or thread.get("type") != "continue":
        return None
    return str(thread.get("previous_message_id"))


def _beginning(body: dict[str, Any]) -> _Conversation:
    fields = {name: body[name] for name in _KEPT_BY_API if name in body}
    return _Conversation(fields, (), _size(fields), is_stored=True)


def _size(value: Any) -> int:
    """About how many bytes a JSON value holds."""
    if isinstance(value, dict):
        return sys.getsizeof(value) + sum(map(_size, value.values()))
    if isinstance(value, list | tuple):
        return sys.getsizeof(value) + sum(map(_size, value))
    return sys.getsizeof(value)


def _without_cache_control(block: Any) -> Any:
    """A message or a content block without breakpoints of the cache: itself, if it has none."""
    if not isinstance(block, dict):
        return block
    changed = {name: _without_in(block[name]) for name in _HOLDS_BLOCKS if name in block}
    same = all(block[name] is value for name, value in changed.items())
    if same and "cache_control" not in block:
        return block
    bare = {name: value for name, value in block.items() if name != "cache_control"}
    return {**bare, **changed}


def _without_in(value: Any) -> Any:
    if not isinstance(value, list):
        return _without_cache_control(value)
    bare = [_without_cache_control(block) for block in value]
    same = all(one is other for one, other in zip(bare, value, strict=True))
    return value if same else bare
