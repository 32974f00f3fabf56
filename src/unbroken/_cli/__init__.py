"""The command `unbroken`."""
