"""All that checks the project. `make` and continuous integration call these sessions."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "tests", "versions", "floors", "pythons"]

SDKS = {"last-0.x": "<1", "last-1.x": "<2"}
"""Versions of `anthropic` beside the newest (`tests`) and the lowest (`floors`).

0.x is built on httpx, the others on httpx2.
"""

FRAMEWORKS = {
    "pydantic_ai": ["pydantic-ai-slim[anthropic]"],
    "langchain": ["langchain", "langchain-anthropic"],
    "langgraph": ["langchain-anthropic", "langgraph"],
    "instructor": ["instructor", "anthropic"],
    "litellm": ["litellm"],
    "strands": ["strands-agents[anthropic]"],
    "agno": ["agno", "anthropic"],
    "crewai": ["crewai[anthropic]", "anthropic"],
    "llama_index": ["llama-index-llms-anthropic", "anthropic<1"],
    "haystack": ["anthropic-haystack"],
    "autogen": ["autogen-ext[anthropic]", "autogen-agentchat", "tiktoken", "anthropic<1"],
    "google_adk": ["google-adk", "anthropic"],
    "mirascope": ["mirascope[anthropic]"],
    "smolagents": ["smolagents", "litellm"],
}
"""What each module of `tests/frameworks` needs."""

ENGINES = {
    "dbos": ["dbos", "anthropic"],
    "celery": ["celery[redis]", "anthropic"],
    "temporal": ["temporalio", "anthropic"],
}
"""What each module of `tests/engines` needs."""

BACKENDS = {
    "phoenix": ["arize-phoenix"],
    "logfire": ["logfire"],
    "collector": ["rotel"],
    "prometheus": [],
}
"""What each module of `tests/backends` needs; Prometheus itself comes with the system."""

GROUPS = nox.project.load_toml("pyproject.toml")
TESTS = nox.project.dependency_groups(GROUPS, "tests")
TRACES = nox.project.dependency_groups(GROUPS, "traces")
PLATFORMS = nox.project.dependency_groups(GROUPS, "platforms")

PARALLEL = ("-n", "auto")
AGAIN = ("-q", "-m", "not nightly and not once", "--hypothesis-profile=quick", *PARALLEL)
"""For tests that the session `tests` has run already."""

SDK_TESTS = [
    "tests/doors",
    "tests/telemetry/test_spans.py",
    "tests/transport/test_transport.py::test_a_client_of_the_sdk_on_top",
]
"""What depends on the SDK."""

LIBRARY_TESTS = [
    "tests/core/test_backoff.py",
    "tests/doors",
    "tests/drivers",
    "tests/telemetry",
    "tests/test_responses.py",
    "tests/transport",
]
"""What depends on any library."""

PYTHON_TESTS = [
    "tests/core",
    "tests/doors/test_resuming.py",
    "tests/drivers",
    "tests/telemetry/test_spans.py",
    "tests/test_exports.py",
    "tests/testing",
    "tests/transport",
]
"""What depends on Python itself; all tests run by `nox -s pythons -- tests`."""


def starts(python: str) -> bool:
    """Whether this Python is installed; pyenv leaves commands of those that are switched off."""
    command = shutil.which(f"python{python}")
    if command is None:
        return False
    return subprocess.run([command, "-c", ""], capture_output=True, check=False).returncode == 0


PYTHONS = [version for version in ("3.12", "3.13") if starts(version)]


# In the environment that nox runs in, which `make` fills


@nox.session(python=False)
def lint(session: nox.Session) -> None:
    """Look for mistakes and for code that is formatted otherwise."""
    session.run(sys.executable, "-m", "ruff", "check")
    session.run(sys.executable, "-m", "ruff", "format", "--check")


@nox.session(python=False)
def types(session: nox.Session) -> None:
    """Check the types of everything, and with pyright those that a user sees."""
    session.run(sys.executable, "-m", "mypy")
    session.run(sys.executable, "-m", "pyright", "--pythonpath", sys.executable)


@nox.session(python=False)
def tests(session: nox.Session) -> None:
    """Run the tests, and measure what they run."""
    coverage = (sys.executable, "-m", "coverage")
    session.run(*coverage, "erase")
    session.run(*coverage, "run", "-m", "pytest", *PARALLEL, *session.posargs)
    session.run(*coverage, "combine", "--quiet")
    session.run(*coverage, "report")


@nox.session(python=False)
def nightly(session: nox.Session) -> None:
    """Run the tests that take long too, and the others with many more examples."""
    arguments = ("-m", "nightly or not nightly", "--hypothesis-profile=nightly")
    session.run(sys.executable, "-m", "pytest", *PARALLEL, *arguments, *session.posargs)


# In environments of their own


@nox.session
@nox.parametrize("sdk", list(SDKS), ids=list(SDKS))
def versions(session: nox.Session, sdk: str) -> None:
    """Run the tests of what depends on the SDK, with one version of it."""
    session.install(f"anthropic[bedrock,vertex]{SDKS[sdk]}", "-e", ".", *TESTS)
    show_versions(session)
    session.run("pytest", *AGAIN, *(session.posargs or SDK_TESTS))


@nox.session(venv_backend="uv")
def floors(session: nox.Session) -> None:
    """Run the tests with the lowest version of each dependency that pyproject.toml admits."""
    session.install("--upgrade", "--resolution", "lowest-direct", "-e", ".", *TRACES)
    session.install(*PLATFORMS, *TESTS)
    show_versions(session)
    session.run("pytest", *AGAIN, *(session.posargs or LIBRARY_TESTS))


@nox.session(python=PYTHONS or False)
def pythons(session: nox.Session) -> None:
    """Run the tests with each other version of Python that is installed."""
    if not PYTHONS:
        session.skip("neither Python 3.12 nor 3.13 is installed")
    session.install("-e", ".", *TRACES, *PLATFORMS, *TESTS)
    session.run("pytest", *AGAIN, *(session.posargs or PYTHON_TESTS))


@nox.session
@nox.parametrize("framework", list(FRAMEWORKS), ids=list(FRAMEWORKS))
def frameworks(session: nox.Session, framework: str) -> None:
    """Run one library, unmodified, through drops."""
    session.install(*FRAMEWORKS[framework], "-e", ".", *TESTS)
    session.run("pytest", "-q", f"tests/frameworks/test_{framework}.py", *session.posargs)


@nox.session
@nox.parametrize("engine", list(ENGINES), ids=list(ENGINES))
def engines(session: nox.Session, engine: str) -> None:
    """Kill a job in the middle, let one engine run it again, and run its recipe."""
    session.install(*ENGINES[engine], "-e", ".", *TESTS)
    # What they install has plugins of pytest, whose own dependencies warn.
    arguments = ("-q", "-W", "default", f"tests/engines/test_{engine}.py")
    session.run("pytest", *arguments, *session.posargs)
    recipe = ("tests/documents/test_all.py", "-k", "journal and engine")
    session.run("pytest", "-q", "-W", "default", *recipe)


@nox.session
def clients(session: nox.Session) -> None:
    """Run Claude Code and the TypeScript SDK, unmodified from npm, through a gateway."""
    session.install("-e", ".[gateway]", *TESTS)
    modules = session.create_tmp()
    packages = ("@anthropic-ai/claude-code", "@anthropic-ai/sdk")
    npm = ("npm", "install", "--no-audit", "--no-fund", "--prefix", modules)
    session.run(*npm, *packages, external=True)
    # npm leaves scripts out; this one puts the program of the platform in its place.
    install = f"{modules}/node_modules/@anthropic-ai/claude-code/install.cjs"
    session.run("node", install, external=True)
    environment = {"NODE_MODULES": f"{modules}/node_modules"}
    session.run("pytest", "-q", "tests/gateway/clients", *session.posargs, env=environment)


@nox.session
def browser(session: nox.Session) -> None:
    """Run the page of the gateway's demo in Chromium, where one is installed."""
    if not (os.environ.get("CHROMIUM") or shutil.which("chromium")):
        session.skip("Chromium is not installed; CHROMIUM can name its program")
    session.install("playwright", "-e", ".[gateway]", *TESTS)
    session.run("pytest", "-q", "tests/gateway/browser", *session.posargs)


@nox.session
@nox.parametrize("backend", list(BACKENDS), ids=list(BACKENDS))
def backends(session: nox.Session, backend: str) -> None:
    """Send a call that drops to one backend, as the recipes of the reference do."""
    session.install(*BACKENDS[backend], "-e", ".", *TRACES, *TESTS)
    # What they install has plugins of pytest, whose own dependencies warn.
    arguments = ("-q", "-W", "default", f"tests/backends/test_{backend}.py")
    session.run("pytest", *arguments, *session.posargs)


def show_versions(session: nox.Session) -> None:
    """Print what was installed."""
    names = ("anthropic", "anyio", "httpx", "opentelemetry-sdk", "tenacity")
    code = f"from importlib.metadata import version; print(*map(version, {names}))"
    session.run("python", "-c", code)
