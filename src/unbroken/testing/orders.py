"""What a test orders of a server, checked when it is ordered: a wrong one would serve no fault."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from unbroken.testing import answers, faults
from unbroken.testing.answers import Answer
from unbroken.testing.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["checked_answer", "checked_faults", "checked_path", "checked_voice"]

_A_FAULT = "a fault, such as faults.reset(after_chars=9), or None for no fault"
_AN_ANSWER = "a text, an Answer, or a function from a request to one of these"
_A_VOICE = "a function from a Continuation to a text, such as voices.exact"


def checked_faults(given: Any) -> Iterator[Fault | None]:
    """Return faults to serve in order; those of a generator are checked when it is their turn.

    Raises:
        TypeError: If one of them is no fault; it says which, and what is expected.
    """
    if isinstance(given, str | bytes) or not hasattr(given, "__iter__"):
        raise TypeError(f"faults must be a list of faults, not {_named(given)}")
    checked = (_checked_fault(one, at) for at, one in enumerate(given, 1))
    return iter(list(checked)) if isinstance(given, Collection) else checked


def _checked_fault(given: Any, at: int) -> Fault | None:
    if given is None or isinstance(given, Fault):
        return given
    raise TypeError(f"fault {at} must be {_A_FAULT}, not {_named(given)}{_hint(given, faults)}")


def checked_answer(given: Any) -> Any:
    """Return what a model is to say.

    Raises:
        TypeError: If it is nothing that a model can say; it says what is expected.
    """
    # A function of ours takes no request: its parentheses were forgotten.
    is_ours = getattr(given, "__module__", None) in (answers.__name__, faults.__name__)
    if isinstance(given, str | Answer) or (callable(given) and not is_ours):
        return given
    raise TypeError(f"answer must be {_AN_ANSWER}, not {_named(given)}{_hint(given, answers)}")


def checked_voice(given: Any) -> Any:
    """Return how a model goes on.

    Raises:
        TypeError: If it cannot be called; it says what is expected.
    """
    if callable(given):
        return given
    raise TypeError(f"voice must be {_A_VOICE}, not {_named(given)}")


def checked_path(given: Any) -> str:
    """Return a path that a request may have.

    Raises:
        TypeError: If it is no text.
        ValueError: If no request can have it.
    """
    if not isinstance(given, str):
        raise TypeError(f"path must be a text, such as '/v1/messages', not {_named(given)}")
    if not given.startswith("/") or "?" in given:
        raise ValueError(f"path must begin with / and have no query, not {given!r}")
    return given


def _named(given: Any) -> str:
    name = getattr(given, "__qualname__", None)
    return f"the {type(given).__name__} {name}" if name else f"{given!r:.80}"


def _hint(given: Any, module: Any) -> str:
    """How to order what was meant, if that can be told."""
    name = given if isinstance(given, str) else getattr(given, "__name__", None)
    short = module.__name__.rpartition(".")[2]
    if (
        not isinstance(name, str)
        or name not in module.__all__
        or not callable(getattr(module, name))
    ):
        return ""
    return f"; did you mean {short}.{name}(...)?"
