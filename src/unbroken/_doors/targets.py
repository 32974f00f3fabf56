"""`Target`, and how the fallbacks of a client are asked: through a client of the SDK."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from unbroken._core.obstacles import Place, obstacle
from unbroken._core.route import NOWHERE_ELSE, Candidate
from unbroken._core.validation import Checks
from unbroken._doors import sdk_clients

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from unbroken._core.threads import ThreadTurn
    from unbroken._doors.call import Ask

__all__ = ["NO_FALLBACKS", "Fallbacks", "Target", "arguments_of"]

_REQUIRED = ("max_tokens", "messages", "model")


@dataclass(frozen=True, slots=True)
class Target:
    """Another model, account, region or platform that can answer instead.

    Attributes:
        model: The model to ask for; None for the one that the request names.
        client: The client of the SDK to ask with, sync or async as the caller's own; None for the
            caller's own.
        name: What reports, spans and metrics call it; None for its host and model.

    Raises:
        ValueError: If neither a model nor a client is given, or one of them is of no use; it names
            the field.
    """

    model: str | None = None
    client: Any = None
    name: str | None = None

    def __post_init__(self) -> None:
        checks, model = Checks("Target"), cast("Any", self.model)
        checks.that(
            self.model is not None or self.client is not None,
            "model",
            "given where client is not",
        )
        checks.that(
            model is None or (isinstance(model, str) and bool(model.strip())),
            "model",
            "the id of a model",
        )
        checks.that(
            self.client is None or sdk_clients.is_client(self.client),
            "client",
            "a client of the anthropic SDK",
        )
        name = cast("Any", self.name)
        checks.that(
            name is None or (isinstance(name, str) and bool(name.strip())), "name", "a name"
        )
        checks.raise_if_any()


class Fallbacks:
    """The fallbacks of a client.

    Args:
        targets: The fallbacks, in the order in which they are tried.
        bare: Makes a copy of a client that does not retry by itself.

    Raises:
        ValueError: If one of them is not a `Target`.
    """

    def __init__(self, targets: Sequence[Target], bare: Callable[[Any], Any]) -> None:
        for target in targets:
            if not isinstance(target, Target):
                raise ValueError(f"fallbacks must be Target objects, not {target!r}")  # noqa: TRY004
        self._targets = tuple(targets)
        self._clients = [
            None if target.client is None else bare(target.client) for target in targets
        ]

    def __bool__(self) -> bool:
        return bool(self._targets)

    def check_for(self, client: Any) -> None:
        """Check that a client can use them.

        Raises:
            ValueError: If one is for threads, and the client for tasks, or the other way round.
        """
        for target in self._targets:
            theirs = target.client
            if theirs is not None and sdk_clients.is_async(theirs) != sdk_clients.is_async(client):
                kind = "an async" if sdk_clients.is_async(client) else "a sync"
                raise ValueError(f"fallbacks: Target(client=...) must be {kind} client, too")

    def candidates(
        self, ask: Ask, own: Any, thread: ThreadTurn | None = None
    ) -> Sequence[Candidate]:
        """The targets of a request, the caller's own client first.

        Args:
            ask: What the caller asks for.
            own: The caller's client; None if it is unknown.
            thread: What is known of the thread that it is a turn of, if it is one of a thread.
        """
        if not ask.is_message or not isinstance(ask.body, dict):
            return NOWHERE_ELSE
        model = ask.body.get("model")
        found = [_candidate(model, own, ask, ask.headers)]
        for number in range(len(self._targets)):
            found.append(_named_apart(self._candidate(number, ask, own, thread), found))
        return found

    def _candidate(self, number: int, ask: Ask, own: Any, thread: ThreadTurn | None) -> Candidate:
        target, client = self._targets[number], self._clients[number]
        place = Place(
            other_client=client is not None,
            other_platform=client is not None
            and sdk_clients.platform_of(client) != sdk_clients.platform_of(own),
            other_kind=None not in (client, own)
            and sdk_clients.is_async(client) != sdk_clients.is_async(own),
        )
        whole = None if thread is None else thread.whole
        why = obstacle(
            ask.body if whole is None else whole, ask.headers.get("anthropic-beta", ""), place
        )
        model = target.model or ask.body.get("model")
        headers = ask.headers if client is None else {}
        return _candidate(model, client or own, ask, headers, target.name, why)

    def client(self, target: int) -> Any:
        """The client to ask a target with, by its number; None for the caller's own."""
        return self._clients[target - 1] if target else None


def _candidate(
    model: str | None,
    client: Any,
    ask: Ask,
    headers: Mapping[str, str],
    name: str | None = None,
    why: str | None = None,
) -> Candidate:
    place = f"{sdk_clients.host_of(client) or ask.host} {model}"
    return Candidate(
        name or place, model, f"{place} {sdk_clients.account_of(client, headers)}", why
    )


def _named_apart(one: Candidate, others: Sequence[Candidate]) -> Candidate:
    """A candidate whose name no other one has: two accounts of a host have the same."""
    names, number, name = {other.name for other in others}, 1, one.name
    while name in names:
        number += 1
        name = f"{one.name} ({number})"
    return dataclasses.replace(one, name=name)


NO_FALLBACKS = Fallbacks((), lambda client: client)


def arguments_of(ask: Ask, body: Mapping[str, Any], timeout: Any) -> dict[str, Any]:
    """The arguments of `messages.create()` that make a client send a body.

    Headers of the caller stay with the caller's own host, but for the betas: they may be secrets.
    """
    given = {name: body[name] for name in _REQUIRED}
    rest = {name: value for name, value in body.items() if name not in (*_REQUIRED, "stream")}
    betas = ask.headers.get("anthropic-beta")
    return {
        **given,
        "extra_body": rest,
        "extra_headers": {"anthropic-beta": betas} if betas else {},
        "stream": ask.streams,
        "timeout": timeout,
    }
