"""Matches known files with present files, one to one.

A known file has a generation. A present file is in the file system now. The order of files does not matter, and names
hardly do: each file is read once, to its end, whatever it is called.

The rules, in this order:

1. A known file is the present file with its inode, if that file still holds all that was read. Equal inodes alone
   prove nothing.
2. A known file may be gone, or may have changed in its place. Then it is the largest present file that holds all that
   was read of it. That file is a copy that took its place, a copy from before the log was emptied, or the result of
   compression.
3. A file may have changed in its place. The part that still equals what was read is not read again. The rest gets a
   new generation. If rule 2 has found the old content elsewhere, the whole file is new. Three kinds of file never
   change in their place: a compressed file, a file that is gone, and a rotated file that is not open, and whose inode
   is now at the log's path. There another file has the inode.
4. A file that is not at the log's path may be a copy. It is one if all its bytes are the first bytes of another present
   file, or of what was read of a known file. A copy is not read as long as this holds.
5. A file continues another file that is there, if it holds all that was read of that file. If nothing was read of that
   file, it has to hold all of that file's bytes. It is then read from the place where the two part. An exception is a
   file at the log's path beside a rotated file: it is new. Rotation made room for it, and an equal beginning proves no
   identity. A file without a name that is still open counts as there, because its writer may go on. If a copy of it is
   there, it was rotated and compressed.
6. All other files are new, and are read from their beginning.

Equal bytes under another inode, with the original gone, may be a copy, or the same lines written twice. The bytes
cannot tell which. By rule 2 they are the known file.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

FileAt = tuple[int, int]
"""Device and inode."""


class Present(NamedTuple):
    """A file that is in the file system now, or is open without a name, and that is not empty."""

    at: FileAt
    size: int
    """Bytes of its text, after decompression."""
    is_live: bool
    """Whether the file is at the log's path, or is the newest file of a log without a path."""
    is_rotated: bool
    """Whether rotation gives names like the file's."""
    is_nameless: bool = False
    """Whether the file has lost its name, and is only open."""
    is_compressed: bool = False


class Known(NamedTuple):
    """A file that has a generation."""

    number: int
    """The file's generation."""
    inode: int
    start: int
    """Offset at which reading began."""
    offset: int
    """The end of what was read."""
    is_closed: bool
    at: FileAt | None
    """Device and inode, where the file is open."""
    has_changed: bool
    """Whether an earlier look saw that the file no longer holds what was read of it."""
    is_there: bool = False
    """Whether no search is needed: the file is open and read to its end, or compressed and unchanged."""
    is_gone: bool = False
    """Whether an earlier look saw that the file is gone."""
    is_rotated: bool = False
    """Whether it was last seen beside the log's path, so that the log was another file."""
    has_copy: bool = False
    """Whether a compressed file that is unchanged is a copy of it."""


class Evidence(Protocol):
    """Answers from the bytes of the files. An answer of None is not known yet."""

    def is_still(self, known: Known, present: Present) -> bool | None:
        """Whether a present file, which has the known file's inode, still holds what was read of the known file."""

    def holds(self, known: Known, present: Present) -> bool | None:
        """Whether a present file holds all that was read of a known file."""

    def ends_in(self, present: Present, known: Known) -> bool | None:
        """Whether a present file holds nothing but the first part of what was read of a known file."""

    def begins(self, present: Present, other: Present, known: Known | None) -> bool | None:
        """Whether all bytes of a present file are the first bytes of `other`. `known`: the known file that `other`
        is."""

    def common(self, known: Known, present: Present) -> tuple[int, int]:
        """How far a file that changed in its place still equals what was read of it: two offsets, see
        `Identity.common`."""

    def parting(self, present: Present, other: Present) -> int:
        """The offset at which two present files part: the end of the last line of their common beginning."""


class New(NamedTuple):
    """A present file that gets a generation."""

    present: Present
    start: int
    """Offset from which the file is read."""
    instead_of: int | None = None
    """Generation of the known file that was in its place."""
    is_unsure: bool = False
    """Whether lines before `start` may be new. The bytes cannot tell which."""
    after: int | None = None
    """Generation of the known file that this file continues."""


@dataclass(slots=True)
class Matching:
    found: dict[int, Present] = field(default_factory=dict)
    """Generation of a known file -> the present file that it is."""
    new: list[New] = field(default_factory=list)
    copies: list[tuple[Present, Present | int]] = field(default_factory=list)
    """Each copy, with the present file that has its bytes, or with the generation under which its bytes were read."""
    missing: list[int] = field(default_factory=list)
    """Generations of known files that are neither closed nor there."""
    is_undecided: bool = False
    """Whether something could not be decided yet."""


