"""Adds an epoch's requests to the rows of counts, each request exactly once.

A row says in `applied` through which position of each log it is counted. After a crash between the counts and the
ledger some rows are already further than the ledger; requests up to there are not added to them again.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from log_processor.chunk import Batch
from storage.counts import CountsKey, DayCounts

_CustomerDay = tuple[str, int]


def touched(batches: Sequence[Batch]) -> set[CountsKey]:
    """The rows that these requests belong to: their customers' days, and the days of all customers together."""
    keys: set[CountsKey] = set()
    for batch in batches:
        keys.update(zip(batch.requests.customers, batch.requests.days, strict=True))
        keys.update([(None, day) for day in set(batch.requests.days)])
    return keys


def add(batches: Sequence[Batch], rows: Mapping[CountsKey, DayCounts]) -> None:
    """Add an epoch's requests to their rows, which are all in `rows`. The batches may come in any order."""
    for log in {batch.log for batch in batches}:
        of_log = [batch for batch in batches if batch.log == log]
        start = min(batch.start for batch in of_log)
        end = max(batch.end for batch in of_log)
        keys = touched(of_log)
        ahead = {key for key in keys if rows[key].applied.get(log, start) > start}
        if ahead:
            _add_where_not_applied(of_log, rows, ahead)
        else:
            _add_all(of_log, rows)
        for key in keys:
            rows[key].applied[log] = max(end, rows[key].applied.get(log, end))


def _add_all(batches: Sequence[Batch], rows: Mapping[CountsKey, DayCounts]) -> None:
    """Requests are first gathered by customer and day: counting a list is much cheaper than counting one by one."""
    statuses: Counter[tuple[_CustomerDay, int]] = Counter()
    latencies: defaultdict[_CustomerDay, list[int]] = defaultdict(list)
    for batch in batches:
        requests = batch.requests
        keys = list(zip(requests.customers, requests.days, strict=True))
        statuses.update(zip(keys, requests.statuses, strict=True))
        for key, latency in zip(keys, requests.latencies, strict=True):
            latencies[key].append(latency)
    for (key, status), count in statuses.items():
        rows[key].statuses[status] += count
        rows[None, key[1]].statuses[status] += count
    for key, values in latencies.items():
        rows[key].latencies.update(values)
        rows[None, key[1]].latencies.update(values)


def _add_where_not_applied(
    batches: Sequence[Batch], rows: Mapping[CountsKey, DayCounts], ahead: set[CountsKey]
) -> None:
    """Request by request, for it depends on each one's position to which rows it is added: only after a crash."""
    for batch in batches:
        requests = batch.requests
        columns = zip(
            requests.customers, requests.days, requests.statuses, requests.latencies, requests.offsets, strict=True
        )
        for customer, day, status, latency, offset in columns:
            position = (batch.start.generation, offset)
            for key in ((customer, day), (None, day)):
                row = rows[key]
                if key not in ahead or row.applied[batch.log] <= position:
                    row.statuses[status] += 1
                    row.latencies[latency] += 1
