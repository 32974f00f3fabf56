"""The SDK's client on aiohttp, whose exceptions are others."""

from __future__ import annotations

import socketserver
from typing import Any

import anthropic
import pytest
from tests.doors.both import Both
from tests.doors.conftest import ANSWER
from tests.gateways.loopback import Loopback

import unbroken
from unbroken.testing import faults

aiohttp = pytest.importorskip("aiohttp")

DROPS = {
    "malformed chunks": faults.garbage(after_chars=60),
    "half a frame": faults.half_frame(after_chars=60),
    "reset": faults.reset(after_chars=60),
    "eof": faults.eof(after_chars=60),
    "before": faults.reset_before(),
    "no response": faults.disconnect(),
}


@pytest.fixture
def http_client() -> Any:
    try:
        return anthropic.DefaultAioHttpClient()
    except (AttributeError, RuntimeError):
        pytest.skip("this SDK has no client on aiohttp, or needs more for it")


@pytest.mark.parametrize("fault", DROPS.values(), ids=DROPS)
@pytest.mark.parametrize("streams", [True, False], ids=["stream", "plain"])
def test_every_drop_is_recovered(serve, http_client, fault, streams):
    server = serve(faults=[fault])
    message = Both(True, streams).call(server, http_client=http_client)
    assert message.content[0].text == ANSWER
    assert server.unmatched == []


class Nonsense(socketserver.StreamRequestHandler):
    """Answers what is no HTTP."""

    def handle(self) -> None:
        self.rfile.readline()
        self.wfile.write(b"HTTP/1.1 nonsense\r\n\r\n")


def test_a_malformed_response_is_a_lost_connection(http_client):
    with Loopback(Nonsense) as server, pytest.raises(unbroken.StreamInterrupted) as raised:
        Both(True, True).call(server, http_client=http_client)
    assert isinstance(raised.value.__cause__, aiohttp.ClientError)
    assert len(raised.value.report.attempts) > 1
