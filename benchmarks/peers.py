"""Other ways to save an answer, on the same server, with the same answers and the same faults.

    python -m benchmarks.peers            all of them
    python -m benchmarks.peers sdk l0     some

Each client runs in a virtual environment of its own, made by this script under `--cache`, from
`peer_clients/`. All have the same read timeout. A client that is still busy after `LIMIT` seconds
counts as hanging. The model goes on as it is asked to: after a prefill exactly; in a new turn from
the words that the prompt quotes, or exactly where it quotes none.
"""

from __future__ import annotations

import argparse
import collections
import json
import shutil
import subprocess
import venv
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from benchmarks import common
from benchmarks.serving import Server, Settings, answer_to, serving

from unbroken.testing import faults

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
CLIENTS = HERE / "peer_clients"
CACHE = Path.home() / ".cache" / "unbroken-peers"
READ_TIMEOUT = 2.0
LIMIT = 12.0
CHARS = 1200
MODELS = (common.PREFILL_MODEL, common.MODEL)


MEANS = ("whole", "seamless", "silent", "doubled", "requests", "sent", "generated")
"""What is told of a case as its mean over the runs."""


class Peer(NamedTuple):
    """A client to compare with.

    Attributes:
        title: What it is.
        script: Its file in `peer_clients/`.
        packages: What pip installs for it.
        on_top: What pip installs then, without its dependencies.
    """

    title: str
    script: str
    packages: tuple[str, ...]
    on_top: tuple[str, ...] = ()


PEERS = {
    "unbroken": Peer("unbroken", "wrapped", ("--editable", str(HERE.parent))),
    "sdk": Peer("the SDK alone", "sdk", ("anthropic",)),
    "tenacity": Peer("SDK, tenacity restarts", "tenacity_restart", ("anthropic", "tenacity")),
    # Where pip cannot find all that this version asks for, its code runs with an older one's.
    "litellm": Peer("litellm Router", "litellm_router", ("litellm",), ("litellm==1.109.1",)),
    "langchain": Peer("langchain with_retry", "langchain_retry", ("langchain-anthropic",)),
    "pydantic-ai": Peer(
        "pydantic-ai fallback", "pydantic_ai_fallback", ("pydantic-ai-slim[anthropic]",)
    ),
    "l0": Peer("ai2070-l0", "l0_continue", ("ai2070-l0", "anthropic")),
}

_BUSY = {"retry-after": "1"}
SCENARIOS: dict[str, list[Any]] = {
    "no fault": [],
    "429 before": [faults.status(429, headers=_BUSY)],
    "529 before": [faults.status(529, headers=_BUSY)],
    "reset": [faults.reset(after_chars=500)],
    "closed": [faults.close(after_chars=500)],
    "clean end": [faults.eof(after_chars=500)],
    "error event": [faults.error_event("api_error", after_chars=500)],
    "stall": [faults.stall(after_chars=500)],
    "stall with pings": [faults.stall(after_chars=500, pings=True, ping_interval=0.2)],
    "two drops": [faults.reset(after_chars=500), faults.close(after_chars=300)],
}


class Client:
    """A peer's process."""

    def __init__(self, name: str, cache: Path) -> None:
        self._python = _python_of(name, cache)
        self._script = CLIENTS / f"{PEERS[name].script}.py"
        self._process: subprocess.Popen[str] | None = None

    def ask(self, url: str, model: str, prompt: str) -> dict[str, Any]:
        """What its caller gets for a prompt."""
        process = self._process = self._process or subprocess.Popen(
            [self._python, self._script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        told = {"url": url, "model": model, "prompt": prompt, "limit": LIMIT}
        told |= {"read_timeout": READ_TIMEOUT, "max_tokens": 2000}
        _pipe(process.stdin).write(json.dumps(told) + "\n")
        _pipe(process.stdin).flush()
        line = _pipe(process.stdout).readline()
        if not line:
            self.close()
            return {"shown": "", "final": None, "raised": "process ended", "seconds": 0.0}
        result: dict[str, Any] = json.loads(line)
        return result

    def versions(self) -> dict[str, str]:
        """What is installed for it."""
        listed = subprocess.run(
            [self._python, "-m", "pip", "list", "--format=json", "--disable-pip-version-check"],
            capture_output=True,
            check=True,
        )
        wanted = ("anthropic", "tenacity", "litellm", "langchain", "pydantic-ai", "l0", "unbroken")
        return {
            package["name"]: package["version"]
            for package in json.loads(listed.stdout)
            if any(word in package["name"] for word in wanted)
        }

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def _python_of(name: str, cache: Path) -> Path:
    """The interpreter of a peer's environment, which is made if it is not there."""
    folder = cache / name
    python = folder / "bin" / "python"
    if not (folder / "made").exists():
        common.note(f"{name}: installing")
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        peer = PEERS[name]
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *peer.packages], check=True)
        if peer.on_top:
            subprocess.run([*pip, "--no-deps", *peer.on_top], check=True)
        (folder / "made").touch()
    return python


