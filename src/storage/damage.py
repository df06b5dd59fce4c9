"""Damaged rows: each costs itself alone, and is named once."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TypeVar

import msgspec

from rollups.counters import UnreadableText
from rollups.counts import DailyAggregate, RollupRow
from service.logs import logger
from storage.errors import DamagedRow

Key = TypeVar("Key")
Row = TypeVar("Row")
Fields = TypeVar("Fields", bound=msgspec.Struct)

log = logger(__name__)

_ERRORS = (ValueError, TypeError, LookupError, AttributeError, RecursionError, msgspec.ValidationError)
# Characters of a row that a message has.
_SHOWN = 60


@contextmanager
def reading(name: str, text: str) -> Iterator[None]:
    """Raise DamagedRow, with the row's name, where what is done with its text fails."""
    try:
        yield
    except _ERRORS as error:
        raise damaged_row(name, text) from error


def decoded(decode: Callable[[str], Row], text: str, *name: object) -> Row:
    """The decoded row. Raises DamagedRow with its name, which has these parts. For many rows, faster than `reading`."""
    try:
        return decode(text)
    except _ERRORS as error:
        raise damaged_row(" ".join(map(str, name)), text) from error


@contextmanager
def naming(rows: Callable[[], Iterable[tuple[str, DailyAggregate | RollupRow]]]) -> Iterator[None]:
    """Raise DamagedRow where a counter of these rows, each with its name, cannot be read.

    Counters are read long after their rows, and many at once. Only a failure looks for the row.
    """
    try:
        yield
    except UnreadableText as error:
        raise damaged(error, rows()) from error


def damaged(error: UnreadableText, rows: Iterable[tuple[str, DailyAggregate | RollupRow]]) -> DamagedRow:
    """The error with the name of the one of these rows that has the text, if one has."""
    name = next((name for name, row in rows if error.text in row), "that is needed")
    return damaged_row(name, error.text)


def named_daily(
    rows: Mapping[str, Mapping[int, DailyAggregate]] | Mapping[str | None, Mapping[int, DailyAggregate]],
) -> Iterator[tuple[str, DailyAggregate]]:
    """Daily aggregates by customer (None: all customers together) and day, each with its name."""
    for customer, days in rows.items():
        for day, row in days.items():
            yield daily_name(customer, day), row


def named_rollups(group: int, days: Mapping[int, Sequence[RollupRow]]) -> Iterator[tuple[str, RollupRow]]:
    """Segments of a group's roll-ups by day, each with its name."""
    for day, segments in days.items():
        for row in segments:
            yield rollup_name(group, day, row.kind), row


def daily_name(customer: str | None, day: int) -> str:
    return f"of daily counts of {customer or 'all customers'} on day {day}"


def rollup_name(group: int, day: int, kind: str) -> str:
    """The name of a roll-up in messages."""
    return f"of a roll-up {group} {day} {kind}"


def damaged_row(name: str, text: str) -> DamagedRow:
    """The error of a row, with its name and its text."""
    return DamagedRow(
        f"The store's row {name} is damaged: {str(text)[:_SHOWN]!r}. "
        "Put a backup in the store's place, or have the log read again into a new store."
    )


def readable(rows: Iterable[Key], decode: Callable[[Key], Row]) -> list[Row]:
    """The rows that can be decoded. The others are named in the log."""
    found = []
    for row in rows:
        try:
            found.append(decode(row))
        except DamagedRow as error:
            say(str(error))
    return found


def or_default(decode: Callable[[str], Row], text: str, default: Row) -> Row:
    """The decoded row, or a default where it is damaged, which the log says."""
    try:
        return decode(text)
    except DamagedRow as error:
        say(str(error))
        return default


def struct_of(values: Sequence[object], of: type[Fields], least: int) -> Fields:
    """A struct from the values of its first fields, `least` of them at least. Raises one of the errors that `reading`
    takes for damage, where they are too few or too many, or one is of another type."""
    names = of.__struct_fields__
    if not least <= len(values) <= len(names):
        raise ValueError(f"{len(values)} values")
    return msgspec.convert(dict(zip(names, values, strict=False)), of)


# The api reads the same rows again and again.
@lru_cache(1_000)
def say(reason: str) -> None:
    """Name a damaged row in the log: once, as long as not too many others follow."""
    log.error("row_damaged", reason=reason)
