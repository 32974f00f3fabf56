"""L0 (ai2070-l0), which resumes from the last good token with a request of the caller's making."""

# mypy: ignore-errors
# What it imports is installed in an environment of its own.

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import l0
from loop import Ask, Give, serve


async def answer(ask: Ask, give: Give) -> str:
    partial: list[str] = []

    def remember(checkpoint: str) -> str:
        partial[:] = [checkpoint]
        return checkpoint

    async def stream() -> AsyncIterator[Any]:
        messages: list[Any] = list(ask.messages)
        if partial:
            messages.append({"role": "assistant", "content": partial[0]})
            messages.append({"role": "user", "content": "Continue from where you left off."})
        async with (
            anthropic.AsyncAnthropic(base_url=ask.url, api_key="k") as client,
            client.messages.stream(
                model=ask.model, max_tokens=ask.max_tokens, messages=messages
            ) as events,
        ):
            async for text in events.text_stream:
                yield l0.Event(type=l0.EventType.TOKEN, text=text)
            yield l0.Event(type=l0.EventType.COMPLETE)

    wait = round(ask.read_timeout * 1000)
    run = await l0.run(
        stream=stream,
        retry=l0.Retry(attempts=5),
        timeout=l0.Timeout(initial_token=wait, inter_token=wait),
        continue_from_last_good_token=True,
        build_continuation_prompt=remember,
    )
    async for event in run:
        if event.type == l0.EventType.TOKEN:
            give(event.text or "")
    return run.state.content


if __name__ == "__main__":
    serve(answer)
