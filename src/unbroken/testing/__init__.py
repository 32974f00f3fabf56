"""Test an application against the failures of the Claude API, without the API.

`FaultServer` is a Claude Messages API on a loopback socket. It is strict about what the real one
refuses, says what a test tells it to say, and fails where and how the test wants:

    import anthropic
    from unbroken.testing import FaultServer, faults

    def test_my_app():
        with FaultServer("Once upon a time ...", faults=[faults.reset(after_chars=9)]) as server:
            client = anthropic.Anthropic(base_url=server.url, api_key="test")
            ...

`faults` are what goes wrong, `answers` the content blocks that the model means to say, and `voices`
the ways in which a model goes on when it is asked to. All of this is the standard library only.
`ChaosTransport` has the same faults for real traffic.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unbroken.testing import answers, faults, voices
    from unbroken.testing.answers import Answer
    from unbroken.testing.chaos import AsyncChaosTransport, ChaosEntry, ChaosTransport
    from unbroken.testing.server import FaultServer, Request
    from unbroken.testing.tokens import count_tokens
    from unbroken.testing.voices import Cue

__all__ = [
    "Answer",
    "AsyncChaosTransport",
    "ChaosEntry",
    "ChaosTransport",
    "Cue",
    "FaultServer",
    "Request",
    "answers",
    "count_tokens",
    "faults",
    "voices",
]

# Where each name is. They are imported when they are used: pytest loads the plugin in every run.
_HOMES = {
    "Answer": "answers",
    "AsyncChaosTransport": "chaos",
    "ChaosEntry": "chaos",
    "ChaosTransport": "chaos",
    "Cue": "voices",
    "FaultServer": "server",
    "Request": "server",
    "count_tokens": "tokens",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _import_module(f"unbroken.testing.{_HOMES.get(name, name)}")
    found = globals()[name] = getattr(module, name) if name in _HOMES else module
    return found


def __dir__() -> list[str]:
    return list(__all__)
