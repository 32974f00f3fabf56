"""A gateway on a real socket, in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import uvicorn
from tests.samples import AT_ONCE

from unbroken.gateway import Config, Gateway, Upstream
from unbroken.gateway.connections import Connection
from unbroken.journal import SqliteJournal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Served:
    """A gateway that is served.

    Attributes:
        gateway: The gateway.
        url: Its base URL.
    """

    def __init__(self, gateway: Gateway, journal: SqliteJournal) -> None:
        self.gateway = gateway
        self.journal = journal
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.url = "http://{}:{}".format(*self._socket.getsockname())
        config = uvicorn.Config(
            gateway,
            log_config=None,
            access_log=False,
            http=Connection,
            lifespan="on",
            ws="wsproto",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="gateway")

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            self.loop = runner.get_loop()
            runner.run(self._server.serve(sockets=[self._socket]))

    def start(self) -> None:
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.002)
            assert self._thread.is_alive()

    def call(self, function: Any, *args: Any) -> None:
        """Run a function in the gateway's event loop."""
        self.loop.call_soon_threadsafe(function, *args)

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()
        self.journal.dispose()
        assert not self._thread.is_alive()


@contextmanager
def serving(upstream: str, tmp_path: Path, **settings: Any) -> Iterator[Served]:
    """Serve a gateway before this upstream."""
    extra = {
        name: settings.pop(name)
        for name in ("authenticate", "tracer_provider", "meter_provider")
        if name in settings
    }
    key = settings.pop("key", None)
    journal = settings.pop("journal", None) or SqliteJournal(tmp_path / "streams.db")
    config = Config(**{"upstream": Upstream(upstream, key), "policy": AT_ONCE, **settings})
    served = Served(Gateway(config, journal=journal, **extra), journal)
    served.start()
    try:
        yield served
    finally:
        served.close()
