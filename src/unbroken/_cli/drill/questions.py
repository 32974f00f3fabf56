"""What a drill asks where no prompt is given: one text to copy, and one to write."""

from __future__ import annotations

from unbroken._cli.demo import ANSWER

__all__ = ["PROMPTS"]

_COPY = """\
Copy the following text exactly, character by character, code and lists included. Write nothing \
before it and nothing after it.

"""
_WRITE = """\
Explain in some 600 words, with a heading, a numbered list and a short code example in Python, how \
TCP notices that a connection is lost."""

PROMPTS = (_COPY + ANSWER, _WRITE)
