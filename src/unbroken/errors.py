"""What is raised when a call is given up.

anthropic.APIError
├── anthropic.APIStatusError           an HTTP error, or an error event in the stream:
│   └── RateLimitError, ...            the SDK's own classes
└── anthropic.APIConnectionError
    └── StreamInterrupted          the connection broke, or the body was not an event stream
        └── StreamTimedOut         it took too long; also an anthropic.APITimeoutError
"""

from __future__ import annotations

from unbroken._doors.interrupted import StreamInterrupted, StreamTimedOut

__all__ = ["StreamInterrupted", "StreamTimedOut"]
