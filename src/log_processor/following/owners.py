"""Which log each file is of, where several find it: by links, by other spellings, or after it was moved."""

from collections import defaultdict
from pathlib import Path
from typing import Protocol

from log_processor.following.matching import FileAt
from log_processor.following.present import Candidate


class Owner(Protocol):
    """A log that has files. See `family.Family`."""

    def knows(self, candidate: Candidate) -> bool:
        """Whether a file is one of this log's by its inode and its bytes."""

    def has_open(self, at: FileAt) -> bool:
        """Whether the file at this place is open: its inode is its own then."""

    def look_also_at(self, path: Path) -> None:
        """A file of this log was found there."""


class Owners:
    """A file is of the log that has found it first, and stays of it whatever it is called then."""

    def __init__(self) -> None:
        self._owners: dict[FileAt, Owner] = {}
        """Of the files that were there when their logs were looked at."""
        self._paths: dict[FileAt, Path] = {}
        """Where they were."""
        self._files: defaultdict[Owner, set[FileAt]] = defaultdict(set)
        """The same, by their logs."""
        self._known: defaultdict[int, dict[Owner, None]] = defaultdict(dict)
        """Inode -> the logs that have had a file with it."""

    def note_inode(self, family: Owner, inode: int) -> None:
        """A log has a file with this inode."""
        self._known[inode][family] = None

    def claim(self, family: Owner, candidate: Candidate) -> None:
        """A file is of a log."""
        self._owners[candidate.at] = family
        self._paths[candidate.at] = candidate.path
        self._files[family].add(candidate.at)
        self.note_inode(family, candidate.at[1])

    def belongs_to_another(self, family: Owner, candidate: Candidate) -> bool:
        """Whether a file that a log has found is of another one. That one is told where the file is."""
        owner = self._owners.get(candidate.at)
        if owner is not None and owner is not family and not self._is_there_still(owner, candidate):
            # The system has given its inode to this candidate.
            owner = None
        if owner is None:
            for other in self._known.get(candidate.at[1], {}):
                if other is not family and other.knows(candidate):
                    owner = other
                    other.look_also_at(candidate.path)
                    break
        return owner is not None and owner is not family

    def retain(self, family: Owner, there: set[FileAt]) -> None:
        """Of a log's files these are there."""
        for at in self._files[family] - there:
            if self._owners.get(at) is family:
                del self._owners[at], self._paths[at]
        self._files[family] &= there

    def _is_there_still(self, owner: Owner, candidate: Candidate) -> bool:
        """Whether the file with this inode that was of a log is."""
        if owner.has_open(candidate.at):
            return True
        try:
            found = self._paths[candidate.at].stat()
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == candidate.at
