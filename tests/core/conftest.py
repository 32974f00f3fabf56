"""Profiles of hypothesis: `nightly` tries many more examples (`--hypothesis-profile=nightly`)."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

_SLOW = [HealthCheck.too_slow]

settings.register_profile(
    "core", deadline=None, derandomize=True, max_examples=60, suppress_health_check=_SLOW
)
settings.register_profile("nightly", deadline=None, max_examples=3000, suppress_health_check=_SLOW)
if settings.default == settings.get_profile("default"):
    settings.load_profile("core")
