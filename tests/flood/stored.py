"""Customers that a store has from earlier days: their counts alone, as if their lines had been read long ago."""

import time
from collections import Counter

from rollups.counters import pack
from rollups.counts import DailyKey, DayCounts
from rollups.rows import encode_daily
from stores import Store

DAYS = 45
"""Days before today that have them: as many as are kept."""
ROWS_AT_ONCE = 20_000
SECONDS_A_DAY = 86_400


def store_customers(store: Store, customers: int) -> None:
    """Store the counts of this many customers, each with a request on one day."""
    storage = store.open()
    storage.acquire()
    today = int(time.time()) // SECONDS_A_DAY
    row = _row(1)
    for first in range(0, customers, ROWS_AT_ONCE):
        numbers = range(first, min(first + ROWS_AT_ONCE, customers))
        storage.write({DailyKey(f"stored_{number:x}", today - 1 - number % DAYS): row for number in numbers})
    of_day = {today - 1 - age: len(range(age, customers, DAYS)) for age in range(DAYS)}
    storage.write({DailyKey(None, day): _row(requests) for day, requests in of_day.items() if requests})
    storage.close()


def _row(requests: int) -> str:
    return encode_daily(pack(DayCounts(Counter({200: requests}), Counter({100: requests}))))
