"""Programs that run beside a test: backends, and applications whose calls drop."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.documents.markdown import TELEMETRY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

APPLICATION = """
import anthropic, unbroken
from unbroken.testing import FaultServer, faults

with FaultServer("A story. " * 9) as server:
    server.script(faults.status(529), faults.reset(after_chars=20))
    with anthropic.Anthropic(base_url=server.url, api_key="test") as bare:
        client = unbroken.wrap(bare, unbroken.Policy(time_scale=0))
        INSTRUMENT
        with client.messages.stream(
            model="claude-haiku-4-5",
            max_tokens=1000,
            messages=[{"role": "user", "content": "Tell me a story."}],
        ) as stream:
            stream.until_done()
"""
"""Makes a call of three attempts."""

CONFIGURED = f"""
import unbroken.telemetry

configuration = unbroken.telemetry.configure()
{APPLICATION}
assert configuration.flush()
configuration.shutdown()
"""


def recipe(title: str) -> str:
    """The Python of a recipe of the reference."""
    return TELEMETRY.section(title).partition("```python\n")[2].partition("```")[0]


def run(program: str, instrument: str = "", **environment: str) -> str:
    """Run a program to its end, and return what it wrote to standard error."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", program.replace("INSTRUMENT", instrument)],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@contextmanager
def running(*command: str, log: Path, **environment: str) -> Iterator[None]:
    """A program that serves until the end of the block."""
    with (
        log.open("wb") as out,
        subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **environment}
        ) as process,
    ):
        try:
            yield
        finally:
            process.terminate()
            process.wait(20)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def eventually(what: Callable[[], Any], seconds: float = 120) -> Any:
    """What a function returns, once that is true."""
    until = time.monotonic() + seconds
    while True:
        try:
            found = what()
        except OSError:  # it does not listen yet
            found = None
        if found or time.monotonic() > until:
            return found
        time.sleep(0.2)


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as response:
        body: bytes = response.read()
        return body


def status_of_post(url: str) -> int:
    try:
        with urllib.request.urlopen(url, data=b"", timeout=10) as response:
            status: int = response.status
            return status
    except urllib.error.HTTPError as error:
        return error.code
