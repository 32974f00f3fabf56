"""Which replies are about the request to continue."""

from __future__ import annotations

import pytest

from unbroken._core.seam.off_topic import is_off_topic


@pytest.mark.parametrize(
    "reply",
    [
        "No response requested.",
        "I'm not sure what you would like me to do.",
        "I'm sorry, but I can't continue without more context.",
        "I'm very sorry about the interruption.",
        "I am happy to help! What would you like?",
        "I apologize for the interruption.",
        "I don't see a message that was cut off.",
        "Could you please share the text?",
        "Can you tell me more?",
        "What would you like me to do next?",
        "How can I help you today?",
        "There's nothing left to say.",
        "There is nothing to continue.",
        "Nothing was left to say.",
        "It looks like your message was cut off.",
        "It seems like you want something.",
        "Your message seems to have been cut off. Would you like me to continue?",
        "Your last message was cut off.",
        "My previous response was complete.",
        "Please provide more details.",
        "Sure! Could you please share the text?",
        "Okay, I'm ready to continue.",
        "Hello! How can I help you today?",
        "Sure. Of course, certainly, I'm happy to help.",
    ],
)
def test_a_remark_is_off_topic(reply):
    assert is_off_topic(reply)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "the lazy dog. Would you like me to continue?",
        "I don't like it, said the fox.",
        "I'm quick, said the fox.",
        "It was quick.",
        "Your fox is quick.",
        "There was a fox.",
        "Sure, the fox said, and ran.",
        "sorrynotsorry = True",
        "I'm sorry, said the fox. " + "And then it ran on. " * 30,
    ],
)
def test_a_continuation_is_not(reply):
    assert not is_off_topic(reply)
