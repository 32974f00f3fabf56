"""The commands of `unbroken`, one a module."""
