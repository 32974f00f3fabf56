"""`unbroken serve`: the gateway, for any client in any language."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from unbroken._cli.problems import ProblemError

if TYPE_CHECKING:
    import argparse

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
    parser.add_argument("--config", metavar="FILE", help="a TOML file with all settings")
    parser.add_argument("--new-key", metavar="NAME", help="make a key for a user, and print both")
    parser.set_defaults(run=serve)


def serve(options: argparse.Namespace) -> int:
    """Serve until a signal ends the process; return the exit status.

    Raises:
        ProblemError: If the configuration makes no sense, or the extra is not installed.
    """
    try:
        from unbroken import gateway  # noqa: PLC0415  # of an extra
        from unbroken.gateway import server  # noqa: PLC0415
    except ImportError as error:
        raise ProblemError(
            f"the gateway needs more packages ({error.name}): pip install 'unbroken[gateway]'"
        ) from error
    if options.new_key is not None:
        return _print_key(options.new_key)
    path = options.config or os.environ.get("UNBROKEN_GATEWAY_CONFIG") or None
    flags = {name.replace("-", "_"): getattr(options, name.replace("-", "_")) for name in _FLAGS}
    flags = {name: value for name, value in {**flags, "open": options.open}.items() if value}
    try:
        config = gateway.load(path, flags=flags)
        config.check_who_may()
        server.run(config, path, flags)
    except (ValueError, gateway.JournalUnavailable) as error:
        raise ProblemError(str(error)) from error
    return 0


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
