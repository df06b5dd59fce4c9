"""Adds an epoch's requests to the rows of counts, each request exactly once.

A row says in `applied` through which position of each log it is counted. After a crash between the counts and the
ledger some rows are already further than the ledger; requests up to there are not added to them again.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from log_processor.chunk import Batch
from storage.counts import CountsKey, DayCounts


class EpochCounts:
    """An epoch's requests of one log, gathered by customer and day: counting lists is cheaper than one by one.

    `keys` are the rows that they belong to: their customers' days, and the days of all customers together.
    """

    def __init__(self, batches: Sequence[Batch]) -> None:
        """`batches`: of one log, in any order, without gaps."""
        self._batches = batches
        self._log = batches[0].log
        self._start = min(batch.start for batch in batches)
        self._end = max(batch.end for batch in batches)
        self._gathered: defaultdict[tuple[str, int], tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
        for batch in batches:
            requests = batch.requests
            columns = zip(requests.customers, requests.days, requests.statuses, requests.latencies, strict=True)
            for customer, day, status, latency in columns:
                statuses, latencies = self._gathered[customer, day]
                statuses.append(status)
                latencies.append(latency)
        self.keys: set[CountsKey] = {*self._gathered, *((None, day) for _, day in self._gathered)}

    def add_to(self, rows: Mapping[CountsKey, DayCounts]) -> None:
        """Add the requests to their rows, which are all in `rows`."""
        ahead = {key for key in self.keys if rows[key].applied.get(self._log, self._start) > self._start}
        if ahead:
            self._add_where_not_applied(rows, ahead)
        else:
            self._add_all(rows)
        for key in self.keys:
            applied = rows[key].applied
            applied[self._log] = max(self._end, applied.get(self._log, self._end))

    def _add_all(self, rows: Mapping[CountsKey, DayCounts]) -> None:
        for (customer, day), (statuses, latencies) in self._gathered.items():
            for row in (rows[customer, day], rows[None, day]):
                row.statuses.update(statuses)
                row.latencies.update(latencies)

    def _add_where_not_applied(self, rows: Mapping[CountsKey, DayCounts], ahead: set[CountsKey]) -> None:
        """One by one, for it depends on a request's position to which rows it is added: only after a crash."""
        for batch in self._batches:
            requests = batch.requests
            columns = zip(
                requests.customers, requests.days, requests.statuses, requests.latencies, requests.offsets, strict=True
            )
            for customer, day, status, latency, offset in columns:
                position = (batch.start.generation, offset)
                for key in ((customer, day), (None, day)):
                    row = rows[key]
                    if key not in ahead or row.applied[self._log] <= position:
                        row.statuses[status] += 1
                        row.latencies[latency] += 1
