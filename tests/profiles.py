"""How many examples property tests try: `pytest --hypothesis-profile=quick`, or `nightly`."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

USUAL = 100


def register() -> None:
    """Make the profiles known."""
    # Where the variable CI is set, Hypothesis has chosen its own "ci": the same ones in each run.
    common = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("default", common, max_examples=USUAL // 2)
    settings.register_profile("quick", common, max_examples=USUAL // 10)
    settings.register_profile("nightly", common, max_examples=USUAL * 30, derandomize=False)


def examples(usual: int) -> int:
    """For a test that tries more or fewer than usual: as many, by the profile."""
    return max(1, usual * settings().max_examples // USUAL)


def step(fine: int) -> int:
    """For a test that tries every so many places: the fine step each night, else a coarse one."""
    return fine if settings().max_examples > USUAL else fine * 11
