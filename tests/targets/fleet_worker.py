"""A process that asks once when it is told to, and tells for how long each attempt waited."""

import json
import sys

import anthropic

import unbroken
from unbroken import Policy, RedisFleet


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(api: str, redis: str) -> None:
    fleet = RedisFleet(redis, timeout=10)
    with anthropic.Anthropic(api_key="test", base_url=api) as bare:
        client = unbroken.wrap(bare, Policy(deadline=60), fleet=fleet)
        say("ready")
        sys.stdin.readline()
        response = client.messages.with_raw_response.create(
            model="claude-opus-5-5",
            max_tokens=1000,
            messages=[{"role": "user", "content": "Tell me a story."}],
        )
        waits = [attempt.waited for attempt in unbroken.report(response).attempts]
        say(json.dumps(waits))
    fleet.close()


main(*sys.argv[1:])
