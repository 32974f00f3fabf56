"""The parts of `unbroken.telemetry`: what spans, metrics and log lines are made of."""
