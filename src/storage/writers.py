"""The names of writers that have a meaning of their own."""

MAIN = "main"
"""The writer of most stores, the only one there."""
ARCHIVE = "archive"
"""The writer that has the rows of retired writers. No processor writes as it."""
