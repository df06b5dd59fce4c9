"""The files that are there, and the evidence in their bytes by which they are matched."""

import errno
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from log_processor.disk import write_copy
from log_processor.following.clock import Clock
from log_processor.following.compressed import FAULTS, MAGIC_BYTES, is_compressed, text_of
from log_processor.following.identity import Identity, Read, Samples, blocks, common_length, has_all
from log_processor.following.matching import FileAt, Known, Present
from log_processor.following.roots import Roots
from service.logs import logger

# Bytes that one read takes forwards, and that one step of decompression writes.
_COPY_BYTES = 1 << 20
# Bytes that one read takes backwards, in search of a newline.
_STEP_BYTES = 64 << 10
# Bytes from which on files are compared in a thread, so that the lines of other files need not wait.
_LARGE_BYTES = 32 << 20
# Bound on each memory of answers.
_MOST_ANSWERS = 10_000
# Seconds after a file's time in which another change might leave that time as it is.
_SETTLED_SECONDS = 0.1
# Seconds after which a text is tried again for which there was no room. Each try writes until there is none.
_RETRY_SECONDS = 30.0
# Bytes whose comparison tells most files apart at once.
_FIRST_BYTES = 4096

log = logger(__name__)


class Stamp(NamedTuple):
    """Device and inode, size and time of a file. A stamp changes whenever the file does."""

    at: FileAt
    size: int
    """Bytes."""
    modified: int
    """Unix time, ns."""

    def is_settled(self, now: float) -> bool:
        """Whether a change `now` (Unix time, s) would change the stamp. A system's times have steps of some
        milliseconds."""
        return abs(now - self.modified / 1e9) > _SETTLED_SECONDS

    @classmethod
    def of(cls, found: os.stat_result) -> "Stamp":
        """The stamp of a file, by its status."""
        return cls((found.st_dev, found.st_ino), found.st_size, found.st_mtime_ns)


class Decompressor:
    """Decompresses files in a thread, each into a file without a name."""

    def __init__(self, scratch: Path, thread: Executor | None = None) -> None:
        """`scratch`: a folder for the texts. `thread`: runs the decompression."""
        self._scratch = scratch
        self._thread = thread or ThreadPoolExecutor(1, thread_name_prefix="decompress")
        self._texts: dict[Stamp, Future[int | None]] = {}
        self._retry_at = 0.0
        """When texts for which there was no room are tried again, monotonic seconds."""

    def text(self, candidate: "Candidate") -> "int | Future[int | None] | None":
        """A descriptor of a file's text. A future while the file is being decompressed. None if it cannot be
        decompressed, or changed meanwhile.

        Raises OSError if the file is gone, or if there is no room for the text. A later call tries again.
        """
        if candidate.stamp not in self._texts:
            self._texts[candidate.stamp] = self._thread.submit(
                self._decompress, candidate.path, candidate.stamp, os.dup(candidate.open())
            )
        found = self._texts[candidate.stamp]
        if not found.done():
            return found
        error = found.exception()
        if not isinstance(error, OSError):
            return found.result()
        if time.monotonic() >= self._retry_at:
            del self._texts[candidate.stamp]
        # The error itself would hold whatever raised it, with a block of text, until cycles are collected.
        raise OSError(error.errno, error.strerror, error.filename)

    def run(self, files: list[int], find: Callable[..., bool]) -> Future[bool]:
        """Call `find` in the thread, with a function for each file that reads it; then close the descriptors.

        `files`: descriptors.
        """

        def read_of(file: int) -> Read:
            return lambda length, offset: os.pread(file, length, offset)

        def work() -> bool:
            try:
                return find(*map(read_of, files))
            finally:
                for file in files:
                    os.close(file)

        return self._thread.submit(work)

    def forget(self, stamp: Stamp) -> None:
        """Close the text of a file, which is not needed any more."""
        found = self._texts.pop(stamp, None)
        if found is not None:
            found.add_done_callback(_close)

    def close(self) -> None:
        for stamp in list(self._texts):
            self.forget(stamp)
        self._thread.shutdown(cancel_futures=True)

    def _decompress(self, path: Path, stamp: Stamp, descriptor: int) -> int | None:
        """Decompress a file by its descriptor, because another file may have the path by now. `path`: for the log."""
        with os.fdopen(descriptor, "rb") as file:
            self._scratch.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._scratch, buffering=0) as text:
                blocks = _blocks(file)
                while True:
                    try:
                        block = next(blocks, b"")
                    except FAULTS as error:
                        log.debug("not_decompressed", path=str(path), reason=str(error))
                        return None
                    if not block:
                        return os.dup(text.fileno()) if Stamp.of(os.fstat(file.fileno())) == stamp else None
                    try:
                        write_copy(text.fileno(), block, self._scratch)
                    except OSError:
                        self._retry_at = time.monotonic() + _RETRY_SECONDS
                        raise


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    """The text of a file, in blocks. Raises one of FAULTS if the file is damaged."""
    file.seek(0)
    text = text_of(file)
    while block := text.read(_COPY_BYTES):
        yield block


