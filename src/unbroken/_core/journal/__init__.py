"""The rules of the journal, without I/O: entries, who writes them, and how a call is known."""
