"""Answers, built from the counts that the store hands over."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from api.dates import DateRange, to_date
from api.models import CustomerList, CustomerStatistics, DayStatistics, Range, Statistics
from storage.contract import PackedCounts
from storage.statistics import Statistics as StoredStatistics
from storage.statistics import figures
from storage.tally import merge, tally_of

Order = Literal["requests", "failures", "uptime", "average_latency", "median_latency", "p99_latency", "customer_id"]
Direction = Literal["ascending", "descending"]

_FIGURE = {"requests": "total_requests", "failures": "failed_requests"}
"""The orders that are not named as the figure they sort by."""
_COMPLETE_THROUGH = b'"complete_through":'


@dataclass(frozen=True, slots=True)
class Answer:
    """The JSON of an answer but for `complete_through`, which goes between the two parts."""

    before: bytes
    after: bytes

    @classmethod
    def of(cls, model: Range) -> "Answer":
        """The answer with this content, whose `complete_through` is None."""
        # It is not in any text, for there the quotes are escaped.
        before, name, after = model.model_dump_json().encode().partition(_COMPLETE_THROUGH)
        return cls(before + name, after.removeprefix(b"null"))

    def __len__(self) -> int:
        return len(self.before) + len(self.after)


def range_statistics(customer_id: str | None, dates: DateRange, days: Mapping[int, PackedCounts]) -> Answer:
    """The figures over the range and of each day."""
    tallies = {day: tally_of(days[day]) for day in sorted(days)}
    return Answer.of(
        Statistics(
            customer_id=customer_id,
            from_date=dates.from_date,
            to_date=dates.to_date,
            complete_through=None,
            **asdict(figures(merge([*tallies.values()]))),
            daily=[DayStatistics(date=to_date(day), **asdict(figures(tally))) for day, tally in tallies.items()],
        )
    )


def customer_list(
    dates: DateRange,
    figures: Mapping[str, StoredStatistics],
    order: Order,
    direction: Direction,
    limit: int,
    offset: int,
) -> Answer:
    """A page of the customers in this order; those that are equal in it, by their id."""
    ranked = sorted(figures.items())
    figure = _FIGURE.get(order, order)
    ranked.sort(
        key=lambda entry: entry[0] if order == "customer_id" else getattr(entry[1], figure),
        reverse=direction == "descending",
    )
    return Answer.of(
        CustomerList(
            from_date=dates.from_date,
            to_date=dates.to_date,
            complete_through=None,
            total=len(ranked),
            customers=[
                CustomerStatistics(customer_id=customer, **asdict(of_customer))
                for customer, of_customer in ranked[offset : offset + limit]
            ],
        )
    )
