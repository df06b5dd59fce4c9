"""Counts the lines that the rows of the store speak of, each once, whoever else has it too."""

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack

import numpy as np

from log_processor.commands.verify.committed import Committed, RolledUpTo, read_committed
from log_processor.commands.verify.linked import Linked
from log_processor.commands.verify.outcome import LAST_DAY
from log_processor.commands.verify.ranges import Ranges
from log_processor.commands.verify.recount import ROLLED_UP, Recount
from log_processor.commands.verify.text_file import TextFile
from log_processor.following.roots import Roots
from request_log.framing.contexts import Contexts
from request_log.line import SECONDS_A_DAY
from storage.contract import Storage
from storage.keys import FileKey
from storage.logs import Position
from storage.requests import OffsetRange

# Bytes of logs of which the stored requests are read at once: some ten million requests.
_BYTES_AT_ONCE = 1 << 30


class Lines:
    """The lines of a store's logs."""

    def __init__(
        self, storage: Storage, recount: Recount, committed: Committed, stack: ExitStack, roots: Roots | None
    ) -> None:
        """Opens the files, until `stack` is closed. `roots`: where files may be read; None: anywhere."""
        self.linked = Linked(committed.logs.values(), committed.files, recount.has_request, stack, roots)
        self._storage = storage
        self._recount = recount
        self._counted: dict[TextFile, Ranges] = {}
        self._contexts: dict[TextFile, Contexts] = {}
        self.gone: Counter[str] = Counter()
        """Log -> its bytes that are counted and in no file any more."""
        self.days: list[int] | None = None
        """Those of which all requests are counted; None: all."""

    def count(self, committed: Committed, rolled_up: RolledUpTo, report: Callable[[int], None]) -> None:
        """Count all that is committed. `report` is told of each step's bytes."""
        parts: list[tuple[int, OffsetRange]] = []
        for file, start, end in committed.stretches({}):
            for stretch, bound in enumerate(rolled_up.bounds(committed.row(file)), ROLLED_UP):
                middle = min(end, max(start, bound))
                parts.append((stretch, OffsetRange(file, start, middle)))
                start = middle
            parts.append((0, OffsetRange(file, start, end)))
        gone = self._count_files(parts, self._counted, report)
        if gone:
            for _, (file, start, end) in gone:
                self.gone[file.log] += end - start
            # To read the requests of other days would say nothing of the files.
            self.days = sorted(self._recount.days())
        self._count_stored(gone)

    def reject(
        self, committed: Committed, rolled_up: RolledUpTo, too_new: Iterable[tuple[str, Position, bytes]]
    ) -> None:
        """Take out of what is committed the lines that were rejected as too new, and are not any more. `too_new`: each
        with its log and its position."""
        found: dict[tuple[str, int, str], list[bytes]] = {}
        for log, (generation, offset), line in sorted(too_new):
            key = FileKey(log, generation)
            file = self.linked.file(key)
            if file is not None and committed.files[key].start <= offset < committed.offsets[key]:
                bounds = rolled_up.bounds(committed.files[key])
                stretch = next((number for number, bound in enumerate(bounds, ROLLED_UP) if offset < bound), 0)
                # A line is whole, whatever is open before it in the file.
                context = "" if self._recount.framing.has_parts else self._contexts_of(file).at(offset)
                found.setdefault((log, stretch, context), []).append(line)
        for (log, stretch, context), lines in found.items():
            self._recount.reject(log, stretch, b"\n".join(lines), context)

    def count_more(self, committed: Committed, stretches: Iterable[OffsetRange]) -> None:
        """Count what was committed since."""
        self.linked.look(committed.logs.values(), committed.files)
        self._count_stored(self._count_files([(0, stretch) for stretch in stretches], self._counted))

    async def catch_up(self, before: Committed) -> Committed:
        """Count what was committed since, and forget what was counted of later commits. So what is compared next needs
        the intents of the last moments alone, however long all before has taken."""
        committed = await read_committed(self._storage, before.writer, before)
        self._recount.forget_later()
        self.count_more(committed, committed.stretches(before.offsets))
        return committed

    def count_later(self, parts: Iterable[tuple[int, OffsetRange]]) -> None:
        """Count what later commits have counted, each as a stretch of its own, see Recount.forget_later."""
        counted = {file: ranges.copy() for file, ranges in self._counted.items()}
        self._count_stored(self._count_files(parts, counted))

    def is_compared(self, day: int) -> bool:
        """Whether all requests of a day are counted."""
        return self.days is None or day in self.days

    def _count_files(
        self,
        parts: Iterable[tuple[int, OffsetRange]],
        counted: dict[TextFile, Ranges],
        report: Callable[[int], None] = lambda _: None,
    ) -> list[tuple[int, OffsetRange]]:
        """Count the lines that are in files; the parts that are in none."""
        gone = []
        for number, part in parts:
            file = self.linked.file(FileKey(part.file.log, part.file.generation))
            if part.start == part.end:
                continue
            if file is None:
                gone.append((number, part))
                continue
            whole = self.linked.whole(file)
            for start, end in counted.setdefault(whole, Ranges()).add(part.start, part.end):
                contexts = self._contexts_of(file)
                blocks = file.blocks(start, end, report)
                contexts.note(end, self._recount.add(part.file.log, number, blocks, start, contexts.at(start)))
        return gone

    def _contexts_of(self, file: TextFile) -> Contexts:
        return self._contexts.setdefault(file, Contexts(self._recount.framing, file.read))

    def _count_stored(self, parts: Iterable[tuple[int, OffsetRange]]) -> None:
        """Count the requests that the store has of these parts, for their lines are in no file."""
        by_number: dict[int, list[list[OffsetRange]]] = {}
        size = 0
        for number, part in parts:
            size += part.end - part.start
            groups = by_number.setdefault(number, [[]])
            if size > _BYTES_AT_ONCE:
                groups.append([])
                size = 0
            groups[-1].append(part)
        days = self.days
        oldest, newest = (min(days, default=0), max(days, default=-1)) if days is not None else (0, LAST_DAY)
        for number, groups in by_number.items():
            for group in groups:
                span = (oldest * SECONDS_A_DAY, (newest + 1) * SECONDS_A_DAY - 1)
                for requests in self._storage.read_requests(group, *span):
                    if days is not None:
                        requests = requests.select(np.isin(requests.days, days).tolist())
                    self._recount.add_stored(number, requests)
