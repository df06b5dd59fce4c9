"""The errors of a store.

StorageError
 |- StorageUnavailable    it may work later: try again
 |- StorageRefused        it will never work like this: wrong token, missing bucket, conflicting types
 |   |- DamagedRow        a row of the store cannot be read
 |- LeaseHeld             another process has this writer's lease
"""


class StorageError(Exception):
    """Base of the errors that a store raises. The message is a sentence for the operator."""


class StorageUnavailable(StorageError):
    """The store is away, overloaded, or did not answer in time. Whether it did a write is unknown."""


class StorageRefused(StorageError):
    """The store refuses, and to try again cannot help."""


class DamagedRow(StorageRefused):
    """A row cannot be read. The message names it. What does not need the row goes on."""


class LeaseHeld(StorageError):
    """Another process has the lease of this writer. Two processes would overwrite each other's counts."""
