"""Requests are stored, read back and asked for."""

import gc
import random
import time
from collections import Counter
from dataclasses import replace
from itertools import accumulate
from typing import Any

import numpy as np
import pytest

from json_log import PARSE, json_line
from request_log.requests import NONE, Requests
from rollups.counts import DailyKey
from storage.requests import MOST_OF_PATH, FileId, LoggedRequest, OffsetRange, StoredRequests
from storage.writers import MAIN
from stored_rows import MIDNIGHT, TODAY, OpenStorage, counts, line_of, store_lines
from stores import ask, write_daily


def test_requests_can_be_stored_twice(open_storage: OpenStorage) -> None:
    lines = b"".join(line_of(number, MIDNIGHT + number % 3, "", "0.5") for number in range(10))
    writing = open_storage()
    writing.acquire()
    file = FileId("log", 0, 0, 0)
    for _ in range(2):
        assert store_lines(writing, file, lines) == []
    (found,) = writing.read_requests([OffsetRange(file, 0, len(lines))], MIDNIGHT, MIDNIGHT + 2)
    assert len(found) == 10


def test_the_requests_of_an_offset_range_are_read_back(open_storage: OpenStorage) -> None:
    pick = random.Random(1)
    lines = [
        json_line(
            time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(MIDNIGHT + n % 60)) + pick.choice(["", ".5", ".25"]),
            f'cu"s{n % 3}',
            f'/a"b\\c{n % 4}' + "x" * pick.randrange(20),
            200 + n,
            pick.choice(["", "0.5", f"0.{n:04d}", "12"]),
        )
        for n in range(100)
    ]
    offsets = [0, *accumulate(map(len, lines))]
    whole = b"".join(lines)
    base = -(-len(whole) // 16) * 16
    files = [FileId("log", 0, 0, 0), FileId("log", 1, 0, base), FileId("other", 0, 1, 0)]
    writing = open_storage()
    writing.acquire()
    for file in files:
        store_lines(writing, file, whole[: offsets[40]])
        store_lines(writing, file, whole[offsets[40] :], offsets[40])
    for first, last in ((0, 100), (3, 98), (50, 51), (40, 60), (99, 100), (50, 50), *((0, n) for n in range(1, 40))):
        expected = rows_of(PARSE(whole, 0, 0)[0])[first:last]
        for file in files:
            wanted = OffsetRange(file, offsets[first], offsets[last])
            found = [row for part in writing.read_requests([wanted], MIDNIGHT, MIDNIGHT + 59) for row in rows_of(part)]
            assert [row[:-1] for row in found] == [row[:-1] for row in expected]
            assert all(true <= offset < true + 16 for (*_, offset), (*_, true) in zip(found, expected, strict=True))
    # Requests outside of the seconds may be left out.
    some = list(writing.read_requests([OffsetRange(files[0], 0, len(whole))], MIDNIGHT + 10, MIDNIGHT + 19))
    seconds = Counter(second for part in some for second in part.seconds.tolist())
    assert all(seconds[MIDNIGHT + second] == (2 if second < 40 else 1) for second in range(10, 20))


def rows_of(requests: Requests) -> list[tuple[Any, ...]]:
    """The requests, without the text of their durations."""
    columns = (requests.statuses, requests.latencies, requests.seconds, requests.offsets)
    return list(
        zip(requests.customer_ids(), requests.request_paths(), *(column.tolist() for column in columns), strict=True)
    )


def test_rows_that_are_read_back_are_in_no_reference_cycle(open_storage: OpenStorage) -> None:
    """The processor reads many rows back, and hardly ever collects cycles."""
    storage = open_storage()
    storage.acquire()
    key = DailyKey("a", TODAY)
    write_daily(storage, {key: counts({200: 1}, {1: 1})})
    reads = 20
    gc.collect()
    gc.disable()
    try:
        for _ in range(reads):
            assert storage.read_daily([key])
        assert gc.collect() < reads
    finally:
        gc.enable()


def test_a_request_keeps_its_milliseconds_and_has_no_duration_where_none_was_logged(open_storage: OpenStorage) -> None:
    lines = b"".join(
        [
            line_of(0, MIDNIGHT),
            line_of(0, MIDNIGHT, ".5", "0.25"),
            line_of(0, MIDNIGHT, ".007"),
            line_of(0, MIDNIGHT + 1, "", "12"),
            line_of(0, MIDNIGHT, ".007999"),
        ]
    )
    storage = open_storage()
    storage.acquire()
    store_lines(storage, FileId("log", 0, 0, 0), lines)
    of_whole_second, *others = ask(
        open_storage(), lambda asking: asking.requests("cust_0", MIDNIGHT, MIDNIGHT + 10, "all", 10)
    )
    assert of_whole_second == LoggedRequest(MIDNIGHT + 1, None, "/0", 200, 12.0)
    assert sorted(others, key=repr) == sorted(
        [
            LoggedRequest(MIDNIGHT, 500, "/0", 200, 0.25),
            LoggedRequest(MIDNIGHT, 7, "/0", 200, None),
            LoggedRequest(MIDNIGHT, 7, "/0", 200, None),
            LoggedRequest(MIDNIGHT, None, "/0", 200, None),
        ],
        key=repr,
    )


def test_a_very_long_path_is_asked_for_in_part_and_found_by_all_of_it(open_storage: OpenStorage) -> None:
    path = "/" + "ü" * 10_000 + "end"
    storage = open_storage()
    storage.acquire()
    time_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(MIDNIGHT))
    store_lines(storage, FileId("log", 0, 0, 0), json_line(time_text, "cust_0", path, 200, "0.5"))
    found = ask(open_storage(), lambda asking: asking.requests("cust_0", MIDNIGHT, MIDNIGHT + 1, "all", 10, "üend"))
    assert found == [LoggedRequest(MIDNIGHT, None, path[:MOST_OF_PATH], 200, 0.5)]


