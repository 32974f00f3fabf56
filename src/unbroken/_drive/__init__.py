"""Thin drivers: they carry out what the core decides, once for threads and once for tasks."""
