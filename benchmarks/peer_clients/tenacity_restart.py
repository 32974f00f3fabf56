"""The SDK, with tenacity asking again from the beginning when the stream fails.

An end without a stop reason counts as a failure here, though the SDK raises nothing for it.
"""

# mypy: ignore-errors
# What it imports is installed in an environment of its own.

import anthropic
from loop import Ask, Give, serve
from tenacity import AsyncRetrying, stop_after_attempt, wait_random_exponential


class CutError(Exception):
    """The stream ended without a reason to."""


async def answer(ask: Ask, give: Give) -> str:
    async with anthropic.AsyncAnthropic(
        base_url=ask.url, api_key="k", timeout=ask.read_timeout
    ) as client:
        retrying = AsyncRetrying(
            stop=stop_after_attempt(5),
            wait=wait_random_exponential(multiplier=0.5, max=8),
            reraise=True,
        )
        async for attempt in retrying:
            with attempt:
                final = await _read(client, ask, give)
        return final


async def _read(client: anthropic.AsyncAnthropic, ask: Ask, give: Give) -> str:
    async with client.messages.stream(
        model=ask.model, max_tokens=ask.max_tokens, messages=ask.messages
    ) as stream:
        async for text in stream.text_stream:
            give(text)
        message = await stream.get_final_message()
        if message.stop_reason is None:
            raise CutError
        return "".join(block.text for block in message.content if block.type == "text")


if __name__ == "__main__":
    serve(answer)