def match(
    known: Sequence[Known],
    present: Iterable[Present],
    evidence: Evidence,
    grace_is_over: bool,
    texts_are_pending: bool = False,
) -> Matching:
    """Match known files with present files, by the rules above.

    `grace_is_over`: whether matching has waited long enough for a copy that may still be made. `texts_are_pending`:
    whether some compressed files are not among `present`, because their text is not known yet.
    """
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
        """Files that have grown since their known file was closed. Each may as well be another file with its inode."""
        self._waiting: list[Present] = []
        """Files that cannot be decided yet."""
        self.result = Matching(is_undecided=texts_are_pending)
        self._match_inodes()
        self._match_content([file for file in self._known if not file.is_closed])
        for at, grown in self._grown.items():
            if at in self._free and not self._is_continued(grown):
                self._assign(grown, self._free[at])
        self._match_content([file for file in self._known if file.is_closed])
        # Changed files come first, because other files may be their copies.
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
        """Whether the system has given a known file's inode to another file, so that nothing changed in its place.

        The file does not hold what was read of the known file. Compressed files are never changed. A rotated file does
        not come back to the log's path.
        """
        is_back = (known.is_closed or known.is_rotated) and known.at is None and file.is_live
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
        """Whether a file that is already matched may have all bytes of this file. Then this file is its copy."""
        return any(
            file.size <= other.size and self._evidence.begins(file, other, None) is not False
            for other in self.result.found.values()
        )

    def _is_continued(self, known: Known) -> bool:
        """Whether a file under another generation holds what was read of this file and is read on. Then no other file
        is looked for."""
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
        """Whether a copy of a changed file may be among the files that are not known yet."""
        is_undecided = self._undecided or self.result.is_undecided
        return bool(is_undecided) and not known.is_closed and known.number not in self.result.found

    def _shares_bytes_with_waiting(self, file: Present) -> bool:
        """Whether a file that waits may have the same bytes as this file, as far as both go."""
        for other in self._waiting:
            short, long = sorted((file, other), key=lambda present: present.size)
            if self._evidence.begins(short, long, None) is not False:
                return True
        return False

    def _is_unrelated(self, known: Known, file: Present) -> bool:
        """Whether a file shares only the inode with a known file. Then the system has given that inode to it."""
        return known.at is None and self._evidence.common(known, file)[1] == known.start

    def _decide_changed(self, known: Known, file: Present) -> None:
        if known.number in self.result.found:
            self.result.new.append(New(file, 0, known.number))
            return
        same, unsure = self._evidence.common(known, file)
        if unsure > known.start and not self._grace_is_over:
            # If a copy with all old content appears, the whole file is new.
            self._waiting.append(file)
            return
        self.result.new.append(New(file, min(max(same, unsure), file.size), known.number, unsure > same))

    def _is_copy(self, file: Present) -> bool:
        """Whether the file is decided here: as a copy, as the continuation of a nameless file, or as undecided yet."""
        found = [(self.result.found[known.number], known) for known in self._known if known.number in self.result.found]
        for other, known_other in [*found, *((new.present, None) for new in self.result.new)]:
            if file.size > other.size or (file.is_live and self._made_room(other, known_other)):
                continue
            begins = self._evidence.begins(file, other, known_other)
            if begins and file.is_live and other.is_nameless and (file.size == other.size or self._grace_is_over):
                after = None if known_other is None else known_other.number
                self.result.new.append(New(file, self._evidence.parting(file, other), after=after))
                return True
            if begins is None or (begins and file.is_live):
                # A file that is copied to the log's path may not be whole yet.
                self.result.is_undecided = True
                return True
            if begins:
                self.result.copies.append((file, other))
                return True
        if file.is_live:
            return False
        for known in self._known:
            if known.number in self.result.found:
                # The loop above has compared their bytes.
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

    def _made_room(self, file: Present, known: Known | None) -> bool:
        """Whether rotation has made room for another file at the log's path. `known`: the known file that `file` is."""
        has_copy = (known is not None and known.has_copy) or any(of == file for _, of in self.result.copies)
        return file.is_rotated or file.is_live or (file.is_nameless and has_copy)

    def _continues_another(self, file: Present) -> bool:
        """Whether the file is decided here: as the continuation of another file (rule 5), or as undecided yet."""
        for known in self._known:
            other = self.result.found.get(known.number)
            if other is None and not known.is_there:
                continue
            if file.is_live and (other is None or self._made_room(other, known)):
                continue
            shares: bool | None = False
            if other is not None and 0 < known.offset == known.start:
                # Nothing was read under this generation: the bytes before its offset were read under an earlier one.
                shares = file.size >= known.offset and self._evidence.parting(file, other) >= known.offset
            elif known.offset:
                shares = file.size >= known.offset and self._evidence.holds(known, file)
            elif other is not None:
                shares = file.size >= other.size and self._evidence.begins(other, file, None)
            if shares is None:
                self.result.is_undecided = True
                return True
            if shares:
                # A compressed file that is unchanged was read to its end: the two part at its offset.
                parting = self._evidence.parting(file, other) if other is not None else known.offset
                has_all = other is not None and not other.is_nameless and parting == other.size
                if has_all and not self._grace_is_over:
                    # The other file may have grown since its size was seen. Then this file is its copy.
                    self.result.is_undecided = True
                    return True
                start = max(known.offset, parting)
                self.result.new.append(New(file, start, after=known.number))
                return True
        return False

    def _assign(self, known: Known, file: Present) -> None:
        self.result.found[known.number] = file
        del self._free[file.at]
