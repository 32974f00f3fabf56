"""The command `unbroken`. Its `demo` needs neither a key nor a network.

The other commands are in `_cli`, one a module.

The demo streams an answer from a `FaultServer`, which fails four times on the way, and shows what
the caller of a wrapped client gets to see of that.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import random
import sys
import threading
import time
from contextlib import closing
from importlib.metadata import version
from typing import TYPE_CHECKING, TextIO

import anthropic

import unbroken
from unbroken._cli import policy, run
from unbroken._cli.problems import ProblemError, check_collector, explained
from unbroken.testing import FaultServer, faults, voices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from unbroken.testing.faults import Fault
    from unbroken.testing.voices import Voice

__all__ = ["ANSWER", "main"]

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

# Text that was read just before a wait is printed just after it was announced.
_SETTLING = 0.2
_WIDTH = 76


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Its arguments; those of the process by default.

    Returns:
        The exit status: of the demo 0 if the answer is whole, 1 if not; 2 if something stands in
        the way of a command; 130 after Ctrl-C.

    Raises:
        SystemExit: With status 2 for wrong arguments, 0 after `--help` and `--version`.
    """
    ours, arguments = run.split(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(ours)
    options.arguments = arguments
    try:
        # What goes wrong in a program that is run is shown as python shows it.
        return run.run_program(options) if options.command == "run" else _shown(options)
    except ProblemError as problem:
        print(f"unbroken: {problem}.", file=sys.stderr)
        return 2


def _shown(options: argparse.Namespace) -> int:
    """Run a command that prints something."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        status: int = options.run(options)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Or the interpreter complains when it flushes what nobody reads.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="unbroken", description="A Claude answer that reaches its end."
    )
    parser.add_argument("--version", action="version", version=version("unbroken"))
    commands = parser.add_subparsers(dest="command", required=True)
    about = "stream an answer that is lost four times, without a key or a network"
    demo = commands.add_parser("demo", help=about, description=f"{about[0].upper()}{about[1:]}.")
    demo.add_argument("--fast", action="store_true", help="shorten the waits, which are real")
    demo.add_argument("--seed", type=int, default=1, help="vary the faults and the model's ways")
    demo.add_argument("--no-color", action="store_true", help="plain text; NO_COLOR does the same")
    demo.add_argument("--trace", action="store_true", help="show the OpenTelemetry spans, too")
    demo.set_defaults(run=_demo)
    policy.add_parser(commands)
    run.add_parser(commands)
    return parser


def _demo(options: argparse.Namespace) -> int:
    if options.trace:
        _trace()
    chance = random.Random(options.seed)  # noqa: S311
    screen = _Screen(sys.stdout, color=not options.no_color)
    demo_policy = unbroken.Policy(time_scale=FAST if options.fast else 1.0)
    server = FaultServer(
        ANSWER,
        voice=chance.choice(VOICES),
        faults=_faults(chance),
        split=_paced(chance.randrange(2**32), 0.001 if options.fast else 0.008),
    )
    screen.dim(f"A 429, a reset, an overloaded event and a silent end; seed {options.seed}.")
    screen.dim(f"> {QUESTION}\n")
    with server, _client(server.url) as client, closing(screen):
        error, report = _stream(unbroken.wrap(client, demo_policy, on_event=screen.tell), screen)
    screen.table(report)
    return screen.verdict(error, len(report.attempts))


def _trace() -> None:
    from unbroken import telemetry  # noqa: PLC0415  # only who asks for it pays for it

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
    client: anthropic.Anthropic, screen: _Screen
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


def _paced(seed: int, pause: float) -> Callable[[], int]:
    """The sizes of the server's writes, which cut events and characters anywhere, in no hurry."""
    chance = random.Random(seed)  # noqa: S311

    def next_size() -> int:
        time.sleep(pause)
        return chance.randrange(20, 120)

    return next_size


class _Screen:
    """Prints the answer, and between its lines what happened to it.

    Args:
        out: Where to.
        color: Whether colors are welcome, should `out` be a terminal that has them.
    """

    def __init__(self, out: TextIO, *, color: bool) -> None:
        terminal = out.isatty()
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        self._color = color and terminal and not plain
        self._out = out
        self._terminal = terminal
        self._text = ""
        self._column = 0
        self._aside = False  # whether the cursor is on a line that is not the answer's
        self._failures: list[str] = []
        self._countdown: threading.Thread | None = None
        self._waited = threading.Event()

    def close(self) -> None:
        """End the answer, wherever it is."""
        self._stop_countdown()
        if self._column or self._aside:
            self._print("\n")
        self._column, self._aside = 0, False

    def dim(self, line: str) -> None:
        """Print a line that is not the answer's."""
        self._print(self._styled("2", line) + "\n")

    def write(self, text: str) -> None:
        """Print some of the answer."""
        self._text += text
        self._column = len(self._text) - self._text.rfind("\n") - 1
        self._print(text)

    def tell(self, event: unbroken.RecoveryEvent) -> None:
        """Show what happens, and go on below the place where the text broke off."""
        match event:
            case unbroken.AttemptFailed():
                self._failures.append(event.failure.kind)
            case unbroken.Waiting() if event.seconds > _SETTLING:
                self._start_countdown(event.seconds)
            case unbroken.AttemptStarted():
                self._stop_countdown()
            case unbroken.Resumed():
                self._show_resumed(event)

    def _show_resumed(self, event: unbroken.Resumed) -> None:
        what = ", ".join(self._failures)
        kept = f"after {event.kept_chars} characters, resumed in"
        where = kept if event.kept_chars else "at first, answered after"
        self._put_aside(f"⟲ {what} {where} {event.outage:.1f} s")
        self._print("\n" + " " * self._column)
        self._aside = False
        self._failures.clear()

    def table(self, report: unbroken.RecoveryReport) -> None:
        """Print a row an attempt."""
        header = ("#", "asked for", "ended", "waited", "chars", "request id")
        rows = [header, *map(_row, report.attempts)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        self._print("\n")
        for row in rows:
            cells = [
                cell.rjust(width) if title in ("waited", "chars") else cell.ljust(width)
                for cell, width, title in zip(row, widths, header, strict=True)
            ]
            line = "  ".join(cells).rstrip()
            self._print(self._styled("1", line) + "\n" if row is header else line + "\n")

    def verdict(self, error: anthropic.APIError | None, requests: int) -> int:
        """Say whether the answer is what was meant: the exit status."""
        if self._text.encode() == ANSWER.encode():
            said = f"{len(ANSWER)} characters from {requests} requests"
            whole = f"The answer is whole, byte for byte what was meant: {said}."
            self._print("\n" + self._styled("32", whole) + "\n")
            return 0
        alike = _alike(self._text, ANSWER)
        wrong = f"The answer is not whole: {len(self._text)} characters arrived, "
        wrong += f"of which the first {alike} are as meant; {len(ANSWER)} were meant."
        self._print("\n" + self._styled("31", wrong) + "\n")
        if error is not None:
            self._print(f"{type(error).__name__}: {error}\n")
        return 1

    def _start_countdown(self, seconds: float) -> None:
        self._waited.clear()
        ends = time.monotonic() + seconds
        self._countdown = threading.Thread(target=self._count_down, args=(ends,), daemon=True)
        self._countdown.start()

    def _stop_countdown(self) -> None:
        self._waited.set()
        if self._countdown is not None:
            self._countdown.join()
            self._countdown = None

    def _count_down(self, ends: float) -> None:
        pause = _SETTLING
        while not self._waited.wait(pause):
            left = math.ceil(ends - time.monotonic())
            self._put_aside(f"⟲ {self._failures[-1]}, asking again in {max(left, 0)} s")
            pause = 1.0 if self._terminal else max(left, 0) + 1

    def _put_aside(self, line: str) -> None:
        """Print a line without its end, in place of the last one where the terminal can."""
        begin = "\n" if self._column else ""
        if self._aside:
            begin = "\r" if self._terminal else "\n"
        self._print(begin + self._styled("2;36", line.ljust(_WIDTH if self._terminal else 0)))
        self._aside = True

    def _styled(self, style: str, line: str) -> str:
        return f"\x1b[{style}m{line}\x1b[0m" if self._color else line

    def _print(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def _alike(one: str, other: str) -> int:
    """How many characters are the same in both, before the first that is not."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _row(attempt: unbroken.Attempt) -> tuple[str, ...]:
    return (
        str(attempt.number),
        attempt.kind,
        str(attempt.outcome if attempt.failure is None else attempt.failure.kind),
        f"{attempt.waited:.1f} s" if attempt.number > 1 else "",
        str(attempt.received_chars),
        attempt.request_id or "",
    )
