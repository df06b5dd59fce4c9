"""Requests that are read back from a store, as columns."""

import random

from request_log.requests import NONE
from storage.read_back import ReadBack


def test_requests_come_in_the_order_of_their_offsets() -> None:
    pick = random.Random(1)
    rows = [
        (
            offset,
            pick.randrange(10**10),
            f"c{pick.randrange(300)}",
            f"/{pick.randrange(9)}",
            pick.randrange(100, 600),
            d,
            pick.choice(["GET", None, "PUT"]),
            pick.choice([None, 0, 1 << 40]),
        )
        for offset in range(0, 12_000_000, 100)
        for d in [pick.choice([None, 0.0005, 86_400.0])]
    ]
    shuffled = pick.sample(rows, len(rows))
    stored = ReadBack()
    for first in range(0, len(rows), 7_000):
        stored.add(shuffled[first : first + 7_000])
    found = []
    for requests in stored.in_order():
        columns = (
            requests.offsets,
            requests.seconds,
            requests.customer_ids(),
            requests.request_paths(),
            requests.statuses,
        )
        methods = [method or None for method in requests.request_methods()]
        sizes = [None if size == NONE else size for size in requests.sizes.tolist()]
        found += list(zip(*columns, requests.latencies.tolist(), methods, sizes, strict=True))
    milliseconds = {None: NONE, 0.0005: 1, 86_400.0: 86_400_000}
    assert found == [(*row[:5], milliseconds[row[5]], *row[6:]) for row in rows]


def test_no_requests() -> None:
    assert list(ReadBack().in_order()) == []
