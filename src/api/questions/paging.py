"""The customers in an order, page by page.

A cursor is a place in the order: the value that is sorted by, and the id, of the last customer of a page. The next page
is all that comes after it, so nobody is left out or comes twice for being equal to others, or because customers were
added or have gone. (One whose own figures change between two pages may come again, or not at all.)
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
from rollups.figures import Statistics

Sort = Literal["total", "failed", "uptime", "average", "median", "p99", "customer_id"]
Order = Literal["asc", "desc"]

MAX_CURSOR = 1000
"""Characters. The longest id takes three quarters of it."""
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
    """A place in an order: ascending by value, and then by id."""

    value: int | float
    """The figure, negated where the order is descending; 0 in the order of the ids."""
    customer_id: str


_PAGE_KEY = TypeAdapter(PageKey)
# Where those are that have no such figure, in either order.
_LAST = 10**12


@dataclass(frozen=True, slots=True)
class Ranking:
    """Which customers are listed, and in which order. Those with equal figures are in the order of their id."""

    sort: Sort
    order: Order
    search: str | None
    """What the id has in it, case-folded; None: all customers."""

    def page(
        self, figures: Mapping[str, Statistics], after: PageKey | None, limit: int
    ) -> tuple[int, list[str], PageKey | None]:
        """How many customers there are on all pages; those of the page after this place, and the place of the last of
        them where there are more.

        With 100,000 customers this takes some 30 ms, a fourth of what it takes to sort them all.
        """
        places = self._places(figures)
        total = len(places)
        is_reverse = self.sort == "customer_id" and self.order == "desc"
        if after is not None:
            places = [place for place in places if (place < after if is_reverse else place > after)]
        page = (heapq.nlargest if is_reverse else heapq.nsmallest)(limit, places)
        last = PageKey(*page[-1]) if len(places) > limit else None
        return total, [customer for _, customer in page], last

    def _places(self, figures: Mapping[str, Statistics]) -> list[tuple[float, str]]:
        """Plain tuples: there are very many."""
        search = self.search
        listed = (
            figures.items()
            if search is None
            else [(customer, of_it) for customer, of_it in figures.items() if search in customer.casefold()]
        )
        if self.sort == "customer_id":
            return [(0, customer) for customer, _ in listed]
        value = attrgetter(_FIGURES[self.sort])
        sign = -1 if self.order == "desc" else 1
        return [
            (sign * found if (found := value(of_it)) is not None else _LAST, customer) for customer, of_it in listed
        ]

    def write_cursor(self, place: PageKey) -> str:
        """The cursor of a place in this order."""
        text = _PAGE_KEY.dump_json(place)
        return urlsafe_b64encode(self._check(text) + text).decode().rstrip("=")

    def read_cursor(self, cursor: str) -> PageKey:
        """The reverse of `write_cursor`; RequestValidationError where it is none of this list and order."""
        try:
            data = b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            place = _PAGE_KEY.validate_json(data[_CHECK_BYTES:])
        except ValueError:
            place = None
        # This also finds what Base64 can write in several ways.
        if place is None or cursor != self.write_cursor(place):
            message = "cursor is not the next_cursor of a page with this sort, order and search: begin without it"
            raise validation_error("cursor", cursor, message)
        return place

    def _check(self, text: bytes) -> bytes:
        """Keeps a mistake from giving a page of another list. It is no secret: whoever makes a cursor up sees no more
        than without one."""
        what = json.dumps([self.sort, self.order, self.search]).encode()
        return blake2b(what + text, digest_size=_CHECK_BYTES).digest()
