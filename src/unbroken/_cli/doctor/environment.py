"""Looks at versions, variables and credentials, and judges them; nothing is sent."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from unbroken._cli.doctor.finding import Finding, failed, noted, passed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbroken._cli.route import Route

__all__ = ["Environment", "judge_environment", "look_around"]

_API = "api.anthropic.com"
_KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
_SECRET = re.compile(r"sk-ant-[\w-]+")
_PLACEHOLDER = re.compile(r"your|<|\.\.\.|xxx|key here", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Environment:
    """What a request would be made with.

    Attributes:
        versions: The versions of Python, this package and the SDK.
        host: Where requests go.
        proxy: The proxy on the way, without its password.
        is_api_key: Whether the platform takes a key of the API.
        has_credentials: Whether the SDK has found a key, a token or a profile.
        variable: The variable that the key is in, if it is in one.
        problem: What is wrong with the key's shape.
        is_of_api: Whether it has the shape of a key of the API.
    """

    versions: Mapping[str, str]
    host: str
    proxy: str | None
    is_api_key: bool
    has_credentials: bool
    variable: str | None = None
    problem: str | None = None
    is_of_api: bool = True


def look_around(
    route: Route,
    *,
    is_api_key: bool,
    has_credentials: bool,
    environ: Mapping[str, str] | None = None,
) -> Environment:
    """Look at the environment.

    Args:
        route: The way of requests.
        is_api_key: Whether the platform takes a key of the API.
        has_credentials: Whether the SDK has found credentials.
        environ: The variables; `os.environ` if None.
    """
    environ = os.environ if environ is None else environ
    variable = next((name for name in _KEYS if environ.get(name)), None) if is_api_key else None
    key = environ[variable] if variable else ""
    versions = {
        "Python": platform.python_version(),
        "unbroken": version("unbroken"),
        "anthropic": version("anthropic"),
    }
    proxy = None if route.proxy is None else "{}:{}".format(*route.first_hop)
    return Environment(
        versions,
        route.host,
        proxy,
        is_api_key,
        has_credentials,
        variable,
        _problem(key, variable or ""),
        not variable or _SECRET.fullmatch(key) is not None,
    )


def _problem(key: str, variable: str) -> str | None:
    """What is wrong with the shape of a key, without any of it."""
    if not variable:
        return None
    if key != key.strip():
        return "begins or ends with white space"
    if key[0] in "\"'":
        return "has quotation marks around it"
    if not key.isascii() or not key.isprintable() or " " in key:
        return "has characters that no key has"
    if variable == _KEYS[0] and key.startswith("sk-ant-oat"):
        return "holds an OAuth token, which belongs into ANTHROPIC_AUTH_TOKEN"
    return "holds a placeholder" if _PLACEHOLDER.search(key) else None


def judge_environment(found: Environment) -> Finding:
    """Judge the environment."""
    says = ", ".join(f"{name} {number}" for name, number in found.versions.items())
    if found.proxy:
        says += f"; through the proxy {found.proxy}"
    measured = {**found.versions, "proxy": found.proxy, "key": found.variable}
    if not found.is_api_key:
        return passed(f"{says}; credentials of the platform", **measured)
    if not found.has_credentials:
        return failed(f"{says}; no key", "export ANTHROPIC_API_KEY=sk-ant-...", **measured)
    if found.problem:
        return failed(
            f"{says}; {found.variable} {found.problem}",
            "copy the key from the Console again, alone and on one line",
            **measured,
        )
    if found.host == _API and not found.is_of_api:
        return noted(
            f"{says}; {found.variable} does not look like a key of the API (sk-ant-...)",
            "if it is refused below, make one in the Console",
            **measured,
        )
    return passed(f"{says}; {found.variable or 'a profile'} is set", **measured)
