"""The clock of the tests of the SDK."""

from tests.doors.conftest import clock

__all__ = ["clock"]
