"""What a gateway is configured with; every mistake is named when it is made."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal
from urllib.parse import urlsplit

from unbroken._core.policy import Policy
from unbroken._core.validation import Checks

__all__ = ["Config", "Upstream", "User"]

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
_ORIGIN = re.compile(r"https?://[^/\s]+")
LOG_FORMATS = ("text", "json")


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may use the gateway.

    Attributes:
        name: The name, as metrics and access lines have it.
        key_sha256: The SHA-256 of the key, in hexadecimal.
        requests_per_minute: Messages that may be asked for in any 60 seconds; None for no limit.
        streams: Messages that may be under way at once; None for no limit.
        output_tokens_per_day: Output tokens a day (UTC), after which no message is begun; None for
            no limit.
        max_tokens: The most that `max_tokens` of a request can be; a higher one is lowered.
        models: Patterns of the models that are allowed, such as `claude-sonnet-*`; empty for all.
        system: A system prompt that is put before that of each request.
    """

    name: str
    key_sha256: str = field(repr=False)
    requests_per_minute: int | None = None
    streams: int | None = None
    output_tokens_per_day: int | None = None
    max_tokens: int | None = None
    models: tuple[str, ...] = ()
    system: str | None = None

    def __post_init__(self) -> None:
        checks = Checks("user")
        _check_text(checks, "name", self.name, _NAME, "1 to 64 letters, digits, or _ . @ -")
        given: Any = self.key_sha256
        fits = isinstance(given, str) and _SHA256.fullmatch(given) is not None
        # What stands there may be the key itself: it is not shown.
        checks.that(
            fits, "key_sha256", "64 hexadecimal digits: `unbroken serve --new-key NAME` makes them"
        )
        for name in ("requests_per_minute", "streams", "output_tokens_per_day", "max_tokens"):
            checks.limit(name, getattr(self, name))
        models: Any = self.models
        are_texts = all(isinstance(one, str) and one for one in models)
        checks.that(are_texts, "models", "a list of patterns such as 'claude-sonnet-*'")
        system: Any = self.system
        is_text = system is None or (isinstance(system, str) and system.strip())
        checks.that(bool(is_text), "system", "a text that is not blank")
        checks.raise_if_any()

    def may_use(self, model: str) -> bool:
        """Whether a model is allowed."""
        return not self.models or any(fnmatchcase(model, one) for one in self.models)


@dataclass(frozen=True, slots=True)
class Upstream:
    """The API, or another gateway, that answers.

    Attributes:
        url: Its base URL.
        key: The key that it gets in place of the users'; None to pass the clients' on.
    """

    url: str = "https://api.anthropic.com"
    key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        checks = Checks("upstream")
        checks.that(
            _is_url(self.url),
            "url",
            f"a URL such as https://api.anthropic.com, not {_shown(self.url)}",
        )
        key: Any = self.key
        is_key = key is None or (
            isinstance(key, str) and key.isascii() and key.isprintable() and bool(key.strip())
        )
        checks.that(is_key, "key", "printable ASCII")
        checks.raise_if_any()


@dataclass(frozen=True, slots=True)
class Config:
    """All of a gateway's settings.

    Attributes:
        host: The address to listen on.
        port: The port to listen on; 0 for any.
        upstream: Who answers.
        journal: Where streams are kept: `sqlite:///path`, `redis://host`; None for a file in the
            user's data folder.
        linger: Seconds that an answer with an `Idempotency-Key` goes on without a reader.
        workers: Processes.
        users: Who may use it; empty for everybody who reaches it.
        policy: When to retry, how long to wait, and when to give up.
        log_format: How access lines are written, `text` or `json`.
        open: Serve other machines without users, or everybody with the upstream's key.
        origins: Origins of web pages that may read the responses, such as `https://app.example`.
        max_body: Bytes that the body of a request for a message may have.
        secret: Signs URLs; None for a random one, which other machines and the next start do not
            know.
        ping_every: Seconds of silence after which a reader gets a ping.
        headers_within: Seconds after which a stream begins, even if the upstream has not answered.
        demo: Serve a page that chats, and may kill processes of the gateway.

    Raises:
        ValueError: If a field makes no sense; it names each wrong one.
    """

    host: str = "127.0.0.1"
    port: int = 8484
    upstream: Upstream = field(default_factory=Upstream)
    journal: str | None = None
    linger: float = 15.0
    workers: int = 1
    users: tuple[User, ...] = ()
    policy: Policy = field(default_factory=Policy)
    log_format: Literal["text", "json"] = "text"
    open: bool = False
    origins: tuple[str, ...] = ()
    max_body: int = 32 * 1024 * 1024
    secret: str | None = field(default=None, repr=False)
    ping_every: float = 15.0
    headers_within: float = 15.0
    demo: bool = False

    def __post_init__(self) -> None:
        checks = Checks("gateway")
        host: Any = self.host
        checks.that(isinstance(host, str) and bool(host), "host", "an address")
        port: Any = self.port
        is_port = isinstance(port, int) and not isinstance(port, bool)
        checks.that(is_port and 0 <= port <= 65535, "port", f"0 to 65535, not {self.port!r}")
        checks.number("linger", self.linger)
        checks.count("workers", self.workers)
        checks.count("max_body", self.max_body)
        checks.positive("ping_every", self.ping_every)
        checks.positive("headers_within", self.headers_within)
        checks.one_of("log_format", self.log_format, LOG_FORMATS)
        for name in ("open", "demo"):
            value = getattr(self, name)
            checks.that(isinstance(value, bool), name, f"true or false, not {value!r}")
        origins: Any = self.origins
        known = all(isinstance(one, str) and _ORIGIN.fullmatch(one) for one in origins)
        checks.that(known, "origins", "a list of origins such as 'https://app.example'")
        secret: Any = self.secret
        long_enough = secret is None or (isinstance(secret, str) and len(secret) >= 16)
        checks.that(long_enough, "secret", "at least 16 characters")
        self._check_users(checks)
        checks.raise_if_any()

    def _check_users(self, checks: Checks) -> None:
        for name, values in (
            ("name", [user.name for user in self.users]),
            ("key_sha256", [user.key_sha256 for user in self.users]),
        ):
            checks.that(
                len(set(values)) == len(values), f"user.{name}", "another one for each user"
            )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the gateway."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def check_who_may(self) -> None:
        """Refuse to serve strangers by accident.

        Raises:
            ValueError: If it would be open to other machines, or give its key to everybody.
        """
        if self.users or self.open:
            return
        if not self.is_loopback:
            raise ValueError(
                f"host is {self.host!r}, which other machines reach, and there is no user: add a "
                "[[user]] (`unbroken serve --new-key NAME` makes one), listen on 127.0.0.1, or set "
                "open = true (--open) to serve everybody"
            )
        if self.upstream.key is not None:
            raise ValueError(
                "the upstream has a key and there is no user: add a [[user]] (`unbroken serve "
                "--new-key NAME` makes one), or set open = true (--open) to lend it to everybody"
            )


def _check_text(
    checks: Checks, name: str, value: object, pattern: re.Pattern[str], expectation: str
) -> None:
    fits = isinstance(value, str) and pattern.fullmatch(value) is not None
    checks.that(fits, name, f"{expectation}, not {value!r}")


def _is_url(url: object) -> bool:
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    plain = not parts.query and not parts.fragment and "@" not in parts.netloc
    return parts.scheme in ("http", "https") and bool(parts.hostname) and plain


def _shown(url: object) -> str:
    """A URL without what stands before the host, which may be a password."""
    if isinstance(url, str) and "@" in url:
        return repr("...@" + url.rpartition("@")[2])
    return repr(url)
