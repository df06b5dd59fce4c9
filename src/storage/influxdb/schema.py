"""The number of the schema, and where it is written down."""

SCHEMA = 7
"""Changes with what is stored, see docs/storage-format.md: a store of another schema is refused."""
COUNTS = "_counts"
"""Ends the name of the bucket of rows, which is that of the requests else."""
STORE = "SELECT schema, secret FROM store"
