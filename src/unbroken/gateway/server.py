"""Runs gateways: one process, or several that share a socket and a journal."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs
import uvicorn

from unbroken.gateway.app import Gateway
from unbroken.gateway.connections import Connection
from unbroken.gateway.settings import PREFIX, load
from unbroken.journal import SqliteJournal, from_url

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

    from starlette.types import Receive, Scope, Send

    from unbroken.gateway.config import Config
    from unbroken.journal import Journal

__all__ = ["journal_of", "run", "worker"]

_LEASE = 3.0
"""Seconds after which the streams of a process that was killed are taken over."""
_CONFIG = f"{PREFIX}CONFIG"
_GOING = 5
"""Seconds for connections to end when the process does."""


def run(config: Config, path: str | None, flags: Mapping[str, Any]) -> None:
    """Serve until a signal ends the process.

    Args:
        config: The configuration, which was checked.
        path: The file that it was read from; each worker reads it again.
        flags: The flags that it was read from.
    """
    journal_of(config).dispose()  # a journal that cannot be used is told of before any worker
    os.environ.update(_for_workers(config, path, flags))
    uvicorn.run(
        "unbroken.gateway.server:worker",
        factory=True,
        host=config.host,
        port=config.port,
        workers=config.workers,
        http=Connection,
        ws="wsproto",
        lifespan="on",
        access_log=False,
        server_header=False,
        log_config=_logging(config.log_format),
        timeout_graceful_shutdown=_GOING,
        timeout_keep_alive=75,
        timeout_worker_healthcheck=60,
        backlog=2048,
    )


def worker() -> _Draining:
    """Make the application of one process, from the environment."""
    config = load(os.environ.get(_CONFIG))
    return _Draining(Gateway(config, journal=journal_of(config)))


def journal_of(config: Config) -> Journal:
    """Open the journal of a configuration.

    Args:
        config: The configuration.

    Raises:
        ValueError: If there can be no such journal.
        JournalUnavailable: If it cannot be opened.
    """
    url = config.journal
    if url is None:
        folder = Path(platformdirs.user_data_dir("unbroken", appauthor=False))
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return SqliteJournal(folder / "gateway.db", lease=_LEASE)
    sign = "&" if "?" in url else "?"
    try:
        return from_url(url if "lease=" in url else f"{url}{sign}lease={_LEASE:g}")
    except ValueError as error:
        raise ValueError(f"journal: {error}") from error


def _for_workers(config: Config, path: str | None, flags: Mapping[str, Any]) -> dict[str, str]:
    """The environment that gives each worker the same configuration."""
    settings = {f"{PREFIX}{name.upper()}": str(value) for name, value in flags.items()}
    settings[f"{PREFIX}SECRET"] = config.secret or secrets.token_urlsafe(32)
    if path is not None:
        settings[_CONFIG] = str(Path(path).absolute())
    return settings


class _Draining:
    """A gateway that hands its streams over before the server waits for connections to end."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            self._hear(signal.SIGTERM)
            self._hear(signal.SIGINT)
        await self._gateway(scope, receive, send)

    def _hear(self, number: signal.Signals) -> None:
        loop, before = asyncio.get_running_loop(), signal.getsignal(number)

        def drain(received: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self._gateway.drain)
            if callable(before):
                before(received, frame)

        signal.signal(number, drain)


class _Incomplete(logging.Filter):
    """Drops what uvicorn says of streams that are handed over: their connections just end."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "without completing response" not in str(record.msg)


def _logging(log_format: str) -> dict[str, Any]:
    plain = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    as_json = (
        '{"time": "%(asctime)s", "level": "%(levelname)s", "logger": "%(name)s", '
        '"message": "%(message)s"}'
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"incomplete": {"()": f"{__name__}._Incomplete"}},
        "formatters": {
            "lines": {"format": as_json if log_format == "json" else plain},
            "access": {"format": "%(message)s" if log_format == "json" else plain},
        },
        "handlers": {
            "lines": {
                "class": "logging.StreamHandler",
                "formatter": "lines",
                "stream": "ext://sys.stderr",
            },
            "access": {
                "class": "logging.StreamHandler",
                "formatter": "access",
                "stream": "ext://sys.stdout",
            },
        },
        "loggers": {
            "unbroken": {"handlers": ["lines"], "level": "INFO", "propagate": False},
            "unbroken.gateway.access": {
                "handlers": ["access"],
                "level": "INFO",
                "propagate": False,
            },
            "uvicorn.error": {
                "handlers": ["lines"],
                "level": "INFO",
                "propagate": False,
                "filters": ["incomplete"],
            },
        },
    }
