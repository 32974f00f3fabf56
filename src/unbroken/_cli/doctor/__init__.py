"""`unbroken doctor`: what stands between this machine and an answer, one boundary at a time."""
