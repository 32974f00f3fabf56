"""Gateways in processes of their own, which can be killed."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator


class Process:
    """`unbroken serve`, in a process.

    Attributes:
        url: Its base URL.
    """

    def __init__(self, upstream: str, journal: str, *flags: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "unbroken", "serve", "--port", str(self.port)]
        environment = {**os.environ, "UNBROKEN_TIME_SCALE": "0", "UNBROKEN_MAX_FRUITLESS": "9"}
        self._process = subprocess.Popen(
            [*command, "--upstream", upstream, "--journal", journal, *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
            encoding="utf-8",
        )

    def wait(self) -> None:
        """Wait until it answers."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                httpx.get(f"{self.url}/healthz", timeout=5)
            except httpx.TransportError:
                assert self._process.poll() is None, self.output()
                time.sleep(0.05)
            else:
                return
        raise AssertionError("it did not start")

    def kill(self) -> None:
        """Kill it, and its workers."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self.output()

    def terminate(self) -> float:
        """Ask it to end, and return the seconds that this takes."""
        began = time.monotonic()
        self._process.terminate()
        assert self._process.wait(20) in (0, -signal.SIGTERM)
        return time.monotonic() - began

    def output(self) -> str:
        """What it wrote, once it ended."""
        out, _ = self._process.communicate(timeout=20)
        return out

    @property
    def workers(self) -> list[int]:
        """The ids of its workers."""
        parent, found = str(self._process.pid), []
        for place in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                of = place.joinpath("stat").read_text().rpartition(")")[2].split()[1]
                if of == parent and b"spawn_main" in place.joinpath("cmdline").read_bytes():
                    found.append(int(place.name))
        return found

    def close(self) -> None:
        """Kill it if it runs."""
        if self._process.poll() is None:
            self.kill()
        self._process.stdout.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as made:
        return made.getsockname()[1]


@contextmanager
def running(*processes: Process) -> Iterator[None]:
    """Wait for processes, and kill them at the end."""
    try:
        for process in processes:
            process.wait()
        yield
    finally:
        for process in processes:
            process.close()
