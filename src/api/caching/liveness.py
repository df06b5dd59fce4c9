"""Which writers are silent.

A processor reports once a second, whether lines come or not. A writer is silent when its report has not changed for
SILENT_SECONDS by the api's monotonic clock, so no wall clock can hide it. Only the age of the first report that the api
finds goes by the wall clocks.
"""

from collections.abc import Callable, Sequence

from storage.damage import or_default
from storage.ledger import WriterState, decode_report
from storage.writers import ARCHIVE

SILENT_SECONDS = 15.0
"""Age of a report after which its writer is silent. The health check of the processor fails after the same time."""


class Liveness:
    """When each writer's report was last seen to change."""

    def __init__(self, wall: Callable[[], float], monotonic: Callable[[], float]) -> None:
        """Two clocks (s)."""
        self._wall = wall
        self._monotonic = monotonic
        self._heard: dict[str, tuple[str, float]] = {}
        """Writer -> its report, and the monotonic time at which it was new."""

    def silent(self, states: Sequence[WriterState]) -> tuple[str, ...]:
        """Those of these writers that are silent, in their order."""
        now = self._monotonic()
        heard = {}
        for state in states:
            before = self._heard.get(state.writer)
            if before is None:
                heard[state.writer] = state.report, now - self._age(state)
            else:
                heard[state.writer] = before if before[0] == state.report else (state.report, now)
        self._heard = heard
        return tuple(
            writer for writer, (_, since) in heard.items() if writer != ARCHIVE and now - since >= SILENT_SECONDS
        )

    def _age(self, state: WriterState) -> float:
        """Seconds since a writer's report; 0 where there is none, because the first one may be about to come."""
        report = or_default(decode_report, state.report, None)
        return max(0.0, self._wall() - report.time) if report is not None else 0.0
