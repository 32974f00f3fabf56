"""`unbroken doctor`: its arguments, what it prints, and its exit status."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import anthropic

from unbroken._cli.doctor.calls import COUNTING, PONG
from unbroken._cli.doctor.examination import Patient, examine, silent_tokens
from unbroken._cli.doctor.finding import Status
from unbroken._cli.prices import load_prices, shown_money
from unbroken._cli.problems import ProblemError, explained
from unbroken._cli.route import route_to

if TYPE_CHECKING:
    import argparse

    from unbroken._cli.doctor.examination import Boundary
    from unbroken._cli.doctor.finding import Finding

__all__ = ["add_parser", "doctor"]

_MODELS = {
    "anthropic": "claude-haiku-4-5",
    "bedrock": "us.anthropic.claude-haiku-4-5-20251001-v1:0",
    "vertex": "claude-haiku-4-5@20251001",
}
_CLIENTS = {
    "anthropic": "Anthropic",
    "bedrock": "AnthropicBedrock",
    "vertex": "AnthropicVertex",
}
_VARIABLES = {
    "anthropic": "ANTHROPIC_API_KEY",
    "bedrock": "AWS_REGION",
    "vertex": "CLOUD_ML_REGION and ANTHROPIC_VERTEX_PROJECT_ID",
}
_INPUT = 60
"""Input tokens of all requests, about."""


def add_parser(commands: Any) -> None:
    """Add the command to those of `unbroken`."""
    about = "find what stands between this machine and an answer"
    parser = commands.add_parser(
        "doctor",
        help=about,
        description=f"{about[0].upper()}{about[1:]}, one boundary at a time. It makes a few small "
        "requests, and says before what they cost. Its output has no secrets in it. The exit "
        "status is 0 only if no boundary failed.",
    )
    parser.add_argument("--base-url", metavar="URL", help="where requests go; ANTHROPIC_BASE_URL")
    parser.add_argument("--model", help="the model to ask; a small one by default")
    parser.add_argument(
        "--idle",
        type=float,
        metavar="SECONDS",
        help="also try how long a silence survives, which costs some 100 tokens a second",
    )
    parser.add_argument(
        "--platform", choices=tuple(_CLIENTS), default="anthropic", help="anthropic by default"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=doctor)


def doctor(options: argparse.Namespace) -> int:
    """Examine, and print what is found.

    Returns:
        The exit status: 0 if no boundary failed, else 1.

    Raises:
        ProblemError: If an argument is wrong, or no client can be made.
    """
    if options.idle is not None and not 0 < options.idle <= 3600:
        raise ProblemError("--idle must be a number of seconds above 0, up to 3600")
    model = options.model or _MODELS[options.platform]
    with closing(_client(options.platform, options.base_url)) as client:
        try:
            route = route_to(str(client.base_url))
        except ValueError as error:
            raise ProblemError(str(error)) from error
        is_api_key = options.platform == "anthropic"
        patient = Patient(client, route, model, options.idle, is_api_key=is_api_key)
        _say_cost(route.url, model, options.idle, sys.stderr if options.json else sys.stdout)
        found = []
        for boundary, finding in examine(patient):
            found.append((boundary, finding))
            if not options.json:
                _print_line(boundary, finding)
    is_well = all(finding.status is not Status.FAILED for _, finding in found)
    if options.json:
        print(json.dumps(_document(route.url, model, found, is_well=is_well), indent=2))
    return 0 if is_well else 1


def _client(platform: str, base_url: str | None) -> Any:
    """A client that does not retry."""
    cls = getattr(anthropic, _CLIENTS[platform])
    try:
        # Its own one, which is left half made where the environment has a wrong proxy, warns.
        http_client = anthropic.DefaultHttpxClient()
    except Exception as error:
        raise ProblemError(explained(error)) from error
    url = {} if base_url is None else {"base_url": base_url}
    try:
        return cls(max_retries=0, http_client=http_client, **url)
    except ImportError as error:
        http_client.close()
        takes = f"pip install 'anthropic[{platform}]'"
        raise ProblemError(f"--platform {platform} takes: {takes}") from error
    except (anthropic.AnthropicError, ValueError) as error:
        http_client.close()
        takes = _VARIABLES[platform]
        raise ProblemError(f"the SDK cannot make a client for {platform}: set {takes}") from error


def _say_cost(url: str, model: str, idle: float | None, out: Any) -> None:
    tokens = PONG["max_tokens"] + COUNTING["max_tokens"]
    tokens += 0 if idle is None else silent_tokens(idle)
    requests = "3 requests" if idle is None else "4 requests, the last one a long one"
    price = load_prices().of(model)
    money = ""
    if price is not None:
        dollars = (_INPUT * price.input + tokens * price.output) / 1e6
        money = f", {shown_money(dollars)} at the most"
    print(f"{url}, {model}", file=out)
    print(
        f"It makes {requests}: some {_INPUT} tokens of input, up to {tokens} of output{money}.\n",
        file=out,
    )


def _print_line(boundary: Boundary, finding: Finding) -> None:
    status = "FAILED" if finding.status is Status.FAILED else finding.status
    print(f"{status:<8}{boundary.name:<12} {finding.tells}")
    if finding.status is Status.FAILED:
        print(f"{'':21}tried: {boundary.tried}")
    if finding.next:
        print(f"{'':21}next: {finding.next}")
    sys.stdout.flush()


def _document(
    url: str, model: str, found: list[tuple[Boundary, Finding]], *, is_well: bool
) -> dict[str, Any]:
    return {
        "ok": is_well,
        "url": url,
        "model": model,
        "boundaries": [
            {
                "boundary": boundary.name,
                "status": finding.status,
                "tried": boundary.tried,
                "tells": finding.tells,
                "next": finding.next or None,
                "measured": dict(finding.measured),
            }
            for boundary, finding in found
        ],
    }
