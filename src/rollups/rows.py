"""Rows as text: the number of the last commit that counted, then named counters.

    17 status=HyAABAA== latency=HBQABAA==

A reader ignores a name that it does not know. A name that is missing was not counted.
"""

from collections.abc import Sequence
from functools import reduce

from rollups.counters import add_to_counter
from rollups.counts import NARROW, NO_COUNTS, DailyAggregate, RollupKind, RollupRow

_FIRST, _STATUS, _LATENCY, _NAMES, _LEFT = "first", "status", "latency", "names", "left"
_SIZE, _ENDPOINT_BITS = "size", "endpoint_bits"
_LESS = "less_"
"""Prefix of the names of counters of what was taken back."""


def encode_daily(row: DailyAggregate) -> str:
    first = f" {_FIRST}={row.first}" if row.first else ""
    return f"{row.commit}{first} {_STATUS}={row.statuses} {_LATENCY}={row.latencies}"


def decode_daily(text: str) -> DailyAggregate:
    """The reverse of `encode_daily`."""
    commit, values = _decode(text)
    return DailyAggregate(
        values.get(_STATUS, NO_COUNTS), values.get(_LATENCY, NO_COUNTS), commit, int(values.get(_FIRST, 0))
    )


def encode_rollup(row: RollupRow) -> str:
    """The text of a segment of a roll-up. Its kind and its number are in its key."""
    left = f" {_LEFT}={row.left}" if row.left else ""
    has_less = row.less_statuses != NO_COUNTS
    less = f" {_LESS}{_STATUS}={row.less_statuses} {_LESS}{_LATENCY}={row.less_latencies}" if has_less else ""
    sizes = f" {_SIZE}={row.sizes}" if row.sizes != NO_COUNTS else ""
    less_sizes = f" {_LESS}{_SIZE}={row.less_sizes}" if row.less_sizes != NO_COUNTS else ""
    bits = f" {_ENDPOINT_BITS}={row.endpoint_bits}" if row.endpoint_bits != NARROW else ""
    counters = f"{_STATUS}={row.statuses} {_LATENCY}={row.latencies}{sizes}{less}{less_sizes}"
    return f"{row.commit} {_NAMES}={row.names} {counters}{bits}{left}"


def decode_rollup(kind: RollupKind, segment: int, text: str) -> RollupRow:
    """The reverse of `encode_rollup`."""
    commit, values = _decode(text)
    return RollupRow(
        kind,
        segment,
        values[_NAMES],
        values.get(_STATUS, NO_COUNTS),
        values.get(_LATENCY, NO_COUNTS),
        commit,
        int(values.get(_LEFT, 0)),
        values.get(_LESS + _STATUS, NO_COUNTS),
        values.get(_LESS + _LATENCY, NO_COUNTS),
        values.get(_SIZE, NO_COUNTS),
        values.get(_LESS + _SIZE, NO_COUNTS),
        int(values.get(_ENDPOINT_BITS, NARROW)),
    )


def added_up(rows: Sequence[DailyAggregate]) -> DailyAggregate:
    """The sum of the daily aggregates that several writers have for one key. A single one is returned as it is."""
    return reduce(_sum, rows)


def _sum(row: DailyAggregate, other: DailyAggregate) -> DailyAggregate:
    return DailyAggregate(add_to_counter(row.statuses, other.statuses), add_to_counter(row.latencies, other.latencies))


def _decode(text: str) -> tuple[int, dict[str, str]]:
    commit, *values = text.split(" ")
    return int(commit), {name: counter for name, _, counter in (value.partition("=") for value in values)}
