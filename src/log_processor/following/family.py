"""One log: a family of files, each of which is read once.

A family looks at its files when something has changed. It matches the present files with the known files, see
`matching`. A new file then gets a generation, a moved file is read on, and a file that is gone is closed.
"""

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from log_processor.following.clock import SYSTEM, Clock
from log_processor.following.file import File
from log_processor.following.identity import HEAD_BYTES, Identity, Samples
from log_processor.following.log_files import Folders, FoundLog
from log_processor.following.matching import FileAt, Known, Matching, New, Present, match
from log_processor.following.owners import Owners
from log_processor.following.present import (
    BytesOfFiles,
    Candidate,
    Decompressor,
    Memory,
    Stamp,
    end_of_last_line,
)
from log_processor.following.reader import Reader
from log_processor.following.roots import Roots
from log_processor.following.search import Search
from request_log.framing.protocol import PLAIN, Framing
from request_log.line import SECONDS_A_DAY
from service.logs import logger
from storage.logs import FileRow, FileState, Gap, LedgerRow, Position
from storage.observed import ObservedEnd

# Seconds to wait for a copy, or for the next name, of a missing file before the file counts as lost.
GRACE_SECONDS = 2.0
# Seconds without a write after which a file without a name is closed.
DELETED_QUIET_SECONDS = 5.0
# Seconds without a write after which a rotated file that was read to its end is closed. Lines that are written to it
# later get a generation of their own.
ROTATED_QUIET_SECONDS = 60.0
# Seconds without a write after which half a line at the end of a file counts as a line.
HALF_LINE_SECONDS = SECONDS_A_DAY
# Seconds after its last write for which a compressed file that cannot be decompressed may still be in the making.
HALF_WRITTEN_SECONDS = 60.0
# Bytes of the text of a compressed file that tell whether the file was read before. Fewer would not do, because two
# files may have the same header.
MOST_OF_HEAD_BYTES = 64 << 10

CUT = "its end was cut off or changed after it was read"
TRUNCATED = "the file was truncated, and no copy holds all that was read of it"
DELETED = "the file was deleted, or cannot be read any more, before all of it was read"

Start = Literal["end", "beginning", "whole"]
"""Where to begin in a log that the store does not know: `end` or `beginning` of its current file, or the beginning of
every file (`whole`)."""

log = logger(__name__)


