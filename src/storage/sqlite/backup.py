"""Copies a store while it is written, and puts such a copy in its place."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from storage.errors import StorageRefused
from storage.sqlite.lease import Lease
from storage.sqlite.schema import VERSION, version_of

# Beside the file itself SQLite keeps what was committed last, and an index of it.
_PARTS = ("", "-wal", "-shm")


def back_up(store: Path, copy: Path) -> int:
    """Copy a store to a new file, and return the bytes of the copy.

    A processor may go on writing: the copy is the store after one of its transactions.

    Raises StorageRefused where there is no store of this version, or where the copy is there already.
    """
    _refuse_unless_store(store)
    if copy.exists():
        raise StorageRefused(f"{copy} exists, and is not overwritten.")
    with _new_file_at(copy) as new, _faults_of(store):
        _copy(store, new)
    return copy.stat().st_size


def restore(copy: Path, store: Path, replaced: Path) -> bool:
    """Put a copy in a store's place; whether there was one, which is moved to `replaced` then.

    The processor reads its logs on from where it was when the copy was made. StorageRefused where the copy is no store
    of this version or is damaged, where `replaced` is there already, or where a processor runs.
    """
    _refuse_unless_store(copy)
    with ExitStack() as held, _new_file_at(store, may_replace=True) as new, _faults_of(copy):
        for writer in _writers(copy) | (_writers(store) if store.exists() else set()):
            lease = Lease(store, writer)
            lease.acquire()
            held.callback(lease.release)
        _copy(copy, new)
        with closing(sqlite3.connect(new)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            connection.execute("PRAGMA journal_mode=WAL")
        if found != "ok":
            raise StorageRefused(f"{copy} is damaged: {' '.join(found.split())}.")
        is_there = store.exists()
        if is_there:
            _move(store, replaced)
    return is_there


@contextmanager
def _faults_of(copied: Path) -> Iterator[None]:
    """Raise StorageRefused where a file cannot be copied: it may be damaged, or lack a table, and its writers may have
    names that no file can have. Or the disk is full."""
    try:
        yield
    except (sqlite3.Error, ValueError) as error:
        raise StorageRefused(f"{copied} cannot be copied: {error}.") from None


def _move(store: Path, to: Path) -> None:
    if to.exists():
        raise StorageRefused(f"{to} exists, and is not overwritten.")
    for part in _PARTS:
        with suppress(FileNotFoundError):
            Path(f"{store}{part}").rename(f"{to}{part}")


@contextmanager
def _new_file_at(path: Path, may_replace: bool = False) -> Iterator[Path]:
    """A file for its owner alone, which is at the path when all went well, and nowhere otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    new = Path(name)
    try:
        yield new
        os.fsync(descriptor)
        if not may_replace:
            # A hard link would do as well, but memory sticks and some shares have none.
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        new.rename(path)
    finally:
        os.close(descriptor)
        new.unlink(missing_ok=True)


def _copy(store: Path, new: Path) -> None:
    with closing(_connect(store)) as original, closing(sqlite3.connect(new)) as target:
        original.backup(target)
        # A copy is one file.
        target.execute("PRAGMA journal_mode=DELETE")


def _writers(store: Path) -> set[str]:
    with closing(_connect(store)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM writers")}


def _refuse_unless_store(path: Path) -> None:
    if not path.is_file():
        raise StorageRefused(f"There is no store at {path}.")
    try:
        with closing(_connect(path)) as connection:
            version = version_of(connection)
    except sqlite3.DatabaseError as error:
        raise StorageRefused(f"{path} is no store: {error}.") from None
    if version != VERSION:
        raise StorageRefused(f"{path} has schema {version}; this version backs up and restores schema {VERSION}.")


def _connect(store: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{store.absolute().as_uri()}?mode=ro", uri=True)
