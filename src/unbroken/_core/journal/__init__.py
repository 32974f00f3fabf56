"""The rules of the journal, without I/O: entries, who may write to them, and how a call is known."""
