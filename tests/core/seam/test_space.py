"""White space that was delivered is not delivered again, and none is lost that tells something."""

from __future__ import annotations

import pytest

from unbroken._core.seam.space import join_space


@pytest.mark.parametrize(
    ("have", "text", "delivered"),
    [
        pytest.param("", "fox", "fox", id="none"),
        pytest.param("", " fox", " fox", id="none delivered yet"),
        pytest.param(" ", " fox", "fox", id="the same space"),
        pytest.param(" ", "fox", "fox", id="no space"),
        pytest.param(" ", "  fox", " fox", id="more space"),
        pytest.param("\n\n", "\nfox", "fox", id="fewer lines"),
        pytest.param("\n", "\n\nfox", "\nfox", id="more lines"),
        pytest.param(" ", "\nfox", "\nfox", id="a line break for a space"),
        pytest.param("\n", " fox", "fox", id="a space for a line break"),
        pytest.param("\n", "    fox", "    fox", id="the indentation of the next line"),
        pytest.param("\n", "\tfox", "\tfox", id="a tab of the next line"),
        pytest.param("\n    ", "\n    fox", "fox", id="the indentation again"),
        pytest.param(" ", " ", "", id="white space only"),
        pytest.param(" ", "", "", id="nothing"),
    ],
)
def test_white_space_is_joined(have, text, delivered):
    assert join_space(have, text) == delivered
