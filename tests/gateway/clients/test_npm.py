"""Claude Code and the TypeScript SDK, unmodified, from npm: `nox -s clients` installs them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.serving import serving

from unbroken.testing import FaultServer, faults

MODULES = Path(os.environ.get("NODE_MODULES", "does-not-exist")).absolute()
ANSWER = "It was a dark and stormy night. " * 20
FAULTS = (
    faults.reset(after_chars=150),
    faults.status(529),
    faults.reset(after_chars=150),
    faults.eof(after_chars=150),
)

pytestmark = pytest.mark.skipif(not MODULES.is_dir(), reason="run by `nox -s clients`")


@pytest.fixture
def upstream():
    with FaultServer(ANSWER, strict=False, faults=FAULTS) as server:
        yield server


def run(command, url, home, **more) -> Any:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": "test",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        **more,
    }
    return subprocess.run(
        command,
        cwd=home,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        timeout=100,
    )


def claude(url, home) -> Any:
    command = [MODULES / ".bin" / "claude", "-p", "Tell me a story", "--output-format", "json"]
    done = run(command, url, home)
    return done.returncode, json.loads(done.stdout)


def test_claude_code_gets_the_whole_answer_in_one_turn(upstream, tmp_path):
    with serving(upstream.url, tmp_path) as gateway:
        status, result = claude(gateway.url, tmp_path)
    assert (status, result["num_turns"], result["is_error"]) == (0, 1, False)
    assert result["result"].strip() == ANSWER.strip()


def test_claude_code_alone_gives_up(upstream, tmp_path):
    status, result = claude(upstream.url, tmp_path)
    assert (status, result["is_error"]) == (1, True)


TYPESCRIPT = """
import Anthropic from "@anthropic-ai/sdk";
const client = new Anthropic({ maxRetries: 0 });
const asked = {
  model: "claude-opus-5-5", max_tokens: 4000,
  messages: [{ role: "user", content: "Tell me a story" }],
};
const streamed = await client.messages.stream(asked).finalText();
const whole = (await client.messages.create(asked)).content[0].text;
console.log(JSON.stringify({ streamed, whole }));
"""


def test_the_typescript_sdk(upstream, tmp_path):
    upstream.script(None, faults.status(500), faults.reset_before())
    script = tmp_path / "ask.mjs"
    script.write_text(TYPESCRIPT)
    (tmp_path / "node_modules").symlink_to(MODULES)
    with serving(upstream.url, tmp_path) as gateway:
        done = run(["node", script], gateway.url, tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"streamed": ANSWER, "whole": ANSWER}
