"""What many tests ask, of which models, and what they are told."""

from __future__ import annotations

from unbroken import Policy

HEADERS = {"x-api-key": "test", "anthropic-version": "2023-06-01"}

PREFILLS = "claude-haiku-4-5"
"""A model that continues an assistant turn."""

NEWEST = "claude-opus-5-5"
"""A model that does not."""

STORY = "Once upon a time there was a fox. It jumped over a dog, “twice”, and then it slept 😀."

AT_ONCE = Policy(time_scale=0, max_fruitless=4, budget=None)
"""Waits for nothing, so attempts are bounded instead; shares no budget with other tests."""
