"""Keyset pagination of the customers.

A cursor is the key of the last customer of a page: the figure that the list is sorted by, and the id. The next page has
the customers with higher keys. So none is skipped or repeated because others are equal, were added, or have gone. A
customer whose own figures change between two pages may be repeated or skipped.
"""

import heapq
import json
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from operator import attrgetter
from typing import Literal, NamedTuple

from pydantic import TypeAdapter

from api.questions.validation import validation_error
from rollups.figures import Figures

Sort = Literal["total", "failed", "uptime", "average", "median", "p99", "customer_id"]
Order = Literal["asc", "desc"]

MAX_CURSOR = 1000
"""Characters. The longest id takes three quarters of them."""
_FIGURES: dict[Sort, str] = {
    "total": "total_requests",
    "failed": "failed_requests",
    "uptime": "uptime",
    "average": "average_latency",
    "median": "median_latency",
    "p99": "p99_latency",
}
_CHECK_BYTES = 8


class PageKey(NamedTuple):
    """A customer's key in a ranking. Keys ascend by value, then by id."""

    value: int | float
    """The figure, negated in descending order; 0 if the ranking is by id."""
    customer_id: str


_PAGE_KEY = TypeAdapter(PageKey)
# The value of customers without the figure, which come last in either order.
_LAST = 10**12


@dataclass(frozen=True, slots=True)
class Ranking:
    """Which customers are listed, and in which order. Customers with equal figures are in the order of their ids."""

    sort: Sort
    order: Order
    search: str | None
    """A part of the id, case-folded; None: all customers."""

    def page(
        self, figures: Mapping[str, Figures], after: PageKey | None, limit: int
    ) -> tuple[int, list[str], PageKey | None]:
        """The number of customers on all pages, the ids of the page after this key, and the key of its last customer.

        The last is None if no page follows.

        Takes about 30 ms with 100,000 customers: a heap is four times as fast as sorting them all.
        """
        keys = self._keys(figures)
        total = len(keys)
        is_reverse = self.sort == "customer_id" and self.order == "desc"
        if after is not None:
            keys = [key for key in keys if (key < after if is_reverse else key > after)]
        page = (heapq.nlargest if is_reverse else heapq.nsmallest)(limit, keys)
        last = PageKey(*page[-1]) if len(keys) > limit else None
        return total, [customer for _, customer in page], last

    def _keys(self, figures: Mapping[str, Figures]) -> list[tuple[float, str]]:
        """The keys of all customers, as plain tuples, which are faster."""
        search = self.search
        listed = (
            figures.items()
            if search is None
            else [(customer, found) for customer, found in figures.items() if search in customer.casefold()]
        )
        if self.sort == "customer_id":
            return [(0, customer) for customer, _ in listed]
        value = attrgetter(_FIGURES[self.sort])
        sign = -1 if self.order == "desc" else 1
        return [
            (sign * found if (found := value(of_it)) is not None else _LAST, customer) for customer, of_it in listed
        ]

    def write_cursor(self, key: PageKey) -> str:
        """The cursor of a key in this ranking."""
        text = _PAGE_KEY.dump_json(key)
        return urlsafe_b64encode(self._check(text) + text).decode().rstrip("=")

    def read_cursor(self, cursor: str) -> PageKey:
        """The inverse of `write_cursor`. RequestValidationError if the cursor is not of this ranking."""
        try:
            data = b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            key = _PAGE_KEY.validate_json(data[_CHECK_BYTES:])
        except ValueError:
            key = None
        # Base64 can write the same bytes in several ways. Only one is accepted.
        if key is None or cursor != self.write_cursor(key):
            message = "cursor is not the next_cursor of a page with this sort, order and search: start without a cursor"
            raise validation_error("cursor", cursor, message)
        return key

    def _check(self, text: bytes) -> bytes:
        """A checksum, so that the cursor of another ranking is an error.

        It is not a secret: a forged cursor reveals nothing that a question without one does not.
        """
        what = json.dumps([self.sort, self.order, self.search]).encode()
        return blake2b(what + text, digest_size=_CHECK_BYTES).digest()
