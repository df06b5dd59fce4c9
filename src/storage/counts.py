"""Rows of counts, decoded from what a store has. A damaged row is named."""

from collections.abc import Iterable
from functools import partial

from rollups.counts import DailyAggregate, RollupKind, RollupRow
from rollups.rows import added_up, decode_daily, decode_rollup
from storage.damage import daily_name, decoded, naming


def daily_row(text: str, customer: str | None, day: int) -> DailyAggregate:
    """A daily aggregate of a customer, or of all customers together (None). Raises DamagedRow."""
    return decoded(decode_daily, text, "of daily counts of", customer or "all customers", "on day", day)


def rollup_row(text: str, group: int | str, day: int, kind: RollupKind, segment: int) -> RollupRow:
    """A segment of a roll-up. Raises DamagedRow."""
    return decoded(partial(decode_rollup, kind, segment), text, "of a roll-up", group, day, kind)


def sums_by_day(customer: str | None, rows: Iterable[tuple[int, str]]) -> dict[int, DailyAggregate]:
    """Day -> the sum of a customer's rows of all writers. `rows`: day and text. Raises DamagedRow."""
    found: dict[int, list[DailyAggregate]] = {}
    for day, text in rows:
        found.setdefault(day, []).append(daily_row(text, customer, day))
    with naming(lambda: ((daily_name(customer, day), row) for day, of_day in found.items() for row in of_day)):
        return {day: added_up(of_day) for day, of_day in found.items()}
