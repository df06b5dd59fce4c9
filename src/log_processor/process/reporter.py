"""Says once a second that the processor is alive and where the logs are: to the store, and to the health check."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from log_processor.process.lag import Lag
from log_processor.process.metrics import show_lag
from log_processor.process.retry import until_stored
from request_log.line import LAST_SECOND
from service.logs import logger
from storage.contract import Storage
from storage.keys import Key, ObservedKey, StateKey
from storage.ledger import Report, encode_report
from storage.logs import LedgerRow
from storage.observed import ObservedEnd, complete_through, encode_observed_end

REPORT_SECONDS = 1.0
LATE_SECONDS = 15.0
# A log in which nothing happens is reported again after this time (s), so that readers know that it is followed.
QUIET_REPORT_SECONDS = 10.0

log = logger(__name__)


class Reporter:
    """Reports to the store, and touches the file at `heartbeat`."""

    def __init__(
        self,
        storage: Storage,
        sightings: Callable[[], Sequence[ObservedEnd]],
        heartbeat: Path,
        latest_second: Callable[[], int] = lambda: LAST_SECOND,
    ) -> None:
        """`latest_second`: the latest that a request may have now (Unix time)."""
        self._storage = storage
        self._sightings = sightings
        self._heartbeat = heartbeat
        self._seen: dict[str, ObservedEnd] = {}
        self._reported: dict[str, ObservedEnd] = {}
        self._latest_second = latest_second
        self._lag = Lag()
        self._next = 0.0
        self._beats = True
        self.latest_second = 0
        """That of the last report."""

    def is_due(self) -> bool:
        """Whether the last report was a second ago."""
        return time.monotonic() >= self._next

    def complete_through(self, rows: Sequence[LedgerRow]) -> float | None:
        """All requests that were logged before this time (Unix, s) are counted, where the logs are at these rows; as
        far as the last report could see."""
        return complete_through(rows, self._seen)

    def report(self, committed: Mapping[str, LedgerRow], number: int) -> None:
        """Report now. `committed`: how far the logs are; `number`: of the last commit."""
        sightings = self._sightings()
        self._seen = {sighting.log: sighting for sighting in sightings}
        show_lag(sightings, committed, self._lag)
        through = self.complete_through(list(committed.values()))
        report = Report(time.time(), number, through, self._latest_second())
        news = [sighting for sighting in sightings if self._is_news(sighting)]
        rows: dict[Key, str] = {ObservedKey(sighting.log): encode_observed_end(sighting) for sighting in news}
        until_stored(self._storage.check_lease)
        # Keys of two kinds may be equal: a log may be called as the report is.
        until_stored(partial(self._storage.write, rows, {StateKey("report"): encode_report(report)}))
        until_stored(self._storage.compact)
        self.latest_second = report.latest_second
        self._reported.update({sighting.log: sighting for sighting in news})
        self._beat()
        self._next = time.monotonic() + REPORT_SECONDS

    def _is_news(self, sighting: ObservedEnd) -> bool:
        reported = self._reported.get(sighting.log)
        return (
            reported is None
            # On either side: after the clock was set back all are reported anew.
            or abs(sighting.time - reported.time) > QUIET_REPORT_SECONDS
            or (sighting.position, sighting.size, sighting.bytes_behind)
            != (reported.position, reported.size, reported.bytes_behind)
        )

    def _beat(self) -> None:
        """Touch the file. Where that fails the health check notices; storing goes on."""
        try:
            self._heartbeat.parent.mkdir(parents=True, exist_ok=True)
            self._heartbeat.touch()
        except OSError as error:
            if self._beats:
                log.warning("heartbeat_failed", file=str(self._heartbeat), reason=error.strerror)
            self._beats = False
        else:
            self._beats = True


def is_alive(heartbeat: Path) -> bool:
    """Whether the file was touched in the last fifteen seconds: the processor polls, and the store answers it.

    A clock that was set is wrong by the next touch at most. One that was set back would call a file fresh that nobody
    touches any more, for as long as it was set back: a time in the future says nothing good.
    """
    try:
        return abs(time.time() - heartbeat.stat().st_mtime) < LATE_SECONDS
    except FileNotFoundError:
        return False
