"""White space at the seam, which a request cannot send back and a reply may write again."""

from __future__ import annotations

__all__ = ["join_space", "space_after"]


def space_after(text: str) -> str:
    """The white space that a text ends with."""
    return text[len(text.rstrip()) :]


def join_space(have: str, text: str) -> str:
    """Remove from the beginning of a text the white space that was already delivered.

    Args:
        have: The white space at the end of the delivered text.
        text: The text that follows it.
    """
    rest = text.lstrip()
    came = text[: len(text) - len(rest)]
    if came.startswith(have):
        return text[len(have) :]
    if "\n" in came:
        # The white space differs the second time: a line break is worth keeping.
        return rest if "\n" in have else text
    # Behind a line break that was delivered, more than one space is the next line's indentation.
    return text if have.endswith("\n") and came not in ("", " ") else rest
