"""Guards around every test, and what many of them use."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import certifi
import pytest

from tests import guards, profiles
from tests.samples import STORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unbroken.testing import FaultServer

profiles.register()
guards.install()


@pytest.fixture(scope="session", autouse=True)
def _one_authority(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A short list of authorities: each client reads it, and reading all takes 30 ms."""
    end = "-----END CERTIFICATE-----\n"
    short = tmp_path_factory.mktemp("tls") / "authority.pem"
    short.write_text(certifi.contents().partition(end)[0] + end)
    os.environ["SSL_CERT_FILE"] = str(short)


@pytest.fixture(scope="session", autouse=True)
def _no_blocked_loop() -> Iterator[None]:
    with guards.no_blocked_loop():
        yield


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    with guards.nothing_left_behind():
        yield


@pytest.fixture
def server(fault_server: FaultServer) -> FaultServer:
    """A server that tells the story."""
    fault_server.answer = STORY
    return fault_server