@pytest.mark.parametrize("present", [("method", "bytes"), ("method",), ("bytes",), ()])
def test_a_request_keeps_its_method_and_its_bytes(open_storage: OpenStorage, present: tuple[str, ...]) -> None:
    texts = ["GET", "", "POST", 'an "odd" \\ one\\', "ünï"] if "method" in present else [""]
    all_sizes = [0, 1, NONE, 1 << 40, 512] if "bytes" in present else [NONE]
    lines = b"".join(line_of(0, MIDNIGHT + n, "", "0.5") for n in range(40))
    requests = replace(
        PARSE(lines)[0],
        method_texts=texts,
        methods=np.arange(40) % len(texts),
        sizes=np.array(all_sizes)[np.arange(40) // 5 % len(all_sizes)],
    )
    requests = replace(requests, customers=requests.customers * 0, statuses=200 + requests.seconds % 7)
    file = FileId("log", 0, 0, 0)
    writing = open_storage()
    writing.acquire()
    # A part without either stands beside it.
    parts = [
        StoredRequests([file], requests.offsets * 0, requests),
        StoredRequests([file], requests.offsets[:0], Requests()),
    ]
    assert writing.prepare(parts)() == []
    writing.flush()

    sizes = requests.sizes.tolist()
    (back,) = writing.read_requests([OffsetRange(file, 0, len(lines))], MIDNIGHT, MIDNIGHT + 39)
    assert (back.request_methods(), back.sizes.tolist()) == (requests.request_methods(), sizes)
    assert back.statuses.tolist() == requests.statuses.tolist()

    found = ask(open_storage(), lambda asking: asking.requests("cust_0", MIDNIGHT, MIDNIGHT + 40, "all", 100))
    expected = [
        (status, method or None, None if size == NONE else size)
        for status, method, size in zip(requests.statuses.tolist(), requests.request_methods(), sizes, strict=True)
    ]
    assert [(one.status, one.method, one.bytes) for one in reversed(found)] == expected


def test_requests_of_one_time_are_distinct_wherever_they_are_in_their_log(open_storage: OpenStorage) -> None:
    storage = open_storage()
    storage.acquire()
    file = FileId("log", 0, 0, 0)
    # As far apart as what the nanoseconds of a millisecond can count, and as those of a second.
    offsets = [0, 16 * 10**6, 2 * 16 * 10**6, 999 * 16 * 10**6, 16 * 10**9 - 200]
    lines = line_of(0, MIDNIGHT, ".123", "0.25") + line_of(0, MIDNIGHT, "", "0.25")
    for offset in offsets:
        store_lines(storage, file, lines, offset)
    (found,) = storage.read_requests([OffsetRange(file, 0, 16 * 10**9)], MIDNIGHT, MIDNIGHT)
    length = len(line_of(0, MIDNIGHT, ".123", "0.25"))
    true = [start for offset in offsets for start in (offset, offset + length)]
    assert len(found) == len(true)
    assert all(start <= given < start + 16 for start, given in zip(true, found.offsets, strict=True))


def test_requests_at_one_offset_of_several_files_are_distinct(open_storage: OpenStorage) -> None:
    files = [FileId("log", 0, 0, 0), FileId("log", 1, 0, 16 << 30), FileId("other", 0, 1, 0)]
    line = line_of(0, MIDNIGHT, ".5", "0.25")
    for writer in (MAIN, "second"):
        storage = open_storage(writer)
        storage.acquire()
        for file in files:
            store_lines(storage, file, line, 100)
        for file in files:
            (found,) = storage.read_requests([OffsetRange(file, 0, 1_000)], MIDNIGHT, MIDNIGHT)
            assert len(found) == 1
    found_all = ask(open_storage(), lambda asking: asking.requests("cust_0", MIDNIGHT, MIDNIGHT + 1, "all", 100))
    assert found_all == [LoggedRequest(MIDNIGHT, 500, "/0", 200, 0.25)] * 6
