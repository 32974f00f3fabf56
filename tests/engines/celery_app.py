"""An application of Celery, whose task is delivered again when its process is killed."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from tests.engines import agent

import unbroken

app = Celery("answers", broker=os.environ["BROKER"], backend=os.environ["BROKER"])


@app.task(bind=True, acks_late=True, reject_on_worker_lost=True)
def invoice(self: Any) -> list[str]:
    with agent.client() as client, unbroken.durable(self.request.id):
        return agent.run(client)