def _close(done: "Future[int | None]") -> None:
    file = done.result() if not done.cancelled() and done.exception() is None else None
    if file is not None:
        os.close(file)


class Candidate:
    """A file that is there. It is opened when its bytes are first read."""

    def __init__(
        self, path: Path, found: os.stat_result, is_live: bool, is_rotated: bool, roots: Roots | None = None
    ) -> None:
        """`found`: the file's status. `is_live`, `is_rotated`: as for `matching.Present`. `roots`: folders that have to
        hold the file, links followed; None: any folder."""
        self.path = path
        self._roots = roots
        self.stamp = Stamp.of(found)
        self.is_live = is_live
        self.is_rotated = is_rotated
        self.text_descriptor: int | None = None
        """A descriptor of the decompressed text; None without one."""
        self.is_compressed = False
        self.is_nameless = False
        self._file: int | None = None

    @property
    def at(self) -> FileAt:
        """Device and inode."""
        return self.stamp.at

    @classmethod
    def nameless(cls, path: Path, descriptor: int) -> "Candidate":
        """A file that is open, and has lost its name. `path`: its last path."""
        candidate = cls(path, os.fstat(descriptor), False, False)
        candidate.is_nameless = True
        candidate._file = os.dup(descriptor)
        return candidate

    def is_as_it_was(self) -> bool:
        """Whether the file still has its name, and has not shrunk."""
        if self.is_nameless:
            return True
        try:
            found = self.path.stat()
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self.at and found.st_size >= self.stamp.size

    def is_unchanged(self) -> bool:
        """Whether nothing was written to the file since it was found. Raises OSError if it is gone."""
        found = os.fstat(self.open()) if self.is_nameless else self.path.stat()
        return Stamp.of(found) == self.stamp

    def lies_inside(self) -> bool:
        """Whether the file lies in one of the allowed folders."""
        return self._roots is None or self._roots.have_file_at(self.path)

    def open(self) -> int:
        """The descriptor of the file, which stays this object's. Raises OSError if the file is gone, or may not be
        read."""
        if self._file is None:
            file = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
            found = os.fstat(file)
            is_same = (found.st_dev, found.st_ino) == self.at
            if not is_same or not self._lies_inside(file):
                os.close(file)
                raise FileNotFoundError(errno.ENOENT, "It is another file by now", str(self.path))
            self._file = file
        return self._file

    def _lies_inside(self, file: int) -> bool:
        """Whether an open file lies in one of the allowed folders. A link may have changed since `lies_inside`."""
        if self._roots is None or self._roots.are_named(self.path):
            return True
        return self._roots.have(os.readlink(f"/proc/self/fd/{file}"))  # noqa: PTH115 (a text, also of what is deleted)

    @property
    def size(self) -> int:
        """Bytes of the file's text, after decompression."""
        return self.stamp.size if self.text_descriptor is None else os.fstat(self.text_descriptor).st_size

    def present(self) -> Present:
        """The file as matching sees it."""
        return Present(
            self.at, self.size, self.is_live, self.is_rotated, self.is_nameless, self.text_descriptor is not None
        )

    def read(self, length: int, offset: int) -> bytes:
        """Up to `length` bytes of the file's text, from `offset` on."""
        return os.pread(self.text_descriptor if self.text_descriptor is not None else self.open(), length, offset)

    def head(self, length: int) -> bytes:
        """The first bytes of the file's text, decompressed now if needed; fewer if the file is damaged or short."""
        with os.fdopen(os.dup(self.open()), "rb") as file:
            file.seek(0)
            text, head = text_of(file), b""
            with suppress(*FAULTS):
                while len(head) < length and (more := text.read(length - len(head))):
                    head += more
            return head

    def descriptor(self) -> int:
        """A new descriptor of the file's text. The caller closes it."""
        return os.dup(self.text_descriptor if self.text_descriptor is not None else self.open())

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def candidate_at(path: Path, is_live: bool, is_rotated: bool, roots: Roots | None = None) -> Candidate | None:
    """The file at a path; None if there is no regular file. `roots`: as for `Candidate`."""
    try:
        found = path.stat()
    except OSError:
        return None
    return Candidate(path, found, is_live, is_rotated, roots) if stat.S_ISREG(found.st_mode) else None


