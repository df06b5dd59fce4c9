"""What a field's text means, in every format of a log."""

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Generic, TypeVar

from request_log.line import FIRST_YEAR, LAST_YEAR, MAX_CUSTOMER_BYTES, MAX_DURATION_SECONDS

INVALID = -2
"""The meaning of a text that has none."""
# White space is U+0020 alone; control characters are Unicode's category Cc. A carriage return may end a line.
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
CACHE_LIMIT = 100_000
# Longer texts hardly come again, and take the memory.
LONGEST_CACHED = 128
_STATUS = re.compile(r"[1-5][0-9]{2}")
_DURATION = re.compile(r"([0-9]+)(?:\.([0-9]+))?")
_EPOCH_DAY = date(1970, 1, 1).toordinal()

Meaning = TypeVar("Meaning")


class Cache(dict[str, Meaning], Generic[Meaning]):
    """What a field's text means, INVALID for what is not valid; computed once. Bounded: it starts anew when full."""

    def __init__(self, compute: Callable[[str], Meaning]) -> None:
        super().__init__()
        self._compute = compute

    def __missing__(self, text: str) -> Meaning:
        if len(text) > LONGEST_CACHED:
            return self._compute(text)
        if len(self) >= CACHE_LIMIT:
            self.clear()
        value = self[text] = self._compute(text)
        return value


@lru_cache(CACHE_LIMIT)
def day_of(year_month_day: int) -> int:
    """20261123 -> days since 1970-01-01."""
    try:
        day = date(year_month_day // 10_000, year_month_day // 100 % 100, year_month_day % 100)
    except ValueError:
        return INVALID
    return day.toordinal() - _EPOCH_DAY if FIRST_YEAR <= day.year <= LAST_YEAR else INVALID


def _status(text: str) -> int:
    return int(text) if _STATUS.fullmatch(text) else INVALID


def _latency(text: str) -> int:
    """`0.772` -> 772: milliseconds, half up."""
    match = _DURATION.fullmatch(text)
    if not match or Decimal(text) > MAX_DURATION_SECONDS:
        return INVALID
    fraction = match[2] or ""
    return int(match[1].lstrip("0") or 0) * 1000 + int(fraction[:3].ljust(3, "0")) + (fraction[3:4] >= "5")


STATUSES = Cache(_status)
LATENCIES = Cache(_latency)


def is_customer(text: str) -> bool:
    """Whether it is short enough to be a customer."""
    return len(text) <= MAX_CUSTOMER_BYTES // 4 or len(text.encode()) <= MAX_CUSTOMER_BYTES
