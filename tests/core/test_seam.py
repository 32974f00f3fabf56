"""The joined text is the answer: nothing twice, nothing lost, and nothing said to us in it.

Here, no service is asked: a voice says what a model would, and the seam joins it, piece by piece.
What the seam cannot join is one named error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from unbroken._core.cut import Parts, cut_for_user_turn
from unbroken._core.overlap import fold

from unbroken._core import seam as seam_module
from unbroken._core.resume import MARKS, PROMPT
from unbroken._core.seam import HELD, ExactSeam, FreeSeam, SeamError
from unbroken.testing import voices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from unbroken._core.seam import Seam
    from unbroken.testing.voices import Voice

MARK = MARKS[0]

STORY = (
    "Once upon a time there was a fox. It was quick, and it knew the wood well.\n"
    "One day, it said: \u201cI\u2019ll jump over that dog.\u201d And it did; nobody laughed.\n\n"
    'The dog was lazy. It slept on and on, and the fox jumped again. "Again?" asked it. The end.'
)
LAUGHTER = "She laughed: ha ha ha ha ha ha ha ha ha ha! Then she laughed again: ha ha ha ha. Ha ha."
STEPS = (
    "Steps:\n\n- Mix it.\n- Bake it.\n- Mix it.\n- Bake it again.\n- Eat it.\n\n1. one\n2. two\n"
)
CODE = (
    "Here:\n\n```python\ndef f(x):\n    if x:\n        return 1\n    else:\n        return 2\n\n\n"
    "def g(x):\n    if x:\n        return 1\n    else:\n        return 3\n```\n\nDone.\n"
)
CHINESE = (
    "\u72d0\u304c\u68ee\u306b\u4f4f\u3093\u3067\u3044\u307e\u3057\u305f\u3002\u3068\u3066\u3082"
    "\u901f\u304f\u3066\u3001\u72ac\u3092\u98db\u3073\u8d8a\u3048\u307e\u3057\u305f\u3002\u72ac"
    "\u306f\u6020\u3051\u8005\u3067\u3001\u305a\u3063\u3068\u7720\u3063\u3066\u3044\u307e\u3057"
    "\u305f\u3002\u305d\u3057\u3066\u72d0\u306f\u307e\u305f\u98db\u3073\u8d8a\u3048\u305f\u3002"
)
ADDRESS = (
    "See https://example.com/a/very/long/path/without/any/space/in/it?query=1234567890 for it."
)
TABLE = "| a | b |\n|---|---|\n| 1 | 2 |\n| 1 | 2 |\n| 1 | 2 |\n| 3 | 4 |\n"
ANSWERS = {
    "story": STORY,
    "laughter": LAUGHTER,
    "steps": STEPS,
    "code": CODE,
    "CJK": CHINESE,
    "address": ADDRESS,
    "table": TABLE,
}


def pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def joined(seam: Seam, said: Iterable[str]) -> str:
    return "".join(map(seam.feed, said)) + seam.end("end_turn")


def outcome(seam: Seam, said: Iterable[str]) -> str | type[SeamError]:
    try:
        return joined(seam, said)
    except SeamError:
        return SeamError


def free(text: str, *, mark: str | None = MARK, parts: Parts | None = None) -> FreeSeam:
    parts = parts or cut_for_user_turn(text)
    return FreeSeam(text, tail=parts.tail, anchor=parts.anchor, mark=mark)


def told(answer: str, text: str, voice: Voice) -> str:
    """What the model says to go on with an answer, of which the text was delivered."""
    parts = cut_for_user_turn(text)
    prompt = PROMPT.replace("{mark}", MARK).replace("{anchor}", parts.anchor)
    return voice(voices.Cue(answer, len(parts.sent), prompt))


# An exact seam


@pytest.mark.parametrize(
    ("known", "said", "delivered"),
    [
        pytest.param("", "fox", "fox", id="nothing known"),
        pytest.param(" jum", " jumped", "ped", id="the word begun again"),
        pytest.param(" jum", "jumped", "ped", id="without the white space before it"),
        pytest.param("jum", " jumped", "ped", id="with white space before it"),
        pytest.param(" ", " fox", "fox", id="the same space"),
        pytest.param(" ", "fox", "fox", id="no space"),
        pytest.param(" ", "  fox", " fox", id="more space"),
        pytest.param("\n\n", "\nfox", "fox", id="fewer lines"),
        pytest.param("\n", "\n\nfox", "\nfox", id="more lines"),
        pytest.param(" ", "\nfox", "\nfox", id="a line break for a space"),
        pytest.param("\n", " fox", "fox", id="a space for a line break"),
        pytest.param("the fox ", "the fox ran", "ran", id="space at the end"),
        pytest.param("the fox", "the fox ran", " ran", id="space beyond the end"),
        pytest.param("the fox", "the fox", "", id="nothing beyond"),
        pytest.param("the fox ", "the fox", "", id="nothing beyond, not even the space"),
        pytest.param(" ", " ", "", id="white space only"),
        pytest.param(" ", "", "", id="nothing at all"),
        pytest.param("", "", "", id="nothing of nothing"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 100])
def test_what_is_known_is_taken_off(known, said, delivered, size):
    seam = ExactSeam(known)
    assert joined(seam, pieces(said, size)) == delivered
    assert seam.settled


@pytest.mark.parametrize(
    ("known", "said"),
    [
        pytest.param("fox", "cat", id="other words"),
        pytest.param("fox", "for", id="another ending"),
        pytest.param("the fox", "the  fox", id="other white space inside"),
        pytest.param("fox", "Fox", id="another case"),
        pytest.param("fox", "fo", id="too short"),
        pytest.param("fox", "", id="nothing"),
        pytest.param("fox", " ", id="white space only"),
    ],
)
@pytest.mark.parametrize("size", [1, 100])
def test_what_does_not_begin_as_it_must_is_refused(known, said, size):
    assert outcome(ExactSeam(known), pieces(said, size)) is SeamError


white = st.text(st.sampled_from("a b\n\t\u3000\u72d0"), max_size=20)


@given(known=white, rest=white, cuts=st.lists(st.integers(0, 40)), strips=st.booleans())
@settings(deadline=None)
@example(known=" \n a  ", rest=" \n b", cuts=[1, 2, 3], strips=True)
def test_an_exact_seam_loses_nothing_whatever_the_chunks(known, rest, cuts, strips):
    said = known + rest
    if strips and known.strip():
        said = said.lstrip()
    ends = sorted({0, len(said), *(min(cut, len(said)) for cut in cuts)})
    chunks = [said[ends[at] : ends[at + 1]] for at in range(len(ends) - 1)]
    assert joined(ExactSeam(known), chunks) == rest


def test_a_settled_seam_passes_on_all_it_gets():
    seam = ExactSeam("the fox")
    assert not seam.settled
    assert seam.feed("the ") == ""
    assert seam.feed("fox ran") == " ran"
    assert seam.settled
    assert seam.feed(" and ran") == " and ran"
    assert seam.end("end_turn") == ""


def test_the_known_text_may_go_on_in_the_next_block():
    seam = ExactSeam("the fox")
    assert seam.feed("the ") == ""
    assert seam.end_block() == ""
    assert seam.feed("fox ran") == " ran"


def test_an_exact_seam_holds_white_space_only():
    known = "word " * 1000
    seam = ExactSeam(known)
    for chunk in pieces(known.rstrip(), 7):
        assert seam.feed(chunk) == ""
        assert len(seam._space) == 0
    assert seam.feed(" end") == "end"


# A free seam: whatever the model's way of going on, the answer is what was meant


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize(
    "voice",
    [
        pytest.param(voices.exact, id="exact"),
        pytest.param(voices.repeats_words(1), id="repeats a word"),
        pytest.param(voices.repeats_words(5), id="repeats five words"),
        pytest.param(voices.repeats_chars(40), id="repeats 40 characters"),
        pytest.param(voices.restarts_word, id="restarts the word"),
        pytest.param(voices.restarts_line, id="restarts the line"),
        pytest.param(voices.restarts_sentence, id="restarts the sentence"),
        pytest.param(voices.restarts_paragraph, id="restarts the paragraph"),
        pytest.param(voices.says_it_all_again, id="says it all again"),
        pytest.param(
            voices.preamble(then=voices.repeats_words(5)), id="preamble, repeats five words"
        ),
        pytest.param(
            voices.preamble("Sorry about that! Here is the rest of the answer:", voices.exact),
            id="apology, exact",
        ),
    ],
)
def test_the_answer_is_what_was_meant_wherever_it_is_cut(answer, voice):
    for cut in range(13, len(answer)):
        text = answer[:cut]
        said = pieces(told(answer, text, voice), (3, 40, 10_000)[cut % 3])
        assert text + joined(free(text), said) == answer, f"cut at {cut}"


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_a_model_that_repeats_the_quoted_words_as_it_was_asked_to_is_joined(answer):
    for cut in range(1, len(answer)):
        text = answer[:cut]
        anchor = cut_for_user_turn(text).anchor
        said = answer[len(text.rstrip()) - len(anchor) :] if anchor else answer
        assert text + joined(free(text), pieces(said, 5)) == answer, f"cut at {cut}"


OTHER_QUOTES = str.maketrans(
    {"'": "\u2019", '"': "\u201d", "\u2019": "'", "\u201c": '"', "\u201d": '"'}
)


@pytest.mark.parametrize("answer", [STORY, CODE, STEPS], ids=["story", "code", "steps"])
def test_other_quotes_and_other_white_space_are_the_same_words(answer):
    for cut in range(13, len(answer)):
        text = answer[:cut]
        end = len(text.rstrip())
        anchor = cut_for_user_turn(text).anchor
        again = " ".join(anchor.split()).translate(OTHER_QUOTES)
        assert text + joined(free(text), [again, answer[end:]]) == answer, f"cut at {cut}"


@pytest.mark.parametrize("answer", [STORY, CHINESE, ADDRESS], ids=["story", "CJK", "address"])
def test_a_model_that_goes_on_after_all_it_said_is_joined(answer):
    """It does not repeat what the request left out: nothing of the new text may be taken off."""
    for cut in range(13, len(answer.rstrip())):
        text, rest = answer[:cut], answer[cut:]
        out = joined(free(text), pieces(rest, 5))
        # Only white space delivered at the end may be the same as what comes first.
        expected = rest.lstrip() if text[-1].isspace() else rest
        assert out == expected, f"cut at {cut}"


@pytest.mark.parametrize("size", [1, 100])
def test_indentation_after_a_delivered_line_break_is_kept(size):
    text, rest = "Here it is:\n\ndef f(some, thing):\n", "    return some"
    assert joined(free(text), pieces(rest, size)) == rest


@pytest.mark.parametrize("word", ["did", "wow", "onion"])
def test_a_last_word_that_is_said_again_is_taken_off(word):
    text = f"Once upon a time, in a wood, it was as it {word}"
    assert joined(free(text), [f"{word} before."]) == " before."


@pytest.mark.parametrize("space", [" ", "\n", "\n\n"], ids=repr)
@pytest.mark.parametrize("said", ["", " ", "\n"], ids=repr)
def test_white_space_at_the_end_is_not_said_twice(space, said):
    text = f"Once upon a time there was a fox{space}"
    out = joined(free(text), [cut_for_user_turn(text).anchor + said])
    assert out == ("\n" if (space, said) == (" ", "\n") else "")


# Repetition that is meant


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        pytest.param("She laughed: ha ha ha", " ha ha ha!", id="laughter"),
        pytest.param("It was very, very, very, very", " very, very cold.", id="emphasis"),
        pytest.param("List:\n\n- one\n- one\n- one\n", "- one\n- one\n", id="list items"),
        pytest.param("List:\n\n- one\n- two\n", "- three\n", id="list markers"),
        pytest.param("1. a thing\n2. a thing\n", "3. a thing\n", id="numbers"),
        pytest.param(
            "def f():\n    if a:\n        pass\n",
            "    if a:\n        pass\n    if a:\n        pass\n",
            id="code that repeats",
        ),
        pytest.param("def f():\n    if a:\n        pass\n    ", "    more()\n", id="indentation"),
        pytest.param("for x in y:\n    for z in x:\n", "        print(z)\n", id="deeper lines"),
        pytest.param("x = [[0, 0, 0, 0, 0, 0, 0, 0,", " 0, 0, 0, 0, 0]]", id="zeros"),
        pytest.param("He said: no, no, no", ", no, no, no!", id="words and commas"),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_real_repetition_is_not_eaten(text, rest, size):
    """The model begins with the words that were left out, or with those that were quoted."""
    parts = cut_for_user_turn(text)
    for begins in (parts.tail, parts.tail.lstrip(), parts.anchor + text[len(text.rstrip()) :]):
        assert joined(free(text), pieces(begins + rest, size)) == rest


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        pytest.param("======== ======== =====", "=== ======== ========", id="a line of a table"),
        pytest.param("\u54c8" * 20, "\u54c8" * 10 + "\uff01", id="CJK laughter"),
        pytest.param("a" * 50, "a" * 30 + "!", id="one letter"),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_where_all_is_one_repetition_it_counts_from_what_was_sent(text, rest, size):
    parts = cut_for_user_turn(text)
    assert joined(free(text), pieces(parts.tail + rest, size)) == rest


repeating = st.lists(
    st.sampled_from(("ha ", "ha! ", "- x\n", "- y\n", "    ", "if x:\n", "\n", "no, ", "}\n")),
    min_size=12,
    max_size=60,
).map("".join)


@given(answer=repeating, data=st.data())
@settings(deadline=None)
def test_however_an_answer_repeats_itself_an_exact_continuation_is_joined(answer, data):
    text = answer[: data.draw(st.integers(1, len(answer) - 1))]
    parts = cut_for_user_turn(text) if text.strip() else Parts("", "", "")
    assume(len(fold(parts.tail.strip())) >= 12)
    rest = answer[len(text) :]
    size = data.draw(st.sampled_from([1, 2, 5, 100]))
    assert joined(free(text), pieces(parts.tail + rest, size)) == rest


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        pytest.param("ha ha", " ha!", id="laughter"),
        pytest.param("bye bye", " bye!", id="a word"),
    ],
)
def test_real_repetition_is_not_eaten_at_the_beginning_of_an_answer(text, rest):
    parts = cut_for_user_turn(text)
    assert joined(free(text), [parts.tail + rest]) == rest


# Chunks


honest = st.sampled_from(
    (
        voices.exact,
        voices.exact_stripped,
        voices.repeats_words(3),
        voices.repeats_chars(9),
        voices.restarts_line,
        voices.restarts_sentence,
        voices.says_it_all_again,
        voices.preamble(),
        voices.after_anchor,
        voices.follows_anchor,
    )
)


@given(answer=st.sampled_from(list(ANSWERS.values())), voice=honest, data=st.data())
@settings(deadline=None)
def test_chunking_does_not_matter(answer, voice, data):
    text = answer[: data.draw(st.integers(1, len(answer) - 1))]
    assume(text.strip())
    said = told(answer, text, voice)
    cuts = data.draw(st.lists(st.integers(0, len(said)), max_size=20))
    ends = sorted({0, len(said), *cuts})
    chunks = [said[ends[at] : ends[at + 1]] for at in range(len(ends) - 1)]
    assert outcome(free(text), chunks) == outcome(free(text), list(said))


# The mark


@pytest.mark.parametrize("size", range(1, 14))
@pytest.mark.parametrize(
    ("said", "delivered"),
    [
        pytest.param(f" the dog. {MARK}", " the dog.", id="at the end"),
        pytest.param(f" the dog.\n\n{MARK}\n", " the dog.\n", id="in a line of its own"),
        pytest.param(f"{MARK} the dog.", " the dog.", id="at the beginning"),
        pytest.param(f" the {MARK}{MARK}dog.", " thedog.", id="twice"),
        pytest.param(" the [[DON dog.", " the [[DON dog.", id="begun only"),
        pytest.param(" the dog [[DONE", " the dog [[DONE", id="begun at the end"),
        pytest.param(f" the [[[[{MARK}", " the [[[[", id="behind what looks like it"),
        pytest.param(" x[[D[[DO[[DON]]", " x[[D[[DO[[DON]]", id="begun again and again"),
        pytest.param(" the dog  ", " the dog  ", id="white space that is none of it"),
    ],
)
def test_the_mark_never_reaches_the_caller_whatever_the_chunks(said, delivered, size):
    text = "Once there was a fox who jumped over"
    out = joined(free(text), pieces("fox who jumped over" + said, size))
    assert out == delivered
    assert MARK not in out


@pytest.mark.parametrize("size", range(1, 9))
@pytest.mark.parametrize("text", ["It was over.", "It was in the middle of"])
@pytest.mark.parametrize("said", [MARK, f" {MARK}\n", f"\n\n{MARK}"], ids=repr)
def test_the_mark_alone_says_that_nothing_was_left(text, said, size):
    assert joined(free(text), pieces(said, size)).strip() == ""


def test_the_mark_may_follow_the_quoted_words():
    text = "It is over now, and the fox sleeps in the wood."
    parts = cut_for_user_turn(text)
    assert joined(free(text), [f"{parts.anchor} {MARK}"]) == ""


def test_without_a_mark_its_letters_are_words_like_others():
    text = "Once there was a fox who jumped over"
    assert joined(free(text, mark=None), [f"fox who jumped over {MARK}"]) == f" {MARK}"


def test_a_mark_that_may_come_keeps_the_seam_from_settling():
    seam = free("Once there was a fox who jumped over")
    seam.feed("fox who jumped over the dog")
    assert not seam.settled


# What is no continuation


EVASIONS = [
    "No response requested.",
    "I'm not sure what you would like me to do.",
    "I'm sorry, but I can't continue without more context.",
    "I am happy to help! What would you like?",
    "I apologize for the interruption.",
    "Could you please share the text?",
    "Can you tell me more?",
    "What would you like me to do next?",
    "How can I help you today?",
    "There's nothing left to say.",
    "There is nothing to continue.",
    "It looks like your message was cut off.",
    "It seems like you want something.",
    "Please provide more details.",
    "Sure! Could you please share the text?",
    "Okay, I'm ready to continue.",
    "Hello! How can I help you today?",
    "Sure. Of course, certainly, I'm happy to help.",
]


@pytest.mark.parametrize("said", EVASIONS)
@pytest.mark.parametrize("text", ["Once there was a fox who", "Once there was a fox. It ran."])
def test_an_evasion_is_no_text(text, said):
    assert outcome(free(text), pieces(said, 4)) is SeamError


@pytest.mark.parametrize("said", EVASIONS)
def test_words_that_only_look_like_an_evasion_are_text_where_the_seam_is_proved(said):
    text = "And then it said to everybody in the wood:"
    parts = cut_for_user_turn(text)
    assert joined(free(text), pieces(f"{parts.tail} {said}", 4)) == f" {said}"


@pytest.mark.parametrize("said", ["", " ", "\n\n"], ids=repr)
def test_nothing_at_all_is_no_answer_in_the_middle_of_a_sentence(said):
    assert outcome(free("Once there was a fox who"), [said]) is SeamError


@pytest.mark.parametrize("end", [".", "!", "?", ".)", '."', "\u3002", ":", "```", " |", "...\n"])
def test_nothing_at_all_is_an_answer_where_a_sentence_has_ended(end):
    assert joined(free("Once there was a fox" + end), []) == ""


def test_nothing_at_all_is_an_answer_where_the_seam_is_told_that_it_may_be_whole():
    seam = FreeSeam("a fox who", tail="", anchor="", mark=None, may_be_whole=True)
    assert joined(seam, []) == ""


@pytest.mark.parametrize("size", [1, 50, 10_000])
@pytest.mark.parametrize("times", [1, 20], ids=["short", "long"])
def test_a_replay_that_does_not_get_beyond_what_was_delivered_is_no_answer(size, times):
    text = STORY * times + "And one more thing"
    for length in (20, 200, len(text) - 30):
        assert outcome(free(text), pieces(text[:length], size)) is SeamError


def test_an_answer_begun_anew_in_other_words_is_no_continuation():
    text = STORY + " " + STORY[::-1]
    other = STORY[:30] + "and now it goes on in quite another way, " * 20
    assert outcome(free(text), pieces(other, 7)) is SeamError


def test_an_answer_begun_anew_in_other_words_is_joined_where_it_comes_to_the_quoted_words():
    text = STORY + " " + STORY[::-1]
    anchor = cut_for_user_turn(text).anchor
    other = STORY[:30] + "and now it goes on in quite another way, " * 20
    assert joined(free(text), pieces(f"{other}{anchor} and more", 7)) == " and more"


def test_a_replay_that_leaves_its_way_is_joined_where_it_comes_to_the_quoted_words():
    text = "".join(f"This is sentence number {number}. " for number in range(200))
    anchor = cut_for_user_turn(text).anchor
    replay = text[:2000] + "Here it changes a few words. " + text[2500 : -len(anchor) - 1]
    assert joined(free(text), pieces(f"{replay}{anchor} More.", 9)) == "More."


# Blocks


def test_the_seam_may_be_decided_in_a_later_block():
    text = "Once there was a fox who jumped over"
    seam = free(text)
    assert seam.feed("fox who ") == ""
    assert seam.end_block() == ""
    assert seam.feed("jumped over the") == " the"
    assert seam.end_block() == ""
    assert seam.feed(" dog") == " dog"
    assert seam.end("end_turn") == ""


def test_what_may_be_the_mark_is_no_longer_held_when_the_block_ends_behind_the_seam():
    text = "Once there was a fox who jumped over"
    seam = free(text)
    assert seam.feed("fox who jumped over the [[DO") == " the"
    assert seam.end_block() == " [[DO"
    assert seam.end("end_turn") == ""


# Bounds


def held(seam: FreeSeam) -> int:
    return len(seam._held) + len(seam._lead) + (len(seam._mark._held) if seam._mark else 0)


# Room for what may be the mark, and for white space that counts as one character.
SLACK = len(MARK) + 2


def watched(seam: FreeSeam, chunks: Iterable[str], see: Callable[[int], None]) -> str:
    out = ""
    for chunk in chunks:
        out += seam.feed(chunk)
        see(held(seam))
    return out + seam.end("end_turn")


@pytest.mark.parametrize("size", [1, 7, 50])
@pytest.mark.parametrize(
    "said",
    [
        pytest.param("Something else altogether. " * 100, id="other words"),
        pytest.param(f"{STORY} And so on: {STORY}", id="the same words, and more"),
        pytest.param("Sure, here is the rest of it:\n\n" + STORY[::-1] * 5, id="a preamble"),
        pytest.param("x" * 3000, id="no words"),
        pytest.param("ha " * 1000, id="one word"),
    ],
)
def test_no_more_is_held_than_the_bound_and_a_delta(said, size):
    most = 0

    def see(count: int) -> None:
        nonlocal most
        most = max(most, count)

    out = watched(free(STORY + " And so on"), pieces(said, size), see)
    assert out
    assert most <= HELD + size + SLACK


def test_what_is_not_decided_within_the_bound_is_delivered():
    seam = free(STORY + " And so on")
    assert seam.feed("Other words. " * 30) == ""
    assert seam.feed("Other words. ").startswith("Other words. Other")


def test_a_long_replay_is_compared_as_it_comes_and_not_held():
    text = "".join(f"This is sentence number {number}. " for number in range(33_000))
    assert len(text) > 1_000_000
    seam, size, most = free(text), 1000, 0

    def see(count: int) -> None:
        nonlocal most
        most = max(most, count)

    assert watched(seam, pieces(text + "The end.", size), see) == "The end."
    assert most <= HELD + size + SLACK


def test_a_long_text_that_does_not_come_to_the_quoted_words_is_not_held():
    text = STORY + " " + STORY[::-1]
    seam, size = free(text), 1000
    for chunk in pieces(STORY[:30] + "and now in quite another way, " * 10_000, size):
        assert seam.feed(chunk) == ""
        assert held(seam) <= HELD + size
    with pytest.raises(SeamError):
        seam.end("end_turn")


@pytest.mark.parametrize("where", ["", "Sure, ", "fox who jumped over the dog"])
def test_endless_white_space_is_not_held(where):
    seam = free("Once there was a fox who jumped over")
    seam.feed(where)
    for _ in range(20):
        seam.feed(" " * 100)
    assert held(seam) <= 4 * HELD + 100 + SLACK


def folded_by(monkeypatch: pytest.MonkeyPatch, seam: FreeSeam, said: str, size: int) -> int:
    """How many characters are folded while it reads."""
    count = 0

    def counting(text: str) -> str:
        nonlocal count
        count += len(text)
        return fold(text)

    monkeypatch.setattr(seam_module, "fold", counting)
    joined(seam, pieces(said, size))
    return count


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(lambda text: text + "The end.", id="a replay"),
        pytest.param(lambda text: cut_for_user_turn(text).anchor + text, id="a long rest"),
        pytest.param(
            lambda text: text[:400] + "x " * 500 + text[1400:] + "The end.", id="a replay that errs"
        ),
    ],
)
def test_work_grows_linearly_with_the_text(monkeypatch, said):
    counts = []
    for number in (1000, 4000):
        text = "".join(f"This is sentence number {n}. " for n in range(number))
        counts.append(folded_by(monkeypatch, free(text), said(text), 8) / len(text))
    assert counts[1] <= counts[0] * 1.1
