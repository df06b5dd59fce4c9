"""The journal: the requests of the latest commits as they are counted, where not all of them are stored.

A redo and a start read them back from there. A row has the number of its commit, how many rows the commit has, and a
piece of the columns in base64. The columns are as narrow as their values allow.
"""

import json
from base64 import b64decode
from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from log_processor.counting.buffer import Buffer
from log_processor.process.retry import until_stored
from rollups.columns import Column, RequestColumns, joined
from rollups.groups import Endpoint
from storage.contract import Storage
from storage.damage import reading
from storage.keys import JournalKey, Key

SLOTS = 512
"""Commits that a journal holds. The roll-ups have a commit's requests before its slot is taken again."""
_PARTS_A_WRITE = 4
_HEAD_BYTES = 4

Value = TypeVar("Value")


def encode_journal(
    number: int, parts: Sequence[RequestColumns], buffer: Buffer | None, characters: int
) -> list[dict[Key, str]]:
    """The rows of a commit's requests, in groups that are written one after the other. `buffer`: which has the parts.
    Also a commit without requests has a row."""
    data = _encoded(joined(parts), buffer) if buffer is not None and parts else b""
    text = b2a_base64(data, newline=False).decode()
    pieces = [text[first : first + characters] for first in range(0, len(text), characters)] or [""]
    rows: list[tuple[Key, str]] = [
        (JournalKey(number % SLOTS, part), f"{number} {len(pieces)} {piece}") for part, piece in enumerate(pieces)
    ]
    return [dict(rows[first : first + _PARTS_A_WRITE]) for first in range(0, len(rows), _PARTS_A_WRITE)]


def read_journals(storage: Storage, numbers: Sequence[int]) -> Buffer | None:
    """The requests of these commits; None where the journal of one of them is not there."""
    slots = [number % SLOTS for number in numbers]
    rows = until_stored(partial(storage.read_journal, slots))
    buffer = Buffer()
    for number in numbers:
        pieces = _pieces(number, rows)
        if pieces is None:
            return None
        text = "".join(pieces)
        with reading(f"of a journal, commit {number},", text):
            _decode_into(b64decode(text, validate=True), buffer)
    return buffer


def _pieces(number: int, rows: Mapping[JournalKey, str]) -> list[str] | None:
    """The pieces of a commit's columns, in their order; None where one is not there."""
    pieces: list[str] = []
    count = 1
    while len(pieces) < count:
        row = rows.get(JournalKey(number % SLOTS, len(pieces)), "")
        with reading(f"of a journal, commit {number},", row):
            of, parts, piece = row.split(" ") if row else ("0", "0", "")
            if int(of) != number:
                return None
            count = int(parts)
            pieces.append(piece)
    return pieces


def _encoded(columns: RequestColumns, buffer: Buffer) -> bytes:
    customers, names = _renumbered(columns.customers, buffer.customers())
    endpoints, named = _renumbered(columns.endpoints, buffer.endpoints())
    first = int(columns.quarter_hours.min())
    narrow = [
        _narrow(column)
        for column in (
            customers,
            columns.quarter_hours - first,
            endpoints,
            # NONE is below 0.
            columns.statuses.astype(np.int32) + 1,
            columns.latencies.astype(np.int64) + 1,
            columns.sizes + 1,
        )
    ]
    head = json.dumps(
        [columns.lines, buffer.seconds, first, [column.dtype.str for column in narrow], names, named],
        separators=(",", ":"),
    ).encode()
    return b"".join([len(head).to_bytes(_HEAD_BYTES, "little"), head, *(column.tobytes() for column in narrow)])


def _decode_into(data: bytes, buffer: Buffer) -> None:
    if not data:
        return
    end = _HEAD_BYTES + int.from_bytes(data[:_HEAD_BYTES], "little")
    lines, seconds, first, types, names, named = json.loads(data[_HEAD_BYTES:end])
    columns = []
    for dtype in types:
        columns.append(np.frombuffer(data, dtype, lines, end))
        end += columns[-1].nbytes
    customers, quarter_hours, endpoints, statuses, latencies, sizes = columns
    buffer.take_counted(
        RequestColumns(
            customers.astype(np.int32),
            quarter_hours.astype(np.int32) + np.int32(first),
            endpoints.astype(np.int32),
            (statuses.astype(np.int32) - 1).astype(np.int16),
            (latencies.astype(np.int64) - 1).astype(np.int32),
            sizes.astype(np.int64) - 1,
        ),
        names,
        [Endpoint(path, method) for path, method in named],
        (seconds[0], seconds[1]),
    )


def _renumbered(column: Column, values: Sequence[Value]) -> tuple[Column, list[Value]]:
    """The column of places among those values alone that appear, and these values."""
    is_there = np.zeros(len(values), bool)
    is_there[column] = True
    numbers = np.cumsum(is_there, dtype=np.int32) - np.int32(1)
    return numbers[column], [values[place] for place in np.flatnonzero(is_there).tolist()]


def _narrow(column: Column) -> NDArray[np.unsignedinteger]:
    """The column in the least unsigned type that holds its values."""
    largest = int(column.max())
    return column.astype(next(f"<u{size}" for size in (1, 2, 4, 8) if largest < 1 << 8 * size))
