"""SQLite: requests and rows in tables of one file, and a lock file for each writer. Knows nothing of logs and of
counting."""

from storage.sqlite.store import SqliteStorage

__all__ = ["SqliteStorage"]
