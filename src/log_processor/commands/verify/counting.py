"""Finds the lines that the store has counted in the files, and counts each of them once."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain, product

import numpy as np

from log_processor.commands.ranges import Ranges
from log_processor.commands.verify.committed import Committed, RolledUpTo, read_committed
from log_processor.commands.verify.linked import Linked
from log_processor.commands.verify.recount import ROLLED_UP, STORED, Recount
from log_processor.commands.verify.result import LAST_DAY
from log_processor.commands.verify.text_file import TextFile, Unreadable
from log_processor.following.roots import Roots
from request_log.framing.protocol import Contexts
from request_log.line import LAST_SECOND, SECONDS_A_DAY
from request_log.requests import Requests, joined
from rollups.counts import DailyKey
from rollups.groups import OTHER
from rollups.rules import Rules
from storage.contract import Storage
from storage.kept import decode_kept
from storage.keys import FileKey
from storage.logs import Position
from storage.requests import OffsetRange
from storage.rules import decode_rules

_BYTES_AT_ONCE = 1 << 30
"""Bytes of logs whose stored requests are read at once: some ten million requests."""
_REQUESTS_AT_ONCE = 100_000
"""Stored requests that are counted at once."""
_REQUESTS_IN_MEMORY = 300_000
"""Stored requests that are in memory at once where the store reads them by their time."""
_LONGEST_SPAN_BYTES = 512 << 10
"""Bytes of a file between the beginning and the end of a line at most, with what is between its parts."""


class Lines:
    def __init__(
        self, storage: Storage, recount: Recount, committed: Committed, stack: ExitStack, roots: Roots | None
    ) -> None:
        """Open the files until `stack` is closed. `roots`: where files may be read; None: anywhere."""
        self.linked = Linked(committed.logs.values(), committed.files, recount.has_request, stack, roots)
        self._storage = storage
        self._history = decode_rules(storage.read_state("rules"))
        self._recount = recount
        self._counted: dict[TextFile, Ranges] = {}
        self._contexts: dict[TextFile, Contexts] = {}
        self.gone: Counter[str] = Counter()
        """Log -> its counted bytes that are in no file any more."""
        self.folded_days: set[int] = set()
        """The days (since 1970-01-01) on which new customers are counted together."""
        self.days: list[int] | None = None
        """The days of which all requests are counted; None: all days."""

    def count(self, committed: Committed, rolled_up: RolledUpTo, report: Callable[[int], None]) -> None:
        """Count all committed lines. `report` gets the bytes of each step."""
        parts: list[tuple[int, OffsetRange]] = []
        for file, start, end in committed.ranges({}):
            for stage, bound in enumerate(rolled_up.bounds(committed.row(file)), ROLLED_UP):
                middle = min(end, max(start, bound))
                parts.append((stage, OffsetRange(file, start, middle)))
                start = middle
            parts.append((0, OffsetRange(file, start, end)))
        gone = self._count_files(parts, self._counted, report)
        if gone:
            for _, (file, start, end) in gone:
                self.gone[file.log] += end - start
            # Requests of other days tell nothing about the files, so they are not read.
            self.days = sorted(self._recount.days())
        self._count_stored(gone)

    def reject(self, committed: Committed, rolled_up: RolledUpTo, too_new: Iterable[tuple[str, Position]]) -> None:
        """Take out lines that were rejected as too new when they were read, and are not too new now. `too_new`: log and
        position of each."""
        found: dict[tuple[str, int, str, Rules], list[bytes]] = {}
        for log, (generation, offset) in sorted(set(too_new)):
            key = FileKey(log, generation)
            file = self.linked.file(key)
            if file is not None and committed.files[key].start <= offset < committed.offsets[key]:
                bounds = rolled_up.bounds(committed.files[key])
                stage = next((number for number, bound in enumerate(bounds, ROLLED_UP) if offset < bound), 0)
                # A line is whole, whatever is open before it in the file.
                context = "" if self._recount.framing.has_parts else self._contexts_of(file).at(offset)
                rules = self._history.at(log, generation, offset)
                found.setdefault((log, stage, context, rules), []).append(
                    self._recount.first_line(file.read(_LONGEST_SPAN_BYTES, offset), offset)
                )
        for (log, stage, context, rules), lines in found.items():
            self._recount.reject(log, stage, b"\n".join(lines), context, rules)
        self._fold()

    def count_more(self, committed: Committed, ranges: Iterable[OffsetRange]) -> None:
        """Count what was committed since."""
        self.linked.look(committed.logs.values(), committed.files)
        # A processor that started meanwhile may have other rules.
        self._history = decode_rules(self._storage.read_state("rules"))
        self._count_stored(self._count_files([(0, offset_range) for offset_range in ranges], self._counted))

    async def catch_up(self, before: Committed) -> Committed:
        """Count what was committed since, and forget what was counted of later commits. The next comparison then needs
        only recent intents, however long the check has run."""
        committed = await read_committed(self._storage, before.writer, before)
        self._recount.forget_later()
        self.count_more(committed, committed.ranges(before.offsets))
        return committed

    def count_later(self, parts: Iterable[tuple[int, OffsetRange]]) -> None:
        """Count what later commits have counted, each commit as a stage of its own, see Recount.forget_later."""
        counted = {file: ranges.copy() for file, ranges in self._counted.items()}
        self._count_stored(self._count_files(parts, counted))

    def take_stored(self, committed: Committed) -> None:
        """Take out the stored requests of all committed lines, at the stage `STORED`."""
        parts = [(STORED, offset_range) for offset_range in committed.ranges({})]
        is_by_time = self._storage.READS_BY_TIME
        self._add_stored(parts, self._recount.spans(_REQUESTS_IN_MEMORY) if is_by_time else [(0, LAST_SECOND)])

    def is_compared(self, day: int) -> bool:
        """Whether all requests of a day are counted."""
        return self.days is None or day in self.days

    def _count_files(
        self,
        parts: Iterable[tuple[int, OffsetRange]],
        counted: dict[TextFile, Ranges],
        report: Callable[[int], None] = lambda _: None,
    ) -> list[tuple[int, OffsetRange]]:
        """Count the lines that are in files. Returns the parts that are in no file."""
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
                for rules, (_, first, last) in self._history.divided([OffsetRange(part.file, start, end)]):
                    blocks = file.blocks(first, last, report)
                    context = contexts.at(first)
                    contexts.note(last, self._recount.add(part.file.log, number, blocks, first, context, rules))
        return gone

    def _contexts_of(self, file: TextFile) -> Contexts:
        return self._contexts.setdefault(file, Contexts(self._recount.framing, file.read))

    def _count_stored(self, parts: Sequence[tuple[int, OffsetRange]]) -> None:
        """Count the stored requests of these parts, whose lines are in no file. Unreadable where not all are stored."""
        if parts and decode_kept(self._storage.read_state("requests")):
            size = sum(part.end - part.start for _, part in parts)
            raise Unreadable(
                f"{size:,} bytes that were counted are in no file any more, and not all requests are stored"
                " (STORE_REQUESTS). So nothing can be compared."
            )
        days = self.days
        oldest, newest = (min(days, default=0), max(days, default=-1)) if days is not None else (0, LAST_DAY)
        self._add_stored(parts, [(oldest * SECONDS_A_DAY, (newest + 1) * SECONDS_A_DAY - 1)])

    def _add_stored(self, parts: Sequence[tuple[int, OffsetRange]], spans: Iterable[tuple[int, int]]) -> None:
        """Count the stored requests of these parts and spans of time (Unix, s; inclusive)."""
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
        for span, (number, groups) in product(spans, by_number.items()):
            for rules, some in chain.from_iterable(map(self._history.by_rules, groups)):
                for requests in _at_once(self._storage.read_requests(some, *span)):
                    if days is not None:
                        requests = requests.select(np.isin(requests.days, days).tolist())
                    self._recount.add_stored(number, requests, rules)
        self._fold()

    def _fold(self) -> None:
        """Fold as the store does. On a day on which it folds, a customer without a row is folded. It had its row before
        the lines that are counted here, so rows that come later do not matter."""
        for day, row in self._storage.read_days([OTHER]).get(OTHER, {}).items():
            if not row.first:
                # Before customers were folded, one could truly be called so.
                continue
            names = [name for name in self._recount.customers_of(day) if name != OTHER]
            told_apart = self._storage.read_daily([DailyKey(name, day) for name in names])
            if folded := [name for name in names if DailyKey(name, day) not in told_apart]:
                self._recount.fold(day, folded, OTHER)
                self.folded_days.add(day)


def _at_once(parts: Iterable[Requests]) -> Iterator[Requests]:
    """The requests of these parts, many at a time: to count a part takes the database some milliseconds."""
    held: list[Requests] = []
    for part in parts:
        held.append(part)
        if sum(map(len, held)) >= _REQUESTS_AT_ONCE:
            yield joined(held)
            held = []
    if held:
        yield joined(held)
