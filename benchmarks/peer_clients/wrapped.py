"""The SDK wrapped by unbroken."""

# mypy: ignore-errors
# What it imports is installed in an environment of its own.

import anthropic
from loop import Ask, Give, serve
from sdk import read

import unbroken


async def answer(ask: Ask, give: Give) -> str:
    policy = unbroken.Policy(
        idle_timeout=ask.read_timeout, progress_timeout=ask.read_timeout, budget=None
    )
    async with unbroken.wrap(
        anthropic.AsyncAnthropic(base_url=ask.url, api_key="k"), policy
    ) as client:
        return await read(client, ask, give)


if __name__ == "__main__":
    serve(answer)
