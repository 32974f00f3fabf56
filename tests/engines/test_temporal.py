from __future__ import annotations

import signal

import pytest
from tests.engines.agent import KILLED_AFTER, TURNS, check, environment, launch

pytest.importorskip("temporalio")
pytestmark = pytest.mark.timeout(600)


def test_an_activity_whose_worker_is_killed_is_attempted_again(server, tmp_path):
    from tests.engines import temporal_app

    variables = environment(server, tmp_path)
    assert launch(temporal_app.first_attempt, variables) == (-signal.SIGKILL, None)
    exitcode, (texts, heartbeats) = launch(temporal_app.second_attempt, variables)
    assert exitcode == 0
    check(server, texts, tmp_path)
    assert len(heartbeats) > KILLED_AFTER  # also while it is replayed
    assert [turn for turn in range(TURNS) if (turn,) not in heartbeats] == []