def measure(name: str, server: Server, cache: Path, rounds: int) -> dict[str, Any]:
    """All scenarios, for one peer."""
    client = Client(name, cache)
    prompts = iter(range(1000 * list(PEERS).index(name), 10**9))
    client.ask(server.url, MODELS[0], str(next(prompts)))  # imports what it needs
    server.requests()
    results = {}
    for model in MODELS:
        for scenario, script in SCENARIOS.items():
            runs = [_run(client, server, model, next(prompts), script) for _ in range(rounds)]
            results[f"{model}: {scenario}"] = _summary(runs)
        common.note(f"{name}, {model}: done")
    versions = client.versions()
    client.close()
    return {"title": PEERS[name].title, "versions": versions, "cases": results}


def _run(client: Client, server: Server, model: str, prompt: int, script: Any) -> dict[str, Any]:
    server.script(*script)
    got = client.ask(server.url, model, str(prompt))
    asked = server.requests()
    answer = answer_to(str(prompt), CHARS)
    final = got["final"] if got["raised"] is None else None
    return {
        "whole": final == answer,
        "seamless": final == answer and got["shown"] == answer,
        "silent": got["raised"] is None and final != answer,
        "raised": got["raised"],
        "doubled": max(0, len(got["shown"]) - len(answer)),
        "requests": len(asked),
        "sent": sum(request["sent"] for request in asked),
        "generated": sum(request["generated"] for request in asked),
        "seconds": got["seconds"],
    }


def _summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    count = len(runs)
    summary: dict[str, Any] = {name: sum(run[name] for run in runs) / count for name in MEANS}
    raised = collections.Counter(run["raised"] for run in runs if run["raised"])
    return summary | {
        "runs": count,
        "raised": dict(raised),
        "seconds": common.spread([run["seconds"] for run in runs]),
    }


# --- tables


def outcome(case: dict[str, Any]) -> str:
    """What became of the answers of a case, in a word or two."""
    if case["seamless"] == 1:
        return "whole"
    if case["raised"]:
        most = max(case["raised"], key=case["raised"].get)
        return most if most in ("hangs", "process ended") else "raises"
    if case["whole"] == 1:
        return "whole, shown twice" if case["doubled"] else "whole, but not as shown"
    return "cut, silently" if case["silent"] and not case["doubled"] else "wrong text"


def totals(peer: dict[str, Any], model: str) -> dict[str, float]:
    """Figures of a peer over all scenarios with a fault."""
    cases = {name: case for name, case in peer["cases"].items() if name.startswith(model)}
    calm = cases.pop(f"{model}: no fault")
    saved = [case for case in cases.values() if case["whole"]]
    seconds = sum(case["seconds"]["median"] for case in saved) / max(1, len(saved))
    sums = {name: sum(case[name] for case in cases.values()) / len(cases) for name in MEANS}
    return sums | {"seconds": seconds - calm["seconds"]["median"]}


def report(results: dict[str, Any]) -> str:
    """The tables of results."""
    tables = []
    peers = results["peers"].values()
    for model in MODELS:
        rows = [
            (
                peer["title"],
                f"{100 * sums['seamless']:.0f} %",
                f"{100 * sums['whole']:.0f} %",
                f"{100 * sums['silent']:.0f} %",
                f"{sums['doubled']:.0f}",
                f"{sums['requests']:.1f}",
                f"{sums['sent']:.0f}",
                f"{sums['generated']:.0f}",
                f"{sums['seconds']:.1f}",
            )
            for peer in peers
            for sums in [totals(peer, model)]
        ]
        head = ("", "shown exactly", "whole in the end", "wrong, no error", "characters doubled")
        more = ("requests", "tokens sent", "generated", "seconds added where whole")
        tables.append(f"`{model}`:\n\n" + common.table((*head, *more), rows))
        cases = [(name, *_row(results, f"{model}: {name}")) for name in SCENARIOS]
        tables.append(common.table(("", *(peer["title"] for peer in peers)), cases))
    return "\n\n".join(tables)


def _row(results: dict[str, Any], case: str) -> Iterator[str]:
    return (outcome(peer["cases"][case]) for peer in results["peers"].values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peers", nargs="*", choices=[*PEERS, []], help="which; by default all")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--cache", type=Path, default=CACHE)
    options = parser.parse_args()
    results: dict[str, Any] = common.load("peers") or {}
    results = {"rounds": options.rounds, "chars": CHARS, "peers": results.get("peers", {})}
    results |= {"read_timeout": READ_TIMEOUT, "limit": LIMIT}
    for name in options.peers or PEERS:
        with serving(Settings(CHARS, voice="as_asked")) as server:
            try:
                done = measure(name, server, options.cache, options.rounds)
            except (subprocess.CalledProcessError, OSError) as error:
                common.note(f"{name}: left out, as it cannot be installed or run ({error})")
                continue
        results["peers"][name] = done
        results["peers"] = {key: results["peers"][key] for key in PEERS if key in results["peers"]}
        common.save("peers", results)
    print(report(results))


if __name__ == "__main__":
    main()
