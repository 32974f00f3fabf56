"""What a block says of itself, now and at an earlier time."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from unbroken._core.stream.blocks import Block

DELTAS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(lambda text: {"type": "text_delta", "text": text}, st.text(max_size=9)),
    st.builds(
        lambda n: {"type": "citations_delta", "citation": {"type": "page_location", "n": n}},
        st.integers(),
    ),
)


def filled(deltas: list[dict[str, Any]]) -> Block:
    block = Block({"type": "text", "text": ""})
    for delta in deltas:
        block.add(delta)
    return block


@given(st.lists(DELTAS), st.lists(DELTAS))
def test_a_block_can_be_told_as_it_was(before, after):
    block = filled(before)
    size = block.size()
    for delta in after:
        block.add(delta)
    assert block.until(size).content() == filled(before).content()
    assert block.content() == filled(before + after).content()


@given(st.lists(DELTAS, min_size=1), st.lists(DELTAS, min_size=1))
def test_an_earlier_block_is_one_of_its_own(before, after):
    block = filled(before)
    earlier = block.until(block.size())
    for delta in after:
        earlier.add(delta)
    assert block.content() == filled(before).content()


def test_tool_input_that_is_nested_too_deep_is_no_input():
    block = Block({"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {}})
    deep = '{"a":' * 100_000 + "1" + "}" * 100_000
    block.add({"type": "input_json_delta", "partial_json": deep})
    assert not block.valid_input()
    assert block.content()["input"] == {}
