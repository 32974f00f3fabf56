"""An application of DBOS: it starts a workflow, or recovers the one that was cut."""

from __future__ import annotations

import os

from dbos import DBOS, SetWorkflowID
from tests.engines import agent

import unbroken

WORKFLOW = "invoice-42"


@DBOS.step()
def run_agent() -> list[str]:
    with agent.client() as client, unbroken.durable(f"{DBOS.workflow_id}/{DBOS.step_id}"):
        return agent.run(client)


@DBOS.workflow()
def invoice() -> list[str]:
    return run_agent()


def launch() -> list[str]:
    """What an application does at its start."""
    database = f"sqlite:///{os.environ['JOB_FOLDER']}/dbos.db"
    DBOS(
        config={
            "name": "answers",
            "system_database_url": database,
            "application_version": "1",
            "run_admin_server": False,
        }
    )
    DBOS.launch()  # recovers what was cut
    with SetWorkflowID(WORKFLOW):  # the same one, if it was started before
        result: list[str] = DBOS.start_workflow(invoice).get_result()
    DBOS.destroy()
    return result
