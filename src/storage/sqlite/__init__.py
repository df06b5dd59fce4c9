"""Owns the embedded store: requests and rows in the tables of one SQLite file, and a lock file as the lease.

Does not own what rows say: it knows nothing of logs and of counting.
"""

from storage.sqlite.store import SqliteStorage

__all__ = ["SqliteStorage"]
