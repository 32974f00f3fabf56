"""The sans-IO core: bytes and failures in; bytes for the caller, waits and requests out.

Nothing in here opens a socket, starts a thread, sleeps or reads a clock. It imports the standard
library and tenacity only. The drivers in `unbroken._drive` carry out what it decides.
"""
