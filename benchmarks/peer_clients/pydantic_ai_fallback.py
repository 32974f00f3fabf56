"""Pydantic AI, with a second model to fall back on."""

# mypy: ignore-errors
# What it imports is installed in an environment of its own.

import anthropic
from loop import Ask, Give, serve
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.providers.anthropic import AnthropicProvider


async def answer(ask: Ask, give: Give) -> str:
    async with anthropic.AsyncAnthropic(
        base_url=ask.url, api_key="k", timeout=ask.read_timeout
    ) as client:
        model = AnthropicModel(ask.model, provider=AnthropicProvider(anthropic_client=client))
        agent = Agent(FallbackModel(model, model), model_settings={"max_tokens": ask.max_tokens})
        async with agent.run_stream(ask.prompt) as run:
            async for text in run.stream_text(delta=True, debounce_by=None):
                give(text)
            return await run.get_output()


if __name__ == "__main__":
    serve(answer)
