"""Requests are read back from the store for a redo."""

import time
from itertools import pairwise

import numpy as np
import pytest

from lines import valid_lines
from request_log.formats import simple
from storage.requests import FileId, OffsetRange, StoredRequests
from stores import Store

FILE = FileId("log", 0, 0, 0)


@pytest.mark.parametrize("base", [0, 1_024])
def test_an_offset_range_ends_before_the_line_that_begins_at_its_end(store: Store, base: int) -> None:
    lines = valid_lines(60)
    file = FILE._replace(base=base)
    requests, *_ = simple.parse(lines, 0, 0)
    storage = store.open()
    storage.acquire()
    storage.prepare([StoredRequests([file], np.zeros(len(requests), np.int64), requests)])()
    storage.flush()
    begins = [*requests.offsets.tolist(), len(lines)]
    now = int(time.time())
    for first, (start, end) in enumerate(pairwise(begins)):
        (found,) = storage.read_requests([OffsetRange(file, start, end)], 0, now)
        assert found.seconds.tolist() == requests.seconds[first : first + 1].tolist()
    found_in_all = [len(found) for found in storage.read_requests([OffsetRange(file, 0, len(lines))], 0, now)]
    assert found_in_all == [60]


def test_ranges_of_several_files_are_read_without_requests_between_them(store: Store) -> None:
    parts = [valid_lines(20, seed=seed) for seed in range(3)]
    files = [FileId("log", number, 0, number * 4_096) for number in range(2)] + [FileId("other", 0, 1, 0)]
    storage = store.open()
    storage.acquire()
    expected: list[int] = []
    ranges = []
    for file, lines in zip(files, parts, strict=True):
        requests, *_ = simple.parse(lines, 0, 0)
        storage.prepare([StoredRequests([file], np.zeros(len(requests), np.int64), requests)])()
        begins = requests.offsets.tolist()
        ranges += [OffsetRange(file, begins[2], begins[7]), OffsetRange(file, begins[11], begins[15])]
        expected += [*requests.seconds[2:7].tolist(), *requests.seconds[11:15].tolist()]
    storage.flush()
    found = storage.read_requests(ranges, min(expected), max(expected))
    assert [second for requests in found for second in requests.seconds.tolist()] == expected
