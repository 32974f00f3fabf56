"""Tests in environments of their own: other versions of the SDK, and libraries that use it."""

from __future__ import annotations

import nox

nox.needs_version = ">=2025.2.9"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["versions"]

SDKS = {
    "lowest": "==0.108.0",
    "last-0.x": "<1",
    "last-1.x": "<2",
    "newest": "<3",
}
"""The versions of `anthropic` that are tested: 0.x is built on httpx, the others on httpx2."""

FRAMEWORKS = {
    "pydantic_ai": ["pydantic-ai-slim[anthropic]"],
    "langchain": ["langchain-anthropic"],
    "instructor": ["instructor", "anthropic"],
    "litellm": ["litellm"],
}
"""What each module of `tests/frameworks` needs."""

PYTEST = ["pytest>=8.3", "pytest-timeout>=2.3", "pytest-xdist>=3.6"]
NETWORKS = ["h2>=4", "trio", "trustme>=1.1"]
"""What tests of connections need; those of HTTP/2 and of TLS are skipped without."""


@nox.session
@nox.parametrize("sdk", list(SDKS), ids=list(SDKS))
def versions(session: nox.Session, sdk: str) -> None:
    """Run what touches the SDK and the HTTP libraries, with one version of the SDK."""
    session.install(f"anthropic[bedrock,vertex]{SDKS[sdk]}", "-e", ".", *PYTEST, *NETWORKS)
    session.run("python", "-c", "import anthropic; print('anthropic', anthropic.__version__)")
    session.run("pytest", "-q", "-n", "2", *(session.posargs or ["tests/doors", "tests/transport"]))


@nox.session
@nox.parametrize("framework", list(FRAMEWORKS), ids=list(FRAMEWORKS))
def frameworks(session: nox.Session, framework: str) -> None:
    """Run one library, unmodified, through drops."""
    session.install(*FRAMEWORKS[framework], "-e", ".", *PYTEST)
    session.run("pytest", "-q", f"tests/frameworks/test_{framework}.py", *session.posargs)
