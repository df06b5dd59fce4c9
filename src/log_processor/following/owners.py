"""Decides which log a file belongs to if several logs find it: by links, by other spellings, or after a move."""

from collections import defaultdict
from pathlib import Path
from typing import Protocol

from log_processor.following.matching import FileAt
from log_processor.following.present import Candidate


class Owner(Protocol):
    """A log that has files. See `family.Family`."""

    def knows(self, candidate: Candidate) -> bool:
        """Whether a file is one of this log's, by its inode and its bytes."""

    def has_open(self, at: FileAt) -> bool:
        """Whether the file with this device and inode is open. Then the system gives its inode to no other file."""

    def look_also_at(self, path: Path) -> None:
        """Look for a file of this log at this path, too."""


class Owners:
    """Keeps which log each file belongs to: the log that found it first, whatever the file is called later."""

    def __init__(self) -> None:
        self._owners: dict[FileAt, Owner] = {}
        """File -> its log, for files that the last look at that log found."""
        self._paths: dict[FileAt, Path] = {}
        """File -> the path where it was found."""
        self._files: defaultdict[Owner, set[FileAt]] = defaultdict(set)
        """Log -> its files in `_owners`."""
        self._known: defaultdict[int, dict[Owner, None]] = defaultdict(dict)
        """Inode -> the logs that have had a file with this inode."""

    def note_inode(self, family: Owner, inode: int) -> None:
        self._known[inode][family] = None

    def claim(self, family: Owner, candidate: Candidate) -> None:
        """Note that a file belongs to a log."""
        self._owners[candidate.at] = family
        self._paths[candidate.at] = candidate.path
        self._files[family].add(candidate.at)
        self.note_inode(family, candidate.at[1])

    def belongs_to_another(self, family: Owner, candidate: Candidate) -> bool:
        """Whether a file that a log has found belongs to another log. The other log is told the file's path."""
        owner = self._owners.get(candidate.at)
        if owner is not None and owner is not family and not self._is_there_still(owner, candidate):
            # The system has given the old file's inode to this file.
            owner = None
        if owner is None:
            for other in self._known.get(candidate.at[1], {}):
                if other is not family and other.knows(candidate):
                    owner = other
                    other.look_also_at(candidate.path)
                    break
        return owner is not None and owner is not family

    def retain(self, family: Owner, there: set[FileAt]) -> None:
        """Forget the files of a log that are not in `there`."""
        for at in self._files[family] - there:
            if self._owners.get(at) is family:
                del self._owners[at], self._paths[at]
        self._files[family] &= there

    def _is_there_still(self, owner: Owner, candidate: Candidate) -> bool:
        """Whether the owner's file with the candidate's inode is still there, so that both are one file."""
        if owner.has_open(candidate.at):
            return True
        try:
            found = self._paths[candidate.at].stat()
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == candidate.at
