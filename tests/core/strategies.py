"""What hypothesis draws from: texts, answers of any blocks, requests, voices and cuts."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from unbroken.testing import Answer, answers, voices

WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "a",
    "lazy",
    "dog",
    "and",
    "then",
    "it",
    "runs",
    "far",
    "away",
    "from",
    "here",
    "so",
    "that",
    "nobody",
    "ever",
    "finds",
    "it",
    "again",
    "日本語",
    "été",
    "“quoted”",
    "it's",
    "🙂",
    "1.",
    "-",
    "##",
    "return",
    "ha",
    "ha",
]
SPACES = [" ", " ", " ", " ", "\n", "\n\n", "\n    ", ".\n\n- ", ", ", ". "]

# Each goes on from the answer, whatever it says first.
VOICES = {
    "exact": voices.exact,
    "exact_stripped": voices.exact_stripped,
    "repeats_words": voices.repeats_words(4),
    "repeats_chars": voices.repeats_chars(30),
    "restarts_word": voices.restarts_word,
    "restarts_line": voices.restarts_line,
    "restarts_sentence": voices.restarts_sentence,
    "restarts_paragraph": voices.restarts_paragraph,
    "says_it_all_again": voices.says_it_all_again,
    "preamble": voices.preamble(),
}


@st.composite
def texts(draw: st.DrawFn, least: int = 1, most: int = 60) -> str:
    """A text of words that repeat, with lists, code and several scripts."""
    words = draw(st.lists(st.sampled_from(WORDS), min_size=least, max_size=most))
    spaces = draw(st.lists(st.sampled_from(SPACES), min_size=len(words), max_size=len(words)))
    joined = "".join(word + space for word, space in zip(words, spaces, strict=True))
    return joined.strip() + "."


inputs = st.fixed_dictionaries(
    {"query": texts(most=8), "number": st.integers(), "deep": st.just({"list": [1, None, "é"]})}
)
citations = st.just(
    [
        {
            "type": "char_location",
            "cited_text": "c",
            "document_index": 0,
            "document_title": None,
            "start_char_index": 0,
            "end_char_index": 1,
        }
    ]
)
RESULT = {"type": "web_search_result", "url": "u", "title": "t", "encrypted_content": "e"}

said = st.one_of(texts().map(answers.text), st.builds(answers.cited_text, texts(), citations))
searched = st.builds(lambda i: answers.server_tool("web_search", i, content=[RESULT]), inputs)
asked_mcp = st.builds(lambda i: answers.mcp_tool("lookup", i), inputs)
called = st.builds(answers.tool_use, st.sampled_from(["first", "second"]), inputs)
thought = st.one_of(
    texts(most=20).map(answers.thinking), st.just(answers.redacted_thinking("opaque" * 4))
)

TOOLS: list[dict[str, Any]] = [
    {"name": "first", "input_schema": {"type": "object"}},
    {"name": "second", "input_schema": {"type": "object"}},
    {"type": "web_search_20250305", "name": "web_search"},
]


@st.composite
def agent_answers(draw: st.DrawFn, *, thinks: bool) -> Answer:
    """An answer of any blocks: thinking, texts with and without citations, tools of all kinds."""
    blocks: list[Any] = [draw(texts(most=20).map(answers.thinking))] if thinks else []
    middle = [said, said, searched, asked_mcp] + ([thought] if thinks else [])
    blocks += draw(st.lists(st.one_of(middle), max_size=4))
    blocks += draw(st.one_of(st.lists(called, min_size=1, max_size=3), said.map(lambda s: [s])))
    return Answer(_told_apart(blocks))


def _told_apart(blocks: list[Any]) -> list[Any]:
    """Texts that begin differently: of two that are the same, nobody can tell which one goes on."""
    names = iter(("Alpha", "Bravo", "Charlie", "Delta", "Echo", "Foxtrot", "Golf"))
    return [
        answers.block({**block.content, "text": f"{next(names)} {block.text}"})
        if getattr(block, "type", "") == "text"
        else block
        for block in blocks
    ]
