"""Counts as arrays: what figures are computed from. Ten times as fast as counters where a row has thousands of
latencies, and a month of rows is merged for each answer."""

from base64 import b64decode
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from request_log.requests import NONE
from storage.contract import PackedCounts
from storage.counts import SUCCESS, DayCounts
from storage.text import Integers, counter_arrays, decode_counter, encode_arrays, encode_counter

# The letter of most counters' texts, and the integers in them.
_PLAIN, _PLAIN_TYPE = "H", "<u2"
# A latency is at most a day.
_LATENCY_BITS = 32


@dataclass(frozen=True, slots=True)
class Tally:
    """How many requests there are, how many of them succeeded, and how many took how long: a request that was logged
    without a duration has no latency."""

    total: int
    successful: int
    latencies: Integers
    """Whole milliseconds, ascending; the same may come several times."""
    counts: Integers
    """The requests of each."""

    @property
    def timed(self) -> int:
        """How many requests have a latency."""
        return int(self.counts.sum())


@dataclass(frozen=True, slots=True)
class Tallies:
    """Several tallies, one after the other. The first five have an element a tally."""

    totals: Integers
    successful: Integers
    timed: Integers
    milliseconds: Integers
    """Those of all its requests together."""
    sizes: Integers
    """How many latencies and counts are its."""
    latencies: Integers
    counts: Integers


def tally_of(packed: PackedCounts) -> Tally:
    """The tally of a stored row."""
    return tally_of_arrays(decode_counter(packed.statuses), *counter_arrays(packed.latencies))


def tally_of_arrays(statuses: Mapping[int, int], latencies: Integers, counts: Integers) -> Tally:
    """The tally of requests by HTTP status, and by latency in whole milliseconds, ascending."""
    successful = sum(count for status, count in statuses.items() if status in SUCCESS)
    return Tally(sum(statuses.values()), successful, latencies, counts)


def tally_of_requests(requests: Sequence[tuple[int, int]]) -> Tally:
    """The tally of requests of which each has an HTTP status and whole milliseconds, or NONE."""
    statuses = Counter(status for status, _ in requests)
    timed = np.array([latency for _, latency in requests if latency != NONE], np.int64)
    return tally_of_arrays(statuses, *np.unique(timed, return_counts=True))


def statuses_of(rows: Iterable[PackedCounts]) -> Counter[int]:
    """HTTP status -> requests, of all these stored rows together."""
    statuses: Counter[int] = Counter()
    for row in rows:
        statuses.update(decode_counter(row.statuses))
    return statuses


def tally(counts: DayCounts) -> Tally:
    """The tally of counts that are unpacked already."""
    latencies = sorted(counts.latencies)
    requests = list(map(counts.latencies.__getitem__, latencies))
    return tally_of_arrays(counts.statuses, np.array(latencies, np.int64), np.array(requests, np.int64))


def merge(tallies: Sequence[Tally]) -> Tally:
    """The tally of all of them together."""
    if not tallies:
        return tally(DayCounts())
    latencies = np.concatenate([one.latencies for one in tallies])
    counts = np.concatenate([one.counts for one in tallies])
    order = latencies.argsort(kind="stable")
    return Tally(
        sum(one.total for one in tallies), sum(one.successful for one in tallies), latencies[order], counts[order]
    )


def compact(tally: Tally) -> Tally:
    """The same with each latency once."""
    return Tally(tally.total, tally.successful, *_compact(tally.latencies, tally.counts))


def _compact(latencies: Integers, counts: Integers) -> tuple[Integers, Integers]:
    starts = np.flatnonzero(np.diff(latencies, prepend=-1))
    return latencies[starts], np.add.reduceat(counts, starts) if len(starts) else counts


def merge_each(groups: Sequence[Sequence[PackedCounts]]) -> Tallies:
    """The tally of each group of rows, none of which is without requests. For very many rows: what is done for each of
    them is little."""
    rows = [(group, row) for group, packed in enumerate(groups) for row in packed]
    of_status, statuses, requests = _flat([(group, row.statuses) for group, row in rows])
    is_success = (statuses >= SUCCESS.start) & (statuses < SUCCESS.stop)
    totals = _sums(of_status, requests, len(groups))
    successful = _sums(of_status, np.where(is_success, requests, 0), len(groups))
    of_latency, latencies, counts = _flat([(group, row.latencies) for group, row in rows])
    order = ((of_latency << _LATENCY_BITS) | latencies).argsort()
    timed = _sums(of_latency, counts, len(groups))
    milliseconds = _sums(of_latency, latencies * counts, len(groups))
    sizes = np.bincount(of_latency, minlength=len(groups))
    return Tallies(totals, successful, timed, milliseconds, sizes, latencies[order], counts[order])


def pack_each(tallies: Tallies) -> Iterator[PackedCounts]:
    """Each of them as a row of counts. Of the statuses it has only whether they are those of success."""
    ends = tallies.sizes.cumsum()
    numbers = (tallies.totals, tallies.successful, ends - tallies.sizes, ends)
    for total, successful, start, end in zip(*(column.tolist() for column in numbers), strict=True):
        statuses = {SUCCESS.start: successful, SUCCESS.stop: total - successful}
        latencies = encode_arrays(*_compact(tallies.latencies[start:end], tallies.counts[start:end]))
        yield PackedCounts(encode_counter(statuses), latencies, "")


def _sums(groups: Integers, values: Integers, size: int) -> Integers:
    """The sum of the values of each group; exact, as the weights of `bincount` would not be."""
    sums = np.zeros(size, np.int64)
    np.add.at(sums, groups, values)
    return sums


def _flat(texts: Sequence[tuple[int, str]]) -> tuple[Integers, Integers, Integers]:
    """The entries of all these counters, each with its group: group, value, count."""
    plain = [(group, b64decode(text[1:])) for group, text in texts if text[0] == _PLAIN]
    numbers = np.frombuffer(b"".join(data for _, data in plain), _PLAIN_TYPE).astype(np.int64)
    # Each counter has its values first, then as many counts.
    sizes = np.array([len(data) // 4 for _, data in plain], np.int64)
    place = np.arange(sizes.sum()) + (sizes.cumsum() - sizes).repeat(sizes)
    parts = [
        (
            np.array([group for group, _ in plain], np.int64).repeat(sizes),
            numbers[place],
            numbers[place + sizes.repeat(sizes)],
        )
    ]
    for group, text in texts:
        if text[0] != _PLAIN:
            values, counts = counter_arrays(text)
            parts.append((np.full(len(values), group), values, counts))
    groups, values, counts = (np.concatenate(column) for column in zip(*parts, strict=True))
    return groups, values, counts
