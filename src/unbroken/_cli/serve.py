"""`unbroken serve`: the gateway, for any client in any language."""

from __future__ import annotations

import importlib
import os
import random
import tempfile
from typing import TYPE_CHECKING, Any

from unbroken._cli.demo import ANSWER, paced
from unbroken._cli.problems import ProblemError
from unbroken.testing import FaultServer, faults, voices

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from unbroken.testing.faults import Fault

__all__ = ["add_parser", "serve"]

_FLAGS = {
    "host": "the address to listen on (127.0.0.1)",
    "port": "the port to listen on (8484)",
    "upstream": "the base URL of the API (https://api.anthropic.com)",
    "upstream-key-env": "the variable that holds the upstream's key, for gateways with users",
    "journal": "where streams are kept: sqlite:///FILE (a file in the user's data folder)",
    "linger": "seconds that an answer with an Idempotency-Key goes on without a reader (15)",
    "workers": "processes (1)",
    "log-format": "how access lines are written: text or json",
    "origins": "origins of web pages that may read responses, separated by commas",
}


def add_parser(commands: Any) -> None:
    """Add the command to those of `unbroken`."""
    about = "serve the gateway: the Messages API with recovery, for any client"
    parser = commands.add_parser(
        "serve",
        help=about,
        description=f"{about[0].upper()}{about[1:]}. Each flag is also a setting of the file and "
        "a variable, such as UNBROKEN_GATEWAY_PORT; flags win over variables, variables over the "
        "file.",
    )
    for name, explanation in _FLAGS.items():
        parser.add_argument(f"--{name}", metavar=name.rpartition("-")[2].upper(), help=explanation)
    parser.add_argument(
        "--open",
        action="store_true",
        default=None,
        help="serve other machines without users, or everybody with the upstream's key",
    )
    parser.add_argument(
        "--demo",
        action="store_true",
        help="serve a chat page, with an API that fails on purpose: no key is needed",
    )
    parser.add_argument("--config", metavar="FILE", help="a TOML file with all settings")
    parser.add_argument("--new-key", metavar="NAME", help="make a key for a user, and print both")
    parser.set_defaults(run=serve)


def serve(options: argparse.Namespace) -> int:
    """Serve until a signal ends the process; return the exit status.

    Raises:
        ProblemError: If the configuration makes no sense, or the extra is not installed.
    """
    try:
        importlib.import_module("unbroken.gateway.server")
    except ImportError as error:
        raise ProblemError(
            f"the gateway needs more packages ({error.name}): pip install 'unbroken[gateway]'"
        ) from error
    if options.new_key is not None:
        return _print_key(options.new_key)
    if options.demo:
        return _demo(options)
    path = options.config or os.environ.get("UNBROKEN_GATEWAY_CONFIG") or None
    flags = {name.replace("-", "_"): getattr(options, name.replace("-", "_")) for name in _FLAGS}
    flags = {name: value for name, value in {**flags, "open": options.open}.items() if value}
    return _run(path, flags)


def _run(path: str | None, flags: Mapping[str, Any]) -> int:
    from unbroken import gateway  # noqa: PLC0415
    from unbroken.gateway import server  # noqa: PLC0415

    try:
        config = gateway.load(path, flags=flags)
        config.check_who_may()
        server.run(config, path, flags)
    except (ValueError, gateway.JournalUnavailable) as error:
        raise ProblemError(str(error)) from error
    return 0


def _demo(options: argparse.Namespace) -> int:
    """Serve the chat page, before an API on loopback that breaks each answer off."""
    chance = random.Random(1)  # noqa: S311

    def fail() -> Iterator[Fault]:
        while True:
            yield faults.reset(after_chars=chance.randrange(300, 900))

    with (
        tempfile.TemporaryDirectory() as folder,
        FaultServer(
            ANSWER, voice=voices.follows_anchor, faults=fail(), split=paced(1, 0.015), strict=False
        ) as api,
    ):
        port = options.port or "8484"
        print(f"Open http://127.0.0.1:{port}/ in a browser. Ctrl-C ends it.", flush=True)
        flags = {
            "port": port,
            "upstream": api.url,
            "journal": f"sqlite:///{folder}/demo.db?lease=1",
            "workers": "2",
            "demo": "true",
        }
        return _run(None, flags)


def _print_key(name: str) -> int:
    """Print a key, and the table of the configuration that lets it in."""
    from unbroken.gateway import User, keys  # noqa: PLC0415

    key = keys.new_key()
    try:
        user = User(name, keys.digest(key))
    except ValueError as error:
        raise ProblemError(str(error)) from error
    print(f"The key, which is shown only now:\n\n    {key}\n")
    print(f'For the file:\n\n    [[user]]\n    name = "{user.name}"')
    print(f'    key_sha256 = "{user.key_sha256}"')
    return 0
