"""Adds an epoch's requests to the rows of counts, each request exactly once.

A row says in `applied` through which position of each log it is counted. After a crash between the counts and the
ledger some rows are already further than the ledger; requests up to there are not added to them again.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress

from log_processor.chunk import Batch
from storage.counts import CountsKey, DayCounts


def touched(batches: Iterable[Batch]) -> set[CountsKey]:
    """The rows that these requests belong to: their customers' days, and the days of all together."""
    keys: set[CountsKey] = set()
    for batch in batches:
        requests = batch.requests
        keys.update(map(CountsKey, requests.customers, requests.days))
        keys.update(CountsKey(None, day) for day in set(requests.days))
    return keys


def add(batches: Sequence[Batch], rows: Mapping[CountsKey, DayCounts]) -> None:
    """Add an epoch's requests to their rows, which are all in `rows`."""
    for batch in batches:
        requests = batch.requests
        _add(batch, requests.customers, rows)
        _add(batch, [None] * len(requests), rows)
    # Only now: the batches of an epoch come in no order, and each has to see what was applied before all of them.
    for batch in batches:
        for key in touched([batch]):
            applied = rows[key].applied
            applied[batch.log] = max(batch.end, applied.get(batch.log, batch.end))


def _add(batch: Batch, customers: Sequence[str | None], rows: Mapping[CountsKey, DayCounts]) -> None:
    """Add the requests to the rows of these customers, one for each request."""
    requests = batch.requests
    of_day = list(map(CountsKey, customers, requests.days))
    ahead = {key for key in set(of_day) if rows[key].applied.get(batch.log, batch.start) > batch.start}
    if ahead:
        generation = batch.start.generation
        selectors = [
            key not in ahead or rows[key].applied[batch.log] <= (generation, offset)
            for key, offset in zip(of_day, requests.offsets, strict=True)
        ]
        requests = requests.select(selectors)
        of_day = list(compress(of_day, selectors))
    for (key, status), count in Counter(zip(of_day, requests.statuses, strict=True)).items():
        rows[key].statuses[status] += count
    for (key, latency), count in Counter(zip(of_day, requests.latencies, strict=True)).items():
        rows[key].latencies[latency] += count