class Memory:
    """Keeps answers about files that have not changed since."""

    def __init__(self, decompressor: Decompressor, clock: Clock) -> None:
        self._decompressor = decompressor
        self._clock = clock
        self._still: dict[tuple[int, FileAt], tuple[int, Stamp]] = {}
        self._answers: dict[tuple[object, ...], bool | Future[bool]] = {}
        self._kinds: dict[Stamp, Literal["compressed", "text"]] = {}

    def kind(self, candidate: Candidate) -> Literal["compressed", "text"]:
        """Whether a file is compressed, by its first bytes. Raises OSError if it cannot be opened."""
        if candidate.stamp in self._kinds:
            return self._kinds[candidate.stamp]
        kind: Literal["compressed", "text"]
        kind = "compressed" if is_compressed(os.pread(candidate.open(), MAGIC_BYTES, 0)) else "text"
        if candidate.stamp.is_settled(self._clock.unix()):
            _bound(self._kinds)
            self._kinds[candidate.stamp] = kind
        return kind

    def is_still(self, known: Known, stamp: Stamp) -> bool:
        """Whether an earlier look saw that this file holds what was read of a known file."""
        return self._still.get((known.number, stamp.at)) == (known.offset, stamp)

    def note_still(self, known: Known, stamp: Stamp) -> None:
        """Note that this file holds what was read of a known file."""
        if not stamp.is_settled(self._clock.unix()):
            return
        _bound(self._still)
        self._still[known.number, stamp.at] = known.offset, stamp

    def answer(self, question: tuple[object, ...], find: Callable[..., bool], *files: Candidate) -> bool | None:
        """The answer to a question about files as they are now; None while a thread is still finding it.

        `question`: names the question and the stamps of the files. `find`: gets a function for each file that reads it.
        It runs in a thread if a file is large.
        """
        if question not in self._answers:
            _bound(self._answers)
            if all(file.size < _LARGE_BYTES for file in files):
                found = find(*(file.read for file in files))
                if not all(file.stamp.is_settled(self._clock.unix()) for file in files):
                    return found
                self._answers[question] = found
            else:
                self._answers[question] = self._decompressor.run([file.descriptor() for file in files], find)
        answer = self._answers[question]
        if isinstance(answer, Future):
            return answer.result() if answer.done() else None
        return answer


def _bound(memory: dict[Any, Any]) -> None:
    if len(memory) > _MOST_ANSWERS:
        memory.clear()


