"""How far a writer's commits are, in a store that may go on meanwhile.

A commit writes its intent, then the rows of its logs, then its ledger. So the row of a log may be that of a commit that
the ledger does not have yet, or that came while all this was read. The intents of these commits say where they began.
"""

from collections.abc import Mapping
from typing import NamedTuple

from log_processor.verify.generations import FilesChanged
from storage.contract import LedgerRow, Position, Storage
from storage.ledger import Intent, decode_intent, decode_ledger


class Committed(NamedTuple):
    """What the commits of a writer have counted, through one of them."""

    writer: str
    number: int
    """Of that commit."""
    rows: Mapping[str, LedgerRow]
    """The row of each log, which may be that of a later commit."""
    positions: Mapping[str, Position]
    """Log -> through which position it is counted."""
    since: Mapping[str, int]
    """From which place on the intents of later commits lie, see Storage.intents."""
    other_writers: tuple[str, ...]


async def read_committed(storage: Storage, writer: str, before: Committed | None = None) -> Committed:
    """Read it, in an order in which the intent of each row that is found is there. `before`: an earlier reading.
    FilesChanged where so many commits came meanwhile that their intents are not kept."""
    states = await storage.states()
    number = max((decode_ledger(state.counts).number for state in states if state.writer == writer), default=0)
    rows = {row.log: row for of_writer, row in await storage.logs() if of_writer == writer}
    intents, since = await _intents(storage, writer, before.since if before is not None else {writer: 0}, number)
    starts: dict[str, Position] = {}
    for intent in _without_holes(intents, number, max(intents, default=number)):
        for stretch in intent.stretches:
            starts.setdefault(stretch.file.log, Position(stretch.file.generation, stretch.start))
    return Committed(
        writer,
        number,
        rows,
        {log: min(row.position, starts.get(log, row.position)) for log, row in rows.items()},
        since,
        tuple(state.writer for state in states if state.writer != writer),
    )


async def later_intents(storage: Storage, committed: Committed, through: int) -> list[Intent]:
    """The intents of the commits after `committed`, through that of a number. FilesChanged where one is not kept."""
    intents, _ = await _intents(storage, committed.writer, committed.since, committed.number)
    return _without_holes(intents, committed.number, through)


async def _intents(
    storage: Storage, writer: str, since: Mapping[str, int], after: int
) -> tuple[dict[int, Intent], Mapping[str, int]]:
    """The intents with a number higher than `after`, by that; and from which place on these and later ones lie."""
    later: dict[int, Intent] = {}
    for one in await storage.intents(since):
        if one.writer == writer and one.number > after:
            # Of two of a number the later one counts.
            later[one.number] = decode_intent(one.row)
        elif one.writer == writer:
            since = {writer: one.place}
    return later, since


def _without_holes(intents: Mapping[int, Intent], after: int, through: int) -> list[Intent]:
    try:
        return [intents[number] for number in range(after + 1, through + 1)]
    except KeyError as error:
        raise FilesChanged(f"The store no longer has what commit {error} counted.") from None
