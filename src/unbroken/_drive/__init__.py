"""Drivers, which carry out what the core decides: one for threads, one for tasks."""