class BytesOfFiles:
    """Evidence from the bytes of files, see `matching.Evidence`."""

    def __init__(
        self,
        candidates: dict[FileAt, Candidate],
        identities: Mapping[int, Identity],
        ahead: Mapping[int, Samples],
        least_sizes: dict[int, int],
        memory: Memory,
    ) -> None:
        """Each by the generation of a known file. `identities`: of the files. `ahead`: bytes that were read after the
        file's offset and not handed on. `least_sizes`: the fewest bytes that a file had since it changed in its
        place."""
        self._candidates = candidates
        self._identities = identities
        self._ahead = ahead
        self._least_sizes = least_sizes
        self._memory = memory

    def is_still(self, known: Known, present: Present) -> bool | None:
        file = self._candidates[present.at]
        if self._memory.is_still(known, file.stamp):
            return True
        is_still = self._identities[known.number].may_still_be(known.offset, self._ahead[known.number], file.read)
        if is_still:
            self._memory.note_still(known, file.stamp)
        return is_still

    def holds(self, known: Known, present: Present) -> bool | None:
        file = self._candidates[present.at]
        identity = self._identities[known.number]
        if not identity.length:
            # The bytes in memory, which are not handed on, tell the file.
            ahead = self._ahead[known.number]
            return bool(ahead) and has_all(ahead, file.read)
        if not identity.agrees(known.offset, file.read):
            return False
        return self._memory.answer(
            ("holds", known.number, known.offset, file.stamp),
            lambda read: identity.agrees_whole(known.start, known.offset, read),
            file,
        )

    def ends_in(self, present: Present, known: Known) -> bool | None:
        file = self._candidates[present.at]
        identity = self._identities[known.number]
        return self._memory.answer(
            ("ends", known.number, known.offset, file.stamp),
            lambda read: identity.begins_with(known.start, file.size, read),
            file,
        )

    def begins(self, present: Present, other: Present, known: Known | None) -> bool | None:
        file, longer = self._candidates[present.at], self._candidates[other.at]
        # The bytes that were read of the other file are still there. Those after them may have changed since the last
        # look, so an answer about them counts only for the stamp of that file.
        is_read = known is not None and known.offset >= file.size
        size = file.size
        # The file may have grown since its size was seen.
        first = min(_FIRST_BYTES, size)
        if file.read(first, 0) != longer.read(first, 0):
            return False
        return self._memory.answer(
            ("begins", file.stamp, known.number if known is not None and is_read else longer.stamp),
            lambda read, other: _common(read, other, size) == size,
            file,
            longer,
        )

    def common(self, known: Known, present: Present) -> tuple[int, int]:
        file = self._candidates[present.at]
        same, unsure = self._identities[known.number].common(known.start, known.offset, file.size, file.read)
        least_size = self._least_sizes.get(known.number, file.size)
        if least_size <= unsure:
            return min(same, least_size), least_size
        # The bytes before `start` may have changed as well. Then the offset may be in the middle of a line.
        return same, _line_beginning(file, unsure)

    def parting(self, present: Present, other: Present) -> int:
        file, another = self._candidates[present.at], self._candidates[other.at]
        return end_of_last_line(file, _common(file.read, another.read, min(file.size, another.size)))


def end_of_last_line(file: Candidate, end: int) -> int:
    """The offset after the last newline before `end`, so that a line that is still being written is not skipped."""
    while end > 0:
        begin = max(0, end - _STEP_BYTES)
        newline = file.read(end - begin, begin).rfind(b"\n")
        if newline >= 0:
            return begin + newline + 1
        end = begin
    return 0


def _common(first: Read, second: Read, size: int) -> int:
    """How many of the first bytes two files have in common, at most `size`."""
    at = 0
    for block in blocks(first, 0, size):
        same = common_length(block, second(len(block), at))
        at += same
        if same < len(block):
            break
    return at


def _line_beginning(file: Candidate, offset: int) -> int:
    """The offset at which the first line begins that does not begin before `offset`."""
    if not offset:
        return 0
    at = offset - 1
    while block := file.read(_COPY_BYTES, at):
        newline = block.find(b"\n")
        if newline >= 0:
            return at + newline + 1
        at += len(block)
    return at
