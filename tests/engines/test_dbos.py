from __future__ import annotations

import signal

import pytest
from tests.engines.agent import check, environment, launch

pytest.importorskip("dbos")
pytestmark = pytest.mark.timeout(600)


def test_a_workflow_whose_process_is_killed_is_recovered(server, tmp_path):
    from tests.engines import dbos_app

    variables = environment(server, tmp_path)
    assert launch(dbos_app.launch, variables) == (-signal.SIGKILL, None)
    exitcode, texts = launch(dbos_app.launch, variables)
    assert exitcode == 0
    check(server, texts, tmp_path)
