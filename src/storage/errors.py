"""The errors of a store.

StorageError
 |- StorageUnavailable    it may work later: try again
 |- StorageRefused        it will never work like this: wrong token, missing bucket, conflicting types
 |- LeaseHeld           another process has this writer's lease
"""


class StorageError(Exception):
    """Base of what a store raises; its text is a sentence for people."""


class StorageUnavailable(StorageError):
    """The store is away, overloaded, or did not answer in time. Whether a write was done is then unknown."""


class StorageRefused(StorageError):
    """The store answered that it will not do this: trying again cannot help."""


class LeaseHeld(StorageError):
    """Another process has the lease of this writer: two would overwrite each other's counts."""
