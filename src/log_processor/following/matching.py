"""Which of the files that are there are those that are known.

Known files and present ones are matched one to one. The order of files does not matter, and names hardly do: each file
is read once, to its end, whatever it is called.

The rules, in this order:

1. A known file is the present file with its inode, where that still holds what was read. Equal inodes alone say
   nothing.
2. A known file that is not there any more, or that changed in its place, is the largest present file that holds all
   that was read of it: a copy that was put in its place, a copy that was made before the log was emptied, or what
   became of it by compression.
3. Where a file changed in its place, what it still has of what was read is not read again. What follows has a new
   number. All of it is new where rule 2 has found the old content elsewhere. A compressed file does not change in its
   place, nor does one that is gone, nor one that was rotated and closed at the log's path: another file has its inode.
4. A file that is not at the log's path is a copy where its bytes are the first of another present file, or of what was
   read of a known one. It is not read, for as long as that is so.
5. A file that holds all that was read of another one that is there, or all of one of which nothing was read, goes on
   where the two part. But at the log's path, beside a rotated file, a file is new: rotation made room for it, and equal
   beginnings are no identity. A file that has lost its name and is still open is there: its writer may go on.
6. All other files are new, and read from their beginning.

The same bytes under another inode, with the original gone, may be a copy or may have been written twice: nobody can
tell. By rule 2 they are the known file.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

FileAt = tuple[int, int]
"""Device and inode."""


class Present(NamedTuple):
    """A file that is there, with bytes in it."""

    at: FileAt
    size: int
    """Bytes of its text."""
    is_live: bool
    """Whether it is at the log's path, or is the newest of a log that has no path."""
    is_rotated: bool
    """Whether its name is one that rotation gives."""
    is_nameless: bool = False
    """Whether it has no name any more, and is only open."""
    is_compressed: bool = False


class Known(NamedTuple):
    """A file that has a number."""

    number: int
    inode: int
    start: int
    offset: int
    """Through which it was read."""
    is_closed: bool
    at: FileAt | None
    """Where it is open."""
    has_changed: bool
    """Whether it was seen to hold no longer what was read of it."""
    is_there: bool = False
    """Whether it need not be looked for: it is open and read to its end, or compressed and unchanged."""
    is_gone: bool = False
    """Whether it was seen not to be there any more."""


class Evidence(Protocol):
    """What the bytes of the files say. None: it is not known yet."""

    def is_still(self, known: Known, present: Present) -> bool | None:
        """Whether a present file with the known one's inode still holds what was read of that."""

    def holds(self, known: Known, present: Present) -> bool | None:
        """Whether a present file holds all that was read of a known one."""

    def ends_in(self, present: Present, known: Known) -> bool | None:
        """Whether a present file holds nothing but the first part of what was read of a known one."""

    def begins(self, present: Present, other: Present, known: Known | None) -> bool | None:
        """Whether the bytes of a present file are the first of another one's; `known`: which the other one is."""

    def common(self, known: Known, present: Present) -> tuple[int, int]:
        """How far a file that changed in its place is what was read of it, see Identity.common."""

    def parting(self, present: Present, other: Present) -> int:
        """The end of the last line that two present files have in common from their beginning on."""


class New(NamedTuple):
    """A present file that gets a number."""

    present: Present
    start: int
    """Offset at which it is read from."""
    instead_of: int | None = None
    """The known file that was in its place."""
    is_unsure: bool = False
    """Whether lines before `start` may be new: it cannot be told which."""
    after: int | None = None
    """The known file that it has its first bytes from."""


@dataclass(slots=True)
class Matching:
    """What was found out."""

    found: dict[int, Present] = field(default_factory=dict)
    """By the numbers of known files."""
    new: list[New] = field(default_factory=list)
    copies: list[tuple[Present, Present | int]] = field(default_factory=list)
    """With the present file that has their bytes, or the number of the known one of which they were read."""
    missing: list[int] = field(default_factory=list)
    """Known files that are not closed and not there."""
    is_undecided: bool = False
    """Whether something could not be decided yet."""


def match(
    known: Sequence[Known],
    present: Iterable[Present],
    evidence: Evidence,
    grace_is_over: bool,
    texts_are_pending: bool = False,
) -> Matching:
    """Match them. `grace_is_over`: whether a copy that may still be made was waited for long enough.

    `texts_are_pending`: whether the
    text of some files is not known yet."""
    return _Match(known, present, evidence, grace_is_over, texts_are_pending).result


