"""The SDK alone: it retries what fails before the stream begins."""

# mypy: ignore-errors
# What it imports is installed in an environment of its own.

import anthropic
from loop import Ask, Give, serve


async def read(client: anthropic.AsyncAnthropic, ask: Ask, give: Give) -> str:
    """Read one answer of any client of the SDK."""
    async with client.messages.stream(
        model=ask.model, max_tokens=ask.max_tokens, messages=ask.messages
    ) as stream:
        async for text in stream.text_stream:
            give(text)
        return await stream.get_final_text()


async def answer(ask: Ask, give: Give) -> str:
    async with anthropic.AsyncAnthropic(
        base_url=ask.url, api_key="k", timeout=ask.read_timeout
    ) as client:
        return await read(client, ask, give)


if __name__ == "__main__":
    serve(answer)
