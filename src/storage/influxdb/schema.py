"""The number of the schema, and where it is stored."""

SCHEMA = 7
"""The number of what is stored, see docs/storage-format.md. A store of another number is refused."""
COUNTS = "_counts"
"""Suffix of the name of the bucket of counts; the rest is the name of the bucket of requests."""
STORE = "SELECT schema, secret FROM store"
