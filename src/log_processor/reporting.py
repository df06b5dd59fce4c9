"""Says once a second that the processor is alive and where the logs are: to the store, and to the health check."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from log_processor.metrics import show_lag
from log_processor.retry import until_stored
from service.logs import logger
from storage.contract import LedgerRow, Sighting, Storage

REPORT_SECONDS = 1.0
LATE_SECONDS = 15.0

log = logger(__name__)


class Reporter:
    """Reports to the store, and touches the file at `heartbeat`."""

    def __init__(self, storage: Storage, sightings: Callable[[], Sequence[Sighting]], heartbeat: Path) -> None:
        self._storage = storage
        self._sightings = sightings
        self._heartbeat = heartbeat
        self._next = 0.0
        self._beats = True

    def is_due(self) -> bool:
        """Whether the last report was a second ago."""
        return time.monotonic() >= self._next

    def report(self, committed: Mapping[str, LedgerRow]) -> None:
        """Report now. `committed`: the store's ledger."""
        sightings = self._sightings()
        show_lag(sightings, committed)
        until_stored(partial(self._storage.report, sightings))
        self._beat()
        self._next = time.monotonic() + REPORT_SECONDS

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
    """Whether the file was touched in the last fifteen seconds: the processor polls, and the store answers it."""
    try:
        return time.time() - heartbeat.stat().st_mtime < LATE_SECONDS
    except FileNotFoundError:
        return False
