"""Message threads: conversations that the server keeps, so that requests send only what is new."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unbroken.testing.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Threads", "continues_thread"]

_REPLAY = 'Replay the full conversation with `thread: {"type": "create"}` to start a new Thread.'


class Threads:
    """The threads of one server; a response is kept once it has been sent whole."""

    def __init__(self) -> None:
        self._stored: dict[str, dict[str, Any]] = {}
        self._continued: set[str] = set()
        self._in_flight: set[str] = set()

    def whole(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The request with all of its conversation.

        Raises:
            ApiError: If the thread is not known, or cannot be continued from there.
        """
        previous = _previous(body)
        if previous is None:
            return body
        stored = self._stored.get(previous)
        if stored is None:
            message = f"No usable Thread state was found for `{previous}`. {_REPLAY}"
            raise ApiError(message, status=404, code="thread_not_found")
        if previous in self._continued:
            message = f"The response `{previous}` has already been continued."
            raise ApiError(message, code="thread_already_continued")
        if previous in self._in_flight:
            message = f"Another request is still continuing from `{previous}`."
            raise ApiError(message, code="thread_continue_in_flight")
        return {**stored, **body, "messages": [*stored["messages"], *body["messages"]]}

    def begin(self, body: Mapping[str, Any]) -> None:
        """Note that an answer to this request is under way."""
        previous = _previous(body)
        if previous is not None:
            self._in_flight.add(previous)

    def end(
        self,
        body: Mapping[str, Any],
        whole: Mapping[str, Any],
        message_id: str,
        content: Iterable[Mapping[str, Any]],
        *,
        complete: bool,
    ) -> None:
        """Note that the answer is no longer under way, and keep it if it was sent whole."""
        previous = _previous(body)
        if previous is not None:
            self._in_flight.discard(previous)
        if not complete or not body.get("thread"):
            return
        reply = {"role": "assistant", "content": list(content)}
        kept = {field: whole[field] for field in ("system", "tools") if field in whole}
        self._stored[message_id] = {**kept, "messages": [*whole["messages"], reply]}
        if previous is not None:
            self._continued.add(previous)


def continues_thread(body: object) -> bool:
    """Whether its messages are the last ones of a conversation, and need the others with them."""
    thread = body.get("thread") if isinstance(body, dict) else None
    return isinstance(thread, dict) and thread.get("type") == "continue"


def _previous(body: Mapping[str, Any]) -> str | None:
    return body["thread"].get("previous_message_id") if continues_thread(body) else None
