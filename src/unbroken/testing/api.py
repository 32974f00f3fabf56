"""The API: a request in, a response out, with all that it must remember in between."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unbroken.testing.answers import Answer, Block
from unbroken.testing.delivery import Response
from unbroken.testing.errors import ApiError, error_body
from unbroken.testing.events import Message, encode, with_pings
from unbroken.testing.memory import Kind, Memory
from unbroken.testing.model import speak
from unbroken.testing.models import takes_prefill
from unbroken.testing.place import Frame
from unbroken.testing.responses import api_headers, failure_response, json_response
from unbroken.testing.signatures import Signer
from unbroken.testing.threads import Threads, continues_thread
from unbroken.testing.tokens import count_tokens
from unbroken.testing.usage import PromptCache
from unbroken.testing.validation import check_headers, check_last_turn, check_request

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from unbroken.testing.faults import Html, Status
    from unbroken.testing.voices import Voice

__all__ = ["COUNT_TOKENS", "MESSAGES", "AnswerSource", "Api", "Settings"]

MESSAGES = "/v1/messages"
COUNT_TOKENS = "/v1/messages/count_tokens"
MODELS = "/v1/models"

AnswerSource = str | Answer | Callable[[dict[str, Any]], Answer | str]

_MODEL_IDS = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-4-5")


@dataclass
class Settings:
    """What the model says and how, and how strict the API is about what it is asked."""

    answer: AnswerSource
    voice: Voice
    strict: bool
    enforce_signatures: bool
    prefill: bool | None
    delta_chars: int | None
    ping_every: int | None
    ensure_ascii: bool


class Api:
    """All endpoints of one server."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._memory = Memory()
        self.unmatched: list[dict[str, Any]] = []
        self._signer = Signer(enforce=settings.enforce_signatures)
        self._threads = Threads()
        self._cache = PromptCache()
        self._ids = itertools.count(1)

    def new_request_id(self) -> str:
        """A `request-id` that no other request has."""
        return f"req_011{next(self._ids):021d}"

    def kind(self, body: Any) -> Kind:
        """What kind of request for a message this is."""
        source = self.settings.answer
        return self._memory.kind(body, None if callable(source) else _as_answer(source))

    def respond(
        self, method: str, path: str, headers: Mapping[str, str], raw: bytes, request_id: str
    ) -> Response:
        """The response to a request, errors included."""
        try:
            if self.settings.strict:
                check_headers(headers)
            return self._route(method, path, raw, request_id)
        except ApiError as error:
            return self.error(error, request_id)

    def _route(self, method: str, path: str, raw: bytes, request_id: str) -> Response:
        match method, path:
            case "POST", "/v1/messages":
                return self._create(_parse(raw), request_id)
            case "POST", "/v1/messages/count_tokens":
                return self._count(_parse(raw), request_id)
            case "GET", "/v1/models":
                return self._json(_models(), request_id)
        raise ApiError("Not found", status=404)

    def _count(self, body: Any, request_id: str) -> Response:
        if self.settings.strict:
            check_request(body, counting=True)
        return self._json({"input_tokens": count_tokens(body)}, request_id)

    def _create(self, body: Any, request_id: str) -> Response:
        whole = self._checked(body)
        message, complete = self._generate(whole)
        self._threads.begin(body)

        def ended(sent_whole: bool) -> None:
            if sent_whole:
                complete()
            self._threads.end(body, whole, message.id, message.content, complete=sent_whole)

        if not body.get("stream"):
            return self._json(message.json(), request_id, ended)
        headers = {**api_headers(request_id), "content-type": "text/event-stream; charset=utf-8"}
        return Response(200, headers, self._frames(message), ended)

    def _checked(self, body: Any) -> dict[str, Any]:
        """The request with its whole conversation, if the API takes it."""
        strict = self.settings.strict
        if strict and not continues_thread(body):
            check_request(body)
        whole = dict(self._threads.whole(body))
        if strict:
            check_request(whole)
            self._signer.check(whole)
            paused = self._memory.paused(whole["messages"])
            check_last_turn(whole, prefill=self._takes_prefill(whole["model"]), paused=paused)
        return whole

    def _takes_prefill(self, model: str) -> bool:
        told = self.settings.prefill
        return takes_prefill(model) if told is None else told

    def _generate(self, body: dict[str, Any]) -> tuple[Message, Callable[[], None]]:
        task = self._memory.task(body, lambda: self._choose(body))
        if task.unmatched:
            self.unmatched.append(body)
        speech = speak(task, body, self.settings.voice)
        task.served.text = speech.wording
        sealed = self._signer.seal(body, (block.content for block in speech.blocks))
        message = Message(
            id=f"msg_01{next(self._ids):022d}",
            model=body.get("model", ""),
            blocks=tuple(
                Block(content, block.deltas)
                for content, block in zip(sealed, speech.blocks, strict=True)
            ),
            input_tokens=self._cache.bill(body),
            stop_reason=speech.stop_reason,
            stop_sequence=speech.stop_sequence,
            stop_details=speech.stop_details,
        )
        return message, task.served.finish

    def _choose(self, body: dict[str, Any]) -> Answer:
        source = self.settings.answer
        return _as_answer(source(body) if callable(source) else source)

    def _frames(self, message: Message) -> Iterator[Frame]:
        events = message.events(self.settings.delta_chars)
        for event in with_pings(events, self.settings.ping_every):
            yield Frame(encode(event, ensure_ascii=self.settings.ensure_ascii), event)

    def error(self, error: ApiError, request_id: str) -> Response:
        """An error as the API answers it."""
        body = error_body(error.kind, error.message, error.code, request_id)
        return self._json(body, request_id, status=error.status)

    def failure(self, fault: Status | Html, request_id: str) -> Response:
        """The response that stands in place of the right one."""
        return failure_response(fault, request_id, ensure_ascii=self.settings.ensure_ascii)

    def _json(
        self,
        body: Mapping[str, Any],
        request_id: str,
        ended: Callable[[bool], None] = lambda _complete: None,
        *,
        status: int = 200,
    ) -> Response:
        ascii_only = self.settings.ensure_ascii
        return json_response(body, request_id, ended, status=status, ensure_ascii=ascii_only)


def _as_answer(given: Answer | str) -> Answer:
    return given if isinstance(given, Answer) else Answer(given)


def _parse(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError as error:
        raise ApiError(f"The request body is not valid JSON: {error}") from error


def _models() -> dict[str, Any]:
    data = [
        {
            "type": "model",
            "id": name,
            "display_name": name,
            "created_at": "2026-01-01T00:00:00Z",
            "lifecycle": "active",
        }
        for name in _MODEL_IDS
    ]
    return {
        "data": data,
        "has_more": False,
        "first_id": _MODEL_IDS[0],
        "last_id": _MODEL_IDS[-1],
    }
