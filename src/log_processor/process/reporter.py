"""Reports about once a second where the logs are, and that the processor is alive: to the store and health check."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from log_processor.process.effort import begun, pause_after
from log_processor.process.lag import Lag
from log_processor.process.metrics import show_lag
from log_processor.process.retry import until_stored
from request_log.line import LAST_SECOND
from service.logs import logger
from service.private import touch_own
from storage.contract import Storage
from storage.keys import Key, ObservedKey, StateKey
from storage.ledger import Report, encode_report
from storage.logs import LedgerRow
from storage.observed import ObservedEnd, complete_through, encode_observed_end

REPORT_SECONDS = 1.0
"""Time between two reports."""
OBSERVE_SHARE = 0.003
LONGEST_REPORT_SECONDS = 3.0
"""The largest share of a core that observing the logs may take, and the bound (s) of a longer time between two
reports, where there are many logs."""
QUIET_REPORT_SECONDS = 10.0
"""A log in which nothing happens is reported again after this time, so that readers know that it is followed."""

log = logger(__name__)


class Reporter:
    def __init__(
        self,
        storage: Storage,
        observed_ends: Callable[[], Sequence[ObservedEnd]],
        heartbeat: Path,
        latest_second: Callable[[], int] = lambda: LAST_SECOND,
        carried: Callable[[], float] = float,
    ) -> None:
        """`observed_ends`: where each log ends now. `latest_second`, `carried`: see Report."""
        self._storage = storage
        self._observed_ends = observed_ends
        self._heartbeat = heartbeat
        self._observed: dict[str, ObservedEnd] = {}
        self._reported: dict[str, ObservedEnd] = {}
        self._latest_second = latest_second
        self._carried = carried
        self._lag = Lag()
        self._next = 0.0
        self._has_heartbeat = True
        self.reported_latest_second = 0
        """The latest time that a request may have, by the last report."""

    def is_due(self) -> bool:
        return time.monotonic() >= self._next

    def complete_through(self, rows: Sequence[LedgerRow]) -> float | None:
        """The time (Unix, s) before which all requests are counted, if the logs are read through these rows. It goes
        by what the last report has observed."""
        return complete_through(rows, self._observed)

    def report(self, committed: Mapping[str, LedgerRow], number: int) -> None:
        """Report now. `committed`: how far each log is counted. `number`: of the last commit."""
        observing = begun()
        ends = self._observed_ends()
        self._observed = {end.log: end for end in ends}
        show_lag(ends, committed, self._lag)
        pause = pause_after(observing, OBSERVE_SHARE)
        through = self.complete_through(list(committed.values()))
        report = Report(time.time(), number, through, self._latest_second(), self._carried())
        # An end without a time is of a log that nobody follows.
        changed = [end for end in ends if end.time and self._is_changed(end)]
        rows: dict[Key, str] = {ObservedKey(end.log): encode_observed_end(end) for end in changed}
        until_stored(self._storage.check_lease)
        # Two groups, because a log may have the name of the report.
        until_stored(partial(self._storage.write, rows, {StateKey("report"): encode_report(report)}))
        until_stored(self._storage.compact)
        self.reported_latest_second = report.latest_second
        self._reported.update({end.log: end for end in changed})
        self._touch_heartbeat()
        self._next = time.monotonic() + min(max(REPORT_SECONDS, pause), LONGEST_REPORT_SECONDS)

    def _is_changed(self, end: ObservedEnd) -> bool:
        """Whether a log has moved since it was reported, or was reported too long ago."""
        reported = self._reported.get(end.log)
        return (
            reported is None
            # Also where time went back: after the clock was set back all logs are reported anew.
            or abs(end.time - reported.time) > QUIET_REPORT_SECONDS
            or (end.position, end.size, end.bytes_behind) != (reported.position, reported.size, reported.bytes_behind)
        )

    def _touch_heartbeat(self) -> None:
        """Touch the file. Where that fails, storing goes on, and the health check notices."""
        try:
            self._heartbeat.parent.mkdir(parents=True, exist_ok=True)
            touch_own(self._heartbeat)
        except OSError as error:
            if self._has_heartbeat:
                log.warning("heartbeat_failed", file=str(self._heartbeat), reason=error.strerror)
            self._has_heartbeat = False
        else:
            self._has_heartbeat = True