class _Match:
    def __init__(
        self,
        known: Sequence[Known],
        present: Iterable[Present],
        evidence: Evidence,
        grace_is_over: bool,
        texts_are_pending: bool,
    ) -> None:
        self._evidence = evidence
        self._grace_is_over = grace_is_over
        self._known = sorted(known, key=lambda file: (-file.offset, -file.number))
        self._free = {file.at: file for file in present}
        self._undecided: set[FileAt] = set()
        self._changed: dict[FileAt, Known] = {}
        self._grown: dict[FileAt, Known] = {}
        """What has grown since its known file was closed: it may as well be another one with its inode."""
        self._waiting: list[Present] = []
        """Those that cannot be decided yet."""
        self.result = Matching(is_undecided=texts_are_pending)
        self._match_inodes()
        self._match_content([file for file in self._known if not file.is_closed])
        for at, grown in self._grown.items():
            if at in self._free and not self._is_continued(grown):
                self._assign(grown, self._free[at])
        self._match_content([file for file in self._known if file.is_closed])
        # Those that changed come first: others may be their copies.
        order = sorted(self._free.values(), key=lambda file: (-file.size, not file.is_live, file.at))
        for file in sorted(order, key=lambda file: file.at not in self._changed):
            if file.at not in self._undecided:
                self._decide(file)
        self.result.is_undecided |= bool(self._undecided or self._waiting)
        self.result.missing = [
            file.number
            for file in self._known
            if file.number not in self.result.found and not file.is_closed and not file.is_there
        ]

    def _match_inodes(self) -> None:
        by_inode: dict[int, list[Present]] = {}
        for file in self._free.values():
            by_inode.setdefault(file.at[1], []).append(file)
        for known in self._known:
            for file in by_inode.get(known.inode, ()):
                if file.at in self._free and (known.at is None or known.at == file.at):
                    self._match_inode(known, file)

    def _match_inode(self, known: Known, file: Present) -> None:
        is_still = False
        if not known.has_changed and known.offset <= file.size:
            answer = self._evidence.is_still(known, file)
            if answer is None:
                self._undecided.add(file.at)
                return
            is_still = answer
        if is_still and known.is_closed and file.size > known.offset:
            self._grown.setdefault(file.at, known)
            self._changed.pop(file.at, None)
        elif is_still:
            self._assign(known, file)
            self._changed.pop(file.at, None)
        elif not self._has_reused_inode(known, file) and (
            file.at not in self._changed or self._changed[file.at].is_closed
        ):
            self._changed[file.at] = known

    @staticmethod
    def _has_reused_inode(known: Known, file: Present) -> bool:
        """Whether a file that does not hold what was read of a known one has been given its inode: it did not change in
        its place then. Nobody changes a compressed file, and what was rotated does not come back to the log's path."""
        is_back = known.is_closed and known.at is None and file.is_live
        return known.is_there or known.is_gone or file.is_compressed or is_back

    def _match_content(self, files: list[Known]) -> None:
        for known in files:
            if known.number in self.result.found or known.is_there or self._is_continued(known):
                continue
            for file in sorted(self._free.values(), key=lambda file: -file.size):
                changed = self._changed.get(file.at)
                grown = self._grown.get(file.at)
                if file.size < known.offset or (changed is not None and changed.number == known.number):
                    continue
                if grown is not None and grown.offset >= known.offset:
                    continue
                if not known.offset and self._has_its_bytes(file):
                    continue
                answer = self._evidence.holds(known, file)
                if answer is None:
                    self._undecided.add(file.at)
                elif answer and file.at not in self._undecided:
                    self._assign(known, file)
                    break

    def _has_its_bytes(self, file: Present) -> bool:
        """Whether a file that is found may have all bytes of this one, which is its copy then."""
        return any(
            file.size <= other.size and self._evidence.begins(file, other, None) is not False
            for other in self.result.found.values()
        )

    def _is_continued(self, known: Known) -> bool:
        """Whether what was read of a file is in one that is read on under another number: it is in no other then."""
        return known.offset > 0 and any(
            other.start >= known.offset
            and other.number in self.result.found
            and self._evidence.is_still(known, self.result.found[other.number])
            for other in self._known
        )

    def _decide(self, file: Present) -> None:
        changed = self._changed.get(file.at)
        if (changed is not None and self._may_be_found(changed)) or self._shares_bytes_with_waiting(file):
            self._waiting.append(file)
        elif changed is not None and not self._is_unrelated(changed, file):
            self._decide_changed(changed, file)
        elif not self._is_copy(file) and not self._continues_another(file):
            self.result.new.append(New(file, 0, changed.number if changed is not None else None))

    def _may_be_found(self, known: Known) -> bool:
        """Whether what is not known yet may be a copy of a file that changed."""
        is_undecided = self._undecided or self.result.is_undecided
        return bool(is_undecided) and not known.is_closed and known.number not in self.result.found

    def _shares_bytes_with_waiting(self, file: Present) -> bool:
        """Whether one of two files, which have the same bytes as far as both go, waits."""
        for other in self._waiting:
            short, long = sorted((file, other), key=lambda present: present.size)
            if self._evidence.begins(short, long, None) is not False:
                return True
        return False

    def _is_unrelated(self, known: Known, file: Present) -> bool:
        """Whether a file has nothing of a known one but its inode, which the system has given to another file."""
        return known.at is None and self._evidence.common(known, file)[1] == known.start

    def _decide_changed(self, known: Known, file: Present) -> None:
        if known.number in self.result.found:
            self.result.new.append(New(file, 0, known.number))
            return
        same, unsure = self._evidence.common(known, file)
        if unsure > known.start and not self._grace_is_over:
            # A copy that holds all would make all of this new.
            self._waiting.append(file)
            return
        self.result.new.append(New(file, min(max(same, unsure), file.size), known.number, unsure > same))

    def _is_copy(self, file: Present) -> bool:
        """Whether it is one, or goes on after what was in its place, or that cannot be told yet."""
        found = [(self.result.found[known.number], known) for known in self._known if known.number in self.result.found]
        for other, known_other in [*found, *((new.present, None) for new in self.result.new)]:
            if file.size > other.size or (file.is_live and (other.is_rotated or other.is_live)):
                continue
            begins = self._evidence.begins(file, other, known_other)
            if begins and file.is_live and other.is_nameless and (file.size == other.size or self._grace_is_over):
                after = None if known_other is None else known_other.number
                self.result.new.append(New(file, self._evidence.parting(file, other), after=after))
                return True
            if begins is None or (begins and file.is_live):
                # At the log's path a copy of what was there before is still being made.
                self.result.is_undecided = True
                return True
            if begins:
                self.result.copies.append((file, other))
                return True
        if file.is_live:
            return False
        for known in self._known:
            if known.number in self.result.found:
                # Its bytes were compared.
                continue
            is_part: bool | None = False
            if known.is_there and known.offset == file.size:
                is_part = self._evidence.holds(known, file)
            elif known.offset > file.size:
                is_part = self._evidence.ends_in(file, known)
            if is_part is None:
                self.result.is_undecided = True
                return True
            if is_part:
                self.result.copies.append((file, known.number))
                return True
        return False

    def _continues_another(self, file: Present) -> bool:
        """Whether it goes on where another one parts from it, or that cannot be told yet."""
        for known in self._known:
            other = self.result.found.get(known.number)
            if other is None and not known.is_there:
                continue
            if file.is_live and (other is None or other.is_rotated or other.is_live):
                continue
            shares: bool | None = False
            if other is not None and 0 < known.offset == known.start:
                # What is before was read of yet another one.
                shares = file.size >= known.offset and self._evidence.parting(file, other) >= known.offset
            elif known.offset:
                shares = file.size >= known.offset and self._evidence.holds(known, file)
            elif other is not None:
                shares = file.size >= other.size and self._evidence.begins(other, file, None)
            if shares is None:
                self.result.is_undecided = True
                return True
            if shares:
                # All of what is compressed and unchanged was read.
                parting = self._evidence.parting(file, other) if other is not None else known.offset
                has_all = other is not None and not other.is_nameless and parting == other.size
                if has_all and not self._grace_is_over:
                    # The other one may have grown since its size was seen: then this one is its copy.
                    self.result.is_undecided = True
                    return True
                start = max(known.offset, parting)
                self.result.new.append(New(file, start, after=known.number))
                return True
        return False

    def _assign(self, known: Known, file: Present) -> None:
        self.result.found[known.number] = file
        del self._free[file.at]
