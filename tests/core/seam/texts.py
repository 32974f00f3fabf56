"""Answers whose parts look alike, with random values, and others; the same for the same seed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ALL", "PLAIN", "REPEATING", "SCRIPTS", "TEMPLATED", "cut_texts", "from_seed"]

NOUNS = (
    *("harbour", "lantern", "meadow", "engine", "ribbon", "copper", "orchard", "signal", "canyon"),
    *("ledger", "violin", "glacier", "pepper", "saddle", "thicket", "magnet", "parcel", "willow"),
    *("bishop", "cellar", "dragon", "falcon", "garnet", "hammer", "island", "jacket", "kettle"),
)
VERBS = ("carries", "follows", "repairs", "measures", "forgets", "paints", "answers", "counts")
LEVELS = ("INFO", "WARN", "ERROR", "DEBUG")


def _noun(r: random.Random) -> str:
    return r.choice(NOUNS)


def _yaml(r: random.Random) -> str:
    return "services:\n" + "".join(
        f"  - name: {_noun(r)}-{r.randrange(100)}\n    image: hub/{_noun(r)}:{r.randrange(9)}\n"
        f"    replicas: {r.randrange(5)}\n    restart: always\n"
        for _ in range(8)
    )


def _sql(r: random.Random) -> str:
    return "".join(
        "INSERT INTO orders (id, name, amount, state) VALUES "
        f"({r.randrange(10_000)}, '{_noun(r)}', {r.randrange(900)}.00, 'open');\n"
        for _ in range(8)
    )


def _json_lines(r: random.Random) -> str:
    return "".join(
        f'{{"id": {r.randrange(10_000)}, "name": "{_noun(r)}", "tags": ["{_noun(r)}"], '
        f'"active": {r.choice(("true", "false"))}}}\n'
        for _ in range(9)
    )


def _csv(r: random.Random) -> str:
    rows = (f"{r.randrange(10_000)},{_noun(r)},{r.randrange(99)},open\n" for _ in range(22))
    return "id,name,amount,state\n" + "".join(rows)


def _html(r: random.Random) -> str:
    items = "".join(
        f'  <li class="item"><a href="/{_noun(r)}/{r.randrange(99)}">{_noun(r)}</a></li>\n'
        for _ in range(10)
    )
    return f"<ul>\n{items}</ul>\n"


def _table(r: random.Random) -> str:
    rows = (f"| {_noun(r)} | {r.randrange(99)} | yes | {_noun(r)} |\n" for _ in range(16))
    return "| name | count | done | next |\n|---|---|---|---|\n" + "".join(rows)


def _tests(r: random.Random) -> str:
    return "".join(
        f"def test_{_noun(r)}_{n}():\n    value = make('{_noun(r)}')\n"
        f"    assert value is not None\n    assert value.size == {r.randrange(99)}\n\n\n"
        for n in range(7)
    )


def _logs(r: random.Random) -> str:
    return "".join(
        f"2026-01-07 12:{n:02}:{r.randrange(60):02} {r.choice(LEVELS)} worker-{r.randrange(4)}: "
        f"job {r.randrange(10_000)} finished\n"
        for n in range(10)
    )


def _bullets(r: random.Random) -> str:
    return "".join(
        f"- {_noun(r)}\n  - The {_noun(r)} {r.choice(VERBS)} it.\n    - {_noun(r)}: {n}\n"
        for n in range(13)
    )


def _sentence(r: random.Random) -> str:
    words = f"{_noun(r)} {r.choice(VERBS)} the {_noun(r)}"
    return r.choice(("The {}.", "Then the {}!", "\u201cA {}\u201d, it said.", "It's a {}.")).format(
        words
    )


def _prose(r: random.Random) -> str:
    paragraphs = (" ".join(_sentence(r) for _ in range(4)) for _ in range(5))
    return "\n\n".join(paragraphs)


def _code(r: random.Random) -> str:
    functions = (
        f"def {_noun(r)}_{n}(x: int) -> int:\n    if x > {r.randrange(99)}:\n"
        f"        return {_noun(r)}_{r.randrange(9)}(x - 1)\n    return x\n"
        for n in range(6)
    )
    return "Here it is:\n\n```python\n" + "\n\n".join(functions) + "```\n\nThat is all."


def _cjk(r: random.Random) -> str:
    def sentence() -> str:
        return "".join(chr(r.randrange(0x4E00, 0x5E00)) for _ in range(r.randrange(8, 20))) + "。"

    return "".join(sentence() + ("\n\n" if n % 5 == 4 else "") for n in range(25))


def _right_to_left(r: random.Random) -> str:
    def word() -> str:
        return "".join(r.choice("אבגדהוזחטיכלמנסעפצקרשת") for _ in range(r.randrange(3, 8)))

    lines = (" ".join(word() for _ in range(8)) + "." for _ in range(9))
    return "\n".join(lines)


def _equal_rows(r: random.Random) -> str:
    rows = [f"{r.randrange(3)},{r.choice(('red', 'blue'))},open\n" for _ in range(8)]
    return "id,colour,state\n" + "".join(row * r.randrange(1, 6) for row in rows)


def _laughter(r: random.Random) -> str:
    word = r.choice(("ha", "no,", "0,", "======="))
    return f"It went: {' '.join([word] * r.randrange(90, 140))} and so on."


def _refrain(r: random.Random) -> str:
    refrain = "\n".join(f"O {_noun(r)}, my {_noun(r)}," for _ in range(3))
    verses = (f"{_sentence(r)}\n{_sentence(r)}\n" for _ in range(4))
    return "".join(f"{verse}{refrain}\n\n{refrain}\n\n" for verse in verses)


def _one_line(r: random.Random) -> str:
    return f"The {_noun(r)} {r.choice(VERBS)} the {_noun(r)}.\n" * 12 + "That is all."


TEMPLATED: dict[str, Callable[[random.Random], str]] = {
    "YAML": _yaml,
    "SQL": _sql,
    "JSON lines": _json_lines,
    "CSV": _csv,
    "HTML": _html,
    "table": _table,
    "tests": _tests,
    "logs": _logs,
    "bullets": _bullets,
}
SCRIPTS: dict[str, Callable[[random.Random], str]] = {
    "prose": _prose,
    "code": _code,
    "CJK": _cjk,
    "right to left": _right_to_left,
}
REPEATING: dict[str, Callable[[random.Random], str]] = {
    "equal rows": _equal_rows,
    "laughter": _laughter,
    "refrain": _refrain,
    "one line": _one_line,
}
PLAIN = {**TEMPLATED, **SCRIPTS}
ALL = {**PLAIN, **REPEATING}


def from_seed(kind: str, seed: int) -> str:
    """The text of this kind and seed."""
    return ALL[kind](random.Random(f"{kind}:{seed}"))


def cut_texts(
    kinds: dict[str, Callable[[random.Random], str]],
) -> st.SearchStrategy[tuple[str, int]]:
    """A text of one of these kinds, and a place to cut it."""
    return st.builds(_cut, st.sampled_from(list(kinds)), st.integers(0, 10**6), st.floats(0, 1))


def _cut(kind: str, seed: int, share: float) -> tuple[str, int]:
    text = from_seed(kind, seed)
    return text, 1 + int(share * (len(text) - 2))
