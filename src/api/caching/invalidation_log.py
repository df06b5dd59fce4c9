"""Which customers and days have changed in the store, by the number of the poll that found it."""

from storage.change_feed import Cursors, Invalidations


def open_days(days: range) -> range:
    """The open days of a range, which still receive requests: lines of yesterday arrive late at midnight."""
    return days[-2:]


class InvalidationLog:
    """Numbers the polls that found changes.

    A value that was read after poll N is stale once a later poll finds a change of its customer and days.
    """

    def __init__(self, max_customers: int = 200_000) -> None:
        """`max_customers`: of how many customers it is remembered when they changed."""
        self._max_customers = max_customers
        self.cursors: Cursors | None = None
        """The commits after which the next poll begins; None before the first poll."""
        self.number = 0
        """The number of the latest poll that found changes."""
        self.of_everything = 0
        """The number of the latest poll that could not tell what has changed, so that everything is stale."""
        self._of_customers: dict[str, int] = {}
        self._of_days: dict[int, int] = {}
        """Day -> the number of the latest poll since then that found a change of it."""

    def note(self, found: Invalidations) -> None:
        """Record the result of a poll."""
        self.cursors = found.cursors
        if found.customers is None:
            self.number += 1
            self.of_everything = self.number
            self._of_customers.clear()
            self._of_days.clear()
        elif found.days:
            self.number += 1
            self._of_customers.update(dict.fromkeys(found.customers, self.number))
            self._of_days.update(dict.fromkeys(found.days, self.number))
            if len(self._of_customers) > self._max_customers:
                self._forget_half()

    def _forget_half(self) -> None:
        """Forget the half of the customers that changed first: what was read before their change is stale."""
        numbers = sorted(self._of_customers.values())
        self.of_everything = max(self.of_everything, numbers[len(numbers) // 2])
        self._of_customers = {
            customer: number for customer, number in self._of_customers.items() if number > self.of_everything
        }

    def latest(self, customer: str | None) -> int:
        """The number of the latest poll that found a change of this customer, or of all customers together (None)."""
        return self.number if customer is None else self._of_customers.get(customer, self.of_everything)

    def days_since(self, number: int) -> frozenset[int] | None:
        """The days that changed after this poll; None if unknown."""
        if number < self.of_everything:
            return None
        return frozenset(day for day, latest in self._of_days.items() if latest > number)

    def customers_since(self, number: int) -> list[str] | None:
        """The customers that changed after this poll; None if unknown."""
        if number < self.of_everything:
            return None
        return [customer for customer, latest in self._of_customers.items() if latest > number]
