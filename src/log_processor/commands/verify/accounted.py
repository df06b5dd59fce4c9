"""Finds bytes of present files that are not accounted for.

Each line of a readable file is stored or rejected, in a gap, or in a copy. Else the processor has yet to read it, or it
is lost.
"""

import asyncio
import time
from collections import Counter
from typing import Literal, NamedTuple

from log_processor.commands.ranges import Ranges
from log_processor.commands.verify.committed import Committed, read_committed
from log_processor.commands.verify.definitions import LONGEST_LINE
from log_processor.commands.verify.linked import Linked
from log_processor.commands.verify.text_file import TextFile
from log_processor.following.identity import Identity
from request_log.framing.protocol import Framing
from request_log.line import SECONDS_A_DAY
from storage.contract import Storage
from storage.keys import FileKey
from storage.logs import FileRow, Position

SILENT_SECONDS = 3.0
"""Where a store does not change for 3 s no processor runs: a processor reports each second."""
# What is there when lines are counted is mostly read by the time that they are.
_WAIT_SECONDS = 10.0
_BETWEEN_LOOKS_SECONDS = 0.2


class Left(NamedTuple):
    """Bytes of a file that are not accounted for."""

    file: TextFile
    start: int
    end: int

    def __str__(self) -> str:
        before = _count_newlines(self.file, 0, self.start)
        lines = _count_newlines(self.file, self.start, self.end - 1) + 1
        places = f"line {before + 1:,}" if lines == 1 else f"lines {before + 1:,} to {before + lines:,}"
        return f"{self.end - self.start:,} bytes of {self.file.path} ({places})"


Activity = Literal["silent", "behind", "done"]
"""What a processor does: none runs; it knows that it has more to read; or it knows of nothing more."""


class Accounts(NamedTuple):
    """Which bytes of the present files are accounted for."""

    left: list[Left]
    copies: list[str]
    """Sentences that name copies."""
    unfollowed: Counter[str]
    """Log -> bytes that were there before it was followed."""


async def accounts_in_the_end(
    storage: Storage, linked: Linked, committed: Committed, silent_seconds: float, framing: Framing
) -> tuple[Accounts, Activity]:
    """The accounts after a running processor has had time to read all files, and what it does then."""
    began = moved = time.monotonic()
    before = None
    while (accounts := accounts_of(linked, committed, framing)).left:
        states = await storage.states()
        now = time.monotonic()
        if states != before:
            before, moved = states, now
        if now > moved + silent_seconds:
            return accounts, "silent"
        if now > began + _WAIT_SECONDS:
            behind = {row.log for writer, row in await storage.observed_ends() if row.bytes_behind}
            logs = [linked.present.logs[left.file] for left in accounts.left]
            return accounts, "behind" if all(of_file & behind for of_file in logs) else "done"
        await asyncio.sleep(_BETWEEN_LOOKS_SECONDS)
        committed = await read_committed(storage, committed.writer, committed)
        linked.look(committed.logs.values(), committed.files)
    return accounts, "done"


