"""Reading the streams of a call's attempts into the caller's message."""
