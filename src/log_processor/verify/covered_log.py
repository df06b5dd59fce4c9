"""One log of the ledger: how much of what the ledger has is still in files, and whether the ledger agrees with them."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack

from log_processor.verify.generations import Generations
from log_processor.verify.outcome import LAST_DAY, Difference, date_of
from log_processor.verify.recount import Recount, whole_lines
from request_log.line import Reason
from storage.contract import LedgerRow, Position


class CoveredLog:
    """The lines that are committed: from the ledger's beginning on, or from the oldest that are still there."""

    def __init__(self, row: LedgerRow, end: Position, stack: ExitStack) -> None:
        """Opens the log's files, until `stack` is closed. `end`: of what is committed; `row` may be further on."""
        self.row = row
        self._end = end
        self.missing = ""
        """Why not all lines are there; empty where they are."""
        self._start = end
        self._generations: Generations | None = None
        if row.first == row.position:
            return
        self._generations = Generations.find(row, stack)
        if self._generations is None:
            self.missing = f"the file that was read last is no longer there, at {row.path} or beside it"
            return
        # Which file a generation before a gap is, if it is there at all, cannot be told.
        after_gaps = max([row.first.generation, *(gap.position.generation + 1 for gap in row.gaps)])
        oldest = max(after_gaps, self._generations.oldest)
        self._start = min(max(row.first, Position(oldest, 0)), row.position)
        self._end = max(end, self._start)
        if oldest > after_gaps:
            self.missing = f"rotated files are no longer there ({oldest - after_gaps})"
        elif oldest > row.first.generation:
            self.missing = f"there is a gap ({row.gaps[-1].reason})"

    @property
    def size(self) -> int:
        """Bytes on the disk to be read."""
        return self._generations.size(self._start, self._end) if self._generations is not None else 0

    def count(self, recount: Recount, report: Callable[[int], None]) -> None:
        """Count the lines; those after what is committed as stretch 1. `report` is told of each step's bytes."""
        if self._generations is None:
            return
        for blocks in self._generations.parts(self._start, self._end, report):
            recount.add(self.row.log, 0, blocks)
        for blocks in self._generations.parts(self._end, self.row.position):
            recount.add(self.row.log, 1, blocks)
        self._generations.check(self.row)

    def reject(self, recount: Recount, too_new: Iterable[tuple[str, Position, bytes]]) -> None:
        """Take out of the committed requests what was rejected as too new, and is not any more. `too_new`: those lines
        of all logs, each with its log and its position."""
        lines = [line for log, position, line in too_new if log == self.row.log and self._start <= position < self._end]
        if lines:
            recount.reject(self.row.log, b"\n".join(lines))

    def unchecked_through(self, recount: Recount) -> int:
        """The last day of which lines may be missing; -1 where none are.

        A missing line can be of any day. It is taken to be no later than the day that the log had got to when the
        oldest line was written that is still there: the latest of its first thousand requests.
        """
        if not self.missing:
            return -1
        if self._generations is None:
            return LAST_DAY
        for blocks in self._generations.parts(self._start, self._end):
            for lines in whole_lines(blocks):
                day = recount.latest_of_first(lines)
                if day is not None:
                    return day
        return LAST_DAY

    def differences(self, recount: Recount) -> list[Difference]:
        """Where the ledger is not what the lines say; none where some of them are missing."""
        if self.missing:
            return []
        row, lines = self.row, recount.lines(self.row.log, last_stretch=1)
        # What is too old by now was rejected, or stored when it was not yet; nothing else was rejected for that.
        too_old = min(lines[Reason.TOO_OLD.value], row.rejected.get(Reason.TOO_OLD, 0))
        lines[None] += lines[Reason.TOO_OLD.value] - too_old
        lines[Reason.TOO_OLD.value] = too_old
        # And what was too new then is a request, or too old, by now.
        not_any_more = max(0, row.rejected.get(Reason.TOO_NEW, 0) - lines[Reason.TOO_NEW.value])
        lines[None] -= not_any_more
        lines[Reason.TOO_NEW.value] += not_any_more
        figures = [("lines read", lines.total(), row.read), ("lines stored", lines[None], row.stored)]
        figures += [
            (f"rejected: {reason.value}", lines[reason.value], row.rejected.get(reason, 0)) for reason in Reason
        ]
        return [Difference(f"(log {row.log})", "", *figure) for figure in figures if figure[1] != figure[2]]


def unchecked(log: CoveredLog, through: int) -> str:
    """Says that days cannot be checked, and why."""
    days = "No day" if through >= LAST_DAY else f"No day through {date_of(through)}"
    return f"{days} could be checked. Of log {log.row.log}: {log.missing}."
