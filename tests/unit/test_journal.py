"""A journal gives back what a commit counts."""

import numpy as np
import pytest

from log_processor.counting.buffer import Buffer
from log_processor.counting.journal import SLOTS, encode_journal, read_journals
from memory_store import MemoryStorage, MemoryStore
from request_log.requests import NONE, Requests
from storage.errors import DamagedRow
from storage.keys import JournalKey

Row = tuple[str, str, str, int, int, int, int]


def requests(*rows: Row) -> Requests:
    """Requests of these customers, paths, methods, statuses, latencies, sizes and quarter hours."""
    customers, paths, methods, statuses, latencies, sizes, quarters = zip(*rows, strict=True)
    places = np.arange(len(rows))
    return Requests(
        names=list(customers),
        customers=places,
        path_texts=list(paths),
        paths=places,
        method_texts=list(methods),
        methods=places,
        statuses=np.array(statuses),
        latencies=np.array(latencies),
        sizes=np.array(sizes),
        seconds=900 * np.array(quarters),
        offsets=places,
    )


def rows_of(buffer: Buffer) -> list[Row]:
    """The requests of a buffer."""
    customers, endpoints = buffer.customers(), buffer.endpoints()
    return [
        (customers[customer], *endpoints[endpoint], status, latency, size, quarter)
        for part in buffer.parts
        for customer, quarter, endpoint, status, latency, size in zip(
            *(column.tolist() for column in part), strict=True
        )
    ]


FIRST: list[Row] = [
    ("a", "/a", "GET", 200, 12, 512, 1_900_000),
    ("b", "/a", "POST", 404, NONE, NONE, 1_900_001),
    ("a", "/b", "", 599, 86_400_000, 1 << 40, 1_900_096),
]
SECOND: list[Row] = [("b", "/b", "GET", 200, 0, 0, 1_900_002), ("c", "/a", "GET", 301, 1, 1, 1_900_003)]


@pytest.mark.parametrize("characters", [7, 1_000_000])
def test_requests_are_the_same_after_a_journal(characters: int) -> None:
    storage = MemoryStorage(MemoryStore())
    storage.acquire()
    buffer = Buffer()
    for number, rows in enumerate([FIRST, SECOND], SLOTS - 1):
        buffer.take(requests(*rows))
        storage.write(*encode_journal(number, buffer.parts[-1:], buffer, characters))
    # A commit without requests.
    storage.write(*encode_journal(SLOTS + 1, [], buffer, characters))
    found = read_journals(storage, [SLOTS - 1, SLOTS])
    assert found is not None
    assert rows_of(found) == FIRST + SECOND
    assert (found.lines, found.seconds) == (5, (900 * 1_900_000, 900 * 1_900_096))
    # Endpoints of both commits are the same ones, and have one index.
    assert found.endpoint_count == len(set(found.endpoints())) == 4
    found = read_journals(storage, [SLOTS + 1])
    assert found is not None
    assert found.lines == 0
    assert read_journals(storage, [SLOTS + 1, SLOTS + 2]) is None
    # The slot is another commit's now, or empty.
    assert read_journals(storage, [2 * SLOTS]) is None
    storage.write({JournalKey(0, 0): ""})
    assert read_journals(storage, [SLOTS]) is None


@pytest.mark.parametrize("row", ["1", "1 1 ?", "1 1 AAAA", "1 1 AgAAAFtd"])
def test_a_damaged_journal_is_named(row: str) -> None:
    storage = MemoryStorage(MemoryStore())
    storage.acquire()
    storage.write({JournalKey(1, 0): row})
    with pytest.raises(DamagedRow, match="of a journal, commit 1, is damaged"):
        read_journals(storage, [1])


def test_escaped_names_and_other_methods_stay_as_they_are_counted() -> None:
    storage = MemoryStorage(MemoryStore())
    storage.acquire()
    buffer = Buffer()
    buffer.take(requests(("(other)", "(other)", "BREW", 200, 1, 1, 1)))
    storage.write(*encode_journal(1, buffer.parts, buffer, 100))
    found = read_journals(storage, [1])
    assert found is not None
    assert rows_of(found) == rows_of(buffer) == [("\\(other)", "\\(other)", "(other)", 200, 1, 1, 1)]
    # A request that is taken afterwards has the same endpoint.
    found.take(requests(("a", "(other)", "BREW", 200, 1, 1, 1)))
    assert found.endpoint_count == 1


def test_methods_that_are_not_counted_are_in_no_journal() -> None:
    storage = MemoryStorage(MemoryStore())
    storage.acquire()
    buffer = Buffer()
    buffer.take(requests(*FIRST), counts_methods=False)
    storage.write(*encode_journal(1, buffer.parts, buffer, 1_000))
    found = read_journals(storage, [1])
    assert found is not None
    assert [(row[2], row[5]) for row in rows_of(found)] == [("", NONE)] * 3
