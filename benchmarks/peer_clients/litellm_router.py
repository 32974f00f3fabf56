"""LiteLLM's router, with mid-stream continuation where the installed version has it."""

# mypy: ignore-errors
# What it imports is installed in an environment of its own.

import inspect
import os
from typing import Any

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

import litellm
from loop import Ask, Give, serve

CONTINUATION = "enable_mid_stream_fallback_continuation"


async def answer(ask: Ask, give: Give) -> str:
    deployments = [_deployment(name, ask) for name in ("a", "b")]
    settings: dict[str, Any] = {"fallbacks": [{"a": ["b"]}, {"b": ["a"]}], "num_retries": 2}
    if CONTINUATION in inspect.signature(litellm.Router.__init__).parameters:
        settings[CONTINUATION] = True
    router = litellm.Router(model_list=deployments, **settings)
    stream = await router.acompletion(
        model="a",
        messages=ask.messages,
        stream=True,
        max_tokens=ask.max_tokens,
        stream_options={"include_usage": True},
    )
    text = []
    async for chunk in stream:
        piece = chunk.choices[0].delta.content if chunk.choices else None
        if piece:
            give(piece)
            text.append(piece)
    return "".join(text)


def _deployment(name: str, ask: Ask) -> dict[str, Any]:
    return {
        "model_name": name,
        "litellm_params": {
            "model": f"anthropic/{ask.model}",
            "api_base": ask.url,
            "api_key": "k",
            "stream_timeout": ask.read_timeout,
        },
    }


if __name__ == "__main__":
    serve(answer)
