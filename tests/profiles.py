"""How many examples property tests try: `pytest --hypothesis-profile=quick`, or `nightly`."""

from __future__ import annotations

from hypothesis import settings

USUAL = 100


def register() -> None:
    """Make the profiles known."""
    # Where the variable CI is set, Hypothesis has chosen its own "ci": the same ones in each run.
    settings.register_profile("default", deadline=None, max_examples=USUAL)
    settings.register_profile("quick", deadline=None, max_examples=USUAL // 10)
    nightly = settings(deadline=None, max_examples=USUAL * 20, derandomize=False)
    settings.register_profile("nightly", nightly)


def examples(usual: int) -> int:
    """For a test that tries more or fewer than usual: as many, by the profile."""
    return max(1, usual * settings().max_examples // USUAL)
