"""Token counts as `FaultServer` bills them: four characters a token, each part on its own.

The count is additive: a request costs the sum of its system prompt, its tools and the blocks of its
messages. So what a continuation adds to the input is the count of the turns it appended, exactly.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["CHARS_PER_TOKEN", "count_tokens"]

CHARS_PER_TOKEN = 4


def count_tokens(source: str | Mapping[str, Any] | Iterable[Any] | None) -> int:
    """Count the tokens of a text, a content block, a message, a request body, or a list of these.

    Args:
        source: What to count. A request body is told by its `messages`, a message by its `role`.

    Returns:
        The number that the server reports as usage, and `count_tokens` requests are answered with.

    Example:
        >>> count_tokens("Hello, world")
        3
        >>> count_tokens({"role": "user", "content": "Hello, world"})
        3
    """
    if source is None:
        return 0
    if isinstance(source, str):
        return -(-len(source) // CHARS_PER_TOKEN)
    if not isinstance(source, Mapping):
        return sum(map(count_tokens, source))
    if "messages" in source:
        return sum(count_tokens(source.get(part)) for part in ("system", "tools", "messages"))
    if "role" in source:
        return count_tokens(source.get("content"))
    return _count_block(source)


def _count_block(block: Mapping[str, Any]) -> int:
    kind = block.get("type")
    if kind in ("text", "thinking"):
        return count_tokens(str(block.get(kind, "")))
    bare = {key: value for key, value in block.items() if key not in ("cache_control", "id")}
    return count_tokens(json.dumps(bare, ensure_ascii=False, separators=(",", ":")))
