"""LangChain's chat model, `with_retry()` around it."""

# mypy: ignore-errors
# What it imports is installed in an environment of its own.

from langchain_anthropic import ChatAnthropic
from loop import Ask, Give, serve


async def answer(ask: Ask, give: Give) -> str:
    model = ChatAnthropic(
        model=ask.model,
        base_url=ask.url,
        api_key="k",
        max_tokens=ask.max_tokens,
        timeout=ask.read_timeout,
        max_retries=2,
    ).with_retry(stop_after_attempt=5)
    text = []
    async for chunk in model.astream(ask.prompt):
        piece = chunk.text if isinstance(chunk.text, str) else chunk.text()
        give(piece)
        text.append(piece)
    return "".join(text)


if __name__ == "__main__":
    serve(answer)
