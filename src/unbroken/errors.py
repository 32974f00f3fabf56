"""What is raised when an answer could not be saved.

anthropic.APIError
├── anthropic.APIStatusError           an HTTP error, or an error event in the stream:
│   └── RateLimitError, ...            the SDK's own, as without this library
└── anthropic.APIConnectionError
└── StreamInterrupted              the connection broke, or the stream was no stream
"""

from __future__ import annotations

from unbroken._doors.interrupted import StreamInterrupted

__all__ = ["StreamInterrupted"]
