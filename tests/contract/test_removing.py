"""A log that is taken out of the store leaves nothing behind."""

import time
from collections import Counter

import numpy as np

from lines import valid_lines
from request_log.formats import simple
from request_log.line import SECONDS_A_DAY
from rollups.counters import pack
from rollups.counts import DailyKey, DayCounts
from rollups.rows import encode_daily
from storage.contract import Storage
from storage.keys import FileKey, LogKey, ObservedKey, RolledUpKey
from storage.ledger import RolledUp, encode_rolled_up
from storage.logs import BACKFILL, FileRow, LedgerRow, Position, encode_file, encode_log
from storage.observed import ObservedEnd, encode_observed_end
from storage.requests import FileId, OffsetRange, StoredRequests
from stores import Store, ask, days_of, everyone

WRONG = f"{BACKFILL}wrong"
TODAY = int(time.time()) // SECONDS_A_DAY


def store_log(storage: Storage, log: str, lane: int, lines: bytes) -> FileId:
    """Store the requests of a log of one file, and its rows."""
    file = FileId(log, 0, lane, 0)
    requests, *_ = simple.parse(lines, 0, 0)
    storage.prepare([StoredRequests([file], np.zeros(len(requests), np.int64), requests)])()
    storage.flush()
    place = Position(0, len(lines))
    row = LedgerRow(log, f"/logs/{log}", Position(0, 0), place, bytes=len(lines))
    storage.write(
        {FileKey(log, 0): encode_file(FileRow(log, 0, lane, offset=len(lines)))},
        {RolledUpKey(log): encode_rolled_up(RolledUp(1))},
        {ObservedKey(log): encode_observed_end(ObservedEnd(log, 0.0, place, 0, 0, 0))},
        {LogKey(log): encode_log(row)},
    )
    return file


def requests_of(storage: Storage, file: FileId) -> int:
    """The number of stored requests of a file."""
    whole = OffsetRange(file, 0, 1 << 30)
    return sum(map(len, storage.read_requests([whole], (TODAY - 5) * SECONDS_A_DAY, (TODAY + 1) * SECONDS_A_DAY)))


def test_the_requests_and_rows_of_a_log_are_removed_and_no_others(store: Store) -> None:
    storage = store.open()
    storage.acquire()
    kept = store_log(storage, "log", 1, valid_lines(300, seed=1))
    # The name of one log begins with that of the other, and its lane as well.
    other = store_log(storage, f"{WRONG}er", 12, valid_lines(300, seed=2))
    wrong = store_log(storage, WRONG, 2, valid_lines(300, seed=3))
    for _ in range(2):
        storage.remove_requests(WRONG, [wrong])
        storage.remove_log(WRONG, [wrong])
    assert [requests_of(storage, file) for file in (kept, other, wrong)] == [300, 300, 0]
    logs, files, rolled_up = storage.read_logs()
    assert logs.keys() == rolled_up.keys() == {"log", f"{WRONG}er"}
    assert files.keys() == {FileKey("log", 0), FileKey(f"{WRONG}er", 0)}

    observed = ask(storage, lambda asked: asked.observed_ends())
    assert {end.log for _, end in observed} == logs.keys()


def test_customers_without_requests_are_removed(store: Store) -> None:
    storage = store.open()
    storage.acquire()
    counts = DayCounts(Counter({200: 1}), Counter({5: 1}))
    some, nothing = encode_daily(pack(counts)), encode_daily(pack(DayCounts()))
    # In InfluxDB the points with lower fencing tokens may still be there.
    keys = [DailyKey(None, TODAY), DailyKey("wrong", TODAY), DailyKey("right", TODAY - 1)]
    storage.write(dict.fromkeys(keys, some))
    storage.close()
    storage = store.open()
    storage.acquire()
    storage.read_daily(keys)
    storage.write({DailyKey("wrong", TODAY): nothing, DailyKey("right", TODAY): nothing})
    storage.remove_requests(WRONG, [])

    async def look(storage: Storage) -> None:
        assert sorted(await everyone(storage, TODAY - 1, TODAY)) == ["right"]
        assert await days_of(storage, "right", TODAY - 1, TODAY) == {TODAY - 1: counts}
        assert not await storage.knows("wrong")
        assert await storage.customer_names() == ["right"]

    ask(storage, look)
