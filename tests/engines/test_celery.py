from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tests.engines.agent import PATIENCE, ROOT, check, environment
from tests.journal.redis_server import RedisServer

pytest.importorskip("celery")
# The library leaves connections to the end of the process.
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(600)]


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> None:
    """The library keeps connections of its own, which end with the process."""


@pytest.fixture
def redis(tmp_path):
    server = RedisServer(tmp_path).start()
    yield server
    server.stop()


def test_a_task_whose_process_is_killed_is_delivered_again(server, redis, tmp_path, monkeypatch):
    journal = {"UNBROKEN_JOURNAL": f"{redis.url}?lease=0.3", "BROKER": redis.url}
    for name, value in {**environment(server, tmp_path), **journal}.items():
        monkeypatch.setenv(name, value)
    from tests.engines import celery_app

    command = ["-m", "celery", "-A", "tests.engines.celery_app", "worker"]
    options = ["--concurrency=1", "--without-gossip", "--without-mingle", "--loglevel=ERROR"]
    with subprocess.Popen([sys.executable, *command, *options], cwd=ROOT, env=os.environ) as worker:
        try:
            texts = celery_app.invoice.delay().get(timeout=PATIENCE)
        finally:
            worker.terminate()
            worker.wait(PATIENCE)
            celery_app.app.close()
    check(server, texts, tmp_path)
