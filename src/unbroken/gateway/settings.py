"""Where the configuration comes from: a TOML file, `UNBROKEN_GATEWAY_...` variables, flags.

A flag wins over a variable, a variable over the file. All three are checked whole before anything
is started: every mistake is named, with the line or the field of the file, or the variable.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbroken._core.environment import VARIABLES as POLICY_VARIABLES
from unbroken._core.policy import Policy
from unbroken.gateway.config import Config, Upstream, User

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["PREFIX", "SETTINGS", "ConfigError", "load"]

PREFIX = "UNBROKEN_GATEWAY_"

_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_POLICY_FIELDS = {field: name for name, field in POLICY_VARIABLES.items()}


class ConfigError(ValueError):
    """The configuration makes no sense; the text names every mistake, one a line."""


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"must be a text, not {value!r}")
    return value.strip()


def _secret(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a text")  # noqa: TRY004
    return value


def _whole(value: Any) -> int:
    try:
        return (
            value if isinstance(value, int) and not isinstance(value, bool) else int(_text(value))
        )
    except ValueError:
        raise ValueError(f"must be a whole number, not {value!r}") from None


def _number(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    try:
        return float(_text(value))
    except ValueError:
        raise ValueError(f"must be a number, not {value!r}") from None


def _switch(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    found = _BOOLEANS.get(value.strip().lower()) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"must be true or false, not {value!r}")
    return found


def _texts(value: Any) -> tuple[str, ...]:
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, list | tuple):
        raise ValueError(f"must be a list of texts, not {value!r}")  # noqa: TRY004
    return tuple(_text(one) for one in given)


SETTINGS: dict[str, Callable[[Any], Any]] = {
    "listen": _text,
    "host": _text,
    "port": _whole,
    "upstream": _text,
    "upstream_key_env": _text,
    "journal": _text,
    "linger": _number,
    "workers": _whole,
    "log_format": _text,
    "open": _switch,
    "origins": _texts,
    "max_body": _whole,
    "secret": _secret,
    "ping_every": _number,
    "headers_within": _number,
    "demo": _switch,
}
"""The settings besides users and policy: what reads the value of each."""

_UPSTREAM = {"url": _text, "key_env": _text}
_USER: dict[str, Callable[[Any], Any]] = {
    "name": _text,
    "key_sha256": _secret,
    "requests_per_minute": _whole,
    "streams": _whole,
    "output_tokens_per_day": _whole,
    "max_tokens": _whole,
    "models": _texts,
    "system": _secret,
}


def load(
    path: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Config:
    """Read and check the whole configuration.

    Args:
        path: The TOML file; None for none.
        environ: The environment; `os.environ` if it is None.
        flags: Settings that win over both; those that are None are not set.

    Raises:
        ConfigError: If anything in it is wrong; it names each mistake.
    """
    environ = os.environ if environ is None else environ
    reading = _Reading(environ)
    reading.take_file(_file(path))
    reading.take_environment()
    reading.take_flags(flags or {})
    return reading.config()


def _file(path: str | os.PathLike[str] | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error


class _Reading:
    """What was read so far, and what was wrong with it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._settings: dict[str, Any] = {}
        self._upstream: dict[str, Any] = {}
        self._users: list[User] = []
        self._policy: dict[str, str] = {}
        self._wrong: list[str] = []

    def take_file(self, data: dict[str, Any]) -> None:
        """Take in a file."""
        data = dict(data)
        users, policy = data.pop("user", []), data.pop("policy", {})
        if isinstance(data.get("upstream"), list | dict):
            self._take_upstream(data.pop("upstream"))
        self._take(data, SETTINGS, "", self._settings)
        self._take_policy(policy)
        if not _is_tables(users):
            self._wrong.append("user: must be tables, [[user]]")
            return
        for number, table in enumerate(users):
            self._take_user(f"user[{number}]", table)

    def take_environment(self) -> None:
        """Take in the variables with our prefix; an empty one is not set."""
        ours = {
            name.removeprefix(PREFIX).lower(): value
            for name, value in self._environ.items()
            if name.startswith(PREFIX) and value.strip()
        }
        ours.pop("config", None)  # the command has read it
        self._take_listen(ours)
        self._take(ours, SETTINGS, PREFIX, self._settings)

    def take_flags(self, flags: Mapping[str, Any]) -> None:
        """Take in the flags of the command."""
        given = {name: value for name, value in flags.items() if value is not None}
        self._take_listen(given)
        self._take(given, SETTINGS, "--", self._settings)

    def _take_listen(self, given: Mapping[str, Any]) -> None:
        """`host` and `port` win over a `listen` of the sources before."""
        if "listen" not in given and ("host" in given or "port" in given):
            host, port = _address(self._settings.pop("listen", "")) or (None, None)
            if host is not None:
                self._settings.setdefault("host", host)
                self._settings.setdefault("port", port)

    def _take_upstream(self, given: Any) -> None:
        tables = [given] if isinstance(given, dict) else given
        if not _is_tables(tables) or not tables:
            self._wrong.append("upstream: must be a table, [[upstream]]")
            return
        if len(tables) > 1:
            self._wrong.append("upstream[1]: only one upstream can be configured")
        self._take(tables[0], _UPSTREAM, "upstream[0].", self._upstream)

    def _take_policy(self, given: Any) -> None:
        if not isinstance(given, dict):
            self._wrong.append("policy: must be a table, [policy]")
            return
        for field, value in given.items():
            name = _POLICY_FIELDS.get(field)
            if name is None:
                self._wrong.append(f"policy.{field}: {_unknown(field, _POLICY_FIELDS)}")
                continue
            try:
                Policy.from_env({name: str(value)})
            except ValueError as error:
                self._wrong.append(f"policy.{field}: {str(error).removeprefix(f'{name}: ')}")
            else:
                self._policy[name] = str(value)

    def _take_user(self, where: str, table: dict[str, Any]) -> None:
        before = len(self._wrong)
        fields: dict[str, Any] = {}
        self._take(table, _USER, f"{where}.", fields)
        self._wrong.extend(
            f"{where}.{name}: is missing" for name in ("name", "key_sha256") if name not in table
        )
        if len(self._wrong) > before:
            return
        try:
            self._users.append(User(**fields))
        except ValueError as error:
            self._wrong.extend(_by_field(error, where))

    def _take(
        self,
        given: Mapping[str, Any],
        known: Mapping[str, Callable[[Any], Any]],
        where: str,
        into: dict[str, Any],
    ) -> None:
        for name, value in given.items():
            shown = where + (_shown(name, where))
            if name not in known:
                self._wrong.append(f"{shown}: {_unknown(name, known)}")
                continue
            try:
                into[name] = known[name](value)
            except ValueError as error:
                self._wrong.append(f"{shown}: {error}")

    def config(self) -> Config:
        """The configuration, if nothing is wrong."""
        fields = dict(self._settings)
        self._read_address(fields)
        upstream = self._read_upstream(fields)
        policy = self._read_policy()
        config = None
        try:
            config = Config(**fields)
        except ValueError as error:
            self._wrong.extend(_by_field(error))
        if self._wrong or config is None or upstream is None or policy is None:
            raise ConfigError("\n".join(self._wrong))
        try:
            return dataclasses.replace(
                config, upstream=upstream, policy=policy, users=tuple(self._users)
            )
        except ValueError as error:
            raise ConfigError("\n".join(_by_field(error))) from error

    def _read_address(self, fields: dict[str, Any]) -> None:
        listen = fields.pop("listen", None)
        if listen is None:
            return
        address = _address(listen)
        if address is None:
            self._wrong.append(f"listen: must be HOST:PORT such as 127.0.0.1:8484, not {listen!r}")
        else:
            fields["host"], fields["port"] = address

    def _read_upstream(self, fields: dict[str, Any]) -> Upstream | None:
        url = fields.pop("upstream", None) or self._upstream.get("url")
        variable = fields.pop("upstream_key_env", None) or self._upstream.get("key_env")
        key = None
        if variable is not None:
            key = self._environ.get(variable, "").strip()
            if not key:
                self._wrong.append(f"upstream: key_env names {variable}, which is not set")
                return None
        try:
            return Upstream(**({"url": url} if url else {}), key=key)
        except ValueError as error:
            self._wrong.extend(_by_field(error, "upstream"))
            return None

    def _read_policy(self) -> Policy | None:
        try:
            return Policy.from_env({**self._policy, **self._environ})
        except ValueError as error:
            self._wrong.extend(str(error).split("; "))
            return None


def _address(listen: str) -> tuple[str, int] | None:
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit():
        return None
    host = host.removeprefix("[").removesuffix("]")
    return (host, int(port)) if host else None


def _shown(name: str, where: str) -> str:
    if where == PREFIX:
        return name.upper()
    return name.replace("_", "-") if where == "--" else name


def _unknown(name: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"there is no such setting{hint}"


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _by_field(error: ValueError, where: str = "") -> Iterator[str]:
    """The mistakes of a dataclass, each with where its field stands in the file."""
    dot = f"{where}." if where else ""
    for one in str(error).partition(": ")[2].split("; "):
        name, _, rest = one.partition(" ")
        yield f"{dot}{name}: {rest}"
