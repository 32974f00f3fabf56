"""The demo, which needs neither a key nor a network.

It streams an answer from a `FaultServer`, which fails four times on the way, and shows what
the caller of a wrapped client gets to see of that.
"""

from __future__ import annotations

import random
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import anthropic

import unbroken
from unbroken._cli.problems import ProblemError, check_collector, explained
from unbroken._cli.screen import Screen
from unbroken.testing import FaultServer, faults, voices

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Sequence

    from unbroken.testing.faults import Fault
    from unbroken.testing.voices import Voice

__all__ = ["ANSWER", "demo", "paced"]

MODEL = "claude-sonnet-4-6"
QUESTION = "What can the first Atlantic telegraph cables teach us about broken connections?"
ANSWER = """\
# The cable that was taken up where it broke

In August 1858 a cable of seven copper wires, wrapped in gutta-percha, hemp
and iron, joined Valentia in Ireland to Trinity Bay in Newfoundland. Queen
Victoria’s greeting of 98 words needed some sixteen hours to cross. The
signals were faint, so the electrician did what many have done since: he
tried harder, with about 2000 V. Within weeks the cable was dead.

William Thomson, later Lord Kelvin, had seen why it was slow. A cable under
the sea is a very long Leyden jar, and the time that a pulse needs grows
with the square of its length ℓ: τ ∝ R·C·ℓ². Half as far is four times as
fast, and no voltage changes that.

```python
def words_a_minute(km: float) -> float:
    \"\"\"How fast a cable like that of 1866 is: 8 words at 3000 km.\"\"\"
    return 8 * (3000 / km) ** 2


for km in (1500, 3000, 6000):
    print(f"{km:5d} km: {words_a_minute(km):5.1f} words/min")
```

In 1865 the Great Eastern, 211 m long, steamed west with a better cable in
her tanks. On 2 August, two thirds of the way across, it parted, and its end
sank in water some 4 km deep. For nine days they fished for it with hooks on
a rope. Again and again they caught it, and each time the rope broke. So
they noted where they were, to within a mile or so, and went home.

A year later they were back, and did it in this order:

1. *First, something that works.* They laid a new cable, and landed it at
   Heart’s Content on 27 July 1866.
2. *Then back to where the old one was lost* — the sun and the stars had
   told them where that was — to drop the hooks again.
3. *Patience.* About the thirtieth time, on 2 September, the end came up
   over the bow.
4. *Proof before trust.* Was it the right cable, and was it alive? They sent
   a signal east. In Valentia somebody had watched a spot of light on a
   scale, day and night, for a year, and now it moved.
5. *The splice.* They joined the new wire to the old one and went on from
   there, to Newfoundland.

Of what had been laid before it broke, not a metre was laid a second time.
Then there were two cables, and soon nobody asked where the one had been
joined. The words came through: prices in £ and $, “très urgent”, «¿Llegó
bien?», and once in a while a plain “Ja. Alles da.”
"""  # noqa: RUF001

VOICES: Sequence[Voice] = (
    voices.follows_anchor,
    voices.repeats_words(6),
    voices.restarts_sentence,
    voices.preamble("Sorry about that! Continuing where I left off:", then=voices.follows_anchor),
)

FAST = 0.02
"""What `--fast` makes of every wait."""


def demo(options: argparse.Namespace) -> int:
    """Run the demo; return the exit status: 0 if the answer is whole, else 1."""
    if options.trace:
        _trace()
    chance = random.Random(options.seed)  # noqa: S311
    screen = Screen(sys.stdout, color=not options.no_color)
    policy = unbroken.Policy(time_scale=FAST if options.fast else 1.0)
    server = FaultServer(
        ANSWER,
        voice=chance.choice(VOICES),
        faults=_faults(chance),
        split=paced(chance.randrange(2**32), 0.001 if options.fast else 0.008),
    )
    screen.dim(f"A 429, a reset, an overloaded event and a silent end; seed {options.seed}.")
    screen.dim(f"> {QUESTION}\n")
    with server, _client(server.url) as client, closing(screen):
        error, report = _stream(unbroken.wrap(client, policy, on_event=screen.notify), screen)
    screen.table(report)
    return screen.verdict(error, len(report.attempts), ANSWER)


def _trace() -> None:
    from unbroken import telemetry  # noqa: PLC0415  # imported on request

    check_collector()
    try:
        telemetry.configure()
    except (ImportError, ValueError) as error:
        raise ProblemError(str(error)) from error


def _client(url: str) -> anthropic.Anthropic:
    # A proxy that the environment names cannot reach the loopback of this machine.
    try:
        http_client = anthropic.DefaultHttpxClient(mounts={"all://127.0.0.1": None})
    except Exception as error:  # noqa: BLE001  # whatever it is, the demo needs no network
        print(f"unbroken: {explained(error)}. The demo does without it.", file=sys.stderr)
        # The SDK's own class reads the environment in any case, the one below it does not.
        plain = anthropic.DefaultHttpxClient.__bases__[0]
        http_client = plain(trust_env=False, timeout=anthropic.DEFAULT_TIMEOUT)
    return anthropic.Anthropic(base_url=url, api_key="demo", http_client=http_client)


def _stream(
    client: anthropic.Anthropic, screen: Screen
) -> tuple[anthropic.APIError | None, unbroken.RecoveryReport]:
    """Print the answer as it comes; how it failed, if it did, and what it went through."""
    question: anthropic.types.MessageParam = {"role": "user", "content": QUESTION}
    try:
        with client.messages.stream(model=MODEL, max_tokens=4096, messages=[question]) as stream:
            for text in stream.text_stream:
                screen.write(text)
            return None, unbroken.report(stream)
    except anthropic.APIError as error:
        return error, unbroken.report(error)


def _faults(chance: random.Random) -> Iterable[Fault]:
    yield faults.status(429)
    yield faults.reset(after_chars=_inside_a_word(chance, 500, 700))
    yield faults.error_event("overloaded_error", after_chars=chance.randrange(500, 700))
    yield faults.eof(after_chars=chance.randrange(500, 700))


def _inside_a_word(chance: random.Random, low: int, high: int) -> int:
    places = range(low, high)
    return chance.choice([at for at in places if ANSWER[at - 2 : at + 2].isalpha()])


def paced(seed: int, pause: float) -> Callable[[], int]:
    """The sizes of the server's writes, which cut events and characters anywhere, in no hurry."""
    chance = random.Random(seed)  # noqa: S311

    def next_size() -> int:
        time.sleep(pause)
        return chance.randrange(20, 120)

    return next_size
