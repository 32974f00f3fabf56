"""`unbroken drill`: its arguments, what it prints, and its exit status."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import unbroken
from unbroken._cli.drill.answers import Drilled, Question, ask, places
from unbroken._cli.drill.questions import PROMPTS
from unbroken._cli.drill.tally import tally
from unbroken._cli.prices import Prices, load_prices, shown_money
from unbroken._cli.problems import ProblemError
from unbroken._cli.table import aligned

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from unbroken._cli.drill.tally import Tally

__all__ = ["add_parser", "drill"]

_MODES = ("auto", "prefill", "user_turn", "restart")
_WORST = 5
_CHARS_PER_TOKEN = 4
_CONTINUATION = 200
"""Input tokens of the turn that asks to go on, at the most."""


def add_parser(commands: Any) -> None:
    """Add the command to those of `unbroken`."""
    about = "cut real answers at random places, resume them, and judge the joints"
    parser = commands.add_parser(
        "drill",
        help=about,
        description=f"{about[0].upper()}{about[1:]}. The requests are real and cost money: it "
        "says how much at the most, and asks. The exit status is 0 if all answers are whole, and "
        "nothing is known to be lost or doubled.",
    )
    models = parser.add_mutually_exclusive_group(required=True)
    models.add_argument("--model", help="the model to drill")
    models.add_argument("--compare", metavar="MODEL,MODEL", help="several, side by side")
    parser.add_argument("-n", type=int, default=20, metavar="N", help="answers to cut: 20")
    parser.add_argument("--cuts", type=int, default=1, help="cuts in each answer: 1")
    parser.add_argument("--prompt-file", metavar="FILE", help="a prompt of your own")
    parser.add_argument("--max-tokens", type=int, default=1024, help="of each answer: 1024")
    parser.add_argument("--continuation", choices=_MODES, help="how to ask for the rest")
    parser.add_argument("--seed", type=int, default=1, help="where to cut")
    parser.add_argument("--base-url", metavar="URL", help="where requests go; ANTHROPIC_BASE_URL")
    parser.add_argument("--prices", metavar="FILE", help="a table of prices in place of ours")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--show", action="store_true", help=f"show the {_WORST} worst joints, with their text"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=drill)


def drill(options: argparse.Namespace) -> int:
    """Drill the models, and print what became of their answers.

    Returns:
        The exit status: 0 if all answers are whole and no joint is known to be bad, else 1.

    Raises:
        ProblemError: If an argument is wrong, or nobody agreed to the cost.
    """
    _check(options)
    models = options.compare.split(",") if options.compare else [options.model]
    prompts = _prompts(options.prompt_file)
    prices = load_prices(options.prices)
    out = sys.stderr if options.json else sys.stdout
    print(_cost(models, prompts, prices, options), file=out)
    if not options.yes:
        _agree(out)
    policy = _policy(options.continuation)
    tallies = [_drill(model, prompts, prices, policy, options) for model in models]
    if options.json:
        settings = ("n", "cuts", "seed", "max_tokens", "continuation")
        document = {
            **{name: getattr(options, name) for name in settings},
            "prices": prices.date,
            "models": [one.document(shows=options.show) for one in tallies],
        }
        print(json.dumps(document, indent=2))
    else:
        print(aligned(_rows(tallies, prices)))
        if options.show:
            _show_worst(tallies)
    return 0 if all(one.is_well for one in tallies) else 1


def _check(options: argparse.Namespace) -> None:
    for name, least in (("n", 1), ("cuts", 1), ("max_tokens", 64)):
        if getattr(options, name) < least:
            raise ProblemError(f"{name.replace('_', '-')} must be at least {least}")
    if options.compare and not all(options.compare.split(",")):
        raise ProblemError("--compare takes models with commas between: --compare MODEL,MODEL")


def _prompts(path: str | None) -> Sequence[str]:
    if path is None:
        return PROMPTS
    try:
        prompt = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ProblemError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeError as error:
        raise ProblemError(f"{path} is no text in UTF-8") from error
    if not prompt.strip():
        raise ProblemError(f"there is no prompt in {path}")
    return (prompt,)


def _policy(mode: str | None) -> unbroken.Policy:
    try:
        policy = unbroken.Policy.from_env().replace(budget=None)
    except ValueError as error:
        raise ProblemError(str(error)) from error
    return policy if mode is None else policy.replace(continuation=mode)


def _cost(
    models: Sequence[str], prompts: Sequence[str], prices: Prices, options: argparse.Namespace
) -> str:
    """What the drill costs at the most, before it is made."""
    answers = len(prompts) + options.n
    later = options.n * options.cuts
    prompt = max(map(len, prompts)) // _CHARS_PER_TOKEN
    tokens = (
        answers * prompt + later * (prompt + options.max_tokens + _CONTINUATION),
        (answers + later) * options.max_tokens,
    )
    known = [price for model in models if (price := prices.of(model)) is not None]
    dollars = sum(tokens[0] * one.input + tokens[1] * one.output for one in known) / 1e6
    money = f", {shown_money(dollars)} by the prices of {prices.date}"
    if len(known) < len(models):
        money = ", at a price that is not known: --prices FILE"
    total = (answers + later) * len(models)
    return (
        f"{total} requests to {', '.join(models)}. At the most {tokens[0] * len(models):,} tokens "
        f"of input and {tokens[1] * len(models):,} of output{money}."
    )


def _agree(out: Any) -> None:
    if not sys.stdin.isatty():
        raise ProblemError("say --yes to agree to the cost")
    print("Go on? [y/N] ", end="", file=out, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ProblemError("nothing was asked")


def _drill(
    model: str,
    prompts: Sequence[str],
    prices: Prices,
    policy: unbroken.Policy,
    options: argparse.Namespace,
) -> Tally:
    questions = [Question(model, prompt, options.max_tokens) for prompt in prompts]
    common: dict[str, Any] = {
        "base_url": options.base_url,
        "policy": policy,
        "price": prices.of(model),
    }
    references = [ask(question, **common) for question in questions]
    for one in references:
        if not one.is_complete:
            raise ProblemError(f"{model} does not answer ({one.problem}); try unbroken doctor")
    drilled: list[Drilled] = []
    for number in range(options.n):
        which = number % len(questions)
        text = references[which].text
        cut_at = places(f"{options.seed}:{number}", len(text), options.cuts)
        drilled.append(ask(questions[which], reference=text, cut_at=cut_at, **common))
        _progress(model, number + 1, options.n)
    return tally(model, references, drilled)


def _progress(model: str, done: int, of: int) -> None:
    if sys.stderr.isatty():
        end = "\n" if done == of else ""
        print(f"\r{model}: {done} of {of}", end=end, file=sys.stderr, flush=True)


def _rows(tallies: Sequence[Tally], prices: Prices) -> Iterable[Sequence[str]]:
    def row(title: str, cell: Any) -> Sequence[str]:
        return title, *(str(cell(one)) for one in tallies)

    yield row("", lambda one: one.model)
    yield row("answers complete", lambda one: f"{one.complete} of {one.answers}")
    for problem in _names(tallies, "problems"):
        yield row(f"  given up: {problem}", lambda one, name=problem: one.problems.get(name, 0))
    yield row("cuts", lambda one: one.cuts)
    for kind in unbroken.SeamKind:
        yield row(f"seam {kind}", lambda one, name=kind: _share(one.seams[name], one.seams))
    for verdict in ("clean", "doubled", "lost", "untold"):
        yield row(f"text {verdict}", lambda one, name=verdict: _text(one, name))
    yield row("other interruptions", lambda one: sum(one.interruptions.values()))
    for reason in _names(tallies, "interruptions"):
        yield row(f"  {reason}", lambda one, name=reason: one.interruptions.get(name, 0))
    yield row("requests", lambda one: one.requests)
    yield row("input tokens", lambda one: f"{one.input_tokens:,}")
    yield row("output tokens", lambda one: f"{one.output_tokens:,}")
    yield row(
        f"money ({prices.date})",
        lambda one: "price unknown" if one.dollars is None else shown_money(one.dollars),
    )


def _names(tallies: Sequence[Tally], field: str) -> Sequence[str]:
    """The names that any of them counts."""
    return sorted({name for one in tallies for name in getattr(one, field)})


def _share(count: int, of: Any) -> str:
    total = sum(of.values())
    return f"{count} ({count / total:.0%})" if count else "0"


def _text(one: Tally, verdict: str) -> str:
    count = _share(one.verdicts[verdict], one.verdicts)
    chars = {"doubled": one.doubled_chars, "lost": one.lost_chars}.get(verdict, 0)
    return f"{count}, {chars} characters" if chars else count


def _show_worst(tallies: Sequence[Tally]) -> None:
    for one in tallies:
        print(f"\nThe worst joints of {one.model}:")
        for joint in one.joints[:_WORST]:
            chars = f" {joint.chars} characters" if joint.chars else ""
            print(f"\n{joint.verdict}{chars}, {joint.seam}, after {joint.at} characters:")
            print(f"  {joint.before!r} ⟲ {joint.after!r}")