class Family:
    """The files of the log that is called `name` in the store."""

    may_be_behind = True
    """Whether speed counts more than freshness while there is much to read."""

    def __init__(
        self,
        found: FoundLog,
        row: LedgerRow | None,
        files: Iterable[FileRow],
        owners: Owners,
        decompressor: Decompressor,
        clock: Clock = SYSTEM,
        handed_in: Callable[[], list[FileRow]] = list,
        framing: Framing = PLAIN,
        roots: Roots | None = None,
    ) -> None:
        """`row`, `files`: the log's rows in the store. `owners`: which log each file belongs to. `decompressor`: gives
        the text of compressed files. `handed_in`: the rows of files that `backfill` handed in. `framing`: how lines lie
        in the files. `roots`: folders that may hold the files, except files at a named path; None: any folder."""
        self.name = found.name
        self.path = found.path
        self.clock = clock
        self.framing = framing
        self._has_path = found.has_path
        self._is_from_glob = found.is_from_glob
        self.bytes = row.bytes if row is not None else 0
        """Bytes of all files that were handed on."""
        self.reading: dict[File, Reader] = {}
        """The files that are open."""
        self.files = {row.generation: File(self, row) for row in files}
        self.news: dict[File, None] = {}
        """Files with a change other than new lines that is to be handed on."""
        self.is_dirty = True
        """Whether the files need a look."""
        self._owners = owners
        for file in self.files.values():
            owners.note_inode(self, Identity.decode(file.identity).inode)
        self._decompressor = decompressor
        self._handed_in = handed_in
        self._memory = Memory(decompressor, clock)
        stored = {Path(file.path).parent for file in self.files.values()}
        self._search = Search(found, stored, self._memory, roots)
        self.is_gone = False
        """Whether the last look found no file of the log, and the log may be forgotten."""
        self._unchanged: set[File] = set()
        """Compressed files that the last look found unchanged."""
        self._matched: set[Stamp] = set()
        """Compressed files that were matched since they changed last."""
        self._requested_texts: set[Stamp] = set()
        """Compressed files whose text the last look requested."""
        self._seem_lost: set[int | None] = set()
        """Generations of files for which the last look found neither the content nor a copy."""
        self._undecided_since: float | None = None
        """Since when matching could not decide everything, monotonic seconds."""
        self._missing: dict[File, float] = {}
        """Missing file -> since when it is looked for, monotonic seconds."""
        self._fault = ""
        """Why the last look could not be done; empty where it was."""
        self._next_tending = 0.0
        """When the next tending is due, monotonic seconds."""

    # Questions while lines are read.

    @property
    def live(self) -> File | None:
        """The file at the log's path."""
        return next((file for file in reversed(self.reading) if file.state == "live"), None)

    def folders(self) -> set[Path]:
        """Folders that have the log's files."""
        return self._search.folders

    def has_changed(self) -> bool:
        """Whether the file at the log's path is another one than the file that is read."""
        live = self.live
        reader = live.reader if live is not None else None
        if reader is not None and (reader.has_changed or not self._has_path):
            return reader.has_changed or reader.is_deleted
        if not self._has_path:
            return False
        try:
            found = os.stat(self.path)  # noqa: PTH116 (asked often; costs less)
        except OSError:
            return reader is not None
        if reader is None:
            # An empty file does not count yet.
            return found.st_size > 0
        return (found.st_dev, found.st_ino) != reader.at

    def observed_end(self, now: float) -> ObservedEnd:
        """How far the log goes `now` (Unix time, s)."""
        live = self.live or max(self.files.values(), key=lambda file: (file.state == "live", file.key), default=None)
        sizes = {file: reader.size for file, reader in self.reading.items()}
        behind = sum(reader.behind_at(sizes[file]) for file, reader in self.reading.items())
        if live is None:
            return ObservedEnd(self.name, now, Position(0, 0), 0, behind, self.bytes)
        return ObservedEnd(self.name, now, live.position, sizes.get(live, live.size), behind, self.bytes)

    def knows(self, candidate: Candidate) -> bool:
        """Whether a file is one of this log's, by its inode and its bytes."""
        for file in self.files.values():
            identity = Identity.decode(file.identity)
            # Several files may have had the inode, one after the other.
            if identity.inode == candidate.at[1] and file.offset <= candidate.stamp.size:
                try:
                    if identity.agrees(file.offset, candidate.read):
                        return True
                except OSError:
                    return False
        return False

    def has_open(self, at: FileAt) -> bool:
        """Whether the file with this device and inode is open. Then the system gives its inode to no other file."""
        return any(reader.at == at and not reader.is_of_text for reader in self.reading.values())

    def look_also_at(self, path: Path) -> None:
        """Look for a file of this log at this path, too."""
        self._search.other_paths.add(path)
        self.is_dirty = True

    # The look.

    def begin(self, start: Start, folders: Folders) -> LedgerRow:
        """Note the files of a log that the store does not know, as `start` says, and return the log's row."""
        self._search.look_below(folders)
        candidates = self._search.files_at_rest(folders, self._is_of_another) if start != "whole" else {}
        self._search.new_folders.clear()
        for candidate in candidates.values():
            through = self._read_through(candidate, 0, self._handed_in()) if candidate.is_live else 0
            is_read = start == "beginning" and candidate.is_live
            if not (through or is_read or candidate.is_compressed):
                through = end_of_last_line(candidate, candidate.size)
            self._note(candidate, through)
            candidate.close()
        position = self.live.position if self.live is not None else Position(0, 0)
        return LedgerRow(self.name, str(self.path), position, position)

    def look(self, folders: Folders) -> None:
        """Match the files that are there with the known files, and open, number and close files accordingly."""
        self.is_dirty = False
        if self._search.looks_below:
            self._search.look_below(folders)
        candidates = self._search.files(folders, self.files.values(), self._is_of_another)
        found = list(candidates.values())
        identities = {number: Identity.decode(file.identity) for number, file in self.files.items()}
        try:
            texts_are_pending = self._decompress(candidates, identities)
            matching = self._match(candidates, identities, texts_are_pending)
            for present in self._to_be_opened(matching):
                candidates[present.at].open()
            # Without this, a rotation during the look would go unnoticed.
            are_there = not self._search.has_missed and all(candidate.is_as_it_was() for candidate in found)
            self.is_dirty = not (are_there and self._are_still(matching, candidates, identities))
            if self.is_dirty:
                self._seem_lost.clear()
                return
            if self._may_have_copies(matching):
                return
            self._apply(matching, candidates)
        except OSError as error:
            self.is_dirty = True
            reason = error.strerror or "it cannot be opened"
            if error.errno not in (errno.ENOENT, errno.ESTALE) and reason != self._fault:
                self._fault = reason
                self._search.leave_out(self.path, reason)
            return
        finally:
            for candidate in found:
                candidate.close()
        self._fault = ""
        is_settled = not (self.reading or self.news or self._missing)
        self.is_gone = self._is_from_glob and not self._search.has_files and is_settled
        there = {candidate.at for candidate in found} | {reader.at for reader in self.reading.values()}
        self._owners.retain(self, there)

    def tend(self) -> bool:
        """Close files that are read to their end and grow no more; return whether the files need another look.

        The source calls this now and then. Most calls do nothing.
        """
        now = self.clock.monotonic()
        if now < self._next_tending:
            return False
        self._next_tending = now + GRACE_SECONDS / 4
        for file, reader in list(self.reading.items()):
            if file.nameless_since is None and reader.is_deleted:
                # The file that took its place gets a look first, because it may continue the last line.
                file.nameless_since = now
                self.is_dirty = True
            self._tend(file, reader, now)
        return self.is_dirty or self._undecided_since is not None or bool(self._missing)

    def close(self) -> None:
        for file in self.files.values():
            file.close_reader()

    # Steps of a look.

    def _decompress(self, candidates: dict[FileAt, Candidate], identities: Mapping[int, Identity]) -> bool:
        """Request the texts of compressed files that are not known; return whether some are still to come.

        Compressed files without a text are removed from the candidates.
        """
        known = {identities[number].inode: file for number, file in self.files.items()}
        texts_are_pending = False
        requested = set()
        self._unchanged.clear()
        compressed = [candidate for candidate in candidates.values() if candidate.is_compressed]
        self._matched &= {candidate.stamp for candidate in compressed}
        for candidate in compressed:
            file = known.get(candidate.at[1])
            if file is not None and file.size == candidate.stamp.size and self._is_settled(file, candidate, identities):
                self._claim(candidate)
                self._note_place(file, candidate)
                self._unchanged.add(file)
                del candidates[candidate.at]
                continue
            requested.add(candidate.stamp)
            try:
                text = self._decompressor.text(candidate)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ESTALE):
                    raise
                self._search.leave_out(candidate.path, f"it cannot be decompressed for now: {error.strerror}")
                texts_are_pending = True
                del candidates[candidate.at]
                continue
            if isinstance(text, int):
                candidate.text_descriptor = text
                self._search.let_in(candidate.path)
                continue
            if text is None and self.clock.unix() - candidate.stamp.modified / 1e9 >= HALF_WRITTEN_SECONDS:
                self._search.leave_out(candidate.path, "it cannot be decompressed")
            else:
                # A file that cannot be decompressed may be in the making.
                texts_are_pending = True
            del candidates[candidate.at]
        # Some files were requested only while they were in the making.
        for stamp in self._requested_texts - requested:
            self._decompressor.forget(stamp)
        self._requested_texts = requested
        return texts_are_pending

    def _is_settled(self, file: File, candidate: Candidate, identities: Mapping[int, Identity]) -> bool:
        """Whether a compressed file with a known file's inode is that file, and need not be decompressed."""
        if file.state == "copy":
            # The original of the copy may be gone.
            file = self.files.get(file.copy_of, file) if file.copy_of is not None else file
        is_done = file.reader is not None or file.state in ("closed", "copy")
        if not is_done or candidate.stamp in self._matched:
            return is_done
        begins = identities[file.key.generation].begins(file.start, candidate.head(MOST_OF_HEAD_BYTES))
        if begins:
            self._note_matched(candidate)
        return begins

    def _note_matched(self, candidate: Candidate) -> None:
        """Note that a compressed file was matched. As long as it does not change, it is not matched again."""
        if candidate.stamp.is_settled(self.clock.unix()):
            self._matched.add(candidate.stamp)

    def _match(
        self, candidates: dict[FileAt, Candidate], identities: Mapping[int, Identity], texts_are_pending: bool
    ) -> Matching:
        # Nothing was read of a file that is or was a copy, so it cannot be recognized.
        files = [file for file in self.files.values() if file.copy_of is None]
        with_copies = {file.copy_of for file in self._unchanged if file.state == "copy"}
        least_sizes: dict[int, int] = {}
        ahead: dict[int, Samples] = {}
        known = []
        for file in files:
            reader = file.reader
            number = file.key.generation
            ahead[number] = reader.ahead if reader is not None else ()
            inode = identities[number].inode
            seen = self._search.sizes_by_inode.get(inode, file.offset)
            if reader is not None and reader.has_changed:
                seen = min(reader.least_size, reader.size)
            if seen < file.offset or file.least_size is not None:
                file.least_size = least_sizes[number] = min(
                    seen, file.least_size if file.least_size is not None else seen
                )
            known.append(
                Known(
                    number,
                    inode,
                    file.start,
                    file.offset,
                    file.state == "closed" or (reader is not None and reader.is_final and reader.has_changed),
                    reader.at if reader is not None and not reader.is_of_text else None,
                    reader is not None and reader.has_changed,
                    file in self._unchanged or (reader is not None and reader.is_final and not reader.has_changed),
                    bool(file.gone),
                    self._has_path and file.state == "open",
                    number in with_copies,
                )
            )
        evidence = BytesOfFiles(candidates, identities, ahead, least_sizes, self._memory)
        now = self.clock.monotonic()
        is_late = (
            self._undecided_since is not None and now - self._undecided_since >= GRACE_SECONDS and not texts_are_pending
        )
        return match(
            known, [candidate.present() for candidate in candidates.values()], evidence, is_late, texts_are_pending
        )

    def _to_be_opened(self, matching: Matching) -> Iterator[Present]:
        """The files that `_apply` reads. Opened before, they can be read whatever becomes of their names."""
        yield from (new.present for new in matching.new)
        for number, present in matching.found.items():
            if present.is_live or present.size > self.files[number].offset:
                yield present

    def _are_still(
        self, matching: Matching, candidates: dict[FileAt, Candidate], identities: Mapping[int, Identity]
    ) -> bool:
        """Whether no known file was emptied, and has grown again, while the files were looked at."""
        for number, present in matching.found.items():
            candidate, file = candidates[present.at], self.files[number]
            if candidate.is_unchanged():
                continue
            ahead = file.reader.ahead if file.reader is not None and file.reader.at == candidate.at else ()
            if not identities[number].may_still_be(file.offset, ahead, candidate.read):
                return False
        return True

    def _may_have_copies(self, matching: Matching) -> bool:
        """Whether files seem lost for the first time.

        Their copies may have been made after the folders were listed. The next look lists the folders again.
        """
        before = self._seem_lost
        self._seem_lost = {new.instead_of for new in matching.new} - matching.found.keys() - {None}
        self.is_dirty = self._search.looks_below = not self._seem_lost <= before
        return self.is_dirty

    def _apply(self, matching: Matching, candidates: dict[FileAt, Candidate]) -> None:
        self._undecided_since = (self._undecided_since or self.clock.monotonic()) if matching.is_undecided else None
        numbers = {present.at: number for number, present in matching.found.items()}
        reading = [
            candidates[present.at].stamp.modified
            for number, present in matching.found.items()
            if self.files[number].state in ("live", "open")
        ]
        for number, present in matching.found.items():
            self._continue(self.files[number], candidates[present.at])
        for new in matching.new:
            candidate = candidates[new.present.at]
            if candidate.path.parent in self._search.new_folders and candidate.stamp.modified < min(reading, default=0):
                is_text = not candidate.is_compressed
                file = self._note(candidate, end_of_last_line(candidate, candidate.size) if is_text else 0)
            else:
                file = self._begin_new(new, candidate, new.instead_of in matching.found)
            numbers[new.present.at] = file.key.generation
        copies = {
            self._note_copy(candidates[present.at], of if isinstance(of, int) else numbers[of.at])
            for present, of in matching.copies
        }
        for file in self.files.values():
            if (
                file.state == "copy"
                and file not in copies
                and file not in self._unchanged
                and not matching.is_undecided
            ):
                file.close()
        self._note_missing([self.files[number] for number in matching.missing], matching.is_undecided)
        if not matching.is_undecided:
            self._search.new_folders.clear()
            for candidate in candidates.values():
                if candidate.is_compressed:
                    self._decompressor.forget(candidate.stamp)
                    self._note_matched(candidate)
            self._note_gone({*numbers.values(), *(file.key.generation for file in copies | self._unchanged)})

    def _note_gone(self, there: set[int]) -> None:
        """Note the day since when files that are not read any more are gone."""
        today = int(self.clock.unix()) // SECONDS_A_DAY
        for number, file in self.files.items():
            is_there = number in there or file in self.reading or file.state in ("live", "open")
            if is_there == bool(file.gone):
                file.gone = 0 if is_there else today
                self.news[file] = None

    def _continue(self, file: File, candidate: Candidate) -> None:
        self._claim(candidate)
        file.least_size = None
        reader = file.reader
        if reader is not None and reader.at == candidate.at:
            file.size = candidate.stamp.size
        elif candidate.size > file.offset and file.state == "closed":
            file.note_inode(candidate.at[1], candidate.stamp.size)
            self._note_place(file, candidate)
            # An archive grows by whole files: `gzip -c app.log >>app.log.gz`.
            own = [other for other in self.files.values() if candidate.is_compressed and not other.start]
            self._add(candidate, self._read_through(candidate, file.offset, own))
            return
        elif candidate.size > file.offset or (candidate.is_live and file.state != "closed"):
            self._open(file, candidate)
        else:
            file.close_reader()
            file.note_inode(candidate.at[1], candidate.stamp.size)
            if file.state != "closed":
                file.close()
        self._note_place(file, candidate)

    def _note_place(self, file: File, candidate: Candidate) -> None:
        state: FileState = file.state
        if state in ("live", "open"):
            state = "live" if candidate.is_live else "open"
        if (file.state, file.path) != (state, str(candidate.path)):
            file.state, file.path = state, str(candidate.path)
            self.news[file] = None
        if state != "copy":
            self._search.folders.add(candidate.path.parent)

    def _begin_new(self, new: New, candidate: Candidate, is_found: bool) -> File:
        """Begin a new file, perhaps in the place of a known file. `is_found`: whether that file was found elsewhere."""
        before = self.files.get(new.instead_of) if new.instead_of is not None else None
        if before is not None and not is_found and before.state in ("live", "open"):
            if new.start:
                self._lose(before, CUT)
            elif self._was_left(before):
                before.close()
            else:
                self._give_up(before, TRUNCATED)
        elif before is not None and new.is_unsure:
            before.gaps.append(Gap(before.position, CUT))
            self.news[before] = None
        if new.after is not None:
            self.files[new.after].note_last_line(candidate, new.start)
        self._claim(candidate)
        return self._add(candidate, new.start or self._read_through(candidate, 0, self._handed_in()))

    def _number(self, candidate: Candidate, state: FileState, start: int = 0, identity: str = "") -> File:
        """Give a file the next generation. Its bytes before `start` are not read."""
        number = 1 + max(self.files, default=-1)
        row = FileRow(
            self.name,
            number,
            start=start,
            offset=start,
            size=candidate.stamp.size,
            state=state,
            path=str(candidate.path),
            identity=identity,
        )
        file = self.files[number] = File(self, row)
        self.news[file] = None
        return file

    def _add(self, candidate: Candidate, start: int) -> File:
        # Where the file cannot be opened now, as too many are open, the next look knows it by its first bytes.
        if start:
            identity = Identity.sampled(candidate.at[1], start, candidate.read)
        else:
            identity = Identity.of_bytes(candidate.at[1], candidate.read(HEAD_BYTES, 0).rstrip(b"\0"), b"")
        file = self._number(candidate, "live" if candidate.is_live else "open", start, str(identity))
        self._open(file, candidate)
        file.begun = self.clock.monotonic()
        log.info("file_begun", log=self.name, generation=file.key.generation, offset=start, path=str(candidate.path))
        return file

    @staticmethod
    def _read_through(candidate: Candidate, through: int, read_files: Iterable[File | FileRow]) -> int:
        """The offset through which a file, from the offset `through` on, consists of files that were read already."""
        files = [(row.offset, Identity.decode(row.identity)) for row in read_files]

        def read(length: int, offset: int) -> bytes:
            return candidate.read(length, through + offset)

        while ends := [
            end
            for end, identity in files
            if 0 < end <= candidate.size - through and identity.agrees_whole(0, end, read)
        ]:
            through += max(ends)
        return through

    def _note(self, candidate: Candidate, offset: int) -> File:
        """Note a file whose bytes before the offset are never read."""
        self._claim(candidate)
        if candidate.is_compressed:
            identity = Identity.of_bytes(candidate.at[1], candidate.head(HEAD_BYTES), b"")
        else:
            identity = Identity.sampled(candidate.at[1], offset, candidate.read)
        file = self._number(candidate, "live" if candidate.is_live else "closed", offset, str(identity))
        if candidate.is_live:
            self._open(file, candidate)
        return file

    def _note_copy(self, candidate: Candidate, of: int) -> File:
        self._claim(candidate)
        identity = f"{candidate.at[1]}-0--"
        file = next((file for file in self.files.values() if (file.state, file.identity) == ("copy", identity)), None)
        if file is None:
            file = self._number(candidate, "copy", identity=identity)
            log.info("copy_not_read", log=self.name, path=str(candidate.path), copy_of=of)
        if (file.path, file.copy_of, file.size) != (str(candidate.path), of, candidate.stamp.size):
            file.path, file.copy_of, file.size = str(candidate.path), of, candidate.stamp.size
            self.news[file] = None
        return file

    def _note_missing(self, files: list[File], is_undecided: bool) -> None:
        """Note files that are not there. An open file is read to its end. Another file is lost after a while."""
        for file in files:
            if file.reader is not None and file.state == "live":
                file.state = "open"
                self.news[file] = None
        now = self.clock.monotonic()
        missing = {file: self._missing.get(file, now) for file in files if file.reader is None}
        self._search.looks_below = self._search.looks_below or not missing.keys() <= self._missing.keys()
        self._missing = missing
        if is_undecided:
            return
        for file, since in list(self._missing.items()):
            if now - since >= GRACE_SECONDS:
                del self._missing[file]
                self._give_up(file, DELETED)

    def _was_left(self, file: File) -> bool:
        """Whether the file was read to its end long before it changed, and its writer had gone on in another file.

        Writers with a ring of files do this: they empty the oldest file to write it anew.
        """
        reader = file.reader
        return (
            reader is not None
            and reader.was_read_to_its_end
            and self.clock.monotonic() - reader.quiet_since >= ROTATED_QUIET_SECONDS
            and any(other.begun > reader.quiet_since for other in self.files.values())
        )

    def _give_up(self, file: File, reason: str) -> None:
        """Note that a file's content is gone. A file that was rotated, and read to its end, is closed without loss.

        A compressed file that is still open was not read to its end. The offset in its text is not its size on disk.
        """
        if file.state == "live" or file.reader is not None or file.offset != file.size:
            self._lose(file, reason)
        else:
            file.close()

    def _lose(self, file: File, reason: str) -> None:
        file.gaps.append(Gap(file.position, reason))
        log.warning("bytes_lost", log=self.name, reason=reason, path=file.path, **file.position._asdict())
        if file.reader is not None:
            file.reader.end()
        else:
            file.close()
        self.news[file] = None

    def _open(self, file: File, candidate: Candidate) -> None:
        file.size = candidate.stamp.size
        file.read_from(candidate.descriptor(), candidate.at, is_final=candidate.is_compressed)

    def _tend(self, file: File, reader: Reader, now: float) -> None:
        if reader.is_final or reader.has_changed or reader.has_more or reader.has_grown() or reader.lines:
            self.is_dirty |= reader.has_changed and not reader.is_final
            return
        quiet = now - reader.quiet_since
        if reader.is_deleted:
            if min(quiet, now - (file.nameless_since or now)) >= DELETED_QUIET_SECONDS:
                if reader.size in (file.size_elsewhere, *self._sizes_of_copies(file)):
                    # The other file has the last line, and continues it.
                    reader.end()
                reader.is_final = True
                self.news[file] = None
        elif reader.has_half_a_line:
            if file.state == "open" and self.clock.unix() - reader.modified >= HALF_LINE_SECONDS:
                reader.is_final = True
                self.news[file] = None
        elif file.state == "open" and quiet >= ROTATED_QUIET_SECONDS:
            file.close()

    def _sizes_of_copies(self, file: File) -> Iterator[int]:
        number = file.key.generation
        return (other.size for other in self.files.values() if (other.state, other.copy_of) == ("copy", number))

    def _is_of_another(self, candidate: Candidate) -> bool:
        return self._owners.belongs_to_another(self, candidate)

    def _claim(self, candidate: Candidate) -> None:
        self._owners.claim(self, candidate)