def accounts_of(linked: Linked, committed: Committed, framing: Framing) -> Accounts:
    """The accounts by what is committed."""
    read: dict[TextFile, Ranges] = {}
    rows: dict[TextFile, list[FileRow]] = {}
    gaps: dict[TextFile, int] = {}
    for key, row in committed.files.items():
        if (file := linked.file(key)) is not None:
            whole = linked.whole(file)
            read.setdefault(whole, Ranges()).add(row.start, row.offset)
            rows.setdefault(whole, []).append(row)
    for log in committed.logs.values():
        for gap in log.gaps:
            if (file := linked.file(FileKey(log.log, gap.position.generation))) is not None:
                whole = linked.whole(file)
                gaps[whole] = min(gaps.get(whole, gap.position.offset), gap.position.offset)

    accounts = Accounts([], [], Counter())
    for file in linked.present.first:
        logs, whole = linked.present.logs[file], linked.whole(file)
        if not logs:
            continue
        if _was_compressed_before(file, logs, committed) and whole not in read:
            accounts.unfollowed.update(dict.fromkeys(logs, file.size))
            continue
        if whole is not file:
            accounts.copies.append(f"{file.path} is a copy of {whole.path}.")
        for start, end in read.get(whole, Ranges()).missing(0, file.first_size):
            of_beginning = [row for row in rows.get(whole, ()) if start == 0 and row.start == end]
            if start == 0 and (other := _same_beginning(linked, read, file, end)) is not None:
                accounts.copies.append(f"The first {end:,} bytes of {file.path} are those of {other.path}.")
            elif any(_begins_late(row, committed) for row in of_beginning):
                if whole is file:
                    accounts.unfollowed.update(dict.fromkeys(logs, end))
            elif not any(_was_changed(row, file, linked, committed) for row in of_beginning):
                end = min(end, gaps.get(whole, end))
                end = _end_of_lines(file, start, framing) if end == file.first_size else end
                if start < end:
                    accounts.left.append(Left(file, start, end))
    return accounts


def _was_compressed_before(file: TextFile, logs: frozenset[str], committed: Committed) -> bool:
    """Whether a compressed file was there before its log was followed. Only its place and its size are known."""
    return file.is_compressed and any(
        row.log in logs
        and row.state == "closed"
        and (row.offset, row.size) == (0, file.bytes_on_disk)
        and Identity.decode(row.identity).inode == file.inode[1]
        for row in committed.files.values()
    )


def _begins_late(row: FileRow, committed: Committed) -> bool:
    """Whether the bytes before the row's start were there before the log was followed: the file was never read, or the
    log began with it."""
    first = committed.logs[row.log].first
    return row.start == row.offset or Position(row.generation, row.start) == first


def _was_changed(row: FileRow, file: TextFile, linked: Linked, committed: Committed) -> bool:
    """Whether the bytes before the row's start were read of the file before it was changed in place."""
    for key, before in committed.files.items():
        if key.log == row.log and linked.file(key) is None and before.offset:
            identity = Identity.decode(before.identity)
            _, same = identity.common(before.start, before.offset, file.size, file.read)
            # It goes on at the beginning of a line.
            if same and row.start <= same + max(0, file.read(LONGEST_LINE + 1, same - 1).find(b"\n")):
                return True
    return False


def _same_beginning(linked: Linked, read: dict[TextFile, Ranges], file: TextFile, length: int) -> TextFile | None:
    """Another file of the log whose first `length` bytes are all read and are equal to those of this one."""
    for other, logs in linked.present.logs.items():
        if (
            linked.whole(other) is not linked.whole(file)
            and logs & linked.present.logs[file]
            and other.begins_with(file, length)
            and not any(read.get(linked.whole(other), Ranges()).missing(0, length))
        ):
            return other
    return None


def _end_of_lines(file: TextFile, start: int, framing: Framing) -> int:
    """Where the last line ends that begins after an offset. An unfinished line counts when nothing more comes. Zeros at
    the end are no line."""
    is_final = file.is_compressed or file.modified < time.time() - SECONDS_A_DAY
    end = start
    if framing.has_parts and not is_final:
        context, rest = framing.context_at(file.read, start), b""
        for place, block in file.placed_blocks(start, file.first_size):
            rest += block
            length, _, context = framing.whole(rest[: rest.rfind(b"\n") + 1], context)
            rest = rest[length:]
            end = place + len(block) - len(rest) if length else end
        return end
    for place, block in file.placed_blocks(start, file.first_size):
        through = len(block.rstrip(b"\0")) if is_final else block.rfind(b"\n") + 1
        end = place + through if through else end
    return end


def _count_newlines(file: TextFile, start: int, end: int) -> int:
    return sum(block.count(b"\n") for block in file.blocks(start, end))
